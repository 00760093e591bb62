// view.js: which bars the chart holds: it fetches older or finer ones when the user looks at them.
const PATIENCE = 120; // ms of rest before bars are asked for

export class View {
  constructor(player) {
    this.player = player;
    player.windows = []; // what was asked for, in the order of the answers
    this.ticks();
  }

  get chart() {
    return this.player.chart;
  }

  get candles() {
    return this.player.candles;
  }

  // The scrubber marks what was traded before the bars on the chart, too.
  ticks() {
    const { first } = this.candles;
    if (first > 1) this.ask("ticks", 1, this.player.total);
  }

  ask(purpose, from, to) {
    from = Math.max(1, Math.floor(from));
    to = Math.min(Math.ceil(to), this.player.total); // the answer ends at the playhead at the latest
    if (to < from) return;
    if (this.player.send({ action: "window", from, to })) this.player.windows.push({ purpose, to });
  }

  refused() {
    this.player.windows.shift();
  }

  answered(frame) {
    const { purpose } = this.player.windows.shift() ?? {};
    const { marks, player } = this;
    this.asked = null;
    if (purpose === "ticks") {
      player.marks.addTicks(frame);
      player.marks.rewind(player.bar);
      return;
    }
    if (frame.to > player.bar) return; // the playhead has gone back since
    const seen = this.chart.remember();
    const live = frame.to === player.bar;
    if (!live && this.chart.follow) return this.refresh(); // overtaken while playing on
    this.candles.reset(frame, live);
    const { open, orders } = player.marks;
    player.marks.reset(frame);
    Object.assign(player.marks, { open, orders });
    if (purpose === "fit") this.chart.overview();
    else this.chart.restore(seen);
  }

  // A reset frame ends at the playhead. What was looked at may lie before it, or (after a step back) after it.
  wasReset(frame, back) {
    const { chart } = this;
    if (!chart) return;
    const seen = chart.range && chart.data ? chart.data.barOfLogical(chart.range.from) : 1;
    if (back && frame.to < seen) chart.follow = true;
    if (frame.from > 1 && !this.knowsTicks) {
      this.knowsTicks = true;
      this.ticks();
    }
    this.later();
  }

  moved() {
    this.player.schedule();
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), PATIENCE);
  }

  // Ask for what is visible and not held, or held coarser than the screen could show.
  look() {
    const { chart, candles, player } = this;
    if (!chart?.range || !candles.count || player.windows.some(({ purpose }) => purpose !== "ticks")) return;
    const from = candles.barOfLogical(chart.range.from);
    const to = candles.barOfLogical(chart.range.to);
    const span = to - from;
    const older = from < candles.first && candles.first > 1;
    const newer = !candles.live && to > candles.last;
    const finer = candles.bucket > this.ideal(span * 1.5) && player.status !== "playing";
    if (!older && !newer && !finer) return;
    const key = `${Math.round(from)} ${Math.round(to)} ${candles.bucket} ${candles.first}`;
    if (key === this.asked) return; // the answer did not help: older bars do not exist
    this.asked = key;
    this.ask("view", from - span * 0.5, chart.follow ? player.total : to + span * 0.5);
  }

  ideal(bars) {
    return 2 ** Math.max(0, Math.ceil(Math.log2(bars / (1.6 * this.candles.limit))));
  }

  refresh() {
    const { chart, candles, player } = this;
    if (player.windows.some(({ purpose }) => purpose !== "ticks")) return;
    const span = chart.range ? (chart.range.to - chart.range.from) * candles.bucket : 500;
    this.ask("view", player.bar - span * 1.5, player.total);
  }

  newest() {
    if (this.candles.live) return;
    this.refresh();
  }

  fit() {
    if (this.candles.first > 1) {
      this.chart.follow = true;
      this.ask("fit", 1, this.player.total);
    } else this.chart.fit();
  }
}
