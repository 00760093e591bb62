"""Remarks: what is legal in bars and still worth a second look, said to the user and never changed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.bars import Bars

_JUMP = 10.0  # a close this many times the one before, or the inverse: no market, but a split or another unit
_GAP = 14 * 86_400  # seconds; the longest holidays are shorter


def remark(bars: Bars) -> Bars:
    """Return the bars with a note on jumps that look like splits, and one on long gaps."""
    notes = [note for note in (_jumps(bars), _gaps(bars)) if note]
    return bars.told(*notes) if notes else bars


def _jumps(bars: Bars) -> str | None:
    ratio = bars.close[1:] / bars.close[:-1]
    rows = np.flatnonzero((ratio >= _JUMP) | (ratio <= 1 / _JUMP)) + 1
    if not len(rows):
        return None
    first = rows[0]
    return (
        f"The close jumps from {bars.close[first - 1]:.6g} to {bars.close[first]:.6g} on {_day(bars, first)}"
        f"{_more(len(rows), 'such jump')}: a split that is not adjusted for, or another unit?"
    )


def _gaps(bars: Bars) -> str | None:
    if not bars.dated:
        return None
    steps = np.diff(bars.time)
    rows = np.flatnonzero(steps > max(_GAP, 5 * int(np.median(steps))))
    if not len(rows):
        return None
    longest = rows[np.argmax(steps[rows])]
    days = int(steps[longest]) // 86_400
    return (
        f"There are no bars for {days:,} days after {_day(bars, longest)}"
        f"{_more(len(rows), 'shorter gap')}; the chart closes such gaps."
    )


def _more(count: int, what: str) -> str:
    return "" if count == 1 else f" (and {count - 1:,} {what}{'s' if count > 2 else ''})"


def _day(bars: Bars, bar: int) -> str:
    return f"{pd.Timestamp(int(bars.time[bar]), unit='s'):%Y-%m-%d}"
