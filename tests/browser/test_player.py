"""The player: the journey of a run, and what the page shows at its bar."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import ConsoleMessage, Page, Route, WebSocket, expect

from tests.browser.deck import Deck
from webapp import Services, player, runs


@pytest.fixture
def deck(page: Page, services: Services) -> Deck:
    """A player page with htmx."""
    return Deck(page, services)


def test_the_journey_from_the_form_to_the_completion(page: Page):
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "info" else None)
    page.goto("/strategies")
    page.get_by_role("link", name=re.compile("^Test")).first.click()
    page.locator("[name=speed]").select_option("5") if page.locator("select[name=speed]").count() else None
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-progress-text]")).to_have_text(re.compile(r"bar [1-9]\d* / 122"))
    expect(page.locator("[data-source]")).to_have_text("bundled sample")
    expect(page.locator("[data-range]")).to_contain_text("2013-03-01")
    expect(page.locator("[data-notice]")).to_have_text("Completed: 122 bars.", timeout=20_000)
    expect(page.locator("[data-progress-text]")).to_have_text("bar 122 / 122")
    assert any("socket connected" in line for line in said)
    assert any("configuration sent" in line for line in said)
    assert "Tapedeck: 122 bars to come" in said


def test_candles_come_one_at_a_time(deck: Deck):
    deck.open(speed=0.25)
    seen = []
    while deck.bar < 25:
        seen.append(deck.candles)
        deck.page.evaluate("() => new Promise(requestAnimationFrame)")
    # How many come between two looks depends on the machine; in five seconds even a slow one looks several times.
    assert seen == sorted(seen) and len(set(seen)) > 3


def test_the_chart_holds_what_the_strategy_drew_and_did(deck: Deck):
    deck.open()
    deck.finish()
    shown = deck.shown()
    price, equity = shown["series"]
    candles, volume, fast, slow = price
    assert [len(candles), len(volume)] == [122, 122]
    assert [len(column) for column in equity] == [122] * 3  # equity, buy & hold, drawdown
    assert [len(fast), len(slow)] == [118, 108]  # their warm-up is left blank
    assert "SMA 5" in shown["legend"] and "SMA 15" in shown["legend"]
    words = [text for _, text, _ in shown["markers"] if text]  # where there is room
    assert words and all(re.fullmatch(r"((Buy|Sell) \d+ @ )?[\d.]+|×\d+", text) for text in words)
    times = [candle["time"] for candle in candles]
    assert all(time in times for time, _, _ in shown["markers"])


def test_the_statistics_change_while_it_plays(deck: Deck):
    deck.open()
    first = deck.page.locator("#headline").inner_text()
    deck.until(lambda: deck.page.locator("#headline").inner_text() != first, "other figures")


@pytest.mark.parametrize("undo", ["back", "seek"])
def test_going_back_and_playing_on_ends_as_if_one_had_not(deck: Deck, undo: str):
    deck.paused(80)
    if undo == "back":
        for _ in range(20):
            deck.press("ArrowLeft")
    else:
        deck.seek(60)
    deck.until(lambda: deck.bar == 60, "bar 60")
    deck.press("5")
    deck.press("k")
    deck.until(lambda: deck.status == "finished", "the end")
    deck.press("f")
    deck.settle()
    walked = deck.shown()
    assert walked == undisturbed(deck)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_walk_of_200_controls_ends_as_if_there_had_been_none(deck: Deck, seed: int):
    deck.open()
    walk = random.Random(seed)
    arrows = ["ArrowLeft", "ArrowRight", "Control+ArrowLeft", "Control+ArrowRight", "ArrowUp", "ArrowDown"]
    keys = [*arrows, "k", " ", "n", "p", "1", "3", "5", "9", "Home", "End", "l", "f", "slider"]
    for _ in range(200):
        if (key := walk.choice(keys)) == "slider":
            deck.page.locator("[data-seek]").evaluate(
                "(input, bar) => { input.value = bar; input.dispatchEvent(new Event('input')); }", walk.randint(0, 122)
            )
        else:
            deck.press(key)
        deck.page.evaluate("() => new Promise(requestAnimationFrame)")
    deck.press("3")
    deck.finish()
    deck.press("f")  # marks are drawn for what is in view
    deck.settle()
    walked = deck.shown()
    assert walked == undisturbed(deck)


def undisturbed(deck: Deck) -> dict:
    """Play a new run of the same configuration to its end and return what the page shows."""
    other = Deck(deck.page, deck.services).open()
    other.finish()
    other.press("f")
    other.settle()
    return other.shown()


def test_at_bar_k_the_page_is_that_of_a_run_that_has_come_to_bar_k(deck: Deck):
    deck.paused(70)
    straight = deck.shown()
    deck.finish()
    deck.seek(70)
    assert deck.shown() == straight
    assert deck.candles == 70


def test_nothing_later_than_the_playhead_is_in_the_page(deck: Deck):
    deck.open()
    deck.finish()
    deck.seek(50)
    latest = deck.shown()["series"][0][0][-1]["time"]
    assert deck.candles == 50
    assert all(time <= latest for time, _, _ in deck.shown()["markers"])
    bars = deck.page.eval_on_selector_all(
        "[data-bar-number]", "rows => rows.map((row) => Number(row.dataset.barNumber))"
    )
    assert all(bar <= 50 for bar in bars)
    assert deck.page.locator(".summary").is_hidden()


def test_a_reload_opens_at_the_bar_where_it_was_left(deck: Deck):
    deck.paused(47)
    before = deck.shown()
    deck.page.reload()
    deck.until(lambda: deck.bar == 47, "bar 47 again")
    expect(deck.page.locator("[data-notice]")).to_have_text("Opened at bar 47, where you left it.")
    deck.settle()
    assert deck.shown() == before
    assert deck.status == "paused"


def test_a_lost_connection_comes_back_at_the_same_bar(deck: Deck):
    deck.page.add_init_script("""
        const Real = WebSocket;
        window.WebSocket = class extends Real { constructor(...args) { super(...args); window.line = this; } };
    """)
    deck.paused(40)
    before = deck.shown()
    deck.page.evaluate("() => window.line.close(4001)")
    expect(deck.page.locator("[data-notice]")).to_have_text("Connected again, at bar 40.")
    deck.settle()
    assert deck.shown() == before


def test_the_line_is_opened_while_the_player_still_loads(page: Page, services: Services):
    opened: list[WebSocket] = []
    heard: list[str] = []
    held: list[Route] = []

    def listen(line: WebSocket) -> None:
        opened.append(line)
        line.on("framereceived", lambda text: heard.append(str(text)))

    page.on("websocket", listen)
    page.route("**/player.js", lambda route: held.append(route))
    deck = Deck(page, services)
    deck.run = runs.create(services, {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross"}).id
    page.goto(f"/runs/{deck.run}", wait_until="commit")
    deck.until(lambda: held and any('"frame"' in text[:40] for text in heard), "the first bar to come")
    assert deck.bar == 0
    held[0].continue_()
    deck.until(lambda: deck.bar > 30, "the player to play on")
    assert len(opened) == 1
    count = "() => window.tapedeckChart?.panes[0].handler.series.data().length ?? 0"
    deck.until(lambda: deck.page.evaluate(count) >= 30, "the chart")


def test_a_run_that_is_opened_in_a_hidden_tab_plays_on(page: Page, services: Services):
    page.add_init_script("Object.defineProperty(Document.prototype, 'hidden', { get: () => true })")
    held: list[Route] = []
    page.route("**/player.js", lambda route: held.append(route))
    heard: list[str] = []
    page.on("websocket", lambda line: line.on("framereceived", lambda text: heard.append(str(text))))
    deck = Deck(page, services)
    deck.run = runs.create(services, {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross"}).id
    page.goto(f"/runs/{deck.run}", wait_until="commit")
    deck.until(lambda: held and any('"frame"' in text[:40] for text in heard), "the first bar to come")
    held[0].continue_()
    deck.until(lambda: deck.status == "finished", "the run to be played to its end")


def test_a_fault_of_the_server_is_shown_and_not_tried_for_ever(deck: Deck, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    opened = []
    deck.page.on("websocket", lambda socket: opened.append(socket))
    monkeypatch.setattr(player.Player, "_send_frame", fail)
    deck.open(wait=False)
    expect(deck.page.locator("[data-failure]")).to_contain_text("Something went wrong on the server")
    assert deck.status == "failed"
    assert len(opened) == 3


def test_without_the_cdn_the_page_plays_and_swaps_by_itself(page_without_cdn: Page, services: Services):
    deck = Deck(page_without_cdn, services).open()
    assert not deck.page.evaluate("() => Boolean(window.htmx)")
    deck.finish()
    assert "Trades" in deck.page.locator("#stats").inner_text()
    assert deck.page.locator("#trades tr[data-trade]").count() > 0


def test_with_and_without_htmx_the_panels_are_the_same(new_page: Callable[..., Page], services: Services):
    panels = []
    for cdn in (True, False):
        deck = Deck(new_page(cdn=cdn), services).open()
        deck.finish()
        deck.seek(60)
        deck.finish()
        panels.append(deck.shown()["panels"])
    assert panels[0] == panels[1]


def test_a_strategy_that_fails_shows_its_file_and_line_and_what_was_played(
    page: Page, services: Services, folders: dict
):
    (folders["strategies"] / "fragile.py").write_text(
        "from engine import Strategy\n\n\nclass Fragile(Strategy):\n    def init(self):\n        pass\n\n"
        "    def next(self):\n        if len(self.data) == 30:\n            raise ValueError('the thirtieth bar')\n"
    )
    deck = Deck(page, services).open(strategy="fragile", params={}, speed=10)
    failure = page.locator("[data-failure]")
    expect(failure).to_be_visible()
    expect(failure).to_contain_text("the thirtieth bar")
    expect(failure).to_contain_text("fragile.py, line 10")
    assert 28 <= deck.candles <= 30
    assert deck.status == "failed"


def test_an_unknown_run_is_told(page: Page, forgive: Callable[[Page, str], None]):
    forgive(page, "404")
    page.goto("/runs/AAAAAAAAAAAAAAAAAAAAAA")
    expect(page.locator("main")).to_contain_text("No run is stored under this address")


def test_the_finished_run_offers_what_comes_next(deck: Deck):
    deck.open()
    deck.finish()
    summary = deck.page.locator(".summary")
    notice = deck.page.locator("[data-notice]")
    expect(summary).to_be_visible()
    expect(notice).to_have_text("Completed: 122 bars.")
    for name, kind in (("trades (CSV)", "csv"), ("equity (CSV)", "csv"), ("run (JSON)", "json")):
        with deck.page.expect_download() as download:
            summary.get_by_role("link", name=name).click()
        assert download.value.suggested_filename.endswith(kind)
    again = summary.get_by_role("link", name="Change a parameter and run again")
    assert "params.fast=5" in (again.get_attribute("href") or "")
    summary.get_by_role("button", name="Play again").click()
    deck.until(lambda: deck.status == "playing" and deck.bar < 60, "the first bars again")
    expect(summary).to_be_hidden()
    expect(notice).to_be_hidden()


def test_a_click_on_a_trade_takes_the_playhead_to_it_and_keeps_the_zoom(deck: Deck):
    deck.open()
    deck.finish()
    before = deck.view
    row = deck.page.locator("#trades tr[data-trade]").last
    bar = int(row.get_attribute("data-bar-number") or 0)
    row.get_by_role("button", name="Go to the entry").click()
    deck.until(lambda: deck.bar == bar, f"bar {bar}")
    span = deck.view
    assert span["to"] - span["from"] == pytest.approx(before["to"] - before["from"])


def test_the_axis_of_the_equity_pane_rounds_as_the_legend_does(deck: Deck):
    deck.paused(5)
    label = """(value) => {
      const [equity] = window.tapedeckChart.panes.at(-1).series;
      return (equity.series ?? equity).priceFormatter().format(value);
    }"""
    assert [deck.page.evaluate(label, value) for value in (11_729.67, 11_729.4)] == ["11730", "11729"]


def test_a_click_on_the_equity_pane_takes_the_playhead_there(deck: Deck):
    deck.open()
    deck.finish()
    box = deck.page.locator("[data-chart]").bounding_box()
    assert box
    deck.page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] - 70)
    deck.until(lambda: 20 < deck.bar < 90, "a bar in the middle")


def test_a_step_moves_nothing_but_the_newest_bar(deck: Deck):
    deck.paused(60)
    before = deck.view
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "Control+ArrowRight"):
        at = deck.bar
        deck.press(key)
        deck.until(lambda at=at: deck.bar != at, "a step")  # type: ignore[misc]
        deck.settle()
        assert deck.view == pytest.approx(before)


def test_the_view_stays_where_the_user_panned_until_asked_back(deck: Deck):
    deck.paused(400, period="5y")
    box = deck.page.locator("[data-chart]").bounding_box()
    assert box
    button = deck.page.locator(".newest")
    expect(button).to_be_hidden()
    deck.page.mouse.move(box["x"] + 200, box["y"] + 100)
    deck.page.mouse.down()
    deck.page.mouse.move(box["x"] + 900, box["y"] + 100, steps=8)
    deck.page.mouse.up()
    expect(button).to_be_visible()
    before = deck.view
    deck.press("ArrowRight")
    deck.until(lambda: deck.bar == 401, "a step")
    deck.settle()
    assert deck.view == pytest.approx(before)
    button.click()
    expect(button).to_be_hidden()
    deck.until(lambda: deck.view["to"] >= deck.candles - 1, "the newest bar in view")


def test_the_view_stays_where_it_was_panned_while_the_run_plays_on(page: Page, services: Services):
    deck = Deck(page, services).paused(300, symbol="SYNTH:5000", interval="1m", period="max", params={})
    box = page.locator("[data-chart]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 900, box["y"] + 100, steps=8)
    page.mouse.up()
    expect(page.locator(".newest")).to_be_visible()
    deck.settle()
    seen, time = deck.times, page.locator("[data-time]").inner_text()
    deck.press("6")
    deck.press("k")
    deck.until(lambda: deck.bar > 1200, "more bars than the chart holds")
    # The edges lie between bars, and may be named after either of the two when older ones have left the chart.
    assert {edge: abs(at - seen[edge]) <= 60 for edge, at in deck.times.items()} == {"from": True, "to": True}
    assert page.locator("[data-time]").inner_text() != time
    deck.press("k")
    deck.press("l")
    deck.until(lambda: deck.times["to"] > seen["to"] and deck.status == "paused", "the newest bar")


def test_a_long_run_is_drawn_in_aggregates_that_add_up(page: Page, services: Services):
    deck = Deck(page, services).open(symbol="SYNTH:50000", interval="1m", period="max", speed="instant", params={})
    deck.until(lambda: deck.status == "finished", "the end")
    deck.settle()
    candles, volume = deck.shown()["series"][0][:2]
    assert len(candles) <= 2000
    bars = services.store.bars(services.store.run(deck.run))
    assert sum(point["value"] for point in volume) == pytest.approx(bars.volume.sum())
    assert max(candle["high"] for candle in candles) == pytest.approx(bars.high.max())
    assert candles[-1]["close"] == pytest.approx(bars.close[-1])


def test_zooming_out_fetches_older_bars_and_zooming_in_finer_ones(page: Page, services: Services):
    deck = Deck(page, services).paused(30_000, symbol="SYNTH:50000", interval="1m", period="max", params={})
    box = page.locator("[data-chart]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 700, box["y"] + 100)
    note = page.locator("[data-legends]")

    def wheel(by: int, until: Callable[[str], bool]) -> None:
        def met() -> bool:
            if until(note.inner_text()):
                return True
            page.mouse.wheel(0, by)
            page.evaluate("() => new Promise((done) => setTimeout(done, 60))")
            return False

        deck.until(met, "another aggregation")

    wheel(300, lambda text: bool(re.search(r"\d+ bars a candle", text)))
    wheel(-300, lambda text: "bars a candle" not in text)
    assert deck.bar == 30_000


def test_the_console_names_what_was_sent(deck: Deck):
    messages: list[ConsoleMessage] = []
    deck.page.on("console", lambda message: messages.append(message))
    deck.open()
    sent = next(message for message in messages if "configuration sent" in message.text)
    assert sent.args[1].json_value()["symbol"] == "AAPL"


def test_the_form_offers_the_last_speed(deck: Deck):
    deck.open()
    deck.press("7")
    expect(deck.page.locator("[data-speed]")).to_have_value("25")
    deck.page.goto("/")
    expect(deck.page.locator("select[name=speed]")).to_have_value("25")
    deck.page.goto("/?speed=2")
    expect(deck.page.locator("select[name=speed]")).to_have_value("2")
