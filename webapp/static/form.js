// The configuration form: after an answer with errors, the first field at fault has the focus.
export function mount(form) {
  const first = () => form.querySelector("[aria-invalid='true']");
  const swapped = (event) => {
    if (event.target === form) first()?.focus();
  };
  form.addEventListener("htmx:after:swap", swapped);
  first()?.focus();
  return () => form.removeEventListener("htmx:after:swap", swapped);
}
