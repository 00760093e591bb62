"""Simulation: the loop that lets bars, orders and strategy meet, and writes the tape."""

from __future__ import annotations

import gc
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any

import numpy as np

from engine import rules
from engine.bars import Bars
from engine.broker import SimBroker
from engine.data import Data
from engine.declare import Declarations
from engine.errors import EngineError, StrategyError
from engine.ledger import Ledger
from engine.series import BLOCK, OVERLAP, Clock, Rows, Series, full_values
from engine.strategy import Strategy, strategy_label
from engine.tape import Tape

_WITHOUT_COLLECTION = 10_000  # bars

# The strategy whose init() runs: helpers called there make indicators of their results.
initialising: ContextVar[Strategy | None] = ContextVar("initialising", default=None)


class Simulation:
    """A run that moves forward on demand.

    Settings are those of the broker (`cash`, `commission`, `spread`, `slippage`, `margin`, `trade_on_close`, `hedging`,
    `exclusive_orders`, `compat`, `seed`) and `finalize_trades`. `indicators` adds TA-Lib functions to the chart.

    Raises:
        ConfigError: a setting or parameter is out of range.
        StrategyError: the strategy's `init` failed.
    """

    def __init__(
        self,
        bars: Bars,
        strategy: type[Strategy],
        params: Mapping[str, Any] | None = None,
        *,
        indicators: Mapping[str, Mapping[str, Any]] | None = None,
        finalize_trades: bool = False,
        **settings: Any,
    ):
        self.bars = bars
        self.total_bars = len(bars)
        self.failure: StrategyError | None = None
        self.finalize_trades = finalize_trades
        self._clock = Clock()
        cash = float(settings.get("cash", 10_000.0))
        self._tape = Tape(
            bars,
            initial_balance=cash,
            settings={**settings, "finalize_trades": finalize_trades},
            ledger=Ledger(cash),
            strategy=strategy_label(strategy, dict(params or {})),
            params=dict(params or {}),
        )
        self.broker = SimBroker(bars, self._clock, self._tape, **settings)
        self._data = Data(bars, self._clock)
        self._declarations = Declarations(bars, self._clock)
        self.strategy = strategy(self.broker, self._data, self._declarations, dict(params or {}))
        self._start(indicators or {})
        self._bars_played = self._play()
        self._in_steps = False  # whether someone else moves the loop, who does not note each bar on the tape

    @property
    def tape(self) -> Tape:
        """Return the record of what has happened so far."""
        if self._in_steps:
            self._tape.bar = self._clock.bar
        return self._tape

    @property
    def bar(self) -> int:
        """Return the number of bars revealed."""
        return self._clock.bar

    @property
    def done(self) -> bool:
        """Return whether there is nothing left to play."""
        return self._clock.bar >= self.total_bars

    @property
    def touched(self) -> set[str]:
        """Return the names of the rules (engine.rules) whose two sides differed so far."""
        touched, first = self.broker.rule.touched, self._tape.first_bar
        if (
            self.bar > first
            and self.tape.ledger.equity(self.bars.close, first, first + 1)[0] != self.tape.initial_balance
        ):
            touched.add(rules.START_EQUITY.name)
        return touched

    def advance(self, n: int) -> None:
        """Move `n` bars forward, or to the end, writing the tape.

        Raises:
            StrategyError: the strategy failed; the tape ends with the bar on which it did.
        """
        if self.failure is not None:
            raise self.failure
        try:
            for start in range(0, min(n, self.total_bars - self.bar), _WITHOUT_COLLECTION):
                with _collector_waiting():
                    deque(islice(self._bars_played, min(n - start, _WITHOUT_COLLECTION)), maxlen=0)
        finally:
            self._tape.bar = self._clock.bar

    def close(self) -> None:
        """Do nothing: only a simulation in another process has something to let go."""

    def steps(self) -> Iterator[None]:
        """Return the loop itself: it moves a bar forward for each item taken."""
        self._in_steps = True
        return self._bars_played

    def get_recent_signals(self, reader: str = "default") -> list[Any]:
        """Return the signals that `reader` has not had, in order, exactly once."""
        return self.broker.get_recent_signals(reader)

    def _start(self, indicators: Mapping[str, Mapping[str, Any]]) -> None:
        self._clock.at = self.total_bars
        token = initialising.set(self.strategy)
        try:
            self.strategy.init()
        except EngineError:
            raise
        except Exception as error:
            raise strategy_error(error, type(self.strategy), None) from error
        finally:
            initialising.reset(token)
        extra = []
        if indicators:
            from engine.indicators import build_all

            extra = build_all(indicators, self.bars, beside=self._declarations.indicators)
        self._tape.declared = (*self._declarations.indicators, *extra)
        self.strategy._warm_up = self._warm_up()
        self._tape.first_bar = self.strategy._warm_up + 1
        self._clock.at = 0
        self.broker.start()

    def _warm_up(self) -> int:
        """Return the first bar on which every indicator that is an attribute of the strategy has a value."""
        own = [
            value for value in _attributes(self.strategy) if isinstance(value, (Series, Rows)) and value.is_indicator
        ]
        return max((first_value(series) for series in own if not series.scatter), default=0)

    def _play(self) -> Iterator[None]:
        """Play the bars, yielding after each.

        The broker meets each bar before the strategy sees it, so an order never trades on the bar that caused it.
        """
        clock, broker, total, first = self._clock, self.broker, self.total_bars, self._tape.first_bar
        meet, decide = broker.meet, self.strategy.next
        columns = [*self._data.series(), *self._declarations.series]
        for bar in range(min(first, total)):
            self._enter_block(bar, columns)
            clock.at += 1
            yield
        bar = first
        while bar < total:
            self._enter_block(bar, columns)
            # The last bar stands alone: what finalize_trades closes belongs to it.
            stop = min(clock.base + BLOCK + OVERLAP, max(total - 1, bar + 1))
            lows, highs = self.bars.low[bar:stop].tolist(), self.bars.high[bar:stop].tolist()
            base, last = clock.base, stop == total and self.finalize_trades
            for clock.at, low, high in zip(range(bar - base + 1, stop - base + 1), lows, highs, strict=True):
                if (low <= broker.lo or high >= broker.hi) and meet(base + clock.at - 1, low, high):
                    yield from self._rest(base + clock.at - 1, columns)
                    return
                try:
                    decide()
                except Exception as error:
                    self._fail(error, clock.bar - 1)
                if last:
                    broker.finalize(total - 1)
                yield
            bar = stop

    def _enter_block(self, bar: int, columns: list[Series]) -> None:
        """Move the clock's base when `bar` lies beyond the block that the columns have as lists."""
        clock = self._clock
        if 0 < clock.at < BLOCK + OVERLAP:
            return
        clock.base = max(0, bar - OVERLAP)
        clock.at = bar - clock.base
        for series in columns:
            series.unload()

    def _rest(self, bar: int, columns: list[Series]) -> Iterator[None]:
        """Reveal the bars after ruin, on which nothing happens any more."""
        yield
        for later in range(bar + 1, self.total_bars):
            self._enter_block(later, columns)
            self._clock.at += 1
            yield

    def _fail(self, error: Exception, bar: int) -> None:
        self.failure = strategy_error(error, type(self.strategy), bar)
        raise self.failure from error


@contextmanager
def _collector_waiting() -> Iterator[None]:
    """Keep the garbage collector from looking through all that Python has loaded each time a few trades are done.

    The engine makes no cycles while it runs; what a strategy makes waits until the next stretch of bars.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _attributes(strategy: Strategy) -> list[Any]:
    """Return the values of an object's attributes.

    `vars()` would make its dictionary, after which CPython reads every attribute of it more slowly: a tenth of the time
    of a usual run.
    """
    held = gc.get_referents(strategy)
    made = next((value for value in held if type(value) is dict and value.get("_broker") is not None), None)
    return held if made is None else list(made.values())


def first_value(series: Any) -> int:
    """Return the first index at which a series, or all rows of one, have a value; 0 when there is none."""
    rows = full_values(series)
    if rows.dtype.kind != "f":
        return 0
    return max((int(np.argmax(known)) for known in ~np.isnan(rows)), default=0)


def strategy_error(error: BaseException, strategy: type[Strategy], bar: int | None) -> StrategyError:
    """Return the error as the user should read it, with the last line of theirs that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(strategy, "__module__", "")
    file = getattr(sys.modules.get(own), "__file__", None)
    at = [frame for frame in frames if frame.filename == file] or [
        frame for frame in frames if "/engine/" not in frame.filename.replace("\\", "/")
    ]
    where = at[-1] if at else None
    when = "in init()" if bar is None else f"on bar {bar + 1}"
    place = f" (line {where.lineno})" if where else ""
    return StrategyError(
        f"{strategy.__name__} failed {when}{place}: {type(error).__name__}{_said(error)}",
        file=where.filename if where else None,
        line=where.lineno if where else None,
        bar=bar,
    )


def _said(error: BaseException) -> str:
    """Return an error's own words: a user's exception may have endless ones, or fail to say any."""
    try:
        unknown = isinstance(error, AttributeError) and type(error.obj) is Data
        text = error.obj.lacks(error.name) if unknown else str(error)  # type: ignore[attr-defined]
    except Exception:
        return " (its text cannot be read)"
    return f": {text[:1000]}" if text else ""
