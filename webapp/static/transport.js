// transport.js: the bar under the chart: its buttons, read-outs and dialogs.
import { whole } from "./format.js";
import { Scrubber } from "./scrubber.js";

export const SPEEDS = [0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, "instant"];

export class Transport {
  constructor(element, player) {
    this.element = element;
    this.player = player;
    this.find = (name) => element.querySelector(`[data-${name}]`);
    this.scrubber = new Scrubber(this.find("scrubber"), player);
    this.parts = Object.fromEntries(["play", "speed", "bar", "time", "progress", "progress-text", "progress-part"].map((name) => [name, this.find(name)]));
    element.style.setProperty("--digits", whole(player.total).length); // room for the last bar's number
    element.addEventListener("click", ({ target, detail }) => {
      this.clicked(target.closest("[data-action]"));
      if (detail) target.closest("button")?.blur(); // after a click of the mouse, Space plays instead of pressing it again
    });
    this.parts.speed.addEventListener("change", ({ target }) => {
      player.setSpeed(target.value === "instant" ? "instant" : Number(target.value));
      if (!target.matches(":focus-visible")) target.blur(); // after a click the keys work at once
    });
    this.goto();
    this.conditions();
  }

  clicked(button) {
    const { player } = this;
    const actions = {
      toggle: () => player.toggle(),
      start: () => player.seek(0, true),
      back: () => player.step(-1),
      forward: () => player.step(1),
      "next-trade": () => player.command("next_event"),
      "previous-trade": () => player.command("previous_event"),
      end: () => player.command("end"),
      again: () => player.command("restart"),
      newest: () => player.newest(),
      fit: () => player.fit(),
      goto: () => this.open("goto"),
      keys: () => this.open("keys"),
      "pause-on": () => this.open("pause-on"),
      more: () => this.more(button),
    };
    actions[button?.dataset.action]?.();
  }

  more(button) {
    const bar = button.closest(".transport");
    button.setAttribute("aria-expanded", String(bar.classList.toggle("unfolded")));
  }

  faster(by) {
    const at = SPEEDS.indexOf(this.player.speed);
    const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (at < 0 ? 2 : at) + by))];
    if (next !== this.player.speed) this.player.setSpeed(next);
  }

  open(name) {
    const dialog = this.element.querySelector(`[data-dialog=${name}]`);
    if (name === "goto") {
      dialog.querySelector("[data-goto-error]").textContent = "";
      dialog.querySelector("input").value = "";
    }
    dialog.showModal();
  }

  goto() {
    const form = this.find("goto-form");
    form.addEventListener("submit", (event) => {
      if (event.submitter?.value === "cancel") return;
      const text = form.elements.target.value.trim();
      const problem = this.go(text);
      if (!problem) return;
      event.preventDefault();
      form.querySelector("[data-goto-error]").textContent = problem;
    });
  }

  // Travel to a bar number or a date; returns what is wrong with it, if anything is.
  go(text) {
    const { player } = this;
    if (/^[\d,]+$/.test(text)) {
      const bar = Number(text.replaceAll(",", ""));
      if (bar > player.total) return `There are ${whole(player.total)} bars. Type a number up to that, or a date.`;
      player.seek(bar, true);
      return "";
    }
    const time = player.clock?.parse(text) ?? NaN;
    if (Number.isNaN(time)) return "Type a bar number such as 128, or a date such as 2013-01-15.";
    player.seekTime(time);
    return "";
  }

  conditions() {
    const form = this.find("pause-on-form");
    form.addEventListener("submit", (event) => {
      if (event.submitter?.value === "cancel") return;
      const { entry, exit, rejected, drawdown, drawdown_percent: percent } = form.elements;
      if (drawdown.checked && !(percent.valueAsNumber > 0 && percent.valueAsNumber <= 100)) {
        event.preventDefault();
        return;
      }
      this.player.pauseOn({ entry: entry.checked, exit: exit.checked, rejected: rejected.checked, drawdown: drawdown.checked ? percent.valueAsNumber : null });
      const any = entry.checked || exit.checked || rejected.checked || drawdown.checked;
      this.find("pause-on-button").classList.toggle("on", any);
    });
  }

  // How many marks stand for more than is drawn: thinned or joined with a neighbour's, never silently.
  thinned({ events, trades }, joined, lines) {
    const note = this.find("thinned");
    const words = [];
    const more = Math.max(events, trades) + (joined ?? 0);
    if (more) words.push(`${whole(more)} more trade marks: zoom in to see them`);
    if (lines > 0) words.push(`${whole(lines)} more price lines`);
    const text = words.join(" · ");
    if (note.textContent !== text) note.textContent = text;
    note.hidden = !text;
  }

  paint() {
    const { player, parts } = this;
    const { bar, total, status } = player;
    const playing = status === "playing";
    const waiting = status === "connecting" || player.seeking !== undefined || player.pacer.busy;
    set(parts.bar, whole(bar));
    set(parts["progress-text"], `bar ${whole(bar)} / ${whole(total)}`);
    const percent = total ? (100 * bar) / total : 0;
    if (parts.progress.value !== percent) parts.progress.value = percent;
    set(parts["progress-part"], `${percent.toFixed(percent === 100 ? 0 : 1)} %`);
    if (bar && player.lastTime) set(parts.time, `${player.clock.text(player.lastTime)} ${player.clock.zoneName}`);
    if (!bar) set(parts.time, "before the first bar");
    parts.play.classList.toggle("playing", playing);
    parts.play.classList.toggle("waiting", waiting);
    label(parts.play, playing ? "Pause" : bar >= total && total ? "Play again from the first bar" : "Play");
    if (document.activeElement !== parts.speed) {
      const value = String(player.speed);
      if (parts.speed.value !== value) parts.speed.value = value;
    }
    this.element.dataset.status = status;
    const newest = this.element.querySelector(".newest");
    newest.hidden = !player.chart || player.chart.follow;
    this.scrubber.paint();
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function label(element, text) {
  if (element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
}
