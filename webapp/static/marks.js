// marks.js: what happened on the chart: trades, trade events, pending orders. Knows nothing of how it is drawn.
const TRADED = new Set(["opened", "reduced", "closed"]);

export class Marks {
  constructor() {
    this.clear();
  }

  clear() {
    this.events = new Map(); // number -> trade event, of the bars on the chart
    this.trades = new Map(); // trade -> closed trade
    this.open = [];
    this.orders = [];
    this.thinned = { events: 0, trades: 0 };
    this.ticks = new Set(); // bars with a trade event, of all that was played
    this.faults = new Map(); // bar and kind -> what is wrong with the data there
    this.peeks = new Map(); // bar -> what the look-ahead proof found there
    this.version = 0;
  }

  // Replace what lies on the chart by what a reset frame or a window holds.
  reset(frame) {
    this.events.clear();
    this.trades.clear();
    this.faults.clear();
    this.thinned = frame.thinned ?? { events: 0, trades: 0 };
    this.take(frame);
    this.version += 1;
  }

  // Add a frame's events; returns the new ones.
  take(frame) {
    const fresh = [];
    for (const fault of frame.faults ?? []) this.faults.set(`${fault.bar} ${fault.kind}`, fault);
    for (const event of frame.events ?? []) {
      if (!TRADED.has(event.kind)) {
        fresh.push(event);
        continue;
      }
      if (this.events.has(event.number)) continue;
      this.events.set(event.number, event);
      this.ticks.add(event.bar_number);
      fresh.push(event);
    }
    for (const trade of frame.trades ?? []) this.trades.set(trade.trade, trade);
    if (frame.orders) this.orders = frame.orders;
    if (frame.open_trades) this.open = frame.open_trades;
    if (fresh.length || frame.trades?.length || frame.orders || frame.open_trades) this.version += 1;
    return fresh;
  }

  peek(marks) {
    this.peeks = new Map(marks.map(({ bar, text }) => [bar, text]));
    this.version += 1;
  }

  // Only the scrubber looks at bars that are not on the chart.
  addTicks(frame) {
    for (const event of frame.events ?? []) if (TRADED.has(event.kind)) this.ticks.add(event.bar_number);
  }

  // Forget what lies before bar `first` and after `last`, which the chart does not hold.
  forget(first, last = Infinity) {
    for (const [number, { bar_number: bar }] of this.events) if (bar < first || bar > last) this.events.delete(number);
    for (const [key, { bar }] of this.faults) if (bar < first || bar > last) this.faults.delete(key);
    for (const [id, trade] of this.trades) if (trade.exit_bar < first || trade.entry_bar > last) this.trades.delete(id);
  }

  // Nothing after the playhead: after a step back, until the server's frame arrives, and for the ticks.
  rewind(bar) {
    for (const tick of this.ticks) if (tick > bar) this.ticks.delete(tick);
  }

  // Trades with any part within the bars from..to, open ones last.
  within(from, to, newest) {
    const closed = [...this.trades.values()].filter((trade) => trade.exit_bar >= from && trade.entry_bar <= to);
    const open = this.open.filter((trade) => trade.entry_bar <= to).map((trade) => ({ ...trade, exit_bar: newest }));
    return { closed, open };
  }

  find(trade) {
    return this.trades.get(trade) ?? this.open.find((one) => one.trade === trade);
  }
}
