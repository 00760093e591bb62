"""Live statistics: at any bar what a run that ended there would have, however one got there."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Bars, Simulation, Strategy
from engine.statistics import FIGURES, HEADLINE, Live, final
from tests.build import bars as made
from tests.build import random_bars

STEPS = {"days": 86_400, "weeks": 7 * 86_400, "hours": 3_600, "7 minutes": 420}


class Random(Strategy):
    """Places orders of every kind by the draws of a seed."""

    seed = 0

    def init(self):
        self.random = np.random.default_rng(self.seed)

    def next(self):
        draw, close = self.random.random(), self.data.Close[-1]
        if draw < 0.1:
            self.buy(size=int(self.random.integers(1, 20)), sl=close * 0.97 if draw < 0.05 else None)
        elif draw < 0.2:
            self.sell(size=int(self.random.integers(1, 20)), tp=close * 0.97 if draw < 0.15 else None)
        elif draw < 0.3:
            self.position.close(0.5 if draw < 0.25 else 1.0)
        elif draw < 0.32:
            self.sell(size=0.9)


def same(one: float, other: float) -> bool:
    # A ratio to a volatility of next to nothing, after an almost total loss, has lost digits on the way.
    precision = 1e-9 if abs(one) < 1e12 else 1e-6
    return math.isclose(one, other, rel_tol=precision, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))


def differing(one: dict, other: dict) -> dict:
    return {name: (one[name], other[name]) for name in one if not same(one[name], other[name])}


def as_live(stats: pd.Series) -> dict[str, float]:
    """Return the figures of a final Series under the names of the live ones."""
    figures = {}
    for figure in FIGURES:
        if figure.key is not None:
            missing = 0.0 if figure.key == "Commissions [$]" else float("nan")
            value = stats.get(figure.key, missing)
            figures[figure.name] = value.value / 1e9 if isinstance(value, pd.Timedelta) else value
    return figures


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 90),
    step=st.sampled_from([*STEPS.values(), None]),
    cash=st.sampled_from([300.0, 10_000.0]),
    commission=st.sampled_from([0.0, 0.002, (1, 0.001)]),
    margin=st.sampled_from([1.0, 0.1]),
    hedging=st.booleans(),
    trade_on_close=st.booleans(),
)
def test_live_at_a_bar_is_final_of_a_run_that_ended_there(seed, count, step, **broker):
    bars = random_bars(count, seed, step=step or 1)
    if step is None:
        bars = Bars.from_frame(bars.to_frame().reset_index(drop=True))
    simulation = Simulation(bars, Random, {"seed": seed}, **broker)
    live = Live(simulation.tape)
    seen = [live.at(0)]
    for bar in range(1, count + 1):
        simulation.advance(1)
        seen.append(live.at(bar))
        if bar >= simulation.tape.first_bar:
            assert differing(as_live(final(simulation.tape)), seen[bar]) == {}
    back = Live(simulation.tape)
    for bar in (count, 0, *np.random.default_rng(seed).permutation(count + 1)):
        assert differing(seen[bar], back.at(int(bar))) == {}


@pytest.mark.parametrize("step", [60, 86_400])
def test_a_long_run_is_the_same_by_bars_by_leaps_and_backwards(step):
    bars = random_bars(20_000, 3, step=step, spread=0.004)
    simulation = Simulation(bars, Random, {"seed": 3}, cash=1e6)
    simulation.advance(20_000)
    leap, walk = Live(simulation.tape), Live(simulation.tape)
    marks = [1, 4_000, 8_191, 8_192, 8_193, 12_000, 16_384, 19_999, 20_000]
    known = {bar: leap.at(bar) for bar in marks}
    assert differing(as_live(final(simulation.tape)), known[20_000]) == {}
    for bar in range(7_900, 8_300):
        walk.at(bar)
    for bar in reversed(marks):
        assert differing(known[bar], walk.at(bar)) == {}
        assert differing(known[bar], leap.at(bar)) == {}


def test_a_figure_is_the_same_to_the_last_digit_however_its_bar_was_reached():
    simulation = Simulation(random_bars(9_000, 5, spread=0.004), Random, {"seed": 5}, cash=1e6)
    simulation.advance(9_000)
    walk, draws = Live(simulation.tape), np.random.default_rng(7)
    walked = {bar: walk.at(bar) for bar in (*range(1, 700), *range(8_150, 8_750))}
    jump = Live(simulation.tape)
    for bar in draws.choice(list(walked), 300):
        assert repr(jump.at(int(bar))) == repr(walked[bar])


def test_live_never_depends_on_later_bars():
    whole = random_bars(200, 1)
    alone, followed = (Simulation(bars, Random, {"seed": 1}) for bars in (whole[:80], whole))
    alone.advance(80)
    followed.advance(200)
    for bar in (10, 79, 80):
        assert differing(Live(alone.tape).at(bar), Live(followed.tape).at(bar)) == {}


def test_statistics_that_are_dropped_do_not_keep_the_tape_until_the_garbage_collector_comes():
    simulation = Simulation(random_bars(600, seed=3), Random, {"seed": 3})
    simulation.advance(600)
    live = Live(simulation.tape)
    live.at()
    gone = weakref.ref(live)
    gc.disable()
    try:
        del live
        assert gone() is None
    finally:
        gc.enable()


def test_every_figure_is_described_once_and_nothing_else_is_given():
    live = Live(Simulation(random_bars(5), Random).tape).at(0)
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
    assert set(live) == {*names, "bar_number", "position", "pnl", "pnl_pct"}
    assert {figure.group for figure in FIGURES} == {"headline", "return", "risk", "trades", "costs"}
    assert {figure.unit for figure in FIGURES} == {"money", "percent", "number", "ratio", "duration", "count"}
    assert all(figure.definition.endswith(".") and figure.title for figure in FIGURES)
    assert HEADLINE[0] == "equity"


def test_before_the_first_bar_there_is_the_balance_and_nothing_else():
    live = Live(Simulation(random_bars(5), Random, cash=500).tape).at(0)
    assert (live["equity"], live["cash"], live["position"], live["net_profit"]) == (500, 500, 0, 0)
    assert (live["total_trades"], live["open_trades"], live["max_drawdown_pct"]) == (0, 0, 0)
    for name in ("win_rate", "profit_factor", "sharpe", "cagr", "exposure", "buy_hold_pct", "average_drawdown"):
        assert math.isnan(live[name])


class Once(Strategy):
    """Buys ten on the third bar and sells four of them on the fifth."""

    def next(self):
        if len(self.data) == 3:
            self.buy(size=10)
        elif len(self.data) == 5:
            self.trades[0].close(0.4)


def test_an_open_trade_counts_in_equity_and_not_among_the_closed():
    simulation = Simulation(made([100, 100, 100, 110, 120, 90]), Once, commission=0.01, slippage=0.02)
    live = Live(simulation.tape)
    simulation.advance(4)
    at_four = live.at()
    # Bought ten at 100 and 2 % worse, with 1 % commission.
    assert (at_four["bar_number"], at_four["total_trades"], at_four["open_trades"], at_four["position"]) == (
        4,
        0,
        1,
        10,
    )
    assert at_four["commission_paid"] == pytest.approx(10.2) and at_four["slippage_paid"] == pytest.approx(20)
    assert at_four["equity"] == pytest.approx(10_000 + 10 * (110 - 102) - 10.2)
    assert at_four["cash"] == pytest.approx(10_000 - 1020 - 10.2)
    assert at_four["trade_commission"] == 0 and math.isnan(at_four["win_rate"])
    simulation.advance(2)
    at_six = live.at()
    sold = 120 * 0.98
    assert (at_six["total_trades"], at_six["open_trades"], at_six["position"]) == (1, 1, 6)
    assert at_six["gross_profit"] == pytest.approx(4 * (sold - 102) - 4 * sold * 0.01 - 4.08)
    assert at_six["slippage_paid"] == pytest.approx(20 + 4 * 2.4)
    assert at_six["commission_paid"] == pytest.approx(10.2 + 4 * sold * 0.01)
    assert at_six["trade_commission"] == pytest.approx(4.08 + 4 * sold * 0.01)
    assert at_six["average_bars_held"] == 2 and at_six["exposure"] == 50
    assert live.at(4) == pytest.approx(at_four, nan_ok=True)


def test_drawdown_is_told_in_money_and_percent_below_zero():
    class Hold(Strategy):
        def next(self):
            if len(self.data) == 2:
                self.buy(size=10)

    simulation = Simulation(made([100, 100, 100, 120, 90, 108]), Hold, cash=1_000)
    simulation.advance(6)
    live = Live(simulation.tape).at()
    assert live["equity_peak"] == 1_200 and live["drawdown"] == -120 and live["drawdown_pct"] == pytest.approx(-10)
    assert live["max_drawdown"] == -300 and live["max_drawdown_pct"] == pytest.approx(-25)
    assert live["max_drawdown_duration"] == 2 * 86_400
    assert live["vs_buy_hold_pct"] == pytest.approx(0)


def test_no_figure_is_a_negative_nothing():
    class Hold(Strategy):
        def next(self):
            if len(self.data) == 2:
                self.buy(size=1)

    simulation = Simulation(made(range(100, 120)), Hold)  # a market without a fall
    simulation.advance(20)
    live = Live(simulation.tape)
    for bar in range(21):
        figures = live.at(bar)
        assert not [name for name, value in figures.items() if value == 0 and math.copysign(1, value) < 0]
    assert figures["max_drawdown_pct"] == 0


def test_bars_beyond_the_tape_are_the_last_of_it():
    simulation = Simulation(random_bars(20), Random)
    simulation.advance(7)
    live = Live(simulation.tape)
    assert live.at(99) == pytest.approx(live.at(7), nan_ok=True)
    assert live.at(-3)["bar_number"] == 0
