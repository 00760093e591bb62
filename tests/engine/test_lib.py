"""Lib: the helpers, and what optimising does."""

from math import inf

import numpy as np
import pandas as pd
import pytest

from engine import Backtest, Strategy, lib
from tests.build import frame, random_bars
from tests.engine.scripted import doing
from tests.parity.strategies import OURS, sma_cross


@pytest.mark.parametrize(
    ("one", "other", "crosses"),
    [
        ([1, 3], [2, 2], True),
        ([2, 3], [2, 2], False),
        ([1, 2], [2, 2], False),
        ([3, 1], [2, 2], False),
        ([1, 3], 2, True),
        (2, [3, 1], True),
        ([3], [2], False),
        (pd.Series([1, 3]), pd.Series([2, 2], index=[5, 6]), True),
    ],
)
def test_crossover_is_strict(one, other, crosses):
    assert lib.crossover(one, other) is crosses
    assert lib.cross(one, other) is crosses or lib.crossover(other, one)


def test_crossover_reads_series_as_it_reads_arrays():
    seen = []

    class Crossing(Strategy):
        def init(self):
            self.one = self.I(lambda: np.array(self.data.Close), name="one")
            self.two = self.I(lambda: np.array(self.data.Open), name="two")

        def next(self):
            arrays = np.asarray(self.one), np.asarray(self.two)
            seen.append((lib.crossover(self.one, self.two), lib.crossover(*arrays), lib.crossover(self.one, 100)))

    series = random_bars(5_000, seed=4)
    Backtest(series, Crossing).simulate().advance(5_000)
    above = series.close > series.open
    assert [one for one, _, _ in seen] == [other for _, other, _ in seen]
    assert [one for one, _, _ in seen] == [
        bool(above[k] and series.close[k - 1] < series.open[k - 1]) for k in range(1, 5_000)
    ]


def test_barssince_and_quantile():
    assert lib.barssince([False, True, False, False]) == 2
    assert lib.barssince([False], default=7) == 7
    assert lib.barssince([]) == inf
    assert lib.quantile([1, 2, 3, 4, 2.5]) == 0.5
    assert lib.quantile([1, 2, 3, 4], 0.5) == 2.5


def test_a_resampled_value_appears_once_its_period_is_over():
    series = random_bars(40, seed=1)
    closes = frame(series)["Close"]
    weekly = lib.resample_apply("W-FRI", None, closes)
    for day in closes.index:
        known = weekly[day]
        assert np.isnan(known) or known in closes[:day].to_numpy()


def test_signals_trade_by_arrays():
    class Arrays(lib.SignalStrategy):
        def init(self):
            super().init()
            entries, exits = np.zeros(len(self.data)), np.zeros(len(self.data))
            entries[[2, 8]], exits[5] = [0.5, -3], 1
            self.set_signal(entries, exits)

    simulation = Backtest(random_bars(12, seed=1), Arrays).simulate()
    simulation.advance(12)
    assert [(t.entry_bar, t.exit_bar, t.side) for t in simulation.tape.trades()] == [(3, 6, "long"), (9, None, "short")]


def test_optimize_returns_the_best_and_a_heatmap():
    test = Backtest(random_bars(400, seed=5), sma_cross(OURS))
    best, heat = test.optimize(
        maximize="Return [%]", constraint=lambda p: p.n1 < p.n2, return_heatmap=True, n1=[5, 10, 20], n2=[10, 20]
    )
    assert list(heat.index) == [(5, 10), (5, 20), (10, 20)]
    assert best["Return [%]"] == heat.max()
    assert len(test.optimize(return_heatmap=True, max_tries=2, random_state=1, n1=[4, 5, 6], n2=[30])[1]) == 2


def test_optimize_without_a_combination_says_so():
    test = Backtest(random_bars(50, seed=5), sma_cross(OURS))
    with pytest.raises(ValueError, match="no combination"):
        test.optimize(n1=[])


def test_an_unknown_parameter_is_refused():
    with pytest.raises(AttributeError, match="no parameter 'fats'"):
        Backtest(random_bars(50, seed=5), sma_cross(OURS)).run(fats=3)


def test_statistics_of_some_trades():
    deeds = {k: (lambda s: s.buy(size=1)) if k % 2 else (lambda s: s.position.close()) for k in range(1, 30)}
    data = random_bars(40, seed=6)
    stats = Backtest(data, doing(deeds)).run()
    some = lib.compute_stats(stats=stats, data=frame(data), trades=stats["_trades"].iloc[:3])
    assert some["# Trades"] == 3
    assert some["Equity Final [$]"] == pytest.approx(10_000 + stats["_trades"]["PnL"].iloc[:3].sum())
