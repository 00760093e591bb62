// opening.js: opens the line of the run that the page shows, and fetches its chart's set-up, while the other modules
// of the player are still on their way.

// What this page, in this tab, noted of a run when it was left.
export function recall(run) {
  try {
    return JSON.parse(sessionStorage.getItem(`tapedeck:${run}`));
  } catch {
    return null;
  }
}

// The first message of the first line: a first visit plays from the first bar; a reload goes on where this page, or
// else the run, was left.
export function greeting(element, saved = recall(element.dataset.run)) {
  const bar = saved?.bar ?? Number(element.dataset.playhead);
  return start(element, bar, saved?.speed, saved ? saved.playing : bar === 0);
}

export function start(element, bar, speed, playing) {
  const message = { action: "start_backtest", run: element.dataset.run, frames: true, window: true };
  if (bar > 0) message.from_bar = bar;
  if (speed) message.speed = speed;
  message.paused = !playing;
  return message;
}

// The shape that charts.py builds for these indicators, and the pane and place of each.
export function shapeOf(indicators) {
  const letters = { line: "l", scatter: "s", histogram: "h" };
  const panes = new Map([["price", ""]]);
  const places = indicators.map(({ pane = "price", style }) => {
    const drawn = panes.get(pane) ?? "";
    panes.set(pane, drawn + (letters[style] ?? "l"));
    return { pane: [...panes.keys()].indexOf(pane), series: drawn.length };
  });
  return { shape: [...panes.values()].join("."), places, names: [...panes.keys()] };
}

export function setupAddress(element, shape) {
  return `${element.dataset.setup}?shape=${encodeURIComponent(shape)}`;
}

let early = null;

// The line that was opened early for this element: its socket, whether it was greeted, and the events since then.
export function take(element) {
  const line = early?.element === element ? early : null;
  early = null;
  return line;
}

function open(element) {
  const line = { element, socket: new WebSocket(new URL(element.dataset.socket, location.href.replace(/^http/, "ws"))), greeted: false, events: [] };
  const message = greeting(element);
  line.socket.onopen = (event) => {
    line.events.push(event);
    line.greeted = true;
    line.socket.send(JSON.stringify(message));
    // no more than a second of bars is played before the page shows any
    line.socket.send(JSON.stringify({ action: "ack", bar: message.from_bar ?? 0 }));
  };
  line.socket.onmessage = (event) => {
    if (line.events.length === 1) fetchSetup(element, JSON.parse(event.data));
    line.events.push(event);
  };
  line.socket.onclose = (event) => line.events.push(event);
  return line;
}

function fetchSetup(element, { indicators }) {
  if (!indicators) return; // not the metadata: an error
  const link = document.createElement("link");
  Object.assign(link, { rel: "preload", as: "script", href: setupAddress(element, shapeOf(indicators).shape) });
  document.head.append(link);
}

const deck = document.querySelector("[data-module=player]");
if (deck) early = open(deck);
