"""What the page's chart is sent, in columns."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from engine import Simulation
from engine.playback import Playhead
from engine.strategies.sma_cross import SmaCross
from tests import build
from webapp import protocol
from webapp.windows import CANDLES, MARKS, Windows

N = 20_000


@pytest.fixture(scope="module")
def tape():
    """A long run, played to its end, with many trades."""
    simulation = Simulation(build.random_bars(N, step=60), SmaCross, {"fast": 2, "slow": 5}, cash=1e6, commission=0)
    simulation.advance(N)
    return simulation.tape


def windows(tape, bar: int, speed=1.0, playing=True) -> Windows:
    """Return the chart of a page whose playhead came to `bar`."""
    head = Playhead(speed, playing=playing)
    head.begin(lambda: 0.0, len(tape.bars))
    head.advance(bar)
    return Windows(tape, head)


def wire(message: dict) -> dict:
    """Return a message as the page reads it."""
    return orjson.loads(protocol.dumps(message))


def test_new_bars_come_in_columns_with_their_events(tape):
    frame = wire(windows(tape, 110).append(100, 110))
    assert (frame["from"], frame["to"], frame["bucket"], frame["reset"]) == (101, 110, 1, False)
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert frame[name] == getattr(tape.bars, name)[100:110].tolist()
    assert frame["equity"] == pytest.approx(tape.equity(100, 110), abs=1e-4)
    assert {name: len(column) for name, column in frame["indicators"].items()} == {i.name: 10 for i in tape.indicators}
    assert [event["number"] for event in frame["events"]] == list(tape.events.between(100, 110))


def test_a_value_that_is_not_there_is_null(tape):
    frame = wire(windows(tape, 3).append(0, 3))
    assert [column[0] for column in frame["indicators"].values()] == [None, None]


@pytest.mark.parametrize("bar", [1, 7, 1999, 2000, 2001, 12_345, N])
def test_a_reset_ends_at_the_playhead_and_holds_at_most_2000_candles(tape, bar):
    frame = wire(windows(tape, bar, playing=False).reset(1))
    assert frame["to"] == frame["bar_number"] == bar
    assert frame["from"] == max(1, bar - CANDLES + 1)
    assert frame["time"] == tape.bars.time[frame["from"] - 1 : bar].tolist()


def test_a_reset_reads_no_event_beyond_the_playhead(tape, monkeypatch):
    chart, read = windows(tape, 100, playing=False), []
    chart.book.catch_up()
    row = type(tape.events).row
    monkeypatch.setattr(type(tape.events), "row", lambda events, number: read.append(number) or row(events, number))
    chart.reset(1)
    assert read
    assert max(read) < tape.events.between(0, 100).stop


@pytest.mark.parametrize("bucket", [2, 8, 64])
@pytest.mark.parametrize("bar", [5, 9_999, 16_384, N])
def test_a_candle_of_several_bars_is_honest(tape, bar, bucket):
    frame = wire(windows(tape, bar).reset(bucket))
    assert (frame["from"] - 1) % bucket == 0
    assert len(frame["time"]) <= CANDLES
    bars, indicator = tape.bars, tape.indicators[0]
    for i in range(len(frame["time"])):
        a = frame["from"] - 1 + i * bucket
        b = min(a + bucket, bar)
        assert frame["time"][i] == bars.time[a]
        assert (frame["open"][i], frame["close"][i]) == (bars.open[a], bars.close[b - 1])
        assert (frame["high"][i], frame["low"][i]) == (bars.high[a:b].max(), bars.low[a:b].min())
        assert frame["volume"][i] == pytest.approx(bars.volume[a:b].sum())
        assert frame["equity"][i] == pytest.approx(tape.equity(b - 1, b)[0], abs=1e-4)
        value = frame["indicators"][indicator.name][i]
        assert value is None or value == pytest.approx(indicator.values[b - 1], abs=1e-3)


def test_bundled_frames_repeat_the_candle_that_grew_and_no_event(tape):
    chart = windows(tape, 1000, speed=100)
    chart.reset(8)
    first, second = wire(chart.append(1000, 1067)), wire(chart.append(1067, 1134))
    assert (first["from"], first["to"], second["from"], second["to"]) == (1001, 1067, 1065, 1134)
    assert second["high"][0] >= first["high"][-1]
    numbers = [event["number"] for frame in (first, second) for event in frame["events"]]
    assert numbers == list(tape.events.between(1000, 1134))


def test_the_deepest_drawdown_of_each_candle_is_measured_from_the_whole_run(tape):
    frame = wire(windows(tape, N).reset(16))
    equity = tape.equity(0, N)
    fall = 100 * (equity / np.maximum.accumulate(equity) - 1)
    start = frame["from"] - 1
    assert frame["drawdown"] == pytest.approx([fall[a : a + 16].min() for a in range(start, N, 16)], abs=1e-4)


def test_marks_are_thinned_with_a_count(tape):
    answer = wire(windows(tape, N).stretch(1, N))
    marked = [e.number for e in tape.events if e.kind in ("opened", "reduced", "closed", "rejected", "ruin")]
    assert len(marked) > MARKS
    assert len(answer["events"]) == MARKS
    assert len(answer["events"]) + answer["thinned"]["events"] == len(marked)
    assert len(answer["trades"]) + answer["thinned"]["trades"] == len([t for t in tape.trades() if not t.is_open])
    assert {event["number"] for event in answer["events"]} <= set(marked)


def test_nothing_is_thinned_where_there_is_room(tape):
    answer = wire(windows(tape, N).stretch(5000, 5100))
    assert answer["thinned"] == {"events": 0, "trades": 0}
    assert (answer["from"], answer["to"], answer["bucket"]) == (5000, 5100, 1)


@pytest.mark.parametrize(("first", "last"), [(1, 2000), (1, 2001), (2, 4001), (7, 19_999), (1, N), (19_999, N)])
def test_a_window_holds_what_was_asked_for_in_at_most_2000_candles(tape, first, last):
    answer = wire(windows(tape, N).stretch(first, last))
    assert answer["from"] <= first
    assert answer["to"] == last
    assert len(answer["time"]) <= CANDLES
    assert first - answer["from"] < answer["bucket"]


def test_a_window_never_reaches_beyond_the_playhead(tape):
    chart = windows(tape, 500)
    chart.head.advance(300)
    assert chart.stretch(1, N)["to"] == 300
    assert wire(chart.stretch(400, N))["time"] == []


def test_a_frame_tells_what_stands_at_its_end(tape):
    frame = wire(windows(tape, 777, playing=False).reset(1))
    assert [trade["trade"] for trade in frame["open_trades"]] == [t.trade for t in tape.trades(777) if t.is_open]
    assert [order["order"] for order in frame["orders"]] == [order.order for order in tape.pending(777)]


@pytest.mark.parametrize(
    ("speed", "playing", "bar", "bucket"),
    [
        (1, True, 5000, 1),
        (10, True, 5000, 1),
        (25, True, 5000, 2),
        (50, True, 5000, 4),
        (100, True, 5000, 8),
        (100, False, 5000, 1),
        ("instant", True, 5000, 16),
        ("instant", True, N, 16),
        (1, True, N, 16),
    ],
)
def test_candles_hold_more_bars_where_the_screen_could_not_show_them(tape, speed, playing, bar, bucket):
    assert windows(tape, bar, speed, playing).wanted() == bucket


def test_a_short_run_is_never_bundled():
    simulation = Simulation(build.random_bars(1500), SmaCross, {})
    simulation.advance(1500)
    assert windows(simulation.tape, 700, 100).wanted() == 1


def test_a_chart_of_wide_candles_starts_anew_before_the_first_bar(tape):
    frame = wire(windows(tape, 0).reset(4))
    assert (frame["from"], frame["to"], frame["bucket"]) == (1, 0, 4)
    for name in ("time", "close", "equity", "drawdown"):
        assert frame[name] == []
    assert all(values == [] for values in frame["indicators"].values())
