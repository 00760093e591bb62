// why.js: the panel that explains a bar, a trade, or counts every condition. The server writes it; this fetches and shows it.
import { Reasons } from "./reasons.js";

const PATIENCE = 1_500; // ms to wait for the server to have noted how far the run was played
const PAUSE = 180; // ms without a step, then the panel follows the playhead

export class Why {
  constructor(element, player) {
    this.player = player;
    this.box = element.querySelector("#why");
    this.tab = element.querySelector("#tab-why");
    this.address = this.box.dataset.address;
    this.following = true; // the panel shows the playhead's bar
    element.addEventListener("click", (event) => this.clicked(event), true);
    this.reasons = new Reasons(element, player, this.address);
  }

  get visible() {
    return !this.box.hidden;
  }

  // A link that leads to another answer; those that name a bar also take the playhead there (panels.js).
  clicked(event) {
    const link = event.target.closest("[data-why-bar], [data-why-survey], [data-why-trade]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { whyBar, whyTrade, barNumber } = link.dataset;
    if (whyTrade !== undefined) {
      event.stopPropagation();
      this.open(() => this.trade(Number(whyTrade)));
    } else if (whyBar === undefined) this.survey();
    else if (whyBar === "") this.bar();
    else if (barNumber) this.travel = Number(whyBar); // shown once the playhead is there
    else this.bar(Number(whyBar));
  }

  // Show the tab, and in it what `ask` asks for: the playhead's bar unless told otherwise.
  open(ask = () => this.bar()) {
    this.asking = ask;
    if (this.visible) this.shown();
    else this.tab.click();
    this.box.closest(".lists").scrollIntoView({ block: "nearest" });
  }

  shown() {
    const ask = this.asking ?? (() => this.bar());
    this.asking = null;
    ask();
  }

  bar(number) {
    this.following = number === undefined || number === this.player.bar;
    this.about = number ?? this.player.bar;
    this.fetch("", (bar) => ({ bar: number ?? bar }));
  }

  survey() {
    this.following = false;
    this.fetch("/survey", () => ({}));
  }

  trade(number) {
    this.following = false;
    this.fetch(`/trade/${number}`, () => ({}));
  }

  // The playhead has moved while the panel is open.
  moved() {
    if (!this.visible) return;
    if (this.travel === this.player.bar) this.following = true;
    if (!this.following || this.player.status === "playing") return;
    this.travel = null;
    clearTimeout(this.later);
    if (this.player.bar !== this.about) this.later = setTimeout(() => this.bar(), PAUSE);
  }

  async fetch(path, query) {
    this.request?.abort();
    const request = (this.request = new AbortController());
    this.box.setAttribute("aria-busy", "true");
    try {
      await this.player.rest(PATIENCE);
      const { bar } = this.player;
      if (!bar) return this.say("Play the first bar, then ask why.");
      const parameters = { ...query(bar), known: bar };
      this.about = parameters.bar;
      const answer = await fetch(`${this.address}${path}?${new URLSearchParams(parameters)}`, { headers: { "HX-Request": "true" }, signal: request.signal });
      const html = await answer.text();
      if (request.signal.aborted) return undefined;
      this.box.innerHTML = html; // the server's own template, escaped there
      this.box.scrollTop = 0;
      this.player.announcer.say(this.box.querySelector(".verdict, h2")?.textContent ?? "");
    } catch (error) {
      if (error.name !== "AbortError") this.say("The answer did not come. Is the server there?");
    } finally {
      if (this.request === request) this.box.removeAttribute("aria-busy");
    }
    return undefined;
  }

  say(text) {
    const words = document.createElement("p");
    words.className = "empty";
    words.textContent = text;
    this.box.replaceChildren(words);
  }
}
