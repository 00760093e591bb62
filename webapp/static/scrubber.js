// scrubber.js: the playhead's slider, with a tick for each trade event revealed and a shade for what has been played.
export class Scrubber {
  constructor(element, player) {
    this.element = element;
    this.player = player;
    this.input = element.querySelector("[data-seek]");
    this.canvas = element.querySelector("[data-ticks]");
    // the size is measured when it changes: asking each frame would make the browser lay the page out each frame
    this.observer = new ResizeObserver(() => {
      this.size = { width: element.clientWidth, height: element.clientHeight };
      player.schedule();
    });
    this.observer.observe(element);
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

  // Colours have changed.
  theme() {
    this.drawn = null;
  }

  stop() {
    this.observer.disconnect();
  }

  paint() {
    const { bar, total, marks } = this.player;
    if (this.input.max !== String(total)) this.input.max = total;
    if (!this.held && this.wish === undefined && this.input.value !== String(bar)) this.input.value = bar;
    const said = `bar ${bar} of ${total}`;
    if (this.input.getAttribute("aria-valuetext") !== said) this.input.setAttribute("aria-valuetext", said);
    this.draw(bar, total, marks?.ticks ?? new Set());
  }

  // Drawn again only when a pixel changes: at a million bars most frames change none.
  draw(bar, total, ticks) {
    const { width, height } = this.size ?? {};
    if (!width || !total) return;
    const inset = 7; // half the thumb: the slider's ends
    const x = (at) => Math.round(inset + ((width - 2 * inset) * at) / total);
    const pixels = this.pixels(ticks, x, `${width} ${total}`);
    const key = `${x(bar)} ${pixels.size} ${width} ${height}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const css = getComputedStyle(this.element);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const middle = height / 2;
    const bars = (name, from, to) => {
      context.fillStyle = css.getPropertyValue(name);
      context.fillRect(from, middle - 2, to - from, 4);
    };
    bars("--scrub-track", inset, width - inset);
    bars("--scrub-played", inset, x(bar));
    context.fillStyle = css.getPropertyValue("--scrub-tick");
    for (const at of pixels) if (at <= x(bar)) context.fillRect(at - 0.5, middle - 9, 1.5, 5);
  }

  // The pixels that have a tick. Ticks only come, except when the playhead goes back.
  pixels(ticks, x, scale) {
    if (this.lit?.scale === scale && this.lit.count === ticks.size) return this.lit.pixels;
    const known = this.lit?.scale === scale && this.lit.count < ticks.size;
    const pixels = known ? this.lit.pixels : new Set();
    let n = 0;
    for (const tick of ticks) {
      n += 1;
      if (!known || n > this.lit.count) pixels.add(x(tick));
    }
    this.lit = { scale, count: ticks.size, pixels };
    return pixels;
  }
}
