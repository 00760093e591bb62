// chart.js: draws candles and marks with the chart library; the only module that knows it.
// The panes come from the set-up script that lightweight-charts-python wrote; feeding them is ours.
import { EquityBand } from "./equityband.js";
import { size as plain } from "./format.js";
import { extremes, grouped, worded } from "./labels.js";
import { TradeLines } from "./tradelines.js";

const RIGHT = 5; // empty candles kept to the right of the newest
const NEW_BARS = 40; // up to so many changed candles are updates; more are one setData
const AXIS = 72; // px of width of the price axis
const MAX_LINES = 24; // labelled price lines at once

export async function loadSetup(address) {
  await library();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.tapedeckChart);
    script.onerror = () => reject(new Error("The chart's files could not be loaded."));
    document.head.append(script);
  });
}

// The library's own files are deferred scripts: on a slow line the socket can speak before they have run.
async function library() {
  const patience = performance.now() + 10_000;
  while (!window.Lib) {
    if (performance.now() > patience) throw new Error("The chart's files could not be loaded. Reload the page to try again.");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export class Chart {
  // `on` is told {range (by the user), cross (logical or null), click (logical), ask (logical)}.
  constructor(element, setup, { places, names }, indicators, clock, on) {
    this.element = element;
    this.panes = setup.panes.map(({ kind, handler, series }, i) => ({
      kind, handler, api: handler.chart, wrapper: handler.wrapper, name: kind === "indicator" ? names[i] : kind,
      series: series.map((one) => one.series ?? one),
    }));
    this.price = this.panes[0];
    this.candles = this.price.handler.series;
    this.volume = this.price.handler.volumeSeries;
    [this.equity, this.held, this.drawdown] = this.panes.at(-1).series;
    this.indicators = places.map(({ pane, series }) => this.panes[pane].series[series]);
    this.declared = indicators;
    this.clock = clock;
    this.on = on;
    this.follow = true;
    this.lines = new Map();
    this.base = null; // price at which buy & hold began
    this.balance = 0;
    this.range = null;
    this.width = 800; // px, until it is laid out
    this.tradeLines = new TradeLines();
    this.candles.attachPrimitive(this.tradeLines);
    this.band = new EquityBand();
    this.equity.attachPrimitive(this.band);
    this.prepare();
  }

  prepare() {
    for (const pane of this.panes) {
      const spare = pane === this.price ? [] : [pane.handler.series, pane.handler.volumeSeries];
      spare.forEach((series) => pane.api.removeSeries(series));
      pane.api.applyOptions({
        timeScale: { shiftVisibleRangeOnNewBar: false, visible: pane === this.panes.at(-1), rightOffset: RIGHT,
          tickMarkFormatter: (time, kind) => this.clock.tick(time, kind), lockVisibleTimeRangeOnResize: true },
        localization: { timeFormatter: (time) => this.clock.text(time), locale: "en-GB" },
        rightPriceScale: { minimumWidth: AXIS, borderVisible: false, entireTextOnly: true },
        handleScale: { axisPressedMouseMove: { time: true, price: true } },
      });
      pane.api.timeScale().subscribeVisibleLogicalRangeChange((range) => this.ranged(pane, range));
      pane.api.subscribeCrosshairMove((param) => this.crossed(pane, param));
      if (pane.kind === "equity") pane.api.subscribeClick((param) => param.logical !== undefined && this.on.click(param.logical));
      if (pane === this.price) pane.api.subscribeClick((param) => param.time !== undefined && this.on.ask(param.logical));
    }
    const touched = () => (this.hand = performance.now());
    for (const name of ["pointerdown", "pointermove", "wheel", "touchmove"]) {
      this.element.addEventListener(name, (event) => (event.type !== "pointermove" || event.buttons) && touched(), { passive: true });
    }
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
    this.theme();
    this.resize();
  }

  stop() {
    this.observer.disconnect();
  }

  // -- size and colours

  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const own = this.panes.length - 2;
    const shares = this.panes.map(({ kind }) => (kind === "price" ? Math.max(2.6, 3.6 - own * 0.3) : kind === "equity" ? 1.1 : 1));
    const sum = shares.reduce((a, b) => a + b);
    let left = height;
    this.panes.forEach((pane, i) => {
      const tall = i === this.panes.length - 1 ? left : Math.round((height * shares[i]) / sum);
      left -= tall;
      pane.top = height - left - tall;
      pane.tall = tall;
      pane.wrapper.style.height = `${tall}px`;
      pane.wrapper.style.width = "100%";
      pane.api.resize(width, tall);
    });
    this.width = width;
    this.on.resized?.();
  }

  theme() {
    const css = getComputedStyle(this.element);
    const token = (name) => plainColor(css.getPropertyValue(name).trim());
    const [up, down] = [token("--candle-up"), token("--candle-down")];
    this.colors = {
      volumeUp: token("--volume-up"), volumeDown: token("--volume-down"),
      entry: token("--mark-entry"), exit: token("--mark-exit"), gain: token("--gain-line"), loss: token("--loss-line"),
      sl: token("--loss-line"), tp: token("--gain-line"), order: token("--mark-order"), peek: token("--alarm"), band: token("--band"),
    };
    for (const pane of this.panes) {
      pane.api.applyOptions({
        layout: { background: { type: "solid", color: token("--chart-back") }, textColor: token("--chart-text"),
          fontFamily: css.fontFamily, fontSize: 11 },
        grid: { vertLines: { color: token("--chart-grid") }, horzLines: { color: token("--chart-grid") } },
        crosshair: { vertLine: { color: token("--chart-cross"), labelBackgroundColor: token("--chart-label") },
          horzLine: { color: token("--chart-cross"), labelBackgroundColor: token("--chart-label") } },
      });
    }
    document.getElementById("container").style.backgroundColor = token("--chart-back");
    this.candles.applyOptions({ upColor: token("--candle-up-fill"), downColor: down, borderUpColor: up, borderDownColor: down,
      wickUpColor: up, wickDownColor: down, borderVisible: true, priceLineVisible: false });
    this.seriesColors = this.declared.map(({ color }, i) => (color && CSS.supports("color", color) ? plainColor(color) : token(`--series-${(i % 8) + 1}`)));
    this.indicators.forEach((series, i) => series.applyOptions({ color: this.seriesColors[i], lineWidth: 2 }));
    this.volume.applyOptions({ priceLineVisible: false, lastValueVisible: false });
    this.equity.applyOptions({ color: token("--equity"), lineWidth: 2 });
    this.held.applyOptions({ color: token("--held"), lineWidth: 1 });
    this.drawdown.applyOptions({ color: token("--drawdown") });
    this.tradeLines.colors(this.colors.gain, this.colors.loss);
    this.drop();
  }

  // Price lines and markers carry their colour: make them again.
  drop() {
    this.markedFor = this.linedFor = null;
    for (const line of this.lines.values()) this.candles.removePriceLine(line.api);
    this.lines.clear();
    this.restyled = true;
  }

  // -- data: one call an animation frame

  // `resting`: the next bar does not follow at once.
  paint(data, marks, decimals, resting) {
    this.resting = resting;
    const all = data.replaced || this.restyled || data.count - data.changed > NEW_BARS;
    if (decimals !== this.decimals) this.precision(decimals);
    if (all) this.setAll(data);
    else this.update(data);
    data.replaced = this.restyled = false;
    data.changed = data.count;
    this.data = data;
    this.marks = marks;
    this.band.show(data, this.colors.band);
    this.align();
    this.mark();
    this.priceLines();
  }

  // Where candle `index` will be once the library has moved to the range that it was told.
  xOf(index) {
    return ((index - this.range.from + 0.5) * this.plotWidth) / (this.range.to - this.range.from + 1);
  }

  get plotWidth() {
    return this.price.api.timeScale().width() || this.width - AXIS; // the library does not know before its first frame
  }

  precision(decimals) {
    this.decimals = decimals;
    const priceFormat = { type: "price", precision: decimals, minMove: 10 ** -decimals };
    this.candles.applyOptions({ priceFormat });
    this.indicators.forEach((series) => series.applyOptions({ priceFormat }));
    const digits = this.balance >= 1000 ? 0 : 2;
    // The library's own format cuts whole numbers off; the legend beside it rounds.
    const money = { type: "custom", minMove: 10 ** -digits, formatter: (value) => value.toFixed(digits) };
    [this.equity, this.held].forEach((series) => series.applyOptions({ priceFormat: money }));
  }

  setAll(data) {
    const { time, open, high, low, close, volume } = data.columns;
    const points = (column) => time.map((t, i) => (column[i] === null ? { time: t } : { time: t, value: column[i] }));
    const held = this.heldOf(close);
    this.candles.setData(time.map((t, i) => ({ time: t, open: open[i], high: high[i], low: low[i], close: close[i] })));
    this.volume.setData(time.map((t, i) => this.volumeAt(t, volume[i], close[i] >= open[i])));
    this.indicators.forEach((series, n) => series.setData(points(data.values[n])));
    this.equity.setData(points(data.equity));
    this.held.setData(points(held));
    this.drawdown.setData(points(data.drawdown));
  }

  update(data) {
    const { time, open, high, low, close, volume } = data.columns;
    const point = (t, value) => (value === null || value === undefined ? { time: t } : { time: t, value });
    for (let i = data.changed; i < data.count; i += 1) {
      const t = time[i];
      this.candles.update({ time: t, open: open[i], high: high[i], low: low[i], close: close[i] });
      this.volume.update(this.volumeAt(t, volume[i], close[i] >= open[i]));
      this.indicators.forEach((series, n) => series.update(point(t, data.values[n][i])));
      this.equity.update(point(t, data.equity[i]));
      this.held.update(point(t, this.heldAt(close[i])));
      this.drawdown.update(point(t, data.drawdown[i]));
    }
  }

  // The price at which buy & hold began, once it is known.
  holdFrom(price) {
    this.base = price ?? null;
    this.restyled = true;
  }

  volumeAt(time, value, up) {
    return value === null ? { time } : { time, value, color: up ? this.colors.volumeUp : this.colors.volumeDown };
  }

  heldOf(closes) {
    return closes.map((close) => this.heldAt(close));
  }

  heldAt(close) {
    return this.base ? Math.round((100 * this.balance * close) / this.base) / 100 : null;
  }

  // -- the visible range. It moves only when the newest candle would leave it, or when the data's own numbering moved.

  // Remember what is visible as bars, before the data is replaced.
  remember() {
    if (!this.data?.count || !this.range) return null;
    return { from: this.data.barOfLogical(this.range.from), to: this.data.barOfLogical(this.range.to), bucket: this.data.bucket };
  }

  // `seen` is what remember() gave, or null for a first sight; the next paint shows the same bars again.
  restore(seen) {
    this.pending = { seen };
  }

  // Show the whole run at the next paint.
  overview() {
    this.pending = { all: true };
  }

  align() {
    const { data } = this;
    if (!data.count) return;
    let { range } = this;
    if (this.pending) {
      const { seen, all } = this.pending;
      range = all ? whole(data) : seen && { from: data.logicalOfBar(seen.from), to: data.logicalOfBar(seen.to) };
      this.pending = null;
    }
    range ??= this.firstSight(data);
    if (this.follow) range = this.following(range, Math.floor(data.logicalOfBar(data.last)), data);
    this.show(range);
  }

  firstSight(data) {
    const room = Math.max(20, Math.round(this.width / 7.5));
    const whole = Math.ceil(this.total / data.bucket);
    const span = whole + RIGHT <= this.width / 4 ? Math.max(whole + RIGHT, 20) : room;
    const newest = data.count - 1;
    const from = Math.max(data.first <= 1 ? -0.5 : -Infinity, newest + RIGHT - span);
    return { from, to: from + span };
  }

  following(range, newest, data) {
    const span = range.to - range.from;
    const right = Math.min(RIGHT, span * 0.1);
    if (newest + right > range.to) return { from: newest + right - span, to: newest + right };
    if (newest < range.from + Math.min(3, span * 0.1)) {
      const from = Math.max(data.first <= 1 ? -0.5 : -Infinity, newest + right - span);
      return { from, to: from + span };
    }
    return range;
  }

  // The library moves at its next frame; what it says until then is where it was.
  show(range) {
    this.range = range;
    for (const pane of this.panes) {
      const scale = pane.api.timeScale();
      if (close(pane.asked, range) && close(scale.getVisibleLogicalRange(), range)) continue;
      pane.asked = range;
      this.quiet(() => scale.setVisibleLogicalRange(range));
    }
  }

  quiet(change) {
    this.moving = true;
    change();
    this.moving = false;
  }

  // A pane was moved: by the user's hand the others follow it, else it is an echo of ours.
  ranged(pane, range) {
    if (this.moving || !range || performance.now() - (this.hand ?? -1e9) > 900) return;
    if (close(range, this.range)) return;
    this.range = range;
    for (const other of this.panes) if (other !== pane) this.quiet(() => other.api.timeScale().setVisibleLogicalRange(range));
    if (!this.data?.count) return;
    const newest = this.data.logicalOfBar(this.data.last);
    this.follow = this.data.live && range.to >= newest - 0.5;
    this.on.range(range);
    this.mark();
  }

  fit() {
    if (!this.data?.count) return;
    this.show(whole(this.data));
    this.follow = this.data.live;
    this.mark();
  }

  // -- crosshair

  crossed(pane, param) {
    if (this.crossing) return;
    const outside = param.logical === undefined || param.point === undefined;
    this.crossing = true;
    for (const other of this.panes) {
      if (other === pane) continue;
      if (outside || param.time === undefined) other.api.clearCrosshairPosition();
      else other.api.setCrosshairPosition(-1e12, param.time, other.series.at(0) ?? other.handler.series);
    }
    this.crossing = false;
    this.on.cross(outside ? null : param.logical);
  }

  // -- marks

  // Markers for the visible window, and a screen either side; made again when the window has moved by half of one, and
  // once the playhead rests, when the scale was another.
  mark() {
    const { data, marks, range } = this;
    if (data?.count === 0) {
      this.joined = 0; // before the first bar, nothing was traded yet
      this.markedFor = null;
      this.on.marked?.();
    }
    if (!data?.count || !range) return;
    const span = range.to - range.from;
    const [from, to] = [Math.max(0, Math.floor(range.from - span)), Math.min(data.count - 1, Math.ceil(range.to + span))];
    const known = this.markedFor;
    const fresh = known && known.version === marks.version && known.bucket === data.bucket && known.first === data.first &&
      Math.abs(known.at - range.from) < span / 2 && Math.abs(known.span - span) < span / 4;
    if (fresh && !this.resting) return;
    const scale = extremes(data, range, this.over(data));
    if (fresh && scale.every((price, i) => price === known.scale[i])) return;
    this.markedFor = { version: marks.version, bucket: data.bucket, first: data.first, at: range.from, span, scale };
    const spacing = this.plotWidth / (span + 1);
    const groups = grouped(marks.events.values(), data, from, to, spacing);
    const words = worded(groups, data, { range, spacing, scale, height: this.price.tall }, this.decimals);
    const small = spacing < 6 ? 0.75 : 1;
    const trades = groups.map((group) => this.marker(data, group, words.get(group) ?? "", small));
    this.candles.setMarkers([...this.peeks(data, from, to), ...trades].sort((a, b) => a.time - b.time));
    this.tradeLines.show(marks.within(data.barAt(from), data.barAt(to), data.last), data);
    this.joined = groups.reduce((sum, { candles }) => sum + candles.size - 1, 0);
    this.on.marked?.();
  }

  // The lines that share the candles' scale.
  over(data) {
    return data.values.filter((_, n) => this.price.series.includes(this.indicators[n]));
  }

  // Where the look-ahead proof found something: a word on the first of neighbours, a dot on the others.
  peeks(data, from, to) {
    const places = new Map();
    for (const [bar, text] of this.marks.peeks) {
      const at = data.indexOf(bar);
      if (at >= from && at <= to && bar <= data.last) places.set(at, text);
    }
    return [...places].map(([at, text]) => ({ time: data.columns.time[at], position: "aboveBar", shape: "circle",
      color: this.colors.peek, size: 0.6, text: places.get(at - 1) === text ? "" : text }));
  }

  marker(data, { at, buys, events }, text, size) {
    const entry = events.some(({ kind }) => kind === "opened");
    return {
      time: data.columns.time[at],
      position: buys ? "belowBar" : "aboveBar",
      shape: entry ? (buys ? "arrowUp" : "arrowDown") : "square",
      color: entry ? this.colors.entry : this.colors.exit,
      size: entry ? size : 0.7 * size,
      text,
    };
  }

  // Entry, sl and tp of what is open, and every pending order; each line is moved, not made anew.
  priceLines() {
    if (this.linedFor === this.marks.version) return;
    this.linedFor = this.marks.version;
    const wanted = new Map();
    for (const trade of this.marks.open) {
      const way = trade.side === "long" ? "Long" : "Short";
      wanted.set(`e${trade.trade}`, { price: trade.entry_price, title: `${way} ${plain(trade.size)}`, color: this.colors.entry, lineStyle: 0 });
      if (trade.sl !== null && trade.sl !== undefined) wanted.set(`s${trade.trade}`, { price: trade.sl, title: "SL", color: this.colors.sl, lineStyle: 2 });
      if (trade.tp !== null && trade.tp !== undefined) wanted.set(`t${trade.trade}`, { price: trade.tp, title: "TP", color: this.colors.tp, lineStyle: 2 });
    }
    for (const order of this.marks.orders) {
      if (order.trade !== null && order.trade !== undefined) continue; // an open trade's own sl or tp: drawn above
      const way = order.size > 0 ? "Buy" : "Sell";
      for (const kind of ["stop", "limit"]) {
        if (order[kind] === null || order[kind] === undefined) continue;
        wanted.set(`${kind}${order.order}`, { price: order[kind], title: `${way} ${kind}`, color: this.colors.order, lineStyle: 3 });
      }
    }
    const keys = [...wanted.keys()].slice(0, MAX_LINES);
    for (const [key, line] of this.lines) {
      if (keys.includes(key)) continue;
      this.candles.removePriceLine(line.api);
      this.lines.delete(key);
    }
    for (const key of keys) this.priceLine(key, wanted.get(key));
    this.hiddenLines = wanted.size - keys.length;
  }

  priceLine(key, options) {
    const line = this.lines.get(key);
    if (!line) {
      this.lines.set(key, { api: this.candles.createPriceLine({ lineWidth: 1, axisLabelVisible: true, ...options }), ...options });
    } else if (line.price !== options.price || line.title !== options.title) {
      line.api.applyOptions(options);
      Object.assign(line, options);
    }
  }

  highlight(trade) {
    this.tradeLines.highlight(trade);
  }
}

// The library reads #rrggbb and rgba(r, g, b, a) only; a canvas writes any colour in that way.
function plainColor(color) {
  pencil.fillStyle = "#888888";
  pencil.fillStyle = color;
  return pencil.fillStyle;
}

const pencil = document.createElement("canvas").getContext("2d");

function whole(data) {
  return { from: -0.5, to: data.count - 0.5 + RIGHT };
}

function close(a, b) {
  return Boolean(a && b) && Math.abs(a.from - b.from) < 1e-6 && Math.abs(a.to - b.to) < 1e-6;
}
