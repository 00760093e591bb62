"""Simulation: any step writes the same tape, nothing later is in reach, and failures name their place."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Backtest, Bars, Simulation, Strategy, StrategyError
from engine.lib import crossover
from engine.series import Derived, Series
from tests.build import bars, ohlc, random_bars
from tests.parity.generated import SETTINGS, frames, scripts
from tests.parity.scripts import scripted


def average(values, n):
    return pd.Series(values).rolling(n).mean()


class Cross(Strategy):
    fast, slow = 5, 12

    def init(self):
        self.one = self.I(average, self.data.Close, self.fast)
        self.two = self.I(average, self.data.Close, self.slow)

    def next(self):
        if crossover(self.one, self.two):
            self.buy(size=0.5, sl=self.data.Close[-1] * 0.97, tp=self.data.Close[-1] * 1.04)
        elif crossover(self.two, self.one):
            self.position.close()
            self.sell(size=0.2, limit=self.data.Close[-1] * 1.01)


def everything(simulation):
    tape = simulation.tape
    return (
        tape.events.plain(), tape.bar, tape.equity().tobytes(), tape.cash().tobytes(), tape.position().tobytes(),
        [column.values.tobytes() for column in tape.declared],
    )  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(frame=frames(), script=scripts(), broker=SETTINGS, steps=st.lists(st.integers(0, 7), max_size=8))
def test_any_step_size_writes_the_same_tape(frame, script, broker, steps):
    def run(*sizes):
        simulation = Simulation(Bars.from_frame(frame), scripted(Strategy, script), **broker)
        for size in sizes:
            simulation.advance(size)
        return everything(simulation)

    whole = run(len(frame))
    assert run(*[1] * len(frame)) == whole
    assert run(*steps, len(frame)) == whole


def test_a_stream_and_a_run_write_the_same_tape_across_blocks():
    test = Backtest(random_bars(10_000, seed=3), Cross, commission=0.001)
    frames = list(test.stream())
    streamed = everything(test.simulation)
    test.run()
    assert everything(test.simulation) == streamed
    assert [(frame.start, frame.stop) for frame in frames] == [(bar, bar + 1) for bar in range(10_000)]
    assert [event for frame in frames for event in frame.events] == list(test.simulation.tape.events)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(past=frames(least=6), future=frames(least=1), script=scripts(), broker=SETTINGS)
def test_the_tape_never_depends_on_later_bars(past, future, script, broker):
    broker = broker | {"finalize_trades": False}
    both = pd.concat([past, future])
    both.index = pd.date_range("2020-01-01", periods=len(both))

    def run(frame, count):
        simulation = Simulation(Bars.from_frame(frame), scripted(Strategy, script), **broker)
        simulation.advance(count)
        return everything(simulation)

    assert run(both, len(past)) == run(past, len(past))


def test_a_causal_indicator_changes_nothing_about_that():
    series = random_bars(600, seed=8)
    for count in (20, 300, 599):
        alone, followed = Simulation(series[:count], Cross), Simulation(series, Cross)
        alone.advance(count)
        followed.advance(count)
        assert everything(alone)[0] == everything(followed)[0]
        assert alone.tape.frame(0, count) == followed.tape.frame(0, count)


MARK = 777.0  # the price that only the last bar has


def reachable(value, depth=0):
    """Yield the numbers that an object gives away, its bases and buffers included."""
    if isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
        if value.base is not None and depth < 5:
            yield from reachable(value.base, depth + 1)
    elif isinstance(value, (pd.Series, pd.DataFrame, pd.Index)):
        yield from reachable(value.to_numpy(), depth + 1)
        if depth < 3 and not isinstance(value, pd.Index):
            yield from reachable(value.index, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from reachable(item, depth + 1)
    else:
        yield value


ROUTES = {
    "the next index": lambda s: s.data.Close[len(s.data)],
    "an index beyond the end": lambda s: s.data.Close[len(s.data) + 1],
    "an index beyond the start": lambda s: s.data.Close[-len(s.data) - 1],
    "a positive slice": lambda s: s.data.Close[len(s.data) - 1 : len(s.data) + 5],
    "a backward slice": lambda s: s.data.Close[::-1],
    "an open slice": lambda s: s.data.Close[-2:],
    "the numpy base": lambda s: np.asarray(s.data.Close),
    "the base of a slice": lambda s: s.data.Close[3:].base,
    "a fancy index": lambda s: s.data.Close[[len(s.data)]],
    "a numpy integer": lambda s: s.data.Close[np.int64(len(s.data))],
    "a pandas Series": lambda s: s.data.Close.s,
    "a DataFrame": lambda s: s.data.df,
    "iteration": lambda s: list(s.data.High),
    "an item": lambda s: s.data["Close"][len(s.data)],
    "the index": lambda s: s.data.index[len(s.data)],
    "all of the index": lambda s: np.asarray(s.data.index).astype(np.int64),
    "the index of a Series": lambda s: s.data.Close.s.index,
    "an indicator": lambda s: s.echo[len(s.data)],
    "an indicator's base": lambda s: np.asarray(s.echo),
    "an indicator in a list": lambda s: s.kept[0][len(s.data)],
    "an indicator in a dict": lambda s: np.asarray(s.held["echo"]),
    "a column kept since init": lambda s: s.column[len(s.data)],
    "a column kept since init, whole": lambda s: s.column[:],
    "rows of an indicator": lambda s: s.rows[0][len(s.data)],
    "rows, whole": lambda s: np.asarray(s.rows),
    "calculations": lambda s: np.asarray(s.data.Close * 2 - s.data.Close),
    "calculations kept": lambda s: (s.data.Close + 0)[len(s.data)],
    "a universal function": lambda s: np.maximum(s.data.Close, s.echo),
    "a copy's base": lambda s: s.data.Close.copy().base,
    "its own account": lambda s: s.equity,
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_a_strategy_cannot_reach_the_next_bar(route):
    found = []
    closes = [100.0 + k / 10 for k in range(300)]

    class Peeking(Strategy):
        def init(self):
            self.echo = self.I(lambda: np.array(self.data.Close), name="echo")
            self.kept, self.held, self.column = [self.echo], {"echo": self.echo}, self.data.Close
            self.rows = self.I(lambda: np.vstack([self.data.Close, self.data.High]), name="rows")

        def next(self):
            if len(self.data) in (2, 298, 299):
                try:
                    found.extend(reachable(route(self)))
                except IndexError:
                    found.append(None)

    series = ohlc(*[(c, c, c, c) for c in closes], (MARK,) * 4)
    Simulation(series, Peeking).advance(299)
    last = series.index[-1].value // 10**9
    assert found
    assert not {MARK, last, last * 10**3, last * 10**6, last * 10**9, series.index[-1]} & set(found)


def test_what_was_read_is_what_was_there():
    series, seen = random_bars(9_000, seed=2), []

    class Reading(Strategy):
        def next(self):
            far = min(len(self.data), 700)
            close = self.data.Close
            seen.append((len(close), close[-1], close[-far], close[0], float(close), len(close[-3:])))

    Simulation(series, Reading).advance(9_000)
    close = series.close
    assert seen == [
        (k + 1, close[k], close[k + 1 - min(k + 1, 700)], close[0], close[k], min(3, k + 1)) for k in range(1, 9_000)
    ]


def test_deciding_begins_after_the_longest_warm_up():
    simulation = Simulation(random_bars(40, seed=1), Cross)
    assert simulation.tape.first_bar == 12


def test_a_failure_names_its_bar_file_and_line_and_keeps_the_tape():
    class Failing(Strategy):
        def next(self):
            self.buy(size=1)
            if len(self.data) == 6:
                raise KeyError("oops")

    simulation = Simulation(bars(range(100, 120)), Failing)
    with pytest.raises(StrategyError, match="KeyError") as failure:
        simulation.advance(20)
    assert (failure.value.bar, failure.value.file) == (5, __file__)
    assert (simulation.bar, simulation.done) == (6, False)
    assert simulation.tape.trades()[0].entry_bar == 2
    with pytest.raises(StrategyError):
        simulation.advance(1)


def test_a_failing_init_is_the_strategys_error():
    class Broken(Strategy):
        def init(self):
            self.I(lambda: [1, 2, 3], name="short")

    with pytest.raises(StrategyError, match=r"in init.*must return arrays as long as the data") as failure:
        Simulation(bars(range(100, 120)), Broken)
    assert failure.value.bar is None


def test_an_indicator_looks_its_part_on_the_tape():
    class Drawn(Strategy):
        def init(self):
            self.I(lambda: np.array(self.data.Close), name="near")
            self.I(lambda: np.array(self.data.Close) * 0 + 5, name="far")
            self.I(lambda: np.array(self.data.Close), name="own", pane="mine", color="red", scatter=True)
            self.I(lambda: np.array(self.data.Close), name="hidden", plot=False)

    tape = Simulation(bars(range(100, 120)), Drawn).tape
    assert [(i.name, i.pane, i.color, i.style) for i in tape.indicators] == [
        ("near", "price", None, "line"), ("far", "far", None, "line"), ("own", "mine", "red", "scatter"),
    ]  # fmt: skip


def test_columns_compared_as_a_truth_value_read_one_bar_and_copy_none(monkeypatch):
    answers = []

    class Compares(Strategy):
        def init(self):
            self.average = self.I(lambda close: np.convolve(close, np.full(5, 0.2))[: len(close)], self.data.Close)

        def next(self):
            answers.append(bool(self.data.Close > self.average))
            answers.append(not self.data.Close > self.average * 1.001 + 0.5)
            if self.average < self.data.Open - 0.5:
                self.buy(size=1)

    market = random_bars(6_000)  # longer than a block, at whose edges values are read another way
    simulation = Simulation(market, Compares)

    def grows(column):
        raise AssertionError("an array of all bars so far, made on every bar: the square of the bars in time")

    for kind in (Series, Derived):
        monkeypatch.setattr(kind, "array", property(grows))
    simulation.advance(6_000)
    close, average = market.close, np.convolve(market.close, np.full(5, 0.2))[:6_000]
    first = simulation.tape.first_bar
    expected = np.column_stack([close > average, ~(close > average * 1.001 + 0.5)])[first:]
    assert answers == expected.ravel().tolist()


def test_a_column_that_is_none_is_named_beside_those_there_are():
    class Wishful(Strategy):
        def init(self):
            self.wish = self.data.Turnover

    with pytest.raises(StrategyError, match="no column 'Turnover'; they have Open, High, Low, Close, Volume"):
        Simulation(bars(range(100, 120)), Wishful)
