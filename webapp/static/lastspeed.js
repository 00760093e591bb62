// lastspeed.js: the form offers the speed that was last chosen in the player, unless the address names one.
export function mount(select) {
  if (new URLSearchParams(location.search).has("speed")) return;
  try {
    const last = JSON.parse(localStorage.getItem("tapedeck:speed"));
    const option = [...select.options].find(({ value }) => value === String(last));
    if (option) select.value = option.value;
  } catch {
    // nothing is kept, or not by us: the form's own speed stands
  }
}
