// legend.js: the names and values over each pane, of the bar under the crosshair or else the newest.
import { number, price, short } from "./format.js";

const NARROW = 500; // px of chart; below, the row over equity has no room for cents
const SHORT = { "Buy & hold": "B&H", Drawdown: "DD" }; // for narrow screens, see player.css

export class Legend {
  constructor(element, chart, clock) {
    this.chart = chart;
    this.clock = clock;
    this.logical = null;
    this.rows = chart.panes.map((pane) => {
      const row = document.createElement("div");
      row.className = `legend-row legend-${pane.kind}`;
      element.append(row);
      return { pane, row, cells: this.cells(pane, row) };
    });
    this.rows[0].row.append(element.querySelector("[data-thinned]"));
    this.place();
  }

  cells(pane, row) {
    const cell = (name, color, read) => {
      const label = document.createElement("span");
      const value = document.createElement("b");
      label.className = "legend-item";
      const words = document.createElement("span");
      words.textContent = name;
      if (color) words.className = "legend-name";
      if (pane.kind === "equity" && SHORT[name]) words.dataset.short = SHORT[name];
      label.append(words, value);
      row.append(label);
      return { words, value, color, read };
    };
    const column = (name) => (data, i) => data.columns[name][i];
    const cells = [];
    if (pane.kind === "price") {
      cells.push(cell("", null, (data, i) => this.clock.text(data.columns.time[i])));
      for (const [letter, name] of [["O", "open"], ["H", "high"], ["L", "low"], ["C", "close"]]) cells.push(cell(letter, null, (data, i) => price(column(name)(data, i), this.chart.decimals)));
      cells.push(cell("Vol", null, (data, i) => short(column("volume")(data, i))));
      cells.push(cell("", null, (data) => (data.bucket > 1 ? `${data.bucket} bars a candle` : "")));
    }
    this.chart.declared.forEach(({ name }, n) => {
      if (!pane.series.includes(this.chart.indicators[n])) return;
      cells.push(cell(name, () => this.chart.seriesColors[n], (data, i) => price(data.values[n][i], Math.min(this.chart.decimals, 4))));
    });
    if (pane.kind === "equity") {
      const money = (value) => number(value, this.chart.width < NARROW ? 0 : 2);
      cells.push(cell("Equity", () => this.css("--equity"), (data, i) => money(data.equity[i])));
      cells.push(cell("Buy & hold", () => this.css("--held"), (data, i) => money(this.chart.heldAt(data.columns.close[i]))));
      cells.push(cell("Drawdown", () => this.css("--drawdown-text"), (data, i) => (data.drawdown[i] === null ? "–" : `${number(data.drawdown[i], 2)} %`)));
    }
    return cells;
  }

  css(name) {
    return getComputedStyle(this.chart.element).getPropertyValue(name).trim();
  }

  place() {
    for (const { pane, row } of this.rows ?? []) row.style.transform = `translateY(${pane.top ?? 0}px)`;
  }

  cross(logical) {
    this.logical = logical === null ? null : Math.round(logical);
    if (this.data) this.paint(this.data);
  }

  paint(data) {
    this.data = data;
    const inside = this.logical !== null && this.logical >= 0 && this.logical < data.count;
    const i = inside ? this.logical : data.count - 1;
    const theme = this.chart.seriesColors; // a new array after each change of theme
    for (const { cells } of this.rows) {
      for (const cell of cells) {
        const text = i < 0 ? "" : cell.read(data, i);
        if (cell.text !== text) cell.value.textContent = cell.text = text;
        if (cell.color && cell.theme !== theme) {
          cell.words.style.setProperty("--swatch", cell.color());
          cell.theme = theme;
        }
      }
    }
  }
}
