// tradelines.js: the line from entry to exit of each trade, drawn on the chart's own canvas (a series primitive).
const OPEN_DASH = [4, 4];
const HATCH = 5; // px between two strokes

export class TradeLines {
  constructor() {
    this.segments = [];
    this.lit = null;
    this.view = { zOrder: () => "top", renderer: () => ({ draw: (target) => this.draw(target) }) };
  }

  attached({ chart, series, requestUpdate }) {
    this.chart = chart;
    this.series = series;
    this.requestUpdate = requestUpdate;
  }

  paneViews() {
    return [this.view];
  }

  updateAllViews() {}

  colors(gain, loss) {
    this.gain = gain;
    this.loss = loss;
  }

  show({ closed, open }, data) {
    this.data = data;
    this.segments = [
      ...closed.map((trade) => ({ id: trade.trade, from: trade.entry_bar, to: trade.exit_bar, entry: trade.entry_price, exit: trade.exit_price, won: trade.pnl >= 0, doubtful: trade.ambiguous })),
      ...open.map((trade) => ({ id: trade.trade, from: trade.entry_bar, live: true, entry: trade.entry_price, long: trade.side === "long", doubtful: trade.ambiguous })),
    ];
  }

  highlight(id) {
    if (this.lit === id) return;
    this.lit = id;
    this.requestUpdate?.();
  }

  draw(target) {
    if (!this.data?.count) return;
    target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: wide, verticalPixelRatio: tall }) => {
      const scale = this.chart.timeScale();
      const x = (bar) => scale.logicalToCoordinate(this.data.indexOf(bar));
      context.save();
      context.scale(wide, tall);
      for (const segment of this.segments) this.segment(context, segment, x);
      context.restore();
    });
  }

  segment(context, segment, x) {
    const newest = this.data.last;
    const exit = segment.live ? this.data.columns.close.at(-1) : segment.exit;
    const won = segment.live ? (exit >= segment.entry) === segment.long : segment.won;
    const [x1, x2] = [x(segment.from), x(segment.live ? newest : segment.to)];
    const [y1, y2] = [this.series.priceToCoordinate(segment.entry), this.series.priceToCoordinate(exit)];
    if (x1 === null || x2 === null || y1 === null || y2 === null) return;
    const lit = this.lit === segment.id;
    context.strokeStyle = won ? this.gain : this.loss;
    context.globalAlpha = lit || this.lit === null ? 1 : 0.35;
    context.lineWidth = lit ? 4 : 1.5;
    if (segment.doubtful) hatch(context, x1, y1, x2, y2);
    context.setLineDash(segment.live ? OPEN_DASH : []);
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
    if (!lit) return;
    context.setLineDash([]);
    context.fillStyle = context.strokeStyle;
    for (const [cx, cy] of [[x1, y1], [x2, y2]]) {
      context.beginPath();
      context.arc(cx, cy, 4, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

// A trade whose outcome no bar tells: its whole box is hatched, in the colour of its line.
function hatch(context, x1, y1, x2, y2) {
  const [left, right] = [Math.min(x1, x2) - 3, Math.max(x1, x2) + 3];
  const [top, bottom] = [Math.min(y1, y2) - 3, Math.max(y1, y2) + 3];
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  context.setLineDash([]);
  context.lineWidth = 1;
  context.globalAlpha *= 0.55;
  context.beginPath();
  for (let x = left - (bottom - top); x < right; x += HATCH) {
    context.moveTo(x, bottom);
    context.lineTo(x + bottom - top, top);
  }
  context.stroke();
  context.restore();
}
