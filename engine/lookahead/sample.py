"""Sample: which bars are checked when a run is too long to check them all, worst suspects first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from engine.bars import DATED, Bars

ALL_UP_TO = 2000
SIZE = 240
_STEPS = 4_000_000  # bars that whole runs of a sample may play, each time the future is removed or replaced


class Plan(NamedTuple):
    """The bars to check in order, those whose decisions are taken again by running, and words for a sample.

    `tried` are run also of a strategy whose decisions follow from what it can read: a third, for nothing is expected.
    """

    bars: list[int]
    run: set[int]
    tried: set[int]
    sample: str


def plan(bars: Bars, last: int, placing: list[int], *, limit: int = ALL_UP_TO, seed: int = 0) -> Plan:
    """Return what to check of the first `last` bars; `placing` are the bars on which orders were placed.

    Whole runs cost the square of the length, so beyond 300 bars they are for bars with orders and some at random: that
    the others decide the same follows from equal inputs, see `Proof`.
    """
    random = np.random.default_rng(seed)
    if last <= 300 and last <= limit:
        return Plan(list(range(last)), set(range(last)), set(range(last)), "")
    runs = int(np.clip(_STEPS // last, 20, 200))
    if last <= limit:
        orders, others = _spread(placing, runs // 2), random.choice(last, runs // 2, replace=False).tolist()
        tried = {*orders[::3], *others[::3], last - 2}
        return Plan(list(range(last)), {*orders, *others, last - 2}, tried, "")
    moves = np.abs(np.diff(np.log(bars.close[:last])))
    suspects = (
        ("with orders", _spread(placing, SIZE * 2 // 5)),
        ("before the largest moves", np.argsort(-moves)[: SIZE // 5].tolist()),
        ("at the ends of longer bars", _spread(_ends(bars, last), SIZE * 3 // 20)),
    )
    order: list[int] = []
    told = []
    for words, candidates in suspects:
        new = [bar for bar in candidates if bar not in set(order)]
        order += new
        told.append(f"{len(new)} {words}")
    taken = set(order)
    rest = [bar for bar in random.permutation(last).tolist() if bar not in taken][: SIZE - len(order)]
    order += rest
    sample = f"A sample of {len(order)} of {last:,} bars: {', '.join(told)}, {len(rest)} at random."
    return Plan(order, {*_spread(order, runs), order[0]}, {*_spread(order, runs)[::3], order[0]}, sample)


def _spread(bars: list[int], most: int) -> list[int]:
    """Return at most so many of the bars, evenly from first to last."""
    if len(bars) <= most:
        return list(bars)
    return [bars[place] for place in np.linspace(0, len(bars) - 1, most).astype(int)]


def _ends(bars: Bars, last: int) -> list[int]:
    """Return the last bars of days, of weeks for daily bars, of months for longer ones."""
    if not bars.dated:
        return []
    times = pd.DatetimeIndex(bars.time[:last].view("datetime64[s]"))
    if len(times) > 2 and int(np.median(np.diff(bars.time[:last]))) < 86_400 and bars.interval not in DATED:
        periods = bars.time[:last] // 86_400
    else:
        periods = times.to_period("W").astype(np.int64).to_numpy()
    return np.flatnonzero(np.diff(periods)).tolist()
