"""The stream as our page meets it: frames, windows, panels, and every control in any order."""

from __future__ import annotations

import random
import re

import pytest

from tests.wire import Wire
from webapp import player
from webapp.windows import EVENTS

BARS = 122
CONFIG = {
    "symbol": "AAPL",
    "period": "6mo",
    "interval": "1d",
    "strategy": "sma_cross",
    "speed": "instant",
    "frames": True,
}
COLUMNS = ("time", "open", "high", "low", "close", "volume", "equity")
MARKED = ("opened", "reduced", "closed", "rejected")  # kinds of events in a window


class Chart:
    """What a page holds, built from messages alone; it complains about whatever does not fit."""

    def __init__(self, wire: Wire):
        self.wire = wire
        self.bars: dict[int, tuple] = {}
        self.events: dict[int, dict] = {}
        self.standing: dict[str, list] = {"orders": [], "open_trades": []}
        self.bar = 0
        self.furthest = 0
        self.html: dict[str, str] = {}
        self.stats: dict = {}
        self.status = ""
        self.completed = 0

    def read(self, kind: str, **fields) -> dict:
        """Take messages up to the next of a type that has these fields."""
        while True:
            message = self.wire.receive()
            self.take(message)
            if message["type"] == kind and message.items() >= fields.items():
                return message

    def settle(self) -> None:
        """Take messages until the playhead has come to rest and its statistics are there."""
        while self.stats.get("bar_number") != self.bar or self.status == "playing":
            self.take(self.wire.receive())

    def take(self, message: dict) -> None:
        getattr(self, f"take_{message['type']}", lambda _: None)(message)

    def take_frame(self, frame: dict) -> None:
        assert frame["bucket"] == 1
        assert len({len(frame[name]) for name in COLUMNS}) == 1
        if frame["reset"]:
            assert frame["thinned"] == {"events": 0, "trades": 0}
            self.bars.clear()
            self.events.clear()
        else:
            assert frame["from"] == self.bar + 1, "a frame that is appended follows the playhead"
        rows = zip(*(frame[name] for name in COLUMNS), *frame["indicators"].values(), strict=True)
        self.bars.update(enumerate(rows, start=frame["from"]))
        for event in frame["events"]:
            assert frame["from"] <= event["bar_number"] <= frame["to"]
            self.events[event["number"]] = event
        self.standing |= {name: frame[name] for name in ("orders", "open_trades") if name in frame}
        self.bar = frame["to"]
        self.furthest = max(self.furthest, self.bar)
        assert frame["bar_number"] == self.bar == max(self.bars, default=0)

    def take_stats(self, stats: dict) -> None:
        assert stats["bar_number"] == self.bar
        for name, text in stats.pop("html").items():
            self.swap(name, text)
        self.stats = stats

    def swap(self, name: str, text: str) -> None:
        """Put in a panel, or a part of one that is there."""
        part = re.compile(f"(<!--part {name}-->).*?(<!--/part-->)", re.DOTALL)
        whole = next((panel for panel, html in self.html.items() if part.search(html)), None)
        if whole is None:
            self.html[name] = text
        else:
            self.html[whole] = part.sub(lambda found: found[1] + text + found[2], self.html[whole])

    def take_state(self, state: dict) -> None:
        assert state["bar_number"] == self.bar
        self.status = state["status"]

    def take_complete(self, complete: dict) -> None:
        self.completed += 1

    def take_error(self, error: dict) -> None:
        raise AssertionError(error["message"])

    def page(self) -> dict:
        """Return all that the page shows; of the events, those that a window marks."""
        events = [event for event in self.events.values() if event["kind"] in MARKED]
        return {"bars": self.bars, "events": events, "html": self.html, "stats": self.stats} | self.standing


@pytest.fixture
def chart(ws_connect):
    """A function that opens the usual run, waiting before its first bar, and returns the page's model of it."""

    def start(**more) -> Chart:
        chart = Chart(ws_connect({"action": "start_backtest", "config": CONFIG | more, "paused": True}))
        chart.read("metadata")
        return chart

    return start


@pytest.fixture
def finished(chart) -> dict:
    """The page after an undisturbed run."""
    page = chart()
    page.wire.send({"action": "play"})
    page.read("complete")
    page.settle()
    return page.page()


def test_an_instant_run_comes_in_few_frames_and_completes_once(chart):
    page = chart()
    page.wire.send({"action": "play"})
    page.read("complete")
    assert sorted(page.bars) == list(range(1, BARS + 1))
    assert page.completed == 1
    assert set(page.html) >= {"stats", "position", "trades"}


def test_only_panels_that_changed_are_sent_again(chart):
    page = chart()
    page.wire.send({"action": "step", "bars": 5})
    page.settle()
    page.wire.send({"action": "step", "bars": 1})
    stats = page.wire.until("stats")[-1]
    assert "trades" not in stats["html"]  # nothing was traded yet


def test_pause_back_and_on_to_the_end_is_as_if_nothing_had_happened(chart, finished):
    page = chart(speed=100)
    page.wire.send({"action": "play"})
    page.read("frame")
    page.wire.send({"action": "pause"})
    page.read("state", status="paused")
    page.wire.send({"action": "step", "bars": -20})
    page.read("state")
    page.wire.send({"action": "play"})
    page.read("complete")
    page.settle()
    assert page.page() == finished


@pytest.mark.parametrize("seed", range(5))
def test_after_any_200_controls_the_page_is_that_of_an_undisturbed_run(chart, finished, seed):
    chance = random.Random(seed)
    page = chart(speed=50)
    for _ in range(200):
        page.wire.send(
            chance.choice(
                [
                    {"action": "play"},
                    {"action": "pause"},
                    {"action": "step", "bars": chance.randint(-30, 30)},
                    {"action": "seek", "bar": chance.randint(0, BARS)},
                    {"action": "speed", "value": chance.choice([0.25, 1, 5, 100, "instant"])},
                    {"action": "next_event"},
                    {"action": "previous_event"},
                    {"action": "restart"},
                    {"action": "end"},
                    {"action": "ack", "bar": page.bar},
                ]
            )
        )
        if chance.random() < 0.3:
            page.take(page.wire.receive())
    page.wire.send({"action": "pause_on"})
    page.wire.send({"action": "seek", "bar": 0})
    page.wire.send({"action": "speed", "value": "instant"})
    page.wire.send({"action": "ack", "bar": 0})
    page.wire.send({"action": "play"})
    page.wire.send({"action": "end"})
    page.read("state", status="finished", bar_number=BARS, speed="instant")
    page.settle()
    if not page.completed:
        page.read("complete")
    assert page.completed == 1
    assert page.page() == finished


def test_a_reset_holds_the_same_as_the_frames_before_it(chart):
    page = chart()
    page.wire.send({"action": "step", "bars": 60})
    page.read("state", bar_number=60)
    page.settle()
    appended = page.page()
    page.wire.send({"action": "seek", "bar": 60})
    assert page.read("frame")["reset"]
    page.settle()
    assert page.page() == appended


@pytest.mark.parametrize("bar", [2, 60, BARS])
def test_a_page_that_comes_back_stands_at_its_bar(chart, ws_connect, services, bar):
    before = chart()
    before.wire.send({"action": "seek", "bar": bar})
    before.read("state", bar_number=bar)
    before.settle()
    run = services.store.runs(1)[0].id
    again = {"action": "start_backtest", "run": run, "from_bar": bar, "frames": True, "window": True}
    after = Chart(ws_connect(again | {"paused": bar < BARS}))
    assert after.read("frame")["reset"]
    after.settle()
    assert after.page() == before.page()


@pytest.mark.parametrize("speed", [100, "instant"])
@pytest.mark.parametrize("bar", [1, 2, 60, BARS])
def test_a_frame_client_that_resumes_gets_the_bar_that_it_names_first_and_then_the_rest(
    ws_connect, services, finished, bar, speed
):
    run = services.store.runs(1)[0].id
    again = {"action": "start_backtest", "run": run, "from_bar": bar, "frames": True, "speed": speed}
    frames = [m for m in ws_connect(again).until("complete") if m["type"] == "frame"]
    assert (frames[0]["from"], frames[0]["to"], frames[0]["reset"]) == (bar, bar, False)
    assert [tuple(frames[0][name][0] for name in COLUMNS)] == [finished["bars"][bar][: len(COLUMNS)]]
    events = [event for event in finished["events"] if event["bar_number"] == bar]
    assert [event for event in frames[0]["events"] if event["kind"] in MARKED] == events
    reached = bar - 1
    for frame in frames:
        assert frame["reset"] or frame["from"] == reached + 1
        reached = frame["to"]
    assert reached == BARS


def test_a_window_answers_with_what_was_played_and_no_more(chart):
    page = chart()
    page.wire.send({"action": "seek", "bar": 60})
    page.read("state", bar_number=60)
    page.wire.send({"action": "window", "from": 10, "to": BARS})
    window = page.read("window")
    assert (window["from"], window["to"], window["bucket"]) == (10, 60, 1)
    assert [tuple(window[name][0] for name in COLUMNS)] == [page.bars[10][: len(COLUMNS)]]


def test_no_message_holds_a_bar_beyond_the_playhead(chart):
    page = chart(speed=100)
    page.wire.send({"action": "play"})
    while not page.completed:
        message = page.wire.receive()
        page.take(message)
        for bar in _bars_in(message):
            assert bar <= max(page.furthest, page.bar)


def _bars_in(message) -> list[int]:
    """Return every bar that is named anywhere in a message."""
    if isinstance(message, list):
        return [bar for part in message for bar in _bars_in(part)]
    if not isinstance(message, dict):
        return []
    named = [
        v for k, v in message.items() if k in ("bar_number", "from", "to", "entry_bar", "exit_bar") and v is not None
    ]
    return named + [bar for part in message.values() for bar in _bars_in(part)]


def test_a_long_run_at_instant_is_sent_in_aggregates(ws_connect):
    config = CONFIG | {"symbol": "SYNTH:50000", "interval": "1m", "period": "max"}
    wire = ws_connect({"action": "start_backtest", "config": config})
    messages = wire.until("complete")
    frames = [message for message in messages if message["type"] == "frame"]
    starts = [number for number, frame in enumerate(frames) if frame["reset"]]
    shown = frames[starts[-1] :]  # what is appended to the last reset has candles of the same size
    assert (shown[0]["from"], shown[-1]["to"]) == (1, messages[0]["total_bars"])
    assert sum(len(frame["time"]) for frame in shown) <= 2000 + len(shown)
    assert {frame["bucket"] for frame in shown} == {32}
    assert max(len(frame["events"]) for frame in frames) <= EVENTS
    wire.send({"action": "window", "from": 20_001, "to": 21_000})
    window = wire.until("window")[-1]
    assert (window["from"], window["to"], window["bucket"]) == (20_001, 21_000, 1)


def test_a_pause_after_bundles_shows_single_bars(ws_connect):
    config = CONFIG | {"symbol": "SYNTH:50000", "interval": "1m", "period": "max", "speed": 100}
    wire = ws_connect({"action": "start_backtest", "config": config})
    frames = [message for message in wire.until("stats") if message["type"] == "frame"]
    assert frames[-1]["bucket"] == 8
    wire.send({"action": "pause"})
    messages = wire.until("state")
    assert messages[-1]["bucket"] == 1
    reset = [message for message in messages if message["type"] == "frame"][-1]
    assert (reset["reset"], reset["bucket"], reset["to"]) == (True, 1, messages[-1]["bar_number"])


def test_a_page_that_waits_for_a_slow_bar_is_told_so(ws_connect, folders, monkeypatch):
    monkeypatch.setattr(player, "SLOW", 0.05)
    code = "import time\nfrom engine import Strategy\nclass Slow(Strategy):\n  def next(self):\n"
    (folders["strategies"] / "slow.py").write_text(code + "    if len(self.data) == 7: time.sleep(1)\n")
    wire = ws_connect({"action": "start_backtest", "config": CONFIG | {"strategy": "slow"}})
    chart = Chart(wire)
    while (state := chart.read("state")).get("waiting", {}).get("bar") != 7:
        pass
    assert state["waiting"]["seconds"] > 0
    chart.read("complete")
    assert chart.bar == BARS


@pytest.mark.parametrize("back", [{"action": "restart"}, {"action": "seek", "bar": 0}])
def test_a_long_run_goes_back_before_its_first_bar(ws_connect, back):
    long = {"symbol": "SYNTH:20000", "interval": "1m", "period": "max", "speed": 100}
    wire = ws_connect({"action": "start_backtest", "config": CONFIG | long})
    while (shown := wire.until("frame")[-1])["bucket"] == 1:
        pass
    wire.send(back)
    while (shown := wire.until("frame")[-1])["to"]:
        pass
    assert shown["reset"] and shown["time"] == shown["equity"] == []
    if back["action"] == "restart":
        assert wire.until("frame")[-1]["to"]


@pytest.mark.parametrize("speed", [20, 100, "instant"])
@pytest.mark.parametrize("bars", [2_500, 30_000])
def test_any_controls_of_a_long_run_are_answered_and_its_columns_fit(ws_connect, bars, speed):
    chance = random.Random(bars)
    config = CONFIG | {"symbol": f"SYNTH:{bars}", "interval": "1m", "period": "max", "strategy": "donchian_breakout"}
    wire = ws_connect({"action": "start_backtest", "config": config | {"speed": speed}})
    for number in range(40):
        control = chance.choice(
            [
                {"action": "seek", "bar": chance.choice([0, 1, bars // 2, bars, chance.randint(0, bars)])},
                {"action": "step", "bars": chance.choice([-bars, -100, -1, 1, 100, bars])},
                {"action": "speed", "value": chance.choice([1, 20, 100, "instant"])},
                *({"action": action} for action in ("restart", "end", "play", "pause", "next_event", "previous_event")),
            ]
        )
        wire.send(control | {"id": number})
        answered = False
        while not answered:
            message = wire.receive()
            assert message["type"] != "error", (control, message)
            if message["type"] == "frame":
                columns = [message[name] for name in (*COLUMNS, "drawdown")] + [*message["indicators"].values()]
                assert {len(column) for column in columns} == {len(message["time"])}, control
            answered = message["type"] == "state" and message.get("id") == number and "seeking" not in message
