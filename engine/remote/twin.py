"""Twin: a simulation that runs in a child, seen from here."""

from __future__ import annotations

import ctypes
import gc
import sys
import weakref
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from engine.bars import Bars
from engine.digest import Digest
from engine.errors import EngineError
from engine.ledger import Ledger
from engine.remote import wire
from engine.remote.session import Session
from engine.tape import Tape


class RemoteSimulation:
    """Looks like a Simulation: `advance`, `bar`, `done`, `total_bars`, `tape`, `failure`.

    The child simulates ahead on its own; the tape here holds what was asked for by `advance`, and nothing later.
    `patience` is how many seconds `advance` may wait for bars before it returns with fewer; None: until it has them.
    `before_wait` is called each time before it waits.
    """

    def __init__(
        self,
        session: Session,
        bars: Bars,
        settings: dict[str, Any],
        *,
        patience: float | None = None,
        before_wait: Callable[[], object] | None = None,
    ):
        self.bars = bars
        self.total_bars = len(bars)
        self.patience = patience
        self._before_wait = before_wait
        self.failure: EngineError | None = None
        self._session = session
        self._block: wire.Block | None = None
        self._entry = 0  # the first one of the block that is not on the tape
        self._row = 0
        self._digest = Digest()
        self.close = weakref.finalize(self, session.close)
        cash = float(settings.get("cash", 10_000.0))
        try:
            start = session.await_start()
        except BaseException:
            self.close()
            raise
        self.tape = Tape(
            bars,
            tuple(session.indicators),
            initial_balance=cash,
            settings={**settings, "finalize_trades": settings.get("finalize_trades", False)},
            ledger=Ledger(cash),
            first_bar=start.first_bar,
            strategy=start.strategy,
            params=start.params,
        )
        _pass_by(self.tape.events.cells)

    @property
    def bar(self) -> int:
        """Return the number of bars revealed."""
        return self.tape.bar

    @property
    def done(self) -> bool:
        """Return whether there is nothing left to play."""
        return self.tape.bar >= self.total_bars

    @property
    def ready(self) -> int:
        """Return how many bars `advance` can give without waiting."""
        return self._session.reached - self.tape.bar

    def digest(self) -> str:
        """Return the digest of a run that is done."""
        return self._digest.text()

    def advance(self, n: int) -> None:
        """Move `n` bars forward, or to the end, writing the tape; fewer when `patience` ends first.

        Raises:
            StrategyError: the strategy failed, or was ended; the tape ends with the bar on which it did.
        """
        if self.failure is not None:
            raise self.failure
        target = min(self.tape.bar + max(n, 0), self.total_bars)
        if self._before_wait and self._session.reached < target:
            self._before_wait()
        self._session.await_bar(target, self.patience)
        reached, error = self._session.end()
        fails = error is not None and target >= reached
        try:
            self._reveal(min(target, reached), all_of_it=fails)
        except wire.Damaged:
            error, fails = self._session.damage(), True
        if fails and error is not None:
            self.failure = error
            self._session.close()
            raise error

    def _reveal(self, bar: int, all_of_it: bool) -> None:
        """Write on the tape what happened before `bar`."""
        before = None if all_of_it else bar
        while True:
            if self._block is None:
                if (waiting := self._session.take()) is None:
                    break
                self._block = wire.read_block(waiting.message, self.total_bars)
                self._entry = self._row = 0
                self._digest.add(*self._block.parts)
            if not self._write(self._block, before):
                break
            last, self._block = self._block.bar, None
            if last >= bar and not all_of_it:
                break
        self.tape.bar = max(self.tape.bar, bar)

    def _write(self, block: wire.Block, before: int | None) -> bool:
        """Write what `block` has before bar `before`; say whether that was all of it."""
        entries, rows = len(block.bars), len(block.ledger[0])
        if before is not None:
            entries = bisect_left(block.bars, before, self._entry)
            rows = bisect_left(block.ledger[0], before, self._row)
        if entries > self._entry:
            part = slice(self._entry, entries)
            self.tape.events.extend(block.kinds[part], block.bars[part], block.rows[part])
        for row in range(self._row, rows):
            self.tape.ledger.write(*(column[row] for column in block.ledger))
        self._entry, self._row = entries, rows
        whole = entries == len(block.bars) and rows == len(block.ledger[0])
        return whole and (before is None or block.bar <= before)


def _pass_by(plain: list[Any]) -> None:
    """Spare the garbage collector a list in which nothing can be part of a circle: numbers, texts and None.

    A million bars write over a million cells. To look at each took the collector 20 to 35 ms, with every stream of the
    process waiting.
    """
    if sys.implementation.name == "cpython" and gc.is_tracked(plain):
        ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(plain))
