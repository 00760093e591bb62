// faults.js: the thin strip under the chart that marks what is wrong with the data, up to the playhead.
const MOST = 200; // marks at once
const LETTERS = { gap: "gap", repaired: "repaired", duplicated: "duplicated", "zero volume": "volume", "suspected split": "split", unfinished: "unfinished" };

export class Faults {
  constructor(element, chart) {
    this.element = element;
    this.chart = chart;
  }

  // One mark for each fault in view; those that fall on the same pixel share one, and all their words.
  paint(data, faults) {
    if (!this.chart.range || !this.chart.plotWidth) return;
    const places = new Map();
    for (const { bar, kind, text } of faults.values()) {
      if (bar > data.last) continue;
      const x = this.chart.xOf(data.indexOf(bar));
      if (x < 0 || x > this.chart.plotWidth) continue;
      const place = places.get(Math.round(x)) ?? places.set(Math.round(x), { bar, kind, words: [] }).get(Math.round(x));
      place.words.push(`bar ${bar}: ${kind}. ${text}`);
    }
    const key = [...places].map(([x, { bar, kind }]) => `${x} ${bar} ${kind}`).join();
    if (key === this.key) return;
    this.key = key;
    this.element.replaceChildren(...[...places].slice(-MOST).map(([x, place]) => mark(x, place)));
  }
}

function mark(x, { bar, kind, words }) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = `fault fault-${LETTERS[kind] ?? "repaired"}`;
  element.style.left = `${x}px`;
  element.title = words.join("\n");
  element.setAttribute("aria-label", words.join(" "));
  element.dataset.barNumber = bar;
  return element;
}
