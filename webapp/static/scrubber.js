// scrubber.js: the playhead's slider, with a tick for each trade event revealed and a shade for what has been played.
export class Scrubber {
  constructor(element, player) {
    this.element = element;
    this.player = player;
    this.input = element.querySelector("[data-seek]");
    this.canvas = element.querySelector("[data-ticks]");
    this.input.addEventListener("input", () => this.drag());
    this.input.addEventListener("change", () => this.release());
    this.input.addEventListener("pointerdown", () => (this.held = true));
    for (const name of ["pointerup", "pointercancel"]) this.input.addEventListener(name, () => (this.held = false));
  }

  // While it is dragged, one seek at a time is on its way, and then the newest wish.
  drag() {
    this.wish = Number(this.input.value);
    this.player.chart && (this.player.chart.follow = true);
    if (!this.sent) this.next();
  }

  next() {
    if (this.wish === undefined) {
      this.sent = false;
      return;
    }
    this.sent = true;
    this.player.seek(this.wish, true);
    this.wish = undefined;
    setTimeout(() => this.next(), 50);
  }

  release() {
    this.held = false;
  }

  paint() {
    const { bar, total, marks } = this.player;
    if (this.input.max !== String(total)) this.input.max = total;
    if (!this.held && this.wish === undefined && this.input.value !== String(bar)) this.input.value = bar;
    const said = `bar ${bar} of ${total}`;
    if (this.input.getAttribute("aria-valuetext") !== said) this.input.setAttribute("aria-valuetext", said);
    this.draw(bar, total, marks?.ticks ?? new Set());
  }

  draw(bar, total, ticks) {
    const { clientWidth: width, clientHeight: height } = this.element;
    const ratio = window.devicePixelRatio || 1;
    const theme = document.documentElement.dataset.theme ?? "";
    const key = `${bar} ${total} ${ticks.size} ${width} ${ratio} ${theme}`;
    if (key === this.drawn || !width || !total) return;
    this.drawn = key;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const css = getComputedStyle(this.element);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const inset = 7; // half the thumb: the slider's ends
    const x = (at) => inset + ((width - 2 * inset) * at) / total;
    const middle = height / 2;
    context.fillStyle = css.getPropertyValue("--scrub-track");
    context.fillRect(inset, middle - 2, width - 2 * inset, 4);
    context.fillStyle = css.getPropertyValue("--scrub-played");
    context.fillRect(inset, middle - 2, x(bar) - inset, 4);
    context.fillStyle = css.getPropertyValue("--scrub-tick");
    const drawn = new Set();
    for (const tick of ticks) {
      if (tick > bar) continue;
      const at = Math.round(x(tick));
      if (drawn.has(at)) continue;
      drawn.add(at);
      context.fillRect(at - 0.5, middle - 8, 1.5, 5);
    }
  }
}
