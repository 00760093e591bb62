// reasons.js: under each row of the list of trades, why it was entered and left. Asked for when the playhead comes to rest.
const CALM = 400; // ms at rest before anything is asked for
const PATIENCE = 1_500; // ms to wait for the server to have noted how far the run was played
const TRIES = 3; // for a line that did not come: the server may not have noted yet how far the run was played
const SHARE = 5; // an answer that took long is not asked for again until so many times as long has passed

export class Reasons {
  constructor(element, player, address) {
    this.element = element;
    this.player = player;
    this.address = `${address}/trades`;
    this.list = element.querySelector("#trades");
    this.known = new Map(); // HTML of a line by the trade and its exit; "" when there is none
    this.tries = new Map(); // how often a line was asked for in vain
    this.free = 0; // the time before which nothing is asked
    const changed = () => this.listed();
    new MutationObserver(changed).observe(this.list, { childList: true, subtree: true });
    new MutationObserver(changed).observe(this.list, { attributes: true, attributeFilter: ["hidden"] });
    new MutationObserver(changed).observe(element, { attributes: true, attributeFilter: ["data-status"] });
  }

  get resting() {
    return ["paused", "finished"].includes(this.element.dataset.status) && !this.list.hidden;
  }

  // The server's swap takes lines away with the rows that it moves: they are put back before anything is painted.
  listed() {
    const rows = [...this.list.querySelectorAll("tr[data-trade]")];
    const lines = new Set();
    for (const row of rows) {
      const key = keyOf(row);
      const html = this.known.get(key);
      if (!html) continue;
      const next = row.nextElementSibling;
      const line = next?.dataset.reasonOf === key ? next : lineOf(key, row, html);
      if (line !== next) row.after(line);
      lines.add(line);
    }
    for (const line of this.list.querySelectorAll(".reason-row")) if (!lines.has(line)) line.remove();
    if (this.resting && rows.some((row) => !this.known.has(keyOf(row)))) this.soon();
    else clearTimeout(this.later);
  }

  soon() {
    clearTimeout(this.later);
    this.later = setTimeout(() => this.ask(), Math.max(CALM, this.free - performance.now()));
  }

  async ask() {
    if (this.asking || !this.element.isConnected) return;
    this.asking = true;
    const start = performance.now();
    try {
      await this.player.rest(PATIENCE);
      const { bar } = this.player;
      const keys = [...this.list.querySelectorAll("tr[data-trade]")].map(keyOf).filter((key) => !this.known.has(key));
      if (!this.resting || !bar || !keys.length) return;
      const trades = [...new Set(keys.map((key) => key.split(":")[0]))].join();
      const answer = await fetch(`${this.address}?${new URLSearchParams({ trades, known: bar })}`, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      this.take(keys, await answer.text());
    } catch {
      // The row's own link asks again, and says what is wrong.
    } finally {
      this.free = performance.now() + SHARE * (performance.now() - start);
      this.asking = false;
      this.listed();
    }
  }

  take(keys, html) {
    const answer = document.createElement("template");
    answer.innerHTML = html; // the server's own template, escaped there
    answer.content.querySelectorAll("[data-reason]").forEach((line) => this.known.set(line.dataset.reason, line.innerHTML));
    for (const key of keys.filter((one) => !this.known.has(one))) {
      this.tries.set(key, (this.tries.get(key) ?? 0) + 1);
      if (this.tries.get(key) >= TRIES) this.known.set(key, "");
    }
  }
}

// A row by its trade and the bar of its exit: an open trade is another thing to explain than the same one closed.
function keyOf(row) {
  return `${row.dataset.trade}:${row.querySelector("td[data-bar-number]")?.dataset.barNumber ?? ""}`;
}

function lineOf(key, row, html) {
  const line = document.createElement("tr");
  line.className = "reason-row";
  line.dataset.reasonOf = key;
  const cell = document.createElement("td");
  cell.colSpan = row.cells.length;
  cell.dataset.whyTrade = row.dataset.trade;
  cell.dataset.trade = row.dataset.trade; // pointing at it lights the trade up on the chart
  cell.innerHTML = `<div class="why-line">${html}</div>`;
  line.append(cell);
  return line;
}
