"""Shots: the README's pictures, taken from the real page. `python dev.py shots [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page

from bench.kit import browsing, served

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SETUP = "symbol=AAPL&interval=1d&period=1y&strategy=sma_cross&speed=5"


def main(argv: list[str]) -> int:
    """Take player.png for the README into docs; with a folder named, take every page in every shape into that."""
    folder = Path(argv[0]) if argv else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    with served() as url:
        looks = [("dark", WIDE)] if not argv else [(s, v) for s in ("dark", "light") for v in (WIDE, PHONE)]
        for scheme, viewport in looks:
            suffix = f"-{scheme}-{viewport['width']}" if argv else ""
            with browsing(color_scheme=scheme, viewport=viewport) as page:
                if argv:
                    around(page, url, folder, suffix)
                player(page, url, folder, suffix, ends=bool(argv))
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


def wait_for_bar(page: Page, bar: int) -> None:
    """Return when the page shows at least bar number `bar`."""
    page.wait_for_function(
        "bar => +(document.querySelector('[data-progress-text]')?.textContent.match(/bar ([\\d,]+)/)?.[1]"
        ".replace(',', '') ?? 0) >= bar",
        arg=bar,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
