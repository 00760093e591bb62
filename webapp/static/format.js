// format.js: numbers and times as the page writes them.
const DASH = "–";
const plain = new Intl.NumberFormat("en-US");

export function whole(value) {
  return plain.format(value);
}

// Prices need as many decimals as their size asks for: 1.08432, 187.35, 43,210.5.
export function decimalsFor(price) {
  const size = Math.abs(price);
  if (!Number.isFinite(size) || size === 0) return 2;
  if (size < 0.01) return 8;
  if (size < 1) return 6;
  if (size < 10) return 4;
  return 2;
}

const fixed = []; // by decimals: to make one costs more than to use it

export function number(value, decimals = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  fixed[decimals] ??= new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return fixed[decimals].format(value);
}

export function price(value, decimals) {
  return number(value, decimals ?? decimalsFor(value));
}

export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(2)}B`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)}K`;
  return number(value, size % 1 ? 2 : 0);
}

const sizes = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 });

export function size(value) {
  return sizes.format(Math.abs(value));
}

// Times are epoch seconds UTC; they are shown where the market is.
export class Clock {
  constructor(zone, interval) {
    this.zone = validZone(zone);
    this.daily = /[dwk]|mo/i.test(interval ?? "") && !/\d+m$/.test(interval ?? "");
    const parts = { timeZone: this.zone, year: "numeric", month: "short", day: "numeric" };
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    this.full = new Intl.DateTimeFormat("en-GB", this.daily ? parts : { ...parts, ...clock });
    this.labels = [
      new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, year: "numeric" }),
      new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, month: "short" }),
      new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, day: "numeric" }),
      new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, ...clock }),
      new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, ...clock, second: "2-digit" }),
    ];
  }

  text(seconds) {
    return seconds === null || seconds === undefined ? DASH : this.full.format(seconds * 1000);
  }

  // The chart asks for the label of a tick: 0 year, 1 month, 2 day, 3 time, 4 time with seconds.
  tick(seconds, kind) {
    return this.labels[kind]?.format(seconds * 1000) ?? null;
  }

  get zoneName() {
    return this.zone === "UTC" ? "UTC" : this.zone.split("/").pop().replaceAll("_", " ");
  }

  // Epoch seconds of the minute "2013-01-15 14:30", or of the last second of "2013-01-15", as a clock in this zone shows
  // it; NaN when it is neither.
  parse(text) {
    const match = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2}))?$/.exec(text.trim());
    if (!match) return NaN;
    const [year, month, day, hour = 0, minute = 0] = match.slice(1).filter(Boolean).map(Number);
    const wanted = Date.UTC(year, month - 1, day, hour, minute);
    if (new Date(wanted).getUTCDate() !== day) return NaN;
    const whole = match[4] === undefined ? 86_399 : 0;
    return (wanted - this.offset(wanted)) / 1000 + whole;
  }

  offset(milliseconds) {
    const shown = new Intl.DateTimeFormat("en-GB", { timeZone: this.zone, hourCycle: "h23", year: "numeric", month: "numeric",
      day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" }).formatToParts(milliseconds);
    const part = Object.fromEntries(shown.map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - milliseconds;
  }
}

function validZone(zone) {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: zone || "UTC" });
    return zone || "UTC";
  } catch {
    return "UTC";
  }
}
