"""Faults: what is wrong with bars, or may be, bar by bar."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

import numpy as np
import pandas as pd

from engine.bars import Bars

GAP, REPAIRED, DUPLICATED, NO_VOLUME, SPLIT, UNFINISHED = (
    "gap", "repaired", "duplicated", "zero volume", "suspected split", "unfinished",
)  # fmt: skip
_DAY = 86_400
_MISSING_DAYS = 3  # weekdays; markets close for one or two, and seldom for more
_SPLITS = np.array([2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 50, 3 / 2])  # markets move by less, now and then, on their own
_NEAR = 0.03  # of a split's ratio; the rest is the day's own move
_STEADY = 0.4  # a split's other prices: the bar itself moves less than this part of the jump
_SENTENCES = (
    ("repeat", DUPLICATED),
    ("left out", REPAIRED),
    ("widened", REPAIRED),
    ("sorted", REPAIRED),
    ("taken as 0", REPAIRED),
)


class Fault(NamedTuple):
    """One fault: its bar (from 0; the one after a gap), its kind, and a sentence for the user."""

    bar: int
    kind: str
    sentence: str


def faults(bars: Bars, now: float | None = None) -> list[Fault]:
    """Return what is wrong with bars, in order; `now` is the time of day in epoch seconds, for the last bar."""
    found = [
        *_repairs(bars), *_gaps(bars), *_repeats(bars), *_without_volume(bars), *_splits(bars),
        *_unfinished(bars, time.time() if now is None else now),
    ]  # fmt: skip
    return sorted(found)


def _repairs(bars: Bars) -> list[Fault]:
    """Return what was repaired at the door; the notes name the first row."""
    found = []
    for note in bars.notes:
        kind = next((kind for words, kind in _SENTENCES if words in note), None)
        if kind is not None and "not finished" not in note:
            row = re.search(r"row (\d+)", note)
            found.append(Fault(min(int(row[1]), len(bars) - 1) if row else 0, kind, note))
    return found


def _gaps(bars: Bars) -> list[Fault]:
    if not bars.dated or len(bars) < 3:
        return []
    steps = np.diff(bars.time)
    usual = int(np.median(steps))
    days = bars.time // _DAY
    weekends = float(np.mean((days + 3) % 7 >= 5)) > 0.2  # 1970-01-01 was a Thursday
    if usual > _DAY * 2:
        suspects = np.flatnonzero(steps > usual * 1.6)
    elif weekends:
        suspects = np.flatnonzero(steps > usual * 1.5)
    else:
        between = _weekdays(days[:-1], days[1:])
        within = (days[1:] == days[:-1]) & (steps > usual * 1.5)
        suspects = np.flatnonzero((between > _MISSING_DAYS) | within)
    return [
        Fault(int(at) + 1, GAP, f"No bars between {_when(bars, at)} and {_when(bars, at + 1)}: {_length(steps[at])}.")
        for at in suspects.tolist()
    ]


def _weekdays(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return how many weekdays lie from `first` (exclusive) to `last` (inclusive), both days since 1970."""

    def passed(days: np.ndarray) -> np.ndarray:
        whole, rest = np.divmod(days + 3, 7)  # since a Monday
        return whole * 5 + np.minimum(rest + 1, 5)

    return passed(last) - passed(first)


def _repeats(bars: Bars) -> list[Fault]:
    same = np.ones(len(bars) - 1, dtype=bool) if len(bars) else np.zeros(0, dtype=bool)
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(bars, name)
        same &= (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
    moved = (bars.high > bars.low)[1:]  # a market at rest repeats itself honestly
    return [
        Fault(at + 1, DUPLICATED, f"The bar of {_when(bars, at + 1)} repeats the one before it exactly.")
        for at in np.flatnonzero(same & moved).tolist()
    ]


def _without_volume(bars: Bars) -> list[Fault]:
    none = bars.volume == 0
    if none.mean() > 0.5 if len(bars) else True:
        return []  # a currency or an index: there is no volume to be missing
    return [
        Fault(at, NO_VOLUME, f"Nothing was traded on {_when(bars, at)}: prices of that bar could not be had.")
        for at in np.flatnonzero(none).tolist()
    ]


def _splits(bars: Bars) -> list[Fault]:
    """Return jumps between bars by the ratio of a usual split, which the prices around do not share."""
    if len(bars) < 2:
        return []
    jump = bars.open[1:] / bars.close[:-1]
    size = np.maximum(jump, 1 / jump)
    near = np.abs(size[:, None] / _SPLITS - 1) < _NEAR
    inside = np.abs(np.log(bars.close[1:] / bars.open[1:])) < _STEADY * np.log(size)
    found = np.flatnonzero(near.any(axis=1) & inside)
    usual = float(np.std(np.diff(np.log(bars.close)))) if len(bars) > 30 else 0.0
    told = []
    for at in found.tolist():
        if np.log(size[at]) < 5 * usual:
            continue  # this market jumps like that
        ratio = _SPLITS[int(np.argmin(np.abs(size[at] / _SPLITS - 1)))]
        words = f"{ratio:g} for 1" if jump[at] < 1 else f"1 for {ratio:g}"
        told.append(
            Fault(
                at + 1, SPLIT,
                f"{_when(bars, at + 1)} opens at {bars.open[at + 1]:.6g} after a close of {bars.close[at]:.6g}: a "
                f"split of {words} that is not adjusted for?",
            )
        )  # fmt: skip
    return told


def _unfinished(bars: Bars, now: float) -> list[Fault]:
    if not bars.dated or len(bars) < 2:
        return []
    length = int(np.median(np.diff(bars.time)))
    if bars.time[-1] <= now < bars.time[-1] + length:
        return [Fault(len(bars) - 1, UNFINISHED, f"The bar of {_when(bars, len(bars) - 1)} was not over yet.")]
    return []


def _when(bars: Bars, bar: int) -> str:
    moment = pd.Timestamp(bars.index[bar]) if bars.dated else None
    if moment is None:
        return f"bar {bar + 1}"
    return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}"


def _length(seconds: int) -> str:
    days = int(seconds) // _DAY
    return (
        f"{days} days"
        if days > 1
        else f"{int(seconds) // 3600} hours"
        if seconds >= 7200
        else f"{int(seconds) // 60} minutes"
    )
