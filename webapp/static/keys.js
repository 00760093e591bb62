// keys.js: every key of the key sheet. Keys rest while a form field has the focus or a dialog is open.
import { SPEEDS } from "./transport.js";

const FIELDS = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";

export function listen(player) {
  const pressed = (event) => {
    if (event.defaultPrevented || event.altKey || event.target.closest?.(FIELDS) || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("[role=tab]:focus-visible") && /^(Arrow| )/.test(event.key)) return; // tabs have their own
    if (event.key === " " && event.target.closest?.("button, a")) return; // Space presses the focused button
    const act = actionOf(event, player);
    if (!act) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}

function actionOf(event, player) {
  const strong = event.ctrlKey || event.metaKey;
  const { key } = event;
  if (key === "ArrowRight") return () => player.step(strong ? 10 : 1);
  if (key === "ArrowLeft") return () => player.step(strong ? -10 : -1);
  if (strong) return undefined; // the browser's own
  const { transport } = player;
  const plain = {
    " ": () => player.toggle(),
    k: () => player.toggle(),
    n: () => player.command("next_event"),
    p: () => player.command("previous_event"),
    ArrowUp: () => transport.faster(1),
    ArrowDown: () => transport.faster(-1),
    Home: () => player.seek(0, true),
    End: () => player.command("end"),
    g: () => transport.open("goto"),
    l: () => player.newest(),
    f: () => player.fit(),
    w: () => player.why.open(),
    "?": () => transport.open("keys"),
  };
  if (/^[1-9]$/.test(key)) return () => player.setSpeed(SPEEDS[Number(key) - 1]);
  return plain[key.length === 1 ? key.toLowerCase() : key];
}
