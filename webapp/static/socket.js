// socket.js: one WebSocket that comes back by itself. `hello()` gives the first message of each connection; `line` is
// one that was opened before (see opening.js), or null.
const FIRST_WAIT = 250; // ms; doubled at each failure
const LONGEST_WAIT = 8000;
const SILENCE = 45000; // the server sends a heartbeat every 15 s; three missed are a dead line
const DONE = new Set([1000, 1008]); // finished, or refused: coming back would change nothing

export function connect({ url, line = null, hello, onMessage, onOpen, onLost, onClosed }) {
  let socket = null;
  let failures = 0;
  let retry = 0;
  let watchdog = 0;
  let stopped = false;
  const waiting = [];

  function open() {
    clearTimeout(retry);
    retry = 0;
    const { socket: early, greeted, events = [] } = line ?? {};
    line = null;
    socket = early ?? new WebSocket(new URL(url, location.href.replace(/^http/, "ws")));
    let opened = false;
    socket.onopen = () => {
      opened = true;
      const message = hello();
      if (!greeted) socket.send(JSON.stringify(message));
      onOpen(failures);
      waiting.splice(0).forEach((message) => socket.send(message));
      watch();
    };
    socket.onmessage = ({ data }) => {
      failures = 0;
      watch();
      onMessage(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(watchdog);
      socket = null;
      if (stopped) return;
      if (DONE.has(code)) onClosed(code, reason);
      else comeBack(code, reason);
      if (!opened) ask();
    };
    // what came early is heard as the rest is: when whoever connects has what this function returns
    queueMicrotask(() => events.forEach((event) => socket?.[`on${event.type}`](event)));
  }

  // A handshake that is refused says nothing to a page; a login that has ended is told by any other request.
  async function ask() {
    const answer = await fetch(location.href, { method: "HEAD", headers: { Accept: "*/*" } }).catch(() => null);
    if (answer?.status !== 401 || stopped) return;
    clearTimeout(retry);
    retry = 0;
    onClosed(1008, "You are logged out. Reload the page to log in again.");
  }

  function comeBack(code, reason) {
    const wait = Math.min(FIRST_WAIT * 2 ** failures, LONGEST_WAIT);
    failures += 1;
    if (onLost(failures, code, reason)) return;
    retry = setTimeout(open, wait * (0.5 + Math.random() / 2)); // jitter: a restarted server is not stormed
  }

  function watch() {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => socket?.close(4000, "silence"), SILENCE);
  }

  function send(message) {
    const text = JSON.stringify(message);
    if (socket?.readyState === WebSocket.OPEN) {
      socket.send(text);
      return true;
    }
    if (socket === null && !retry && !stopped) {
      waiting.push(text); // closed for good after the run's end: a control opens it again
      open();
    }
    return false;
  }

  const online = () => socket === null && !stopped && failures > 0 && open();
  addEventListener("online", online);
  open();
  return {
    send,
    stop() {
      stopped = true;
      clearTimeout(retry);
      clearTimeout(watchdog);
      removeEventListener("online", online);
      socket?.close(1000);
    },
  };
}
