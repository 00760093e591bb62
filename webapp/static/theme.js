// The button that switches between dark and light. The server reads the cookie, so the next page is right at once.
const YEAR = 365 * 24 * 3600;
const system = matchMedia("(prefers-color-scheme: dark)");

export function mount(button) {
  const show = () => {
    button.textContent = current() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${current() === "dark" ? "light" : "dark"} theme`);
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  const press = () => {
    choose(current() === "dark" ? "light" : "dark");
    show();
  };
  button.addEventListener("click", press);
  system.addEventListener("change", show);
  show();
  button.hidden = false;
  return () => {
    button.removeEventListener("click", press);
    system.removeEventListener("change", show);
  };
}

function current() {
  return document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
}

function choose(theme) {
  document.documentElement.dataset.theme = theme;
  document.cookie = `theme=${theme}; Path=/; Max-Age=${YEAR}; SameSite=Lax`;
}
