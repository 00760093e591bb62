"""Targets: the sparse walk writes what a strategy writes that does the same bar by bar."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Backtest, ConfigError, Simulation, Strategy
from engine.targets import play_targets, target_strategy
from tests.build import bars, random_bars

CASES = [
    {},
    {"commission": 0.002, "spread": 0.001},
    {"margin": 0.25, "commission": 0.001},
    {"cash": 150.0},
    {"commission": (2, 0.001)},
    {"trade_on_close": True},
    {"finalize_trades": True},
    {"slippage": 0.001},
]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 30),
    sides=st.lists(st.sampled_from([1.0, -1.0, 0.0, np.nan, np.nan]), min_size=40, max_size=40),
    size=st.sampled_from([0.9999, 0.3, 2]),
    broker=st.sampled_from(CASES),
)
def test_signals_give_the_tape_of_the_same_strategy(seed, sides, size, broker):
    series, targets = random_bars(40, seed=seed), np.array(sides)
    tape = Backtest(series, Strategy, **broker).signals(targets, size=size)
    simulation = Simulation(series, target_strategy(targets, size), **broker)
    simulation.advance(40)
    assert list(tape.events) == list(simulation.tape.events)
    assert np.array_equal(tape.equity(), simulation.tape.equity())
    assert np.array_equal(tape.position(), simulation.tape.position())


def test_the_walk_itself_is_taken_where_nothing_asks_for_more():
    targets = np.array([np.nan, 1, np.nan, -1, 0, np.nan])
    assert play_targets(bars(range(100, 106)), targets, 0.5, {"commission": 0.001}) is not None
    assert play_targets(bars(range(100, 106)), targets, 0.5, {"slippage": 0.001}) is None


def test_ruin_is_left_to_the_broker():
    targets = np.array([np.nan, -1, np.nan, np.nan, 1, np.nan])
    test = Backtest(bars([100, 100, 100, 300, 100, 100]), Strategy, margin=0.5)
    tape = test.signals(targets)
    assert [event.bar for event in tape.events if event.kind == "ruin"] == [3]


def test_targets_of_another_length_are_refused():
    with pytest.raises(ConfigError, match="6 bars"):
        Backtest(bars(range(100, 106)), Strategy).signals([1, 0])
