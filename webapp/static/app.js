// Gives behaviour to elements that name a module: <section data-module="player">. Works without htmx.
const stops = new WeakMap();

async function mount(element) {
  if (stops.has(element)) return;
  stops.set(element, () => {});
  const module = await import(`./${element.dataset.module}.js`);
  if (element.isConnected) stops.set(element, module.mount(element) ?? (() => {}));
}

function mountAll(root) {
  if (root.matches?.("[data-module]")) mount(root);
  root.querySelectorAll("[data-module]").forEach((element) => mount(element));
}

mountAll(document);
document.addEventListener("htmx:after:process", ({ target }) => mountAll(target));
document.addEventListener("htmx:before:cleanup", ({ target }) => {
  stops.get(target)?.();
  stops.delete(target);
});
