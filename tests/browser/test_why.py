"""Why: the panel that explains a bar, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.deck import Deck
from webapp import Services, runs


@pytest.fixture
def deck(page: Page, services: Services) -> Deck:
    """A player page with htmx."""
    return Deck(page, services)


def title(deck: Deck):
    return deck.page.locator("#why h2")


def about(deck: Deck, bar: int) -> None:
    expect(title(deck)).to_contain_text(f"Why at bar {bar}?")


def test_w_explains_the_playheads_bar(deck: Deck):
    deck.paused(60)
    deck.press("w")
    about(deck, 60)
    expect(deck.page.locator("#tab-why")).to_have_attribute("aria-selected", "true")
    expect(deck.page.locator("#why .verdict")).to_be_in_viewport()
    expect(deck.page.locator("#why .conditions").first).to_contain_text("crossover(self.fast_sma, self.slow_sma)")
    assert deck.page.locator("#why .source-lines tr.ran").count() >= 2


def test_w_while_it_plays_pauses_at_the_bar_that_it_explains(deck: Deck):
    deck.open()
    deck.press("w")
    deck.until(lambda: deck.status == "paused", "a pause")
    deck.until(lambda: title(deck).count() == 1, "an answer")
    deck.settle()
    about(deck, deck.bar)


def test_the_panel_follows_the_steps(deck: Deck):
    deck.paused(60)
    deck.press("w")
    about(deck, 60)
    deck.press("ArrowRight")
    about(deck, 61)
    deck.press("ArrowLeft")
    deck.press("ArrowLeft")
    about(deck, 59)


def test_a_click_on_a_bar_of_the_chart_explains_it(deck: Deck):
    deck.paused(60)
    place = deck.page.evaluate(
        """() => {
        const { handler } = window.tapedeckChart.panes[0];
        const box = document.querySelector("#container").getBoundingClientRect();
        return [box.left + handler.chart.timeScale().logicalToCoordinate(44), box.top + 60];
    }"""
    )
    deck.page.mouse.click(*place)
    about(deck, 45)
    assert deck.bar == 60


def test_the_answer_for_an_earlier_bar_tells_nothing_after_the_playhead(deck: Deck):
    deck.open()
    deck.finish()
    deck.seek(62)
    deck.press("w")
    about(deck, 62)
    bars = deck.page.eval_on_selector_all(
        "#why [data-why-bar]", "links => links.map((link) => Number(link.dataset.whyBar))"
    )
    assert all(bar <= 62 for bar in bars)


def test_a_near_miss_travels_to_its_bar_and_explains_it(deck: Deck):
    deck.open()
    deck.finish()
    deck.press("w")
    about(deck, 122)
    deck.page.locator("#why [data-why-survey]").first.click()
    expect(title(deck)).to_have_text("All conditions, bars 1 to 122")
    link = deck.page.locator("#why .misses a").first
    bar = int(link.get_attribute("data-why-bar") or 0)
    link.click()
    deck.until(lambda: deck.bar == bar, f"bar {bar}")
    about(deck, bar)


def test_a_trade_says_why_it_was_entered_and_left(deck: Deck):
    deck.open()
    deck.finish()
    deck.page.locator("button[data-why-trade='1']").click()
    expect(title(deck)).to_contain_text("Why trade 1?")
    ends = deck.page.locator("#why .why-columns section")
    expect(ends).to_have_count(2)
    expect(ends.first).to_contain_text("Entered on bar")
    expect(ends.first.locator(".conditions")).to_contain_text("crossover")
    assert deck.bar == 122  # the row's own click did not take the playhead away
    ends.first.locator("[data-why-bar]").click()
    expect(title(deck)).to_contain_text(re.compile(r"Why at bar \d+\?"))


def test_at_rest_each_row_of_the_list_says_why_it_was_entered_and_left(deck: Deck):
    deck.open()
    deck.finish()
    rows = deck.page.locator("#trades tr[data-trade]")
    lines = deck.page.locator("#trades .reason-row")
    expect(lines).to_have_count(rows.count())
    for line in lines.all():
        halves = line.locator(".half")
        expect(halves).to_have_count(2)
        expect(halves.first).to_contain_text(re.compile(r"crossover\(.+ now, .+ before"))
        expect(halves.first).to_contain_text(re.compile(r"bar \d+: Close [\d.]+ · SMA 5 [\d.]+ · SMA 15 [\d.]+"))
    order = [
        deck.page.evaluate("row => row.nextElementSibling.dataset.reasonOf", row.element_handle()) for row in rows.all()
    ]
    assert [key.split(":")[0] for key in order] == [row.get_attribute("data-trade") for row in rows.all()]


def test_a_trade_that_is_open_again_after_a_step_back_has_the_line_of_an_open_one(deck: Deck):
    deck.open()
    deck.finish()
    lines = deck.page.locator("#trades .reason-row")
    expect(lines).to_have_count(deck.page.locator("#trades tr[data-trade]").count())
    left = int(
        deck.page.locator("#trades tr:not(.open) td[data-bar-number]").first.get_attribute("data-bar-number") or 0
    )
    deck.seek(left - 1)
    expect(deck.page.locator("#trades tr.open + .reason-row .half").last).to_have_text("Outstill open")
    assert lines.count() == deck.page.locator("#trades tr[data-trade]").count()


def test_while_it_plays_no_reasons_are_asked_for(deck: Deck):
    asked: list[str] = []
    deck.page.on("request", lambda request: asked.append(request.url) if "/why/trades" in request.url else None)
    deck.open(period="5y")  # a minute of play
    deck.until(lambda: deck.page.locator("#trades tr[data-trade]").count() >= 2, "trades")
    assert deck.status == "playing" and not asked
    assert deck.page.locator(".reason-row").count() == 0
    deck.press("k")
    deck.until(lambda: len(asked) == 1, "the question")


def test_a_line_of_reasons_opens_all_of_them(deck: Deck):
    deck.open()
    deck.finish()
    line = deck.page.locator("#trades .reason-row").first
    line.locator(".half").first.click()
    expect(title(deck)).to_contain_text(re.compile(r"Why trade \d+\?"))
    assert deck.bar == 122


def test_before_the_first_bar_it_says_what_to_do(deck: Deck):
    deck.paused(5)
    deck.press("Home")
    deck.until(lambda: deck.bar == 0, "the start")
    deck.press("w")
    expect(deck.page.locator("#why")).to_have_text("Play the first bar, then ask why.")


def test_going_to_another_list_and_back_keeps_the_lists_alive(deck: Deck):
    deck.paused(60)
    deck.press("w")
    about(deck, 60)
    deck.page.locator("#tab-trades").click()
    deck.press("ArrowRight")
    deck.until(lambda: deck.bar == 61, "bar 61")
    expect(deck.page.locator("#trades")).to_be_visible()
    deck.page.locator("#tab-why").click()
    about(deck, 61)


def test_without_a_script_the_answer_is_a_page(new_page, services: Services):
    run = runs.create(services, {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross"}).id
    services.store.save_playhead(run, 80)
    page = new_page(java_script_enabled=False)
    page.goto(f"/runs/{run}/why")
    expect(page.locator("h1")).to_have_text("Why at bar 80")
    page.locator("[name=bar]").fill("41")
    page.get_by_role("button", name="Why?").click()
    expect(page.locator("h1")).to_have_text("Why at bar 41")
    page.get_by_role("link", name="All conditions").first.click()
    page.locator(".misses a").first.click()
    expect(page.locator("h1")).to_have_text(re.compile(r"Why at bar \d+"))


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_sticks_out(new_page, services: Services, theme: str, width: int):
    deck = Deck(new_page(viewport={"width": width, "height": 844}, color_scheme=theme), services)
    deck.paused(80, strategy="donchian_breakout", params={})
    deck.press("w")
    about(deck, 80)
    for selector in ("#why", "#why .conditions", "#why .verdict", "main"):
        wide, room = deck.page.eval_on_selector(selector, "box => [box.scrollWidth, box.clientWidth]")
        assert wide <= room + 1, selector
