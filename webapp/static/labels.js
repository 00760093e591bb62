// labels.js: which marks of trades are drawn, and which of them have room for words. Knows prices and pixels, not the library.
import { decimalsFor, size as plain } from "./format.js";

const APART = 6; // px between two candles, below which marks of neighbours cannot be told apart
const PITCH = 13; // px that a mark then has
const LETTER = 6; // px, about, of a mark's text
const GAP = 8; // px between two texts
const LINE = 15; // px of height of a text
const BESIDE = 26; // px from a candle to the middle of its text
const SYMBOL = { beside: 10, half: 7 }; // px from a candle to the middle of its arrow, and of half an arrow
const LEGEND = 24; // px at the top that have words of their own
const MARGIN = { top: 0.1, bottom: 0.2 }; // of the pane's height, as charts.py sets it
const BEYOND = 25; // px that the library leaves for marks beyond the prices

// Events as marks: those of one candle that point the same way share one, and so do those of candles too close to tell apart.
export function grouped(events, data, from, to, spacing) {
  const step = spacing >= APART ? 1 : Math.ceil(PITCH / spacing);
  const origin = Math.floor((data.first - 1) / data.bucket); // neighbours stay together when the oldest candles go
  const groups = new Map();
  for (const event of events) {
    const at = data.indexOf(event.fill_bar ?? event.bar_number); // with trade_on_close the bar before
    if (at < from || at > to) continue;
    const buys = (event.kind === "opened") === (event.side === "long");
    const key = 2 * Math.floor((origin + at) / step) + (buys ? 0 : 1);
    const group = groups.get(key) ?? groups.set(key, { at, buys, events: [], candles: new Set() }).get(key);
    group.events.push(event);
    group.candles.add(at);
    if (edge(data, buys, at) < edge(data, buys, group.at)) group.at = at;
  }
  return [...groups.values()].sort((a, b) => a.at - b.at || b.buys - a.buys);
}

// A mark stands beyond its candle: how far out that is, least outermost.
function edge({ columns }, buys, at) {
  return buys ? columns.low[at] : -columns.high[at];
}

// The least and the highest price of the candles in view, and of the lines over them.
export function extremes(data, range, lines) {
  const [from, to] = [Math.max(0, Math.ceil(range.from)), Math.min(data.count - 1, Math.floor(range.to))];
  let [least, most] = [Infinity, -Infinity];
  for (let i = from; i <= to; i += 1) {
    least = Math.min(least, data.columns.low[i]);
    most = Math.max(most, data.columns.high[i]);
    for (const values of lines) {
      if (values[i] === null || values[i] === undefined) continue;
      least = Math.min(least, values[i]);
      most = Math.max(most, values[i]);
    }
  }
  return least < most ? [least, most] : [least - 1, least + 1];
}

// The words of each group that has room for them: none over a candle's body, an arrow or other words, from the newest back.
// What does not fit is said shorter or not at all; the arrow stays. `view` is {range, spacing, height, scale}.
export function worded(groups, data, view, decimals) {
  const { range, spacing, height } = view;
  const [least, most] = view.scale;
  const [top, bottom] = [MARGIN.top, 1 - MARGIN.bottom].map((part) => part * height);
  const above = groups.some(({ buys }) => !buys) ? BEYOND : 0;
  const below = groups.some(({ buys }) => buys) ? BEYOND : 0;
  const y = (price) => top + above + ((most - price) / (most - least)) * (bottom - below - top - above);
  const x = (at) => (at - range.from + 0.5) * spacing;
  const places = groups.map((group) => {
    const sign = group.buys ? 1 : -1;
    const end = y(group.buys ? data.columns.low[group.at] : data.columns.high[group.at]);
    return { group, x: x(group.at), y: end + sign * BESIDE, symbol: end + sign * SYMBOL.beside };
  });
  const taken = [];
  const free = (place, half) =>
    !(place.x > 0 && place.x < half) && place.y > LEGEND && place.y < height - LINE &&
    !taken.some((other) => Math.abs(place.x - other.x) < half + other.half && Math.abs(place.y - other.y) < LINE) &&
    !places.some((other) => other !== place && Math.abs(place.x - other.x) < half + SYMBOL.half && Math.abs(place.y - other.symbol) < LINE / 2 + SYMBOL.half) &&
    clear(place, half);
  const clear = (place, half) => {
    const { at } = place.group;
    const reach = Math.ceil((half - GAP / 2) / spacing);
    const { open, close } = data.columns;
    for (let i = Math.max(0, at - reach); i <= Math.min(data.count - 1, at + reach); i += 1) {
      if (y(Math.max(open[i], close[i])) < place.y + LETTER && y(Math.min(open[i], close[i])) > place.y - LETTER) return false;
    }
    return true;
  };
  const chosen = new Map();
  for (const place of [...places].reverse()) {
    for (const text of described(place.group.events, decimals)) {
      const half = (text.length * LETTER + GAP) / 2;
      if (!free(place, half)) continue;
      taken.push({ x: place.x, y: place.y, half });
      chosen.set(place.group, text);
      break;
    }
  }
  return chosen;
}

// What the fills of a mark came to, and the same shorter: "Sell 264 @ 71.03", "71.03"; at several prices only their number.
function described(events, decimals) {
  const prices = new Set(events.map((event) => event.price));
  if (prices.size > 1) return [`×${events.length}`];
  const [first] = events;
  const buys = (first.kind === "opened") === (first.side === "long");
  const size = events.reduce((sum, event) => sum + Math.abs(event.size), 0);
  const price = first.price.toFixed(decimals ?? decimalsFor(first.price));
  return [`${buys ? "Buy" : "Sell"} ${plain(size)} @ ${price}`, price];
}
