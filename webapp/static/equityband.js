// equityband.js: equity from its worst to its best case, where bars do not tell what came first (a series primitive).
export class EquityBand {
  constructor() {
    this.view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.draw(target) }) };
  }

  attached({ chart, series }) {
    this.chart = chart;
    this.series = series;
  }

  paneViews() {
    return [this.view];
  }

  updateAllViews() {}

  show(data, color) {
    // the library draws this with each change of the pane's series: no more is asked for
    this.data = data.low.some((value) => value !== null) ? data : null;
    this.color = color;
  }

  // The pane's scale holds the whole band.
  autoscaleInfo(from, to) {
    if (!this.data) return null;
    let [least, most] = [Infinity, -Infinity];
    for (let i = Math.max(0, Math.floor(from)); i <= Math.min(this.data.count - 1, Math.ceil(to)); i += 1) {
      if (this.data.low[i] === null) continue;
      least = Math.min(least, this.data.low[i]);
      most = Math.max(most, this.data.high[i]);
    }
    return least <= most ? { priceRange: { minValue: least, maxValue: most } } : null;
  }

  draw(target) {
    if (!this.data?.count) return;
    target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: wide, verticalPixelRatio: tall }) => {
      const scale = this.chart.timeScale();
      const range = scale.getVisibleLogicalRange();
      if (!range) return;
      const from = Math.max(0, Math.floor(range.from) - 1);
      const to = Math.min(this.data.count - 1, Math.ceil(range.to) + 1);
      const point = (i, values) => [scale.logicalToCoordinate(i), this.series.priceToCoordinate(values[i] ?? this.data.equity[i])];
      const path = [];
      for (let i = from; i <= to; i += 1) path.push(point(i, this.data.high));
      for (let i = to; i >= from; i -= 1) path.push(point(i, this.data.low));
      if (path.some(([x, y]) => x === null || y === null)) return;
      context.save();
      context.scale(wide, tall);
      context.fillStyle = this.color;
      context.beginPath();
      path.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.fill();
      context.restore();
    });
  }
}
