"""The player when things go wrong: cut lines, a restart, a strategy that changed, a replay that differs."""

from __future__ import annotations

import random
import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from tests.browser.deck import Deck
from webapp import Services, player, sockets
from webapp.tables import results

MINE = """
from engine import Strategy

class Mine(Strategy):
    def next(self):
        if len(self.data) % 7 == 0:
            self.buy(size=1)
"""


@pytest.fixture
def deck(page: Page, services: Services) -> Deck:
    """A player page with htmx."""
    return Deck(page, services)


def cut() -> None:
    """Lose every line, without a word."""
    for channel in sockets.switchboard._listed():
        channel.end()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_page_that_is_cut_at_random_bars_ends_as_if_it_had_not(deck: Deck, seed: int):
    chance = random.Random(seed)
    deck.open(speed=1)
    for bar in sorted(chance.sample(range(5, 60), 3)):
        deck.until(lambda bar=bar: deck.bar >= bar, f"bar {bar}")
        before = deck.bar
        cut()
        deck.until(lambda: "Connected again, at bar" in notice(deck), "the notice")
        assert "\n" not in notice(deck)
        assert deck.bar >= before
        deck.until(lambda before=before: deck.status == "playing" and deck.bar > before, "further bars")
    deck.finish()
    deck.press("f")
    deck.settle()
    cut_up = deck.shown()
    other = Deck(deck.page, deck.services).open()
    other.finish()
    other.press("f")
    other.settle()
    assert cut_up == other.shown()


def test_a_page_that_comes_back_to_a_slow_run_says_how_far_it_is_and_then_is_there(deck: Deck, folders, monkeypatch):
    monkeypatch.setattr(player, "SLOW", 0.2)
    text = MINE.replace("    def next(self):\n", "    def next(self):\n        time.sleep(0.02)\n")
    (folders["strategies"] / "mine.py").write_text("import time\n" + text)
    deck.paused(100, strategy="mine", params={})
    deck.page.reload()
    deck.until(lambda: re.fullmatch(r"Simulating bar \d+ of 100, \d+ s so far\.", notice(deck)), "word of the wait")
    deck.until(lambda: deck.bar == 100 and not deck.waiting, "rest at bar 100")
    deck.press("ArrowRight")
    deck.until(lambda: deck.bar == 101, "the next bar")


def notice(deck: Deck) -> str:
    return deck.page.locator("[data-notice]").text_content() or ""


def test_a_server_that_restarts_is_told_and_the_page_goes_on(deck: Deck):
    deck.paused(40)
    for channel in sockets.switchboard._listed():
        channel.dismissed = sockets.Ended(sockets.RESTART, "The server restarts.")
        channel.wake()
    deck.until(lambda: "Connected again, at bar 40." in notice(deck), "the notice")
    assert deck.bar == 40 and deck.candles == 40
    deck.finish()


def test_a_run_whose_file_changed_says_so_and_leads_to_a_new_one(deck: Deck, folders: dict):
    path = folders["strategies"] / "mine.py"
    path.write_text(MINE)
    deck.open(strategy="mine", params={})
    deck.finish()
    recorded = deck.shown()
    path.write_text(MINE.replace("% 7", "% 5"))
    deck.page.reload()
    told = deck.page.locator("[data-file=changed]")
    expect(told).to_contain_text("It plays as it was recorded.")
    deck.until(lambda: deck.bar > 0, "the first bar")
    deck.finish()
    assert deck.shown()["panels"]["trades"] == recorded["panels"]["trades"]
    told.get_by_role("link").click()
    expect(deck.page.locator("[name=strategy]")).to_have_value("mine")


def test_a_replay_that_differs_says_so(deck: Deck):
    deck.open()
    deck.finish()
    with deck.services.store.database.write() as connection:
        content = connection.execute(results.select()).one().content
        other = content["metrics"] | {"total_trades": 99}
        connection.execute(update(results).values(content=content | {"metrics": other}))
    deck.page.reload()
    deck.until(lambda: deck.bar > 0, "the first bar")
    deck.finish()
    expect(deck.page.locator("[data-notice]")).to_contain_text("This replay differs from what was recorded:")
    expect(deck.page.locator("[data-notice]")).to_contain_text("and 99 then.")


def test_a_chart_that_is_not_laid_out_yet_waits_for_its_size(page: Page, services: Services):
    hide = "document.querySelector('[data-chart]').style.display = 'none'"
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => ({hide}))")
    deck = Deck(page, services).open(wait=False)
    deck.until(lambda: deck.bar > 2, "the first bars")
    page.locator("[data-chart]").evaluate("(element) => (element.style.display = '')")
    deck.finish()
    assert deck.candles == deck.total
