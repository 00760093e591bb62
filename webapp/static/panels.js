// panels.js: the statistics, position and lists that the server renders. htmx swaps them, or a small morph of our own.
import { morph } from "./morph.js";

const PACE = 100; // ms: at most ten swaps a second

export class Panels {
  constructor(element, { seek, light, show, why }) {
    this.list = "trades";
    this.element = element;
    this.waiting = new Map();
    this.sort = "time";
    this.pace = PACE;
    this.shownAt = -PACE;
    element.addEventListener("click", (event) => this.clicked(event, seek));
    const lists = element.querySelector("[data-tabs]");
    lists.addEventListener("pointerover", ({ target }) => light(tradeOf(target)));
    lists.addEventListener("pointerleave", () => light(null));
    lists.addEventListener("focusin", ({ target }) => light(tradeOf(target)));
    lists.addEventListener("focusout", () => light(null));
    element.querySelector("[data-sort]").addEventListener("change", ({ target }) => {
      this.sort = target.value;
      show();
      if (!target.matches(":focus-visible")) target.blur();
    });
    this.tabs(show, why);
  }

  clicked({ target }, seek) {
    const row = target.closest("[data-bar-number]");
    if (row && this.element.contains(row) && !String(getSelection())) seek(Number(row.dataset.barNumber));
  }

  // `last`: what the panels come to in the end, which waits for no slow machine.
  show(html, last = false) {
    for (const [name, text] of Object.entries(html)) {
      this.waiting.delete(name); // the newest comes last: a part may follow the whole of its panel
      this.waiting.set(name, text);
    }
    if (last) {
      this.pace = PACE;
      clearTimeout(this.timer);
      this.timer = undefined;
    }
    if (!this.waiting.size || this.timer) return;
    const wait = this.shownAt + this.pace - performance.now();
    this.timer = setTimeout(() => this.flush(), Math.max(0, wait));
  }

  // A slow machine swaps less often: the chart's frames come first.
  flush() {
    this.timer = undefined;
    const start = performance.now();
    for (const [name, text] of this.waiting) {
      const target = this.element.querySelector(`#${CSS.escape(name)}`);
      if (target) swap(target, text);
    }
    this.waiting.clear();
    this.counts();
    this.shownAt = performance.now();
    this.pace = Math.max(PACE, Math.min(1000, 12 * (this.shownAt - start)));
  }

  // The tabs say how long the lists are; only the one that is shown is sent.
  counts() {
    for (const badge of this.element.querySelectorAll("[data-count]")) {
      const count = this.element.querySelector(`#counts [data-of=${badge.dataset.count}]`)?.textContent ?? "0";
      if (badge.textContent !== count) badge.textContent = count;
    }
  }

  tabs(show, why) {
    const list = this.element.querySelector("[role=tablist]");
    const tabs = [...list.querySelectorAll("[role=tab]")];
    const choose = (tab) => {
      for (const one of tabs) {
        const chosen = one === tab;
        one.setAttribute("aria-selected", String(chosen));
        one.tabIndex = chosen ? 0 : -1;
        this.element.querySelector(`#${one.getAttribute("aria-controls")}`).hidden = !chosen;
      }
      const name = tab.getAttribute("aria-controls");
      this.element.querySelector(".sort").hidden = name !== "trades";
      if (name === "why") return why(); // fetched when asked for; the list shown last goes on
      this.list = name;
      show();
    };
    list.addEventListener("click", ({ target }) => target.closest("[role=tab]") && choose(target.closest("[role=tab]")));
    list.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const at = tabs.indexOf(event.target);
      if (!by || at < 0) return;
      event.preventDefault();
      const next = tabs[(at + by + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  }
}

function tradeOf(target) {
  const row = target.closest?.("[data-trade]");
  return row ? Number(row.dataset.trade) : null;
}

function swap(target, html) {
  if (window.htmx?.swap && target.tagName !== "TBODY") window.htmx.swap({ text: html, target, swap: "innerMorph" });
  else morph(target, html);
}
