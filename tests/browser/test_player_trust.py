"""Whether a result can be trusted, as the page tells it: the proof, ambiguous trades, faults of the data."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.deck import Deck
from tests.browser.test_player_access import violations
from webapp import Services

PEEKS = """
import numpy as np
from engine import Strategy

def later(close):
    return np.append(close[:39], close[40:].tolist() + [np.nan] * (len(close) > 39))

class Peeks(Strategy):
    def init(self):
        self.later = self.I(later, self.data.Close, name="<later>")
    def next(self):
        if self.later[-1] > self.data.Close[-1] and not self.position:
            self.buy()
"""
BRACKETS = """
from engine import Strategy

class Brackets(Strategy):
    def next(self):
        if not self.position:
            price = self.data.Close[-1]
            self.buy(sl=price * 0.985, tp=price * 1.015)
"""
PROVED = 60_000  # ms that a proof may take on a busy machine; only a failure takes so long
MARKED = "() => window.tapedeckChart.panes[0].handler.series.markers().filter(({ shape }) => shape === 'circle').length"


@pytest.fixture
def deck(page: Page, services: Services, folders: dict[str, Path]) -> Deck:
    (folders["strategies"] / "peeks.py").write_text(PEEKS)
    (folders["strategies"] / "brackets.py").write_text(BRACKETS)
    return Deck(page, services)


def test_the_badge_turns_green_when_every_bar_was_checked(deck: Deck):
    deck.open(speed="instant")
    expect(deck.page.locator("#proof")).to_contain_text("no look-ahead found: 122 of 122 bars checked", timeout=PROVED)
    expect(deck.page.locator("[data-proof]")).to_have_attribute("data-state", "green")


def test_a_peek_is_shown_when_its_bar_is_played_and_its_list_travels_there(deck: Deck):
    deck.paused(30, strategy="peeks", params={})
    badge = deck.page.locator("[data-proof]")
    expect(deck.page.locator("#proof")).to_contain_text("no look-ahead found: 30 of 122 bars checked", timeout=PROVED)
    deck.finish()
    expect(badge).to_have_attribute("data-state", "red", timeout=PROVED)
    expect(deck.page.locator("#proof")).to_contain_text("look-ahead found on bar 40: <later>")
    deck.until(lambda: deck.page.evaluate(MARKED) > 0, "marks on the chart")
    deck.page.locator("[data-proof] summary").click()
    expect(deck.page.locator("#findings")).to_contain_text("<later> (line 10) looks ahead: on bar 40 the run had")
    deck.page.locator("#findings").get_by_role("button", name="Go to bar 40").first.click()
    deck.until(lambda: deck.bar == 40, "bar 40")
    expect(badge).to_have_attribute("data-state", "red")  # what was found is not forgotten


def test_what_a_result_rests_on_is_shown_on_chart_list_and_summary(deck: Deck):
    deck.open(strategy="brackets", params={}, speed="instant", period="2y")
    deck.finish()
    expect(deck.page.locator("#summary")).to_contain_text(re.compile(r"rests? on \d+ ambiguous bars?"))
    expect(deck.page.locator("#confidence")).to_contain_text("Return, 95 %")
    flagged = deck.page.locator("#trades tr:has(.hatch)")
    deck.page.locator("#confidence [data-bar-number]").last.click()
    deck.until(lambda: deck.bar < deck.total, "the ambiguous bar")
    expect(flagged).not_to_have_count(0)


def with_a_hole(folder: Path) -> None:
    """Write 40 bars, HOLE, with some weeks missing before the 26th."""
    rows = ["Date,Open,High,Low,Close,Volume"]
    for i in range(40):
        rows.append(f"2020-{1 + (i >= 25) * 2:02d}-{i % 25 + 1:02d},{10 + i},{12 + i},{9 + i},{11 + i},{100 + i}")
    (folder / "HOLE-1d.csv").write_text("\n".join(rows))


def test_faults_of_the_data_are_marked_under_the_chart_up_to_the_playhead(deck: Deck, folders: dict[str, Path]):
    with_a_hole(folders["data"])
    deck.paused(20, symbol="HOLE", period="max")
    marks = deck.page.locator("[data-faults] .fault-gap")
    assert marks.count() == 0
    deck.seek(40)
    expect(marks).to_have_count(1)
    assert "No bars between" in (marks.get_attribute("title") or "")
    place = "() => Math.round(window.tapedeckChart.panes[0].handler.chart.timeScale().logicalToCoordinate(25))"
    left = "mark => Math.round(parseFloat(mark.style.left))"
    deck.until(lambda: abs(deck.page.evaluate(place) - marks.evaluate(left)) <= 1, "the mark under its bar")
    marks.click()
    deck.until(lambda: deck.bar == 26, "the bar after the gap")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1440), ("light", 390)])
def test_axe_finds_nothing_wrong_with_the_answers(
    new_page: Callable[..., Page], services: Services, folders: dict[str, Path], scheme: str, width: int
):
    (folders["strategies"] / "peeks.py").write_text(PEEKS)
    with_a_hole(folders["data"])
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    deck = Deck(page, services).paused(60, strategy="peeks", params={})
    expect(page.locator("#trades .reason-row")).not_to_have_count(0)
    assert violations(page) == []
    deck.press("w")
    expect(page.locator("#why h2")).to_contain_text("Why at bar 60?")
    assert violations(page) == []
    page.locator("#why [data-why-survey]").first.click()
    expect(page.locator("#why .survey")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("tab", name="Trades").click()
    page.locator("button[data-why-trade]").first.click()
    expect(page.locator("#why h2")).to_contain_text("Why trade 1?")
    assert violations(page) == []
    expect(page.locator("[data-proof]")).to_have_attribute("data-state", "red", timeout=PROVED)
    page.locator("[data-proof] summary").click()
    expect(page.locator("#findings .finding")).not_to_have_count(0)
    assert violations(page) == []
    Deck(page, services).open(symbol="HOLE", period="max", speed="instant", params={}).finish()
    expect(page.locator("[data-faults] .fault-gap")).to_have_count(1)
    assert violations(page) == []


def test_the_card_of_the_badge_fits_a_phone(
    new_page: Callable[..., Page], services: Services, folders: dict[str, Path]
):
    (folders["strategies"] / "peeks.py").write_text(PEEKS)
    page = new_page(viewport={"width": 390, "height": 844})
    Deck(page, services).paused(60, strategy="peeks", params={})
    expect(page.locator("[data-proof]")).to_have_attribute("data-state", "red", timeout=PROVED)
    page.locator("[data-proof] summary").click()
    expect(page.locator("#findings .finding")).not_to_have_count(0)
    wide, room = page.eval_on_selector("#findings", "card => [card.scrollWidth, card.clientWidth]")
    assert wide <= room
