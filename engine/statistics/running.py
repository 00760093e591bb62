"""Running: totals that grow with a tape and can be asked for as they stood at any bar."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Generic, TypeVar

import numpy as np

State = TypeVar("State")
Advance = Callable[[State, int, int], None]
_STRIDE = 8192  # bars between two states that are kept: going back costs at most one vectorised stride
_STEP = 256  # bars that the newest ones are taken in by


class Rewindable(Generic[State]):
    """A state that is known at any bar, and is the same to the last digit however one got there.

    Sums of floats depend on how they are put together, so a state is always put together the same way: whole strides,
    then whole steps, then the bars that are left. `advance(state, start, stop)`, always the same, changes a state that
    holds bars before `start` into one for those before `stop`. It is not kept: its owner's method would tie the two,
    and with them a long run's tape, together until the garbage collector comes.
    """

    def __init__(self, fresh: State):
        self._kept = [fresh]  # after 0, 1, 2 ... whole strides
        self._bar = 0
        self._state = fresh  # after the whole steps before the bar asked for last

    def at(self, bar: int, advance: Advance[State]) -> State:
        """Return the state after `bar` bars."""
        stride = bar // _STRIDE
        while len(self._kept) <= stride:
            start = (len(self._kept) - 1) * _STRIDE
            self._kept.append(_moved(self._kept[-1], start, start + _STRIDE, advance))
        if not stride * _STRIDE <= self._bar <= bar:
            self._bar, self._state = stride * _STRIDE, self._kept[stride]
        while self._bar + _STEP <= bar:
            self._state = _moved(self._state, self._bar, self._bar + _STEP, advance)
            self._bar += _STEP
        return _moved(self._state, self._bar, bar, advance) if self._bar < bar else self._state


def _moved(state: State, start: int, stop: int, advance: Advance[State]) -> State:
    state = copy(state)
    advance(state, start, stop)
    return state


class Growing:
    """A table of running totals, a row for each thing that happened; `at` looks one up by the bar it happened on."""

    def __init__(self, columns: int, accumulate: np.ufunc):
        self._accumulate = accumulate
        self._bars = np.empty(0, dtype=np.int64)
        self._rows = np.zeros((1, columns)) if accumulate is np.add else np.full((1, columns), -np.inf)
        self._used = 0

    def extend(self, bars: np.ndarray, rows: np.ndarray) -> None:
        """Append things that happened on `bars`, in order; `rows` has shape (n_things, columns)."""
        used, more = self._used, len(bars)
        if used + more > len(self._bars):
            size = max(2 * used, used + more, 8)
            self._bars = np.resize(self._bars, size) if used else np.empty(size, dtype=np.int64)
            grown = np.empty((size + 1, self._rows.shape[1]))
            grown[: used + 1] = self._rows[: used + 1]
            self._rows = grown
        self._bars[used : used + more] = bars
        self._rows[used + 1 : used + more + 1] = rows
        part = self._rows[used : used + more + 1]
        self._accumulate.accumulate(part, axis=0, out=part)
        self._used += more

    def count(self, bar: int) -> int:
        """Return how many things happened in the first `bar` bars."""
        return int(np.searchsorted(self._bars[: self._used], bar))

    def at(self, count: int) -> list[float]:
        """Return the totals of the first `count` things."""
        return self._rows[count].tolist()


class Moments:
    """Count, mean and sum of squared deviations of numbers that come in pieces.

    Sums of squares would lose the digits that tell returns of similar size apart. Source: Chan, Golub & LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """

    __slots__ = ("count", "mean", "squares")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def add(self, values: np.ndarray) -> None:
        """Take more numbers in."""
        count = len(values)
        if not count:
            return
        mean = float(values.mean())
        off = values - mean
        total = self.count + count
        shift = mean - self.mean
        self.squares += float(off @ off) + shift * shift * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    def variance(self) -> float:
        """Return the variance with n - 1, NaN for fewer than two numbers."""
        return self.squares / (self.count - 1) if self.count > 1 else float("nan")


class Comoments:
    """How two series of numbers that come in pieces vary together; see Moments."""

    __slots__ = ("count", "mean_x", "mean_y", "xy", "yy")

    def __init__(self) -> None:
        self.count = 0
        self.mean_x = self.mean_y = 0.0
        self.xy = self.yy = 0.0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take more pairs in."""
        count = len(x)
        if not count:
            return
        mean_x, mean_y = float(x.mean()), float(y.mean())
        off_x, off_y = x - mean_x, y - mean_y
        total = self.count + count
        shift_x, shift_y = mean_x - self.mean_x, mean_y - self.mean_y
        weight = self.count * count / total
        self.xy += float(off_x @ off_y) + shift_x * shift_y * weight
        self.yy += float(off_y @ off_y) + shift_y * shift_y * weight
        self.mean_x += shift_x * count / total
        self.mean_y += shift_y * count / total
        self.count = total
