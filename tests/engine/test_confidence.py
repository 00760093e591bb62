"""What a result rests on, compared with cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Simulation, Strategy
from engine.band import band, doubts
from engine.confidence import Confidence, break_even, intervals, sample
from engine.lib import crossover
from tests.build import bars, ohlc, random_bars


def played(data, strategy, **settings):
    simulation = Simulation(data, strategy, {}, **settings)
    simulation.advance(len(data))
    return simulation.tape


class Bracket(Strategy):
    """Buys ten on the second bar, stop 95, target 110."""

    def next(self):
        if len(self.data) == 2:
            self.buy(size=10, sl=95, tp=110)


QUIET = (100, 101, 99, 100)
BOTH = (100, 112, 94, 100)  # holds the stop and the target


def test_a_bar_with_stop_and_target_is_as_good_as_the_target_at_best():
    tape = played(ohlc(QUIET, QUIET, QUIET, BOTH, QUIET), Bracket)
    found = band(tape)
    assert found.low.tolist() == [10_000, 10_000, 10_000, 9_950, 9_950]  # 10 * (95 - 100): the stop, as it was taken
    assert found.high.tolist() == [10_000, 10_000, 10_000, 10_100, 10_100]  # 10 * (110 - 100)
    assert found.bars == [3]
    assert found.width == 150


def test_commission_is_charged_on_the_other_end_too():
    tape = played(ohlc(QUIET, QUIET, QUIET, BOTH, QUIET), Bracket, commission=0.01)
    assert band(tape).high[-1] == pytest.approx(10_000 + 100 - 10 - 11)  # 1 % of 1,000 in, of 1,100 out


def test_nothing_is_in_doubt_before_its_bar():
    tape = played(ohlc(QUIET, QUIET, QUIET, BOTH, QUIET), Bracket)
    assert doubts(tape, 3) == ()
    assert Confidence(tape).at(3)["doubt"] == ""
    assert band(tape, 0, 3).width == 0


def test_a_part_of_the_band_is_a_part_of_the_whole():
    tape = played(ohlc(QUIET, QUIET, QUIET, BOTH, QUIET, QUIET), Bracket)
    whole, part = band(tape), band(tape, 2, 6)
    assert part.high.tolist() == whole.high[2:].tolist()
    assert part.low.tolist() == whole.low[2:].tolist()


class LimitBracket(Strategy):
    """Buys ten at 98, stop 95, target 110."""

    def next(self):
        if len(self.data) == 2:
            self.buy(size=10, limit=98, sl=95, tp=110)


def test_a_limit_entry_whose_stop_lies_in_its_bar_may_have_been_stopped_there():
    tape = played(ohlc(QUIET, QUIET, (100, 101, 94, 100), QUIET, (100, 111, 99, 105), QUIET), LimitBracket)
    found = band(tape)
    assert tape.equity()[-1] == 10_120  # 10 * (110 - 98)
    assert found.low.tolist() == [10_000, 10_000, 9_970, 9_970, 9_970, 9_970]  # 10 * (95 - 98)
    assert found.high.tolist() == tape.equity().tolist()


def test_an_open_trade_may_have_been_stopped_in_its_first_bar():
    tape = played(ohlc(QUIET, QUIET, (100, 101, 94, 100), QUIET), LimitBracket)
    assert band(tape).low.tolist() == [10_000, 10_000, 9_970, 9_970]
    assert band(tape).high.tolist() == [10_000, 10_000, 10_020, 10_020]


class TwoTrades(Strategy):
    """A sure trade of 300 and a doubtful one of 10 * 3 at worst."""

    def next(self):
        if len(self.data) == 2:
            self.buy(size=10)
        elif len(self.data) == 4:
            self.position.close()
        elif len(self.data) == 6:
            self.buy(size=10, sl=127, tp=133)


def test_the_share_of_profit_that_rests_on_doubtful_bars_is_told():
    rise = ((100, 130, 100, 130), (130, 131, 129, 130), (130, 131, 129, 130))
    tape = played(
        ohlc(QUIET, QUIET, *rise, (130, 131, 129, 130), (130, 131, 129, 130), (130, 134, 126, 130)), TwoTrades
    )
    told = Confidence(tape).at()
    assert told["equity_low"] == 10_000 + 300 - 30
    assert told["equity_high"] == 10_000 + 300 + 30
    assert told["doubtful_share"] == pytest.approx(60 / 270)
    assert told["doubt"] == "22 % of the profit rests on 1 ambiguous bar"
    assert told["doubtful_bars"] == [7]


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        pnl = random.choice([30.0, -20.0], 60, p=[0.5, 0.5])
        found = intervals(pnl, 10_000, seed)
        held += found["win_rate_low"] <= 0.5 <= found["win_rate_high"]
    assert 180 <= held <= 200  # 95 % of 200 is 190


def test_intervals_narrow_as_trades_arrive():
    pnl = np.tile([30.0, -20.0, 10.0, -5.0], 2_000)
    widths = []
    for count in (20, 80, 320, 1_280, 5_120):
        found = intervals(pnl[:count], 10_000)
        widths.append(found["win_rate_high"] - found["win_rate_low"])
    assert widths == sorted(widths, reverse=True)
    # A fair coin's interval is 1.96 * sqrt(0.25 / n) to either side.
    assert widths[-1] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 5_120), rel=0.15)


def test_a_redrawn_account_never_falls_below_nothing():
    found = intervals(np.array([9_000.0, -9_500.0, 4_000.0, -6_000.0, 8_000.0, -9_000.0]), 10_000)
    assert -1 <= found["return_low"] <= found["return_high"]


def test_intervals_are_the_same_for_the_same_seed():
    pnl = np.arange(-10.0, 30.0)
    assert intervals(pnl, 10_000, 3) == intervals(pnl, 10_000, 3)


def test_undefined_intervals_are_none():
    assert set(intervals(np.array([5.0]), 10_000).values()) == {None}
    assert intervals(np.array([5.0, 6.0]), 10_000)["profit_factor_high"] is None  # nothing was lost


@pytest.mark.parametrize(
    ("pnl", "words"),
    [
        pytest.param(np.ones(18), "18 trades: too few to tell from luck", id="few"),
        pytest.param(np.tile([20.0, -19.0], 50), "100 trades: not to be told from luck", id="luck"),
        pytest.param(np.tile([20.0, -5.0], 50), "100 trades: more than luck would explain", id="skill"),
        pytest.param(np.tile([5.0, -20.0], 50), "100 trades: worse than bad luck would explain", id="worse"),
    ],
)
def test_a_sample_is_put_in_words(pnl, words):
    assert sample(len(pnl), intervals(pnl, 10_000)).startswith(words)


class Cross(Strategy):
    def init(self):
        self.fast = self.I(lambda c: c.rolling(5).mean(), self.data.Close.s)
        self.slow = self.I(lambda c: c.rolling(15).mean(), self.data.Close.s)

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy(size=20)
        elif crossover(self.slow, self.fast):
            self.position.close()


def test_the_break_even_of_fixed_sizes_is_exact():
    data = bars(100 + 10 * np.sin(np.arange(300) / 9) + np.arange(300) * 0.01)
    tape = played(data, Cross, commission=0.002)
    told = Confidence(tape).at()
    assert told["break_even"] > 0
    assert told["break_even_text"] == f"The run breaks even at a commission of {told['break_even'] * 100:.3g} %"
    again = played(data, Cross, commission=told["break_even"])
    closing = abs(again.position()[-1]) * data.close[-1] * told["break_even"]
    assert again.equity()[-1] - closing == pytest.approx(10_000, abs=1e-6)
    found = break_even(data, Cross, {}, {"commission": 0.002}, guess=told["break_even"], runs=20)
    assert found == pytest.approx(told["break_even"], abs=1e-4)


def test_a_run_that_lost_by_its_commission_is_not_told_of_a_profit():
    data = bars(100 + 10 * np.sin(np.arange(300) / 9))
    tape = played(data, Cross, commission=0.09)
    told = Confidence(tape).at()
    assert tape.equity()[-1] < 10_000 and 0 < told["break_even"] < 0.09
    assert "profit" not in told["break_even_text"]


class AllIn(Cross):
    def next(self):
        if crossover(self.fast, self.slow):
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()


@pytest.mark.parametrize("guess", [None, 0.001, 0.02, 0.09])
def test_the_break_even_found_by_running_is_one(guess):
    data = bars(100 + 10 * np.sin(np.arange(300) / 9) + np.arange(300) * 0.01)
    found = break_even(data, AllIn, {}, {"finalize_trades": True}, guess=guess, runs=30)
    assert 0 < found < 0.1
    dearer, cheaper = (
        played(data, AllIn, commission=found * part, finalize_trades=True).equity()[-1] for part in (1.05, 0.95)
    )
    assert dearer < 10_000 < cheaper


def test_a_run_without_trades_has_nothing_to_say():
    class Idle(Strategy):
        pass

    told = Confidence(played(random_bars(30), Idle)).at()
    assert told["trades"] == 0
    assert told["break_even"] is None
    assert told["sample"] == "0 trades: too few to tell from luck"


def test_a_bar_is_told_as_it_was_when_it_came():
    data = random_bars(300, seed=5)
    tape = played(data, Cross, commission=0.001)
    reader = Confidence(tape)
    reader.at()
    for bar in (60, 150, 299):
        alone = played(data[:bar], Cross, commission=0.001)
        assert reader.at(bar) == Confidence(alone).at()
