// candles.js: what the chart shows: bars, or honest aggregates of `bucket` bars each. Knows nothing of how it is drawn.
// Candle i covers the bars that share floor((bar - 1) / bucket); bars are numbered from 1.
const OHLCV = ["time", "open", "high", "low", "close", "volume"];
const LEAST = 400; // candles kept while playing on: the library's work a frame grows with all that it holds

export class Candles {
  constructor(indicators, limit) {
    this.names = indicators;
    this.limit = limit; // candles kept while playing on, at most
    this.keep(0);
    this.clear();
  }

  clear() {
    this.bucket = 1;
    this.first = 1; // first bar of candle 0
    this.last = 0; // last bar within the last candle
    this.live = true; // ends at the playhead and grows with it
    this.columns = Object.fromEntries(OHLCV.map((name) => [name, []]));
    this.equity = [];
    this.low = []; // equity at worst and at best, where trades are ambiguous; else null
    this.high = [];
    this.drawdown = []; // percent, deepest within the candle
    this.values = this.names.map(() => []);
    this.touched();
  }

  // What is looked at: `span` candles, and where the view does not follow the newest, from which bar on.
  keep(span, from = Infinity) {
    this.wanted = Math.max(Math.min(LEAST, this.limit), Math.min(this.limit, Math.ceil(2 * span)));
    this.watched = from;
  }

  // Everything was replaced: the next paint starts from candle 0.
  touched() {
    this.replaced = true;
    this.changed = 0;
  }

  get count() {
    return this.columns.time.length;
  }

  // Replace everything by a frame's columns.
  reset(frame, live) {
    this.bucket = frame.bucket || 1;
    this.first = frame.from;
    this.last = frame.to;
    this.live = live;
    for (const name of OHLCV) this.columns[name] = frame[name].slice();
    this.equity = frame.equity.slice();
    this.low = edge(frame.equity_low, this.count);
    this.high = edge(frame.equity_high, this.count);
    this.values = this.names.map((name) => (frame.indicators[name] ?? []).slice());
    this.drawdown = frame.drawdown.slice();
    while (this.count > 2 * this.limit) this.coarsen(this.bucket * 2);
    this.touched();
  }

  // Play on: `frame` follows what is held. False when it does not fit, and a window must be fetched afresh.
  append(frame) {
    if (!this.live) return true;
    const bucket = frame.bucket || 1;
    if (this.count === 0) {
      this.reset(frame, true);
      return true;
    }
    if (frame.from > this.last + 1) return false;
    if (bucket > this.bucket) this.coarsen(bucket);
    let fits = true;
    frame.time.forEach((_, i) => {
      const start = bucketStart(frame.from, bucket) + i * bucket;
      const from = Math.max(start, frame.from);
      const to = Math.min(start + bucket - 1, frame.to);
      fits = this.take(frame, i, from, to, bucket) && fits;
    });
    if (this.count > 1.6 * this.wanted) this.trim();
    return fits;
  }

  take(frame, i, from, to, bucket) {
    if (to <= this.last && bucket <= this.bucket) return true; // held already
    const last = this.count - 1;
    const at = this.indexOf(from);
    const known = from <= this.last; // this candle was sent before, with fewer bars in it
    this.last = to;
    if (at > last) {
      this.push(frame, i);
      return true;
    }
    this.changed = Math.min(this.changed, at);
    if (bucket === this.bucket) this.write(frame, i, at);
    else this.merge(frame, i, at);
    return !known || bucket === this.bucket;
  }

  push(frame, i) {
    for (const name of OHLCV) this.columns[name].push(frame[name][i]);
    this.equity.push(frame.equity[i]);
    this.low.push(frame.equity_low?.[i] ?? null);
    this.high.push(frame.equity_high?.[i] ?? null);
    this.drawdown.push(frame.drawdown[i]);
    this.names.forEach((name, n) => this.values[n].push(frame.indicators[name]?.[i] ?? null));
    this.changed = Math.min(this.changed, this.count - 1);
  }

  write(frame, i, at) {
    for (const name of OHLCV) this.columns[name][at] = frame[name][i];
    this.drawdown[at] = frame.drawdown[i];
    this.follow(frame, i, at);
  }

  merge(frame, i, at) {
    const { high, low, close, volume } = this.columns;
    high[at] = Math.max(high[at], frame.high[i]);
    low[at] = Math.min(low[at], frame.low[i]);
    close[at] = frame.close[i];
    volume[at] += frame.volume[i];
    this.drawdown[at] = deeper(this.drawdown[at], frame.drawdown[i]);
    this.follow(frame, i, at);
  }

  // A candle's equity and indicators are those of its last bar.
  follow(frame, i, at) {
    this.equity[at] = frame.equity[i];
    this.low[at] = frame.equity_low?.[i] ?? null;
    this.high[at] = frame.equity_high?.[i] ?? null;
    this.names.forEach((name, n) => (this.values[n][at] = frame.indicators[name]?.[i] ?? null));
  }

  // Draw `bucket` bars a candle from now on; a multiple of the present one.
  coarsen(bucket) {
    const old = { ...this.columns, equity: this.equity, worst: this.low, best: this.high, drawdown: this.drawdown, values: this.values };
    const count = this.count;
    const from = this.bucket;
    const first = bucketStart(this.first, from);
    this.columns = Object.fromEntries(OHLCV.map((name) => [name, []]));
    this.equity = [];
    this.low = [];
    this.high = [];
    this.drawdown = [];
    this.values = this.names.map(() => []);
    this.bucket = bucket;
    let group = -1;
    for (let i = 0; i < count; i += 1) {
      const start = bucketStart(first + i * from, bucket);
      const at = this.count - 1;
      if (start !== group) {
        group = start;
        for (const name of OHLCV) this.columns[name].push(old[name][i]);
        this.equity.push(old.equity[i]);
        this.low.push(old.worst[i]);
        this.high.push(old.best[i]);
        this.drawdown.push(old.drawdown[i]);
        this.values.forEach((column, n) => column.push(old.values[n][i]));
        continue;
      }
      const { high, low, close, volume } = this.columns;
      high[at] = Math.max(high[at], old.high[i]);
      low[at] = Math.min(low[at], old.low[i]);
      close[at] = old.close[i];
      volume[at] += old.volume[i];
      this.equity[at] = old.equity[i];
      this.low[at] = old.worst[i];
      this.high[at] = old.best[i];
      this.drawdown[at] = deeper(this.drawdown[at], old.drawdown[i]);
      this.values.forEach((column, n) => (column[at] = old.values[n][i]));
    }
    this.touched();
  }

  // Forget the oldest candles. Where the user looks at them, grow no more instead: the newest are a request away.
  trim() {
    const drop = this.count - this.wanted;
    if (this.indexOf(this.watched) < drop) {
      this.live = false;
      return;
    }
    for (const column of [...Object.values(this.columns), this.equity, this.low, this.high, this.drawdown, ...this.values]) column.splice(0, drop);
    this.first = bucketStart(this.first, this.bucket) + drop * this.bucket;
    this.touched();
  }

  indexOf(bar) {
    return Math.floor((bar - 1) / this.bucket) - Math.floor((this.first - 1) / this.bucket);
  }

  // The last bar of candle i, which is the one its numbers belong to.
  barAt(i) {
    return Math.min(bucketStart(this.first, this.bucket) + (i + 1) * this.bucket - 1, this.last);
  }

  // A place on the time axis as a bar number, and back; both may lie between or beyond the candles.
  barOfLogical(logical) {
    return bucketStart(this.first, this.bucket) + logical * this.bucket;
  }

  logicalOfBar(bar) {
    return (bar - bucketStart(this.first, this.bucket)) / this.bucket;
  }
}

function edge(values, count) {
  return values?.slice() ?? new Array(count).fill(null);
}

function bucketStart(bar, bucket) {
  return Math.floor((bar - 1) / bucket) * bucket + 1;
}

function deeper(a, b) {
  return a === null ? b : b === null ? a : Math.min(a, b);
}
