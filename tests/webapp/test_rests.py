"""What a result rests on, as the chart and the panels show it: the band, doubtful trades, faults of the data."""

from __future__ import annotations

import numpy as np
import pytest

from engine.band import band
from engine.bars import Bars
from engine.playback import Playhead
from engine.simulation import Simulation
from engine.statistics import Live
from engine.strategy import Strategy
from engine.tape import Tape
from webapp import panels
from webapp.windows import Windows

DAY = 86_400
WIDE = 6  # the bar, from 0, that holds both stop and target
BARS = 12


class Once(Strategy):
    """Buys on bar 4 with a stop and a target that bar 7 holds both."""

    def next(self):
        if len(self.data) == 4:
            self.buy(size=10, sl=95, tp=105)


def bars(gap: int | None = None) -> Bars:
    close = np.full(BARS, 100.0)
    high, low = close + 1, close - 1
    high[WIDE], low[WIDE] = 110.0, 90.0
    time = np.arange(BARS) * DAY
    if gap is not None:
        time[gap:] += 20 * DAY
    volume = np.arange(1.0, BARS + 1)
    return Bars.from_columns(time, close, high, low, close, volume, interval="1d")


@pytest.fixture
def tape() -> Tape:
    return played(bars())


def played(some: Bars) -> Tape:
    simulation = Simulation(some, Once, cash=10_000.0)
    simulation.advance(len(some))
    return simulation.tape


def at(tape: Tape, bar: int) -> Windows:
    head = Playhead()
    head.bar = bar
    return Windows(tape, head)


def test_a_window_has_the_band_from_the_doubtful_bar_on(tape):
    window = at(tape, BARS).reset(1)
    expected = band(tape)
    assert window["equity_low"] == pytest.approx(expected.low)
    assert window["equity_high"] == pytest.approx(expected.high)
    assert window["equity_high"][-1] - window["equity_low"][-1] == pytest.approx(100)
    assert window["equity_high"][0] == window["equity_low"][0]


def test_before_the_doubtful_bar_there_is_no_band(tape):
    assert "equity_low" not in at(tape, WIDE).reset(1)


def test_bars_that_are_appended_have_the_band_of_a_window(tape):
    windows = at(tape, BARS)
    windows.reset(1)
    appended = [windows.append(bar, bar + 1) for bar in range(WIDE + 1, BARS)]
    assert [message["equity_low"][0] for message in appended] == pytest.approx(list(band(tape).low[WIDE + 1 :]))
    assert [message["equity_high"][0] for message in appended] == pytest.approx(list(band(tape).high[WIDE + 1 :]))


def test_a_new_doubt_is_a_reason_to_send_the_window_again(tape):
    windows = at(tape, WIDE)
    windows.reset(1)
    assert windows.fits(WIDE - 1, WIDE)
    windows.head.bar, windows.head.playing = WIDE + 1, False
    assert not windows.fits(WIDE, WIDE + 1)
    windows.reset(1)
    assert windows.fits(WIDE + 1, WIDE + 2)


def test_candles_of_several_bars_have_the_band_of_their_last_bar(tape):
    window = at(tape, BARS).reset(4)
    assert window["equity_low"] == pytest.approx(band(tape).low[[3, 7, 11]])


def test_a_doubtful_trade_is_told_as_one_and_flagged_in_the_list(app, tape):
    assert [trade["ambiguous"] for trade in at(tape, BARS).reset(1)["trades"]] == [True]
    with app.app_context():
        assert 'aria-label="ambiguous"' in panels.render(tape, Live(tape), BARS)["trades"]


def test_the_panel_says_what_the_result_rests_on(app, tape):
    with app.app_context():
        html = panels.render(tape, Live(tape), BARS)
        before = panels.render(tape, Live(tape), WIDE)
    assert "1 trade: too few to tell from luck" in html["confidence"]
    assert "rests on 1 ambiguous bar" in html["confidence"]
    assert f'data-bar-number="{WIDE + 1}"' in html["confidence"]
    assert "rests on 1 ambiguous bar" in html["summary"]
    assert "ambiguous" not in before["confidence"]


def test_faults_are_told_with_their_bars_and_none_beyond_the_playhead():
    gap = played(bars(gap=8))
    assert "faults" not in at(gap, 8).reset(1)
    (fault,) = at(gap, 9).reset(1)["faults"]
    assert (fault["bar"], fault["kind"]) == (9, "gap")
    assert "No bars between" in fault["text"]


def test_appended_bars_bring_their_faults_once():
    gap = played(bars(gap=8))
    windows = at(gap, 7)
    windows.reset(1)
    assert [len(windows.append(bar, bar + 1).get("faults", ())) for bar in range(7, BARS)] == [0, 1, 0, 0, 0]
