// pacer.js: sends controls at once, but never so many that the server takes them for a flood: a held key, a dragged
// slider. What has to wait is folded: ten steps forward are one step of ten, of two seeks only the last counts.
const BURST = 24; // messages at once
const RATE = 12; // messages a second from then on

export class Pacer {
  constructor(send, drained) {
    this.pass = send;
    this.drained = drained;
    this.tokens = BURST;
    this.at = performance.now();
    this.queue = [];
  }

  get busy() {
    return this.queue.length > 0;
  }

  send(message) {
    this.refill();
    if (!this.queue.length && this.tokens >= 1) return this.go(message);
    this.fold(message);
    this.timer ??= setTimeout(() => this.drain(), 1000 / RATE);
    return true;
  }

  refill() {
    const now = performance.now();
    this.tokens = Math.min(BURST, this.tokens + ((now - this.at) * RATE) / 1000);
    this.at = now;
  }

  go(message) {
    this.tokens -= 1;
    return this.pass(message);
  }

  fold(message) {
    const last = this.queue.at(-1);
    if (last?.action === message.action) {
      if (message.action === "step" && Math.sign(last.bars) === Math.sign(message.bars)) {
        this.queue[this.queue.length - 1] = { ...last, bars: last.bars + message.bars };
        return;
      }
      if (["seek", "speed", "ack", "show", "pause_on"].includes(message.action)) {
        this.queue[this.queue.length - 1] = message;
        return;
      }
    }
    this.queue.push(message);
  }

  drain() {
    this.timer = undefined;
    this.refill();
    while (this.queue.length && this.tokens >= 1) this.go(this.queue.shift());
    if (this.queue.length) this.timer = setTimeout(() => this.drain(), 1000 / RATE);
    else this.drained();
  }
}
