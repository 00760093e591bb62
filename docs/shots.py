"""Shots: the README's pictures, taken from the real page. `python dev.py shots [FOLDER]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from bench.kit import browsing, served

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SETUP = "symbol=AAPL&interval=1d&period=1y&strategy=sma_cross&speed=5"
STRATEGIES = {
    "swing": """
from engine import Strategy

class Swing(Strategy):
    def init(self):
        self.trend = self.I(lambda close: close.rolling(9, center=True).mean(), self.data.Close.s, name="Trend")

    def next(self):
        if self.trend[-1] > self.trend[-2] and not self.position:
            self.buy()
        elif self.trend[-1] < self.trend[-2]:
            self.position.close()
""",
    "brackets": """
from engine import Strategy

class Brackets(Strategy):
    def next(self):
        price = self.data.Close[-1]
        if len(self.data) > 9 and not self.position and price > self.data.Close[-6]:
            self.buy(sl=price * 0.99, tp=price * 1.012)
""",
}


def main(argv: list[str]) -> int:
    """Take the README's pictures into docs; with a folder named, take every page in every shape into that."""
    folder = Path(argv[0]) if argv else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as strategies, served(TAPEDECK_STRATEGIES_DIR=strategies) as url:
        for name, text in STRATEGIES.items():
            (Path(strategies) / f"{name}.py").write_text(text)
        looks = [("dark", WIDE)] if not argv else [(s, v) for s in ("dark", "light") for v in (WIDE, PHONE)]
        for scheme, viewport in looks:
            suffix = f"-{scheme}-{viewport['width']}" if argv else ""
            with browsing(color_scheme=scheme, viewport=viewport) as page:
                if argv:
                    around(page, url, folder, suffix)
                player(page, url, folder, suffix, ends=bool(argv))
                for take in (why, peek, band):
                    take(page, url, folder, suffix)
    return 0


def around(page: Page, url: str, folder: Path, suffix: str) -> None:
    """Take the pages around the player."""
    for name, path in {"home": "/", "strategies": "/strategies", "runs": "/runs", "missing": "/runs/nothing"}.items():
        page.goto(url + path)
        page.screenshot(path=folder / f"{name}{suffix}.png", full_page=True)
    page.goto(url + "/")
    page.get_by_label("Initial balance").fill("-5")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector("[aria-invalid=true]")
    page.screenshot(path=folder / f"refused{suffix}.png", full_page=True)


def player(page: Page, url: str, folder: Path, suffix: str, *, ends: bool) -> None:
    """Take the player paused on its way, and with `ends` rewound and finished too."""
    page.goto(f"{url}/?{SETUP}")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/runs/*")
    wait_for_bar(page, 180)
    page.keyboard.press("k")
    page.wait_for_timeout(400)
    page.screenshot(path=folder / f"player{suffix}.png")
    if not ends:
        return
    for _ in range(8):
        page.keyboard.press("Control+ArrowLeft")
    page.wait_for_timeout(600)
    page.screenshot(path=folder / f"rewound{suffix}.png")
    page.keyboard.press("End")
    page.wait_for_selector("#summary .verdict")
    page.wait_for_timeout(600)
    page.screenshot(path=folder / f"finished{suffix}.png", full_page=True)


def why(page: Page, url: str, folder: Path, suffix: str) -> None:
    """Take the panel that explains a bar: a cross that came without its trend."""
    start(page, f"{url}/?symbol=AAPL&interval=1d&period=1y&strategy=macd_trend&speed=instant")
    seek(page, 183)
    page.keyboard.press("w")
    page.wait_for_selector("#why .conditions")
    page.wait_for_timeout(400)
    crop(page, folder / f"why{suffix}.png", ".lists", ".lists", "#why > *:last-child")


def peek(page: Page, url: str, folder: Path, suffix: str) -> None:
    """Take a run that knows its future, with what was found."""
    start(page, f"{url}/?symbol=AAPL&interval=1d&period=1y&strategy=swing&speed=instant")
    page.wait_for_selector("[data-proof][data-state=red]")
    page.locator("[data-proof] summary").click()
    page.wait_for_timeout(1500)  # the proof is done, and the notice of the end may be gone
    page.locator(".screen").screenshot(path=folder / f"peek{suffix}.png")
    page.locator("[data-proof] summary").click()


def band(page: Page, url: str, folder: Path, suffix: str) -> None:
    """Take a result that rests on bars of which nobody knows the inside."""
    start(page, f"{url}/?symbol=GOOG&interval=1d&period=1y&strategy=brackets&speed=instant&commission=0.0005")
    page.wait_for_selector("#summary .doubt")
    page.wait_for_timeout(600)
    crop(page, folder / f"band{suffix}.png", ".screen", ".deck", ".screen")


def crop(page: Page, file: Path, top: str, sides: str, bottom: str) -> None:
    """Take the part of the page from the top of one element to the bottom of another, as wide as a third."""
    first, wide, last = (page.locator(selector).last.bounding_box() for selector in (top, sides, bottom))
    scrolled = page.evaluate("() => scrollY")
    y, end = first["y"] + scrolled, last["y"] + last["height"] + scrolled + (14 if bottom != top else 0)
    page.screenshot(path=file, full_page=True, clip={"x": wide["x"], "y": y, "width": wide["width"], "height": end - y})


def start(page: Page, address: str) -> None:
    """Run to the end what an address fills in."""
    page.goto(address)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/runs/*")
    page.wait_for_selector(".player[data-status=finished]")
    page.wait_for_timeout(600)


def seek(page: Page, bar: int) -> None:
    """Send the playhead to a bar."""
    page.locator("[data-seek]").evaluate(
        "(input, bar) => { input.value = bar; input.dispatchEvent(new Event('input')); }", bar
    )
    wait_for_bar(page, bar)
    page.wait_for_timeout(600)


def wait_for_bar(page: Page, bar: int) -> None:
    """Return when the page shows at least bar number `bar`."""
    page.wait_for_function(
        "bar => +(document.querySelector('[data-progress-text]')?.textContent.match(/bar ([\\d,]+)/)?.[1]"
        ".replace(',', '') ?? 0) >= bar",
        arg=bar,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
