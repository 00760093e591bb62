// pacer.js: sends controls at once, but never so many that the server takes them for a flood: a held key, a dragged
// slider. What has to wait is folded: ten steps forward are one step of ten, of two seeks only the last counts.
const BURST = 24; // messages at once
const RATE = 12; // messages a second from then on
const STATED = new Set(["play", "pause", "step", "next_event", "previous_event", "restart", "speed"]); // what changes at once on the page

export class Pacer {
  constructor(send, drained) {
    this.pass = send;
    this.drained = drained;
    this.tokens = BURST;
    this.at = performance.now();
    this.queue = [];
    this.asked = 0; // number of the last control
    this.told = 0; // and of the last one that was answered
  }

  get busy() {
    return this.queue.length > 0;
  }

  // Whether a state is the answer to all that was asked. One that crossed a newer control tells what was before it.
  answered({ id }) {
    if (id) this.told = id;
    return this.told >= this.asked;
  }

  // No answers will come to what was asked.
  forget() {
    this.told = this.asked;
  }

  send(message) {
    if (STATED.has(message.action)) message = { ...message, id: ++this.asked };
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
        this.queue[this.queue.length - 1] = { ...message, bars: last.bars + message.bars };
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
