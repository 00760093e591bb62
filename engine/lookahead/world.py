"""World: runs a strategy again with the future taken from everything that it can read."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from engine.bars import Bars
from engine.errors import EngineError
from engine.lookahead.cutting import Cutter
from engine.lookahead.futures import Futures
from engine.lookahead.lines import Place, placed
from engine.lookahead.outside import Outside
from engine.lookahead.readers import reading
from engine.lookahead.rerun import Source
from engine.simulation import Simulation
from engine.strategy import Strategy


class Refused(Exception):
    """The strategy fails on these bars; `bar` is where, None in `init()`."""

    def __init__(self, error: BaseException, bar: int | None, simulation: Simulation | None):
        self.reason = f"{type(error).__name__}: {str(error)[:200]}"
        super().__init__(self.reason)
        self.bar = bar
        self.simulation = simulation


class World:
    """A strategy, its bars, and the outside that it was written in."""

    def __init__(
        self,
        bars: Bars,
        strategy: type[Strategy],
        params: Mapping[str, Any],
        settings: Mapping[str, Any],
        source: str | None = None,
    ):
        self.bars = bars
        self.strategy = strategy
        self.params = dict(params)
        self.settings = {**settings, "finalize_trades": False}  # closing on the last bar would tell cuts apart
        self.futures = Futures(bars)
        self.reads: set[str] = set()
        self.outside = Outside(strategy, bars)
        self._source = Source(strategy, source)
        self._import_reads = False
        self._learn()

    @property
    def leaves_data(self) -> bool:
        """Return whether the strategy can reach data besides `self.data`."""
        return bool(self.reads or self.outside.slots)

    def _learn(self) -> None:
        """Find out whether the strategy's module reads files when it is imported."""
        found: set[str] = set()
        with _quiet(), reading(None, found):
            made = self._source.make()
        self._import_reads = made is not None and bool(found)
        self.reads |= found

    def whole(self) -> Simulation:
        """Return a simulation of the run itself, at its first bar.

        Raises:
            EngineError: `init` failed.
        """
        with _quiet(), reading(None, self.reads):
            return self._start(self.strategy, self.bars)

    def advance(self, simulation: Simulation, bars: int) -> None:
        """Move a simulation of the run itself.

        Raises:
            EngineError: `next` failed.
        """
        with _quiet(), reading(None, self.reads):
            _guarded(simulation, bars)

    def cut(self, k: int, how: str, *, play: bool, outside: Iterable[str] | bool = True) -> Simulation:
        """Return the run with the future after the first `k` bars removed or replaced, played up to there if asked.

        `outside` says whether the data outside is cut with the bars, or which of it.

        Raises:
            Refused: the strategy fails on such bars.
        """
        bars = self.futures.at(k, how)
        with _quiet(), self._around(k, how, outside) as strategy:
            try:
                simulation = self._start(strategy, bars)
            except EngineError as error:
                raise Refused(error.__cause__ or error, None, None) from error
            if play:
                try:
                    _guarded(simulation, k)
                except EngineError as error:
                    raise Refused(error.__cause__ or error, simulation.bar - 1, simulation) from error
            return simulation

    def trace(self, k: int, how: str, bar: int) -> Place | None:
        """Return the line that first did something to an order on `bar` in such a run, None when nothing did."""
        with _quiet(), self._around(k, how, True) as strategy:
            try:
                return placed(self._start(strategy, self.futures.at(k, how)), bar)
            except EngineError:
                return None

    def from_bar(self, start: int) -> Simulation:
        """Return a simulation at its first bar of the run without its first `start` bars.

        Raises:
            EngineError: the strategy fails on such bars.
        """
        with _quiet(), reading(None, set()):
            return self._start(self.strategy, self.bars[start:])

    @contextmanager
    def _around(self, k: int, how: str, outside: Iterable[str] | bool) -> Iterator[type[Strategy]]:
        if outside is False:
            with reading(None, set()):
                yield self.strategy
            return
        names = None if outside is True else outside
        cutter = Cutter(self.bars, k, how) if names is None else None
        with reading(cutter, self.reads):
            made = self._source.make() if self._import_reads and names is None else None
            # What a module that ran again holds was cut as it was read; a second time would undo the mirror.
            around, names = (self.outside, names) if made is None else (Outside(made, self.bars), ())
            with around.cut(k, how, names):
                yield made or self.strategy

    def _start(self, strategy: type[Strategy], bars: Bars) -> Simulation:
        try:
            return Simulation(bars, strategy, self.params, **self.settings)
        except EngineError:
            raise
        except (Exception, SystemExit) as error:
            raise EngineError(f"{type(error).__name__}: {error}") from error


def _guarded(simulation: Simulation, bars: int) -> None:
    try:
        simulation.advance(bars)
    except EngineError:
        raise
    except (Exception, SystemExit) as error:
        raise EngineError(f"{type(error).__name__}: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what a strategy prints and warns of to itself: it was heard once, in the run."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(_Nowhere()):
        warnings.simplefilter("ignore")
        yield


class _Nowhere(io.TextIOBase):
    """Takes any text and keeps none."""

    def write(self, text: str) -> int:
        return len(text)
