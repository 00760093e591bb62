// player.js: the deck. Messages change the model at once; the page is painted from it at most once an animation frame.
import { Announcer } from "./announce.js";
import { Candles } from "./candles.js";
import { Chart, loadSetup } from "./chart.js";
import { Faults } from "./faults.js";
import { Clock, decimalsFor } from "./format.js";
import { listen } from "./keys.js";
import { Legend } from "./legend.js";
import { Marks } from "./marks.js";
import { greeting, recall, setupAddress, shapeOf, start, take } from "./opening.js";
import { Pacer } from "./pacer.js";
import { Panels } from "./panels.js";
import { connect } from "./socket.js";
import { Transport } from "./transport.js";
import { View } from "./view.js";
import { Why } from "./why.js";

const POINTS = 10_000; // what the chart draws at full rate, all series together
const BROKEN = 1011; // close code: a fault of the server
const TRIES = 2; // times that such a stream is opened again at the same bar
const PATIENCE = 3000; // ms for the server to say what it will play
const ACK = 250; // ms between acknowledgements

export function mount(element) {
  const player = new Player(element);
  player.start();
  return () => player.stop();
}

class Player {
  constructor(element) {
    this.element = element;
    this.run = element.dataset.run;
    this.total = Number(element.dataset.total);
    this.bar = 0;
    this.status = "connecting";
    this.speed = 1;
    this.seeking = undefined; // bar that the playhead is on its way to; null: the next trade event
    this.numbers = {};
    this.conditions = null;
    this.saved = recall(this.run);
    this.panels = new Panels(element, { seek: (bar) => this.seek(bar, true), light: (trade) => this.chart?.highlight(trade),
      show: () => this.showList(), why: () => this.why.shown() });
    this.why = new Why(element, this);
    this.announcer = new Announcer(element.querySelector("[data-announce]"));
    this.transport = new Transport(element, this);
    this.notice = element.querySelector("[data-notice]");
    this.overlay = element.querySelector("[data-overlay]");
  }

  start() {
    this.pacer = new Pacer((message) => this.socket.send(message), () => this.schedule());
    this.deaf = listen(this);
    this.leaving = () => keep(this.run, this);
    addEventListener("pagehide", this.leaving);
    this.socket = connect({
      url: this.element.dataset.socket,
      line: take(this.element),
      hello: () => this.hello(),
      onMessage: (message) => this.receive(message),
      onOpen: (failures) => this.connected(failures),
      onLost: (failures, code, reason) => this.lost(failures, code, reason),
      onClosed: (code, reason) => this.closed(code, reason),
    });
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.themed = () => {
      this.chart?.theme();
      this.transport.scrubber.theme();
      this.schedule();
    };
    this.dark.addEventListener("change", this.themed);
    this.themes = new MutationObserver(this.themed);
    this.themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
  }

  stop() {
    this.leaving();
    removeEventListener("pagehide", this.leaving);
    this.socket.stop();
    this.deaf();
    this.themes.disconnect();
    this.dark.removeEventListener("change", this.themed);
    this.chart?.stop();
    this.transport.scrubber.stop();
  }

  // -- the line

  // A lost line goes on where this page was.
  hello() {
    const message =
      this.meta === undefined ? greeting(this.element, this.saved) : start(this.element, this.bar, this.speed, this.resumes);
    this.resumedAt = message.from_bar ?? 0;
    console.info("Tapedeck: socket connected", this.element.dataset.socket);
    console.info("Tapedeck: configuration sent", JSON.parse(this.element.dataset.config), message);
    return message;
  }

  connected(failures) {
    setTimeout(() => this.wait("The strategy is being started…"), PATIENCE);
    if (failures) this.say(`Connected again, at bar ${this.bar}.`, 4000);
    this.pacer.forget();
    if (this.conditions) this.send({ action: "pause_on", ...this.conditions });
    if (this.panels.sort !== "time" || this.panels.list !== "trades") this.showList();
  }

  // A line that came down. Returns true when coming back would only bring the same again.
  lost(failures, code, reason) {
    this.windows = [];
    this.pacer.forget();
    if (this.status !== "connecting") this.resumes = this.status === "playing";
    if (code === BROKEN && this.broken?.bar === this.bar) this.broken.times += 1;
    else this.broken = code === BROKEN ? { bar: this.bar, times: 1 } : null;
    if (this.broken?.times > TRIES) {
      this.status = "failed";
      this.fail(`${reason || "Something went wrong on the server."} Its log says what. Reload the page to try again.`, "The server could not play this run");
      this.schedule();
      return true;
    }
    this.status = "connecting";
    this.schedule();
    const why = code === 1013 ? reason || "The server is busy." : code === 1012 ? "The server restarts." : "The connection was lost.";
    this.say(`${why} Trying again${failures > 1 ? ` (attempt ${failures})` : ""}; the page stays at bar ${this.bar}.`);
    this.wait("Connecting…");
    return false;
  }

  closed(code, reason) {
    if (code !== 1008) return;
    this.status = this.status === "failed" ? "failed" : "closed";
    if (!this.failure) this.say(reason || "The server ended the stream. Reload the page to go on.");
    this.schedule();
  }

  send(message) {
    return this.pacer.send(message);
  }

  // -- messages

  receive(message) {
    this[`on_${message.type}`]?.(message);
  }

  on_metadata(meta) {
    const first = this.meta === undefined;
    this.meta = meta;
    this.total = meta.total_bars;
    this.status = meta.status;
    this.speed = meta.speed;
    console.info(`Tapedeck: ${meta.total_bars} bars to come`);
    if (first) this.build(meta);
    if (first && this.resumedAt > 0) this.say(`Opened at bar ${this.resumedAt}, where you left it.`, 5000);
    this.schedule();
  }

  build(meta) {
    const layout = shapeOf(meta.indicators);
    const limit = Math.floor(POINTS / (5 + meta.indicators.length));
    this.candles = new Candles(meta.indicators.map(({ name }) => name), Math.max(400, Math.min(2000, limit)));
    this.marks = new Marks();
    this.clock = new Clock(meta.timezone, meta.interval);
    loadSetup(setupAddress(this.element, layout.shape)).then((setup) => this.open(setup, layout, meta), (error) => this.fail(error.message));
  }

  open(setup, layout, meta) {
    this.chart = new Chart(this.element.querySelector("[data-chart]"), setup, layout, meta.indicators, this.clock, {
      range: () => this.view.moved(),
      cross: (logical) => this.legend.cross(logical),
      click: (logical) => this.seek(this.candles.barAt(Math.round(logical)), true),
      ask: (logical) => this.why.open(() => this.why.bar(this.candles.barAt(Math.round(logical)))),
      marked: () => this.transport.thinned(this.marks.thinned, this.chart?.joined, this.chart?.hiddenLines),
      resized: () => this.legend?.place(),
    });
    this.chart.balance = meta.initial_balance;
    this.chart.total = this.total;
    this.chart.holdFrom(this.base);
    this.legend = new Legend(this.element.querySelector("[data-legends]"), this.chart, this.clock);
    this.faults = new Faults(this.element.querySelector("[data-faults]"), this.chart);
    this.view = new View(this);
    this.schedule();
  }

  on_frame(frame) {
    const seen = frame.reset ? this.chart?.remember() : null;
    const back = frame.reset && frame.bar_number < this.bar;
    this.bar = frame.bar_number;
    if (this.saysEnd && this.bar < this.total) this.notice.hidden = !(this.saysEnd = false);
    if (frame.reset) {
      this.candles.reset(frame, true);
      this.marks.reset(frame);
      this.marks.rewind(this.bar);
      this.chart?.restore(seen);
      this.view?.wasReset(frame, back);
    } else {
      this.append(frame);
    }
    this.lastTime = frame.time.at(-1);
    // an instant run is watched as a whole, all that there is of it
    if (this.chart?.follow && this.speed === "instant" && this.status === "playing") this.chart.overview();
    this.decimals ??= decimalsFor(Math.min(...frame.close.slice(0, 50)));
    this.hideOverlay();
    this.why.moved();
    if (document.hidden) this.acknowledge(); // nothing is painted in a hidden tab, and it need not hold the run back
    this.schedule();
  }

  append(frame) {
    const { candles, chart } = this;
    const seen = !chart || chart.follow || chart.pending ? null : chart.remember();
    if (chart?.range) candles.keep(chart.range.to - chart.range.from, seen ? seen.from : undefined);
    if (!candles.append(frame)) this.view?.refresh();
    if (candles.replaced && seen) chart.restore(seen);
    this.announcer.take(this.marks.take(frame), this.decimals);
    if (candles.replaced || !candles.live) this.marks.forget(candles.first, candles.live ? undefined : candles.last);
  }

  on_window(frame) {
    this.view.answered(frame);
    this.schedule();
  }

  on_stats({ html, ...numbers }) {
    this.numbers = numbers;
    this.panels.show(html ?? {}, numbers.bar_number === this.total);
    if (numbers.bar_number === this.candles.last) this.hold(numbers.buy_hold_pct);
    this.schedule();
  }

  on_proof({ state, text, html, marks }) {
    this.panels.show(html);
    this.element.querySelector("[data-proof]").dataset.state = state;
    this.marks?.peek(marks);
    if (state === "red" && !this.peeks) this.announcer.end(text);
    this.peeks = state === "red";
    this.schedule();
  }

  // Buy & hold is a straight multiple of the close; one defined figure gives the price at which it began.
  hold(percent) {
    if (this.base || percent === null || percent === undefined || percent <= -100) return;
    this.base = this.candles.columns.close.at(-1) / (1 + percent / 100);
    this.chart?.holdFrom(this.base);
  }

  on_state(state) {
    if (this.pacer.answered(state)) {
      this.status = state.status;
      this.speed = state.speed;
    }
    this.seeking = state.seeking;
    if (state.pause_on) this.conditions = state.pause_on;
    this.rested?.();
    this.why.moved();
    if (state.bar_number === 0) this.hideOverlay();
    if (state.waiting) this.say(this.delay(state), 3000);
    if (state.reason) {
      const words = { entry: "an entry", exit: "an exit", rejected: "a rejected order", drawdown: "the drawdown" };
      this.say(`Paused at bar ${state.bar_number} on ${words[state.reason]}.`, 6000);
    }
    this.schedule();
  }

  delay({ seeking, waiting: { bar, seconds } }) {
    const time = `${Math.round(seconds)} s so far`;
    if (seeking === undefined) return `Waiting for bar ${bar}: the strategy has taken ${time}.`;
    return `Simulating bar ${bar.toLocaleString("en-US")}${seeking ? ` of ${seeking.toLocaleString("en-US")}` : ""}, ${time}.`;
  }

  on_complete({ total_bars: bars, differs }) {
    console.info(`Tapedeck: completed: ${bars} bars`);
    this.say(differs ?? `Completed: ${bars.toLocaleString("en-US")} bars.`, differs ? 0 : 8000);
    this.saysEnd = !differs;
    this.announcer.end(`Completed, ${bars} bars.`);
  }

  on_error(error) {
    if (error.code === "strategy_error") {
      this.status = "failed";
      const place = error.file && !error.message.includes(error.file) ? ` (${error.file}, line ${error.line})` : "";
      this.fail(`${error.message}${place}`, `The strategy stopped ${error.bar ? `at bar ${error.bar}` : "before the first bar"}`);
    } else if (error.code === "internal") {
      console.warn(`Tapedeck: ${error.message}`); // the socket closes with it
    } else {
      this.view?.refused();
      this.pacer.forget();
      if (this.meta) this.say(error.message, 6000);
      else this.fail(error.message);
    }
    this.schedule();
  }

  // -- controls

  toggle() {
    const playing = this.status === "playing";
    this.send({ action: playing ? "pause" : "play" });
    if (this.status !== "connecting") this.status = playing ? "paused" : "playing"; // shown at once; the server's state follows
    this.schedule();
  }

  // Stand still, and wait until the server has noted how far the run was played; or so many milliseconds.
  rest(milliseconds) {
    if (this.status === "playing") {
      this.status = "paused";
      this.say(`Paused at bar ${this.bar} to look at it.`, 4000);
    }
    const told = new Promise((resolve) => (this.rested = resolve));
    this.send({ action: "pause" });
    this.schedule();
    return Promise.race([told, new Promise((resolve) => setTimeout(resolve, milliseconds))]);
  }

  step(bars) {
    this.send({ action: "step", bars });
  }

  // `travel`: the user asked to be taken there, so the view goes along.
  seek(bar, travel = false) {
    if (travel && this.chart) this.chart.follow = true;
    this.send({ action: "seek", bar: Math.max(0, Math.min(bar, this.total)) });
  }

  // The server knows the times of bars that were not played yet; the page must not.
  seekTime(time) {
    if (this.chart) this.chart.follow = true;
    this.send({ action: "seek", time });
  }

  showList() {
    this.send({ action: "show", list: this.panels.list, sort: this.panels.sort });
  }

  command(action) {
    if (["next_event", "previous_event", "restart", "end"].includes(action) && this.chart) this.chart.follow = true;
    this.send({ action });
  }

  setSpeed(value) {
    this.speed = value;
    this.send({ action: "speed", value });
    try {
      localStorage.setItem("tapedeck:speed", JSON.stringify(value));
    } catch {
      // a browser that keeps nothing still plays
    }
    this.schedule();
  }

  pauseOn(conditions) {
    this.conditions = conditions;
    this.send({ action: "pause_on", ...conditions });
  }

  newest() {
    if (!this.chart) return;
    this.chart.follow = true;
    this.view.newest();
    this.schedule();
  }

  fit() {
    if (!this.chart) return;
    this.view.fit();
  }

  // -- painting

  schedule() {
    this.due ??= requestAnimationFrame(() => {
      this.due = undefined;
      this.paint();
    });
  }

  paint() {
    if (this.chart && this.candles.count + this.candles.replaced) {
      this.chart.paint(this.candles, this.marks, this.decimals ?? 2, this.status !== "playing");
      this.legend.paint(this.candles);
      this.faults.paint(this.candles, this.marks.faults);
    }
    this.transport.paint();
    this.acknowledge();
  }

  acknowledge() {
    const now = performance.now();
    if (this.acked === this.bar) return;
    if (now - (this.ackedAt ?? -ACK) < ACK) {
      this.ackLater ??= setTimeout(() => {
        this.ackLater = undefined;
        this.acknowledge();
      }, ACK);
      return;
    }
    this.ackedAt = now;
    this.acked = this.bar;
    this.send({ action: "ack", bar: this.bar });
  }

  // -- words over the chart

  say(text, milliseconds) {
    this.saysEnd = false;
    clearTimeout(this.silence);
    this.notice.textContent = text;
    this.notice.hidden = false;
    if (milliseconds) this.silence = setTimeout(() => (this.notice.hidden = true), milliseconds);
  }

  fail(text, title = "This run cannot go on") {
    this.failure = text;
    this.overlay.hidden = true;
    const box = this.element.querySelector("[data-failure]");
    box.querySelector("h2").textContent = title;
    box.querySelector("[data-failure-text]").textContent = text;
    box.hidden = false;
  }

  wait(text) {
    if (this.meta) return;
    this.overlay.hidden = false;
    this.overlay.querySelector("[data-overlay-text]").textContent = text;
  }

  hideOverlay() {
    this.overlay.hidden = true;
  }
}

function keep(run, { bar, status, resumes, speed, meta }) {
  if (!meta) return;
  try {
    sessionStorage.setItem(`tapedeck:${run}`, JSON.stringify({ bar, playing: status === "connecting" ? Boolean(resumes) : status === "playing", speed }));
  } catch {
    // private browsing: the server's own memory of the playhead must do
  }
}
