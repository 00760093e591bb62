"""Compare: whether two runs had the same values and did the same things, up to rounding."""

from __future__ import annotations

from functools import cached_property
from math import isclose
from typing import Any, NamedTuple

import numpy as np

from engine.simulation import Simulation
from engine.tape import KINDS, LOG, PLACED, REJECTED, RUIN, Events

# Relative to an indicator's own scale. Rolling sums and transforms round by 1e-12 of it; what matters is far larger.
TOLERANCE = 1e-6


class Column:
    """One indicator of a run, with the size of difference that rounding explains."""

    def __init__(self, name: str, values: np.ndarray):
        self.name = name
        self.values = values
        self._numbers = values.dtype.kind == "f"

    @cached_property
    def scale(self) -> float:
        """Return the size of a usual value."""
        known = np.abs(self.values[np.isfinite(self.values)]) if self._numbers else np.empty(0)
        return float(np.median(known) + np.std(known)) if len(known) else 0.0

    def differing(self, other: np.ndarray, bars: int) -> np.ndarray:
        """Return the bars, of the first `bars`, on which `other` has another value."""
        mine, theirs = self.values[:bars], other[:bars]
        if not self._numbers or theirs.dtype.kind != "f":
            return np.flatnonzero(_unlike(mine, theirs))
        same = mine == theirs
        if same.all():
            return np.empty(0, dtype=np.int64)
        apart = np.flatnonzero(~same)
        one, two = mine[apart], theirs[apart]
        with np.errstate(invalid="ignore"):
            near = np.abs(one - two) <= TOLERANCE * np.maximum(np.abs(one), self.scale)
        return apart[~(near | (np.isnan(one) & np.isnan(two)))]


def columns_of(simulation: Simulation) -> list[Column]:
    """Return every series that a strategy's `init` made, drawn or not."""
    return [Column(series.name, series._values) for series in simulation._declarations.series]


def _unlike(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    if mine.dtype.kind in "fiub" and theirs.dtype.kind in "fiub":
        one, two = mine.astype(np.float64), theirs.astype(np.float64)
        return ~((one == two) | (np.isnan(one) & np.isnan(two)))
    missing = np.array([a != a and b != b for a, b in zip(mine.tolist(), theirs.tolist(), strict=True)], dtype=bool)
    return np.asarray(mine != theirs, dtype=bool) & ~missing


class Deeds(NamedTuple):
    """What happened in a run, in order, without its log: kinds, bars and rows as Events keeps them."""

    kinds: list[int]
    bars: list[int]
    rows: list[tuple[Any, ...]]

    @classmethod
    def of(cls, events: Events) -> Deeds:
        """Take them from a tape."""
        numbers = range(len(events))
        kinds, bars = events.kinds(numbers), events.bars(numbers)
        kept = np.flatnonzero(kinds != LOG)
        rows = events.rows
        return cls(kinds[kept].tolist(), bars[kept].tolist(), [rows[place] for place in kept.tolist()])

    def first_difference(self, other: Deeds, bars: int) -> int | None:
        """Return the first bar, of the first `bars`, on which something else happened in `other`."""
        shared = min(len(self.bars), len(other.bars))
        if self[1][:shared] == other[1][:shared] and self[0][:shared] == other[0][:shared]:
            start = shared if self.rows[:shared] == other.rows[:shared] else 0
        else:
            start = 0
        for place in range(start, max(len(self.bars), len(other.bars))):
            mine = self.bars[place] if place < len(self.bars) else bars
            theirs = other.bars[place] if place < len(other.bars) else bars
            first = min(mine, theirs)
            if first >= bars:
                return None
            if mine != theirs or self.kinds[place] != other.kinds[place]:
                return first
            if self.rows[place] != other.rows[place] and not _alike(
                self.kinds[place], self.rows[place], other.rows[place]
            ):
                return first
        return None

    def on(self, bar: int) -> list[tuple[int, tuple[Any, ...]]]:
        """Return the kind and row of what happened on one bar."""
        return [(k, row) for k, at, row in zip(self.kinds, self.bars, self.rows, strict=True) if at == bar]

    def placing(self) -> list[int]:
        """Return the bars on which the strategy did something to an order, each once."""
        return sorted({bar for kind, bar in zip(self.kinds, self.bars, strict=True) if kind in _DOINGS})


_DOINGS = frozenset(KINDS.index(name) for name in ("placed", "changed", "cancelled", "rejected"))


def _alike(kind: int, one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    if kind in (REJECTED, RUIN):  # their reasons spell numbers out, to the last digit
        one, two = one[:-1], two[:-1]
    return len(one) == len(two) and all(_same(a, b) for a, b in zip(one, two, strict=True))


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, (float, int)) and isinstance(two, (float, int)):
        return one == two or isclose(one, two, rel_tol=TOLERANCE) or (one != one and two != two)
    if isinstance(one, (str, bool, tuple, type(None))) or isinstance(two, (str, bool, tuple, type(None))):
        return bool(one == two)
    return type(one) is type(two)  # a tag of the user's own class, which may be equal to nothing but itself


def told(deeds: list[tuple[int, tuple[Any, ...]]]) -> str:
    """Return in words what the strategy did on a bar."""
    said = []
    for kind, row in deeds:
        if kind == PLACED:
            said.append(_order(row))
        elif kind in _DOINGS:
            name, order = KINDS[kind], "stop and target" if row[0] is None else f"order {row[0]}"
            levels = ", ".join(f"{label} {row[at]:.6g}" for at, label in _LEVELS if row[at] is not None)
            said.append(f"{order} {name}" + (f" ({levels})" if levels and name == "changed" else ""))
        elif KINDS[kind] in ("filled", "ruin"):
            said.append("a fill" if KINDS[kind] == "filled" else "ruin")
    return ", ".join(said) if said else "no order"


_LEVELS = ((3, "limit"), (4, "stop"), (5, "sl"), (6, "tp"))


def _order(row: tuple[Any, ...]) -> str:
    _, trade, size, *_ = row
    amount = "all in" if 0.999 < abs(size) < 1 else f"{abs(size):.6g}"
    levels = "".join(f" {label} {row[at]:.6g}" for at, label in _LEVELS if row[at] is not None)
    return f"{'buy' if size > 0 else 'sell'} {amount}{levels}{' to close' if trade is not None and not levels else ''}"
