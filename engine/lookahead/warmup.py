"""Warm-up: whether trading begins before an indicator has forgotten where the data starts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.errors import EngineError
from engine.lookahead import lines
from engine.lookahead.compare import Column, columns_of
from engine.lookahead.report import WARM_UP, Finding
from engine.lookahead.world import World

_PATIENCE = 4  # times the bars before the first order
_SETTLED = 0.1  # of the largest difference
_FEWEST = 60  # bars that must be left to see an indicator settle


def findings(world: World, columns: list[Column], first: int) -> Iterator[Finding]:
    """Yield a finding for each indicator that is far from settled on `first`, the bar of the first order.

    The run is begun later, and each value compared with the same bar's in the run. An average that remembers by halves
    (EMA, RSI, ATR) comes near it after some bars; when that takes more than four times the bars before the first
    order, the first orders rest on where the data happened to start. What never comes near was meant to begin with
    the data, such as a highest price so far or a sum of volume.
    """
    count = len(world.bars)
    slow: dict[int, tuple[int, float, float]] = {}
    for position, start in enumerate((count // 4, count // 2)):
        if count - start < max(_FEWEST, 3 * first):
            break
        try:
            simulation = world.from_bar(start)
        except EngineError:
            break
        late = _late(columns, columns_of(simulation), start, first)
        # Both starts have to show it: one alone may have met a quiet or a wild stretch.
        slow = late if position == 0 else {number: slow[number] for number in slow if number in late}
        if not slow:
            return
    else:
        places = lines.declared(world.whole) if slow else []
        for number, (bar, had, known) in slow.items():
            if number >= len(places) or (place := places[number]) is None:
                continue  # not declared by the user
            file, line, source = place
            name = columns[number].name
            yield Finding(WARM_UP, "warning", bar, "indicator", name, had, known, file, line, source, bars=(first,))


def _late(columns: list[Column], shifted: list[Column], start: int, first: int) -> dict[int, tuple[int, float, float]]:
    """Return for each column that settles late its number, the bar, and both values there."""
    found = {}
    for number, (column, cut) in enumerate(zip(columns, shifted, strict=False)):
        if column.values.dtype.kind != "f" or cut.values.dtype.kind != "f":
            continue
        with np.errstate(invalid="ignore"):
            apart = np.abs(column.values[start:] - cut.values)
        apart = np.where(np.isfinite(apart), apart, 0.0)
        most = float(apart.max())
        if most <= 1e-3 * column.scale or not most:
            continue
        open_ = np.flatnonzero(apart > _SETTLED * most)
        settled = int(open_[-1]) + 1
        if settled < len(apart) * 2 // 3 and settled > _PATIENCE * (first + 1) and first < len(apart):
            found[number] = start + first, float(column.values[start + first]), float(cut.values[first])
    return found
