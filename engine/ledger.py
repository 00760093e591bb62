"""Ledger: cash and position by segments, so that equity costs nothing per bar."""

from __future__ import annotations

from array import array
from bisect import bisect_right

import numpy as np


class Ledger:
    """Rows `(bar, base, position, reference)`, each true from the close of its bar until the next row.

    Equity at a close C is base + position * (C - reference). For one open trade the reference is its entry price, which
    makes equity the same float as cash plus that trade's profit; cash outside the market is base - position * reference.
    """

    __slots__ = ("bars", "bases", "positions", "references")

    def __init__(self, initial_balance: float = 0.0) -> None:
        self.bars = array("q", [0])
        self.bases = array("d", [initial_balance])
        self.positions = array("d", [0.0])
        self.references = array("d", [0.0])

    def write(self, bar: int, base: float, position: float, reference: float) -> None:
        """Record what is true from the close of `bar` on; a second row for one bar replaces the first."""
        if self.bars[-1] == bar:
            self.bases[-1], self.positions[-1], self.references[-1] = base, position, reference
            return
        self.bars.append(bar)
        self.bases.append(base)
        self.positions.append(position)
        self.references.append(reference)

    def equity(self, close: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Return equity at the close of bars `start` up to `stop`."""
        base, position, reference = self._spread(start, stop, self.bases, self.positions, self.references)
        return base + position * (close[start:stop] - reference)

    def cash(self, start: int, stop: int) -> np.ndarray:
        """Return the money outside the market after each bar."""
        base, position, reference = self._spread(start, stop, self.bases, self.positions, self.references)
        return base - position * reference

    def position(self, start: int, stop: int) -> np.ndarray:
        """Return the units held after each bar."""
        return self._spread(start, stop, self.positions)[0]

    def _spread(self, start: int, stop: int, *columns: array[float]) -> list[np.ndarray]:
        if stop <= start:
            return [np.empty(0) for _ in columns]
        first = bisect_right(self.bars, start) - 1
        last = bisect_right(self.bars, stop - 1)
        # Copies of the slices: a NumPy view would lock the growing arrays.
        edges = np.array(self.bars[first:last], dtype=np.int64)
        edges[0] = start
        counts = np.diff(edges, append=stop)
        return [np.repeat(np.array(column[first:last]), counts) for column in columns]
