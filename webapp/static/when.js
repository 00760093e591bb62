// A moment that the server wrote in UTC, in the visitor's own time zone.
export function mount(element) {
  const moment = new Date(Number(element.dataset.epoch) * 1000);
  element.title = element.textContent;
  element.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
