"""Rests: what the chart shows of a result's foundations: the band of equity, and faults of the data."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from typing import Any

import numpy as np

from engine.band import band
from engine.bars import Bars
from engine.faults import Fault, faults
from engine.tape import Tape
from webapp.book import Book

MOST = 300  # faults in a message
AT_ONCE = 100_000  # bars whose faults are looked for while the visitor waits
PACE = 1.0  # s between two windows that are sent afresh for the band's sake


class Rests:
    """The band and the faults of one page. Nothing of a bar beyond those that are asked for is told."""

    def __init__(self, tape: Tape, book: Book):
        self._tape = tape
        self._book = book
        self._faults = _Faults(tape.bars)
        self._told = 0  # bars whose faults were told
        self._shown = (0, 0.0)  # doubtful fills in the last window, and when that was
        self._offset = (-1, 0.0, 0.0)  # doubtful fills, and how far worst and best lie from equity since

    def stale(self, stop: int, *, resting: bool) -> bool:
        """Say whether a new doubt changes the band of bars that the page has, and it is time to send them again."""
        if self._book.doubtful_count(stop) == self._shown[0]:
            return False
        return resting or time.monotonic() - self._shown[1] >= PACE

    def appended(self, start: int, stop: int, bucket: int) -> dict[str, Any]:
        """Return what belongs to bars at the end of the chart."""
        return self._band(start, stop, bucket) | self._found(min(start, self._told), stop)

    def window(self, start: int, stop: int, bucket: int) -> dict[str, Any]:
        """Return what belongs to a window."""
        self._shown = self._book.doubtful_count(stop), time.monotonic()
        self._offset = (-1, 0.0, 0.0)
        return self._band(start, stop, bucket) | self._found(start, stop)

    def _band(self, start: int, stop: int, bucket: int) -> dict[str, Any]:
        """Return equity at worst and at best of each candle, nothing while no trade is in doubt."""
        count = self._book.doubtful_count(stop)
        if not count or stop <= start:
            return {}
        last = np.append(np.arange(start + bucket, stop, bucket), stop) - 1 - start
        if self._offset[0] == count:
            low, high = (self._tape.equity(start, stop)[last] + off for off in self._offset[1:])
        else:
            around = band(self._tape, start, stop)
            low, high = around.low[last], around.high[last]
            if all(doubt.exit_bar is not None for doubt in around.doubts):
                equity = float(self._tape.equity(stop - 1, stop)[0])
                self._offset = count, float(around.low[-1]) - equity, float(around.high[-1]) - equity
        return {"equity_low": np.round(low, 4), "equity_high": np.round(high, 4)}

    def _found(self, start: int, stop: int) -> dict[str, Any]:
        found = self._faults.between(start, stop)
        if found is None:
            return {}
        self._told = stop
        told = [{"bar": bar + 1, "kind": kind, "text": text} for bar, kind, text in found[:MOST]]
        return {"faults": told} if told else {}


class _Faults:
    """The faults of bars, looked for in the background when there are many."""

    def __init__(self, bars: Bars):
        self._bars = bars
        self._found: list[Fault] | None = None
        if len(bars) <= AT_ONCE:
            self._look()
        else:
            threading.Thread(target=self._look, name="faults", daemon=True).start()

    def between(self, start: int, stop: int) -> list[Fault] | None:
        """Return those of the bars `start` up to `stop`, None while they are not known."""
        found = self._found
        if found is None:
            return None
        return found[bisect_left(found, start, key=_place) : bisect_left(found, stop, key=_place)]

    def _look(self) -> None:
        self._found = faults(self._bars)


def _place(fault: Fault) -> int:
    return fault.bar
