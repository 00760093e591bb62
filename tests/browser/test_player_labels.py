"""The marks of trades on the chart: all of them or a count, and words only where there is room."""

from __future__ import annotations

import random
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.deck import Deck
from webapp import Services

LABELS = """async ({ lows, highs, events, spacing }) => {
  const { extremes, grouped, worded } = await import("/static/labels.js");
  const columns = { low: lows, high: highs, open: lows, close: highs };
  const data = { first: 1, bucket: 1, count: lows.length, columns, indexOf: (bar) => bar - 1 };
  const range = { from: -0.5, to: lows.length - 0.5 };
  const groups = grouped(events, data, 0, lows.length - 1, spacing);
  const words = worded(groups, data, { range, spacing, height: 400, scale: extremes(data, range, []) }, 2);
  return groups.map((group) => ({ at: group.at, buys: group.buys, events: group.events.length,
    candles: group.candles.size, text: words.get(group) ?? "" }));
}"""
HEIGHT, BESIDE, BEYOND, LETTER = 400, 26, 25, 6


@pytest.fixture
def labels(page: Page):
    """A function that gives the marks of events on candles drawn `spacing` pixels apart."""
    page.goto("/")
    return lambda lows, highs, events, spacing: page.evaluate(
        LABELS, {"lows": lows, "highs": highs, "events": events, "spacing": spacing}
    )


def bought(bar: int, price: float = 20.0, size: int = 5) -> dict[str, Any]:
    """Return the event of a long trade that opens at `bar`."""
    return {"kind": "opened", "side": "long", "bar_number": bar, "price": price, "size": size}


def sold(bar: int, price: float = 20.0, size: int = 5) -> dict[str, Any]:
    """Return the event of a long trade that closes at `bar`."""
    return {"kind": "closed", "side": "long", "bar_number": bar, "price": price, "size": size}


def test_a_mark_with_room_says_what_was_traded_at_which_price(labels):
    (mark,) = labels([19.0] * 60, [21.0] * 60, [bought(30, 20.126)], 8)
    assert mark["text"] == "Buy 5 @ 20.13"


def test_neighbours_do_not_write_over_each_other(labels):
    marks = labels([19.0] * 60, [21.0] * 60, [bought(30), bought(32), bought(34)], 8)
    assert [mark["text"] for mark in marks] == ["", "", "Buy 5 @ 20.00"]


def test_the_fills_of_one_candle_share_a_mark_that_counts_them(labels):
    (mark,) = labels([19.0] * 60, [21.0] * 60, [bought(30, 20.0), bought(30, 20.5)], 8)
    assert mark["text"] == "×2"


@pytest.mark.parametrize("spacing", [0.5, 2.0, 3.0, 6.0, 9.0])
def test_every_event_is_in_a_mark_and_no_words_lie_on_a_candle(labels, spacing):
    rng = random.Random(7)
    closes = [100.0]
    for _ in range(399):
        closes.append(closes[-1] + rng.gauss(0, 1))
    lows, highs = [close - 1 for close in closes], [close + 1 for close in closes]
    events = [(bought if rng.random() < 0.5 else sold)(bar, closes[bar - 1]) for bar in range(3, 398, 3)]
    marks = labels(lows, highs, events, spacing)
    assert sum(mark["events"] for mark in marks) == len(events)
    assert any(mark["text"] for mark in marks)
    assert all(mark["candles"] == 1 for mark in marks) == (spacing >= 6)
    least, most = min(lows), max(highs)

    def y(price: float) -> float:
        return 0.1 * HEIGHT + BEYOND + (0.7 * HEIGHT - 2 * BEYOND) * (most - price) / (most - least)

    for mark in marks:
        if not mark["text"]:
            continue
        middle = y(lows[mark["at"]]) + BESIDE if mark["buys"] else y(highs[mark["at"]]) - BESIDE
        reach = int(len(mark["text"]) * LETTER / 2 / spacing)
        for i in range(max(0, mark["at"] - reach), min(399, mark["at"] + reach) + 1):
            assert y(highs[i]) >= middle + LETTER or y(lows[i]) <= middle - LETTER


def test_marks_that_were_joined_are_counted_on_the_page(page: Page, services: Services):
    deck = Deck(page, services).open(period="5y", params={"fast": 2, "slow": 4}, speed="instant")
    deck.until(lambda: deck.status == "finished", "the end")
    deck.press("f")
    note = page.locator("[data-thinned]")
    deck.until(lambda: "more trade marks" in note.inner_text(), "the count")
    deck.press("Home")
    deck.until(lambda: deck.bar == 0 and not note.is_visible(), "nothing to count before the first bar")
