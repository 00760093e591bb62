// announce.js: says fills, politely and never faster than they can be heard.
import { price, size } from "./format.js";

const PAUSE = 1500; // ms between two sentences

export class Announcer {
  constructor(element) {
    this.element = element;
    this.waiting = [];
  }

  take(events, decimals) {
    for (const event of events) {
      if (["opened", "reduced", "closed", "rejected"].includes(event.kind)) this.waiting.push({ event, decimals });
    }
    if (this.waiting.length && !this.timer) this.speak();
  }

  // The last word: what was still to be said no longer matters.
  end(text) {
    this.waiting = [];
    this.say(text);
  }

  say(text) {
    this.element.textContent = text;
  }

  speak() {
    const told = this.waiting.splice(0);
    if (!told.length) {
      this.timer = undefined;
      return;
    }
    this.say(told.length === 1 ? sentence(told[0]) : `${told.length} trade events, the last: ${sentence(told.at(-1))}`);
    this.timer = setTimeout(() => this.speak(), PAUSE);
  }
}

function sentence({ event, decimals }) {
  if (event.kind === "rejected") return `Order rejected at bar ${event.bar_number}${event.reason ? `: ${event.reason}` : ""}.`;
  const buys = (event.kind === "opened") === (event.side === "long");
  const done = `${buys ? "Bought" : "Sold"} ${size(event.size)} at ${price(event.price, decimals)}, bar ${event.bar_number}`;
  return event.kind === "opened" ? `${done}.` : `${done}, ${event.pnl < 0 ? "loss" : "profit"} ${price(Math.abs(event.pnl), 2)}.`;
}
