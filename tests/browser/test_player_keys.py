"""The key sheet: every key does what it says, has a button, and rests while one types."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.deck import Deck
from webapp import Services


@pytest.fixture
def deck(page: Page, services: Services) -> Deck:
    """A run of 122 bars, at rest at bar 60."""
    return Deck(page, services).paused(60)


@pytest.mark.parametrize("key", [" ", "k"])
def test_space_and_k_play_and_pause(deck: Deck, key: str):
    deck.press(key)
    deck.until(lambda: deck.status == "playing" and deck.bar > 62, "play")
    deck.press(key)
    deck.until(lambda: deck.status == "paused", "pause")


@pytest.mark.parametrize(
    ("key", "bars"),
    [
        ("ArrowRight", 1), ("ArrowLeft", -1), ("Shift+ArrowRight", 1), ("Shift+ArrowLeft", -1),
        ("Control+ArrowRight", 10), ("Control+ArrowLeft", -10), ("Meta+ArrowRight", 10), ("Meta+ArrowLeft", -10),
    ],
)  # fmt: skip
def test_arrows_step(deck: Deck, key: str, bars: int):
    deck.press(key)
    deck.until(lambda: deck.bar == 60 + bars, "the step")


def test_a_step_pauses(deck: Deck):
    deck.press("k")
    deck.until(lambda: deck.bar > 62, "play")
    deck.press("ArrowRight")
    deck.until(lambda: deck.status == "paused", "a pause")


def test_n_and_p_travel_between_trade_events(deck: Deck):
    deck.press("n")
    deck.until(lambda: deck.bar > 60, "a later trade event")
    later = deck.bar
    assert later in marked(deck)
    deck.press("p")
    deck.until(lambda: deck.bar < later, "an earlier trade event")
    assert deck.bar in marked(deck)


def marked(deck: Deck) -> set[int]:
    """Return the bars of the newest trade's entries and exits, as the list has them."""
    deck.settle()
    return set(
        deck.page.eval_on_selector_all(
            "#trades [data-bar-number]", "all => all.map((one) => Number(one.dataset.barNumber))"
        )
    )


def test_up_and_down_change_the_speed(deck: Deck):
    speed = deck.page.locator("[data-speed]")
    for key, value in (
        ("ArrowUp", "2"),
        ("ArrowUp", "5"),
        ("ArrowDown", "2"),
        ("ArrowDown", "1"),
        ("ArrowDown", "0.5"),
    ):
        deck.press(key)
        expect(speed).to_have_value(value)


def test_an_answer_that_crosses_a_newer_key_changes_nothing(page: Page, services: Services):
    held: list[Callable[[], None]] = []
    holding = False

    def relay(line: WebSocketRoute) -> None:
        def back(text: str | bytes) -> None:
            if holding and json.loads(text)["type"] == "state":
                held.append(lambda: line.send(text))
            else:
                line.send(text)

        line.connect_to_server().on_message(back)

    page.route_web_socket("**/ws/backtest/stream/", relay)
    deck = Deck(page, services).paused(60, params={})
    holding = True
    for key in ("ArrowUp", "ArrowUp", "k", "k"):
        deck.press(key)
    deck.until(lambda: len(held) == 4, "the answers")
    held[0]()  # speed 2
    held[2]()  # playing
    deck.press("ArrowDown")
    expect(page.locator("[data-speed]")).to_have_value("2")
    deck.press("k")
    deck.until(lambda: deck.status == "playing" and len(held) == 6, "play")
    holding = False
    for answer in held[3:]:
        answer()
    deck.until(lambda: deck.status == "playing" and deck.bar > 65, "play")
    expect(page.locator("[data-speed]")).to_have_value("2")


@pytest.mark.parametrize(
    ("key", "speed"),
    list(zip("123456789", ["0.25", "0.5", "1", "2", "5", "10", "25", "50", "100"], strict=True)),
)
def test_digits_are_speeds(deck: Deck, key: str, speed: str):
    deck.press(key)
    expect(deck.page.locator("[data-speed]")).to_have_value(speed)


def test_home_and_end(deck: Deck):
    deck.press("Home")
    deck.until(lambda: deck.bar == 0, "the start")
    deck.press("End")
    deck.until(lambda: deck.bar == 122 and deck.status == "finished", "the end")


@pytest.mark.parametrize(("typed", "bar"), [("90", 90), ("2012-11-09", 47), ("2013-03-01", 122), ("1,2", 12)])
def test_g_goes_to_a_bar_or_a_date(deck: Deck, typed: str, bar: int):
    deck.press("g")
    deck.page.get_by_role("textbox", name="Bar number or date").fill(typed)
    deck.page.keyboard.press("Enter")
    deck.until(lambda: deck.bar == bar, f"bar {bar}")


@pytest.mark.parametrize(
    ("typed", "word"), [("123", "There are 122 bars"), ("tomorrow", "such as 2013-01-15"), ("2013-02-31", "a date")]
)
def test_g_says_what_is_wrong_with_a_place(deck: Deck, typed: str, word: str):
    deck.press("g")
    deck.page.get_by_role("textbox", name="Bar number or date").fill(typed)
    deck.page.get_by_role("button", name="Go", exact=True).click()
    expect(deck.page.locator("[data-goto-error]")).to_contain_text(word)
    assert deck.bar == 60


def test_l_follows_the_newest_bar_again_and_f_fits(page: Page, services: Services):
    deck = Deck(page, services).paused(400, period="5y")
    box = page.locator("[data-chart]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 900, box["y"] + 100, steps=8)
    page.mouse.up()
    expect(page.locator(".newest")).to_be_visible()
    deck.press("l")
    expect(page.locator(".newest")).to_be_hidden()
    deck.until(lambda: deck.view["to"] > 399, "the newest bar")
    deck.press("f")
    deck.until(lambda: deck.view["from"] <= 0 and deck.view["to"] >= 399, "all bars in view")


def test_the_question_mark_opens_the_key_sheet(deck: Deck):
    deck.press("?")
    sheet = deck.page.get_by_role("dialog", name="Keyboard")
    expect(sheet).to_be_visible()
    deck.press("ArrowRight")  # keys rest while a dialog is open
    deck.press("Escape")
    expect(sheet).to_be_hidden()
    assert deck.bar == 60


def test_keys_rest_while_a_field_has_the_focus(deck: Deck):
    deck.page.locator("[data-sort]").focus()
    for key in ("k", "ArrowRight", "n", "5"):
        deck.press(key)
    deck.settle()
    assert (deck.bar, deck.status) == (60, "paused")


def test_every_key_has_a_button_with_a_name(deck: Deck):
    names = (
        "To the first bar", "Step back", "Play", "Step forward", "Next trade event", "Previous trade event",
        "Run to the end", "Go to a bar number or date", "Pause on conditions", "Fit the chart",
        "Back to the newest bar and follow", "Keyboard shortcuts",
    )  # fmt: skip
    for name in names:
        expect(deck.page.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(deck.page.get_by_label("Speed")).to_be_visible()
    expect(deck.page.get_by_label("Playhead, bar")).to_be_visible()


def test_the_buttons_do_what_the_keys_do(deck: Deck):
    button = lambda name: deck.page.get_by_role("button", name=name, exact=True)  # noqa: E731
    for name, bar in (("Step forward", 61), ("Step back", 60), ("To the first bar", 0), ("Run to the end", 122)):
        button(name).click()
        deck.until(lambda bar=bar: deck.bar == bar, name)  # type: ignore[misc]


def test_many_clicks_a_second_end_where_they_should(deck: Deck):
    for _ in range(40):
        deck.press("ArrowRight")
    deck.until(lambda: deck.bar == 100, "forty steps")
    for _ in range(60):
        deck.press("ArrowLeft")
    deck.until(lambda: deck.bar == 40, "sixty steps back")


def test_playback_pauses_on_an_entry_when_told_to(deck: Deck):
    deck.seek(0)
    deck.page.get_by_role("button", name="Pause on conditions").click()
    deck.page.get_by_label("an entry").check()
    deck.page.get_by_role("button", name="Apply").click()
    deck.press("5")
    deck.press("k")
    deck.until(lambda: deck.status == "paused" and deck.bar > 0, "a pause")
    expect(deck.page.locator("[data-notice]")).to_contain_text("on an entry")
    deck.settle()
    assert deck.page.locator("#trades tr.open").count() == 1
