"""Access: axe finds nothing, the page works at 390 px, fills are announced, motion is reduced, themes switch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import dev
from tests.browser.deck import Deck
from webapp import Services


def violations(page: Page) -> list[str]:
    """Return what axe finds wrong, one line each."""
    script = (dev.npm_package(dev.AXE) / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(f"() => {{ {script} }}")
    found = page.evaluate("() => window.axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found]


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_wrong(new_page: Callable[..., Page], services: Services, scheme: str, width: int):
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    deck = Deck(page, services).paused(80)
    assert violations(page) == []
    for tab in ("Orders", "Log"):
        page.get_by_role("tab", name=tab).click()
        deck.settle()
        assert violations(page) == []
    deck.finish()
    assert violations(page) == []


@pytest.mark.parametrize("dialog", ["?", "g"])
def test_axe_finds_nothing_wrong_with_the_dialogs(new_page: Callable[..., Page], services: Services, dialog: str):
    page = new_page(bypass_csp=True)
    deck = Deck(page, services).paused(30)
    deck.press(dialog)
    assert violations(page) == []


def test_at_390_px_everything_is_within_reach(new_page: Callable[..., Page], services: Services):
    page = new_page(viewport={"width": 390, "height": 844})
    deck = Deck(page, services).paused(60)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    for name in ("Play", "Step back", "Step forward"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(page.get_by_label("Speed")).to_be_visible()
    more = page.get_by_role("button", name="More controls")
    expect(page.get_by_role("button", name="Fit the chart")).to_be_hidden()
    more.click()
    page.get_by_role("button", name="Run to the end").click()
    deck.until(lambda: deck.bar == 122, "the end")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_fills_are_announced(page: Page, services: Services):
    Deck(page, services).open(speed=5)
    spoken = page.locator("[data-announce]")
    expect(spoken).to_have_attribute("aria-live", "polite")
    expect(spoken).to_have_text(re.compile(r"(Bought|Sold) \d+ at [\d.]+, bar \d+"))
    expect(spoken).to_have_text("Completed, 122 bars.")


def test_the_chart_changes_its_colours_with_the_theme(new_page: Callable[..., Page], services: Services):
    page = new_page(color_scheme="dark")
    Deck(page, services).paused(40)
    colours = "() => window.tapedeckChart.panes.map(({ handler }) => handler.chart.options().layout.background.color)"
    dark = page.evaluate(colours)
    page.get_by_role("button", name="Switch to the light theme").click()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    light = page.evaluate(colours)
    assert dark != light and set(light) == {"#ffffff"}


def test_nothing_moves_while_it_plays(page: Page, services: Services):
    page.add_init_script("""
        window.shifts = [];
        new PerformanceObserver((list) => {
          for (const { sources } of list.getEntries()) {
            // a new row pushes the rows of its list down, and figures end at the right edge: nothing else may move
            for (const { node, previousRect: before, currentRect: after } of sources) {
              const element = node?.nodeType === 1 ? node : node?.parentElement;
              const moved = Math.abs(before.y - after.y) >= 1 || Math.abs(before.right - after.right) >= 1;
              if (moved && element && !element.closest(".list")) window.shifts.push(element.outerHTML.slice(0, 200));
            }
          }
        }).observe({ type: "layout-shift", buffered: true });
    """)
    deck = Deck(page, services).open(speed=5, period="5y")  # its end, which shows the summary, is far
    deck.until(lambda: deck.bar > 5, "play")
    page.evaluate("() => { window.shifts = []; }")
    deck.until(lambda: deck.bar > 150, "trades that open and close")
    assert page.evaluate("() => [...new Set(window.shifts)]") == []


def test_selection_and_scroll_survive_a_swap(new_page: Callable[..., Page], services: Services):
    for cdn in (True, False):
        page = new_page(cdn=cdn)
        deck = Deck(page, services).paused(20)
        state: dict[str, Any] = page.evaluate("""() => {
            const list = document.querySelector("#stats").closest(".side");
            const label = document.querySelector("#stats dt");
            getSelection().selectAllChildren(label);
            scrollTo(0, 60);
            return { text: String(getSelection()), top: scrollY };
        }""")
        deck.press("ArrowRight")
        deck.until(lambda deck=deck: deck.bar == 21, "a step")  # type: ignore[misc]
        deck.settle()
        assert page.evaluate("() => ({ text: String(getSelection()), top: scrollY })") == state


def test_the_attribution_of_the_chart_library_stands(page: Page, services: Services):
    Deck(page, services).open()
    link = page.get_by_role("link", name="TradingView")
    expect(link).to_be_visible()
    assert link.get_attribute("href") == "https://www.tradingview.com/"
