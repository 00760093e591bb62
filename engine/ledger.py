"""Ledger: cash and position by segments, so that equity costs nothing per bar."""

from __future__ import annotations

from array import array
from bisect import bisect_right

import numpy as np


class Ledger:
    """Rows `(bar, cash, position, cost)`, each true from the close of its bar until the next row.

    `cash` is the balance with open trades at what they cost, `cost` what the open position was bought for (below 0 when
    short). Equity at a close C is cash + (position * C - cost); the money outside the market is cash - cost.
    """

    __slots__ = ("bars", "cashes", "costs", "positions")

    def __init__(self, initial_balance: float = 0.0) -> None:
        self.bars = array("q", [0])
        self.cashes = array("d", [initial_balance])
        self.positions = array("d", [0.0])
        self.costs = array("d", [0.0])

    def write(self, bar: int, cash: float, position: float, cost: float) -> None:
        """Record what is true from the close of `bar` on; a second row for one bar replaces the first."""
        if self.bars[-1] == bar:
            self.cashes[-1], self.positions[-1], self.costs[-1] = cash, position, cost
            return
        self.bars.append(bar)
        self.cashes.append(cash)
        self.positions.append(position)
        self.costs.append(cost)

    def equity(self, close: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Return equity at the close of bars `start` up to `stop`."""
        value = self.position(start, stop)
        value *= close[start:stop]
        value -= self._spread(start, stop, self.costs)[0]  # one column at a time: each is as long as the bars
        value += self._spread(start, stop, self.cashes)[0]
        return value

    def cash(self, start: int, stop: int) -> np.ndarray:
        """Return the money outside the market after each bar."""
        cash, cost = self._spread(start, stop, self.cashes, self.costs)
        return cash - cost

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
