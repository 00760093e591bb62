"""Calendar: what the times of the bars say about periods, sessions a year and durations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

DAY = 86_400 * 10**9  # nanoseconds
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_RESOLUTIONS = (DAY, 3_600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3, 1)
_WEEKEND_SHARE = (
    2 / 7 * 0.6
)  # a market that trades every day has 2/7 of its bars on weekends; with gaps, still most of it


@dataclass(frozen=True, slots=True)
class Calendar:
    """Times as integers.

    `times` count from the epoch in UTC, in units of so many `nanoseconds`; `local_days` are days on the exchange's own
    calendar. All are None for bars without dates; a duration is then a number of bars.
    """

    times: np.ndarray | None
    nanoseconds: int | None
    local_days: np.ndarray | None

    @classmethod
    def of(cls, index: pd.Index) -> Calendar:
        """Read a bars' index."""
        if not isinstance(index, pd.DatetimeIndex):
            return cls(None, None, None)
        scale = _UNITS[index.unit]
        local = index if index.tz is None else index.tz_localize(None)
        return cls(index.asi8, scale, local.asi8 // (DAY // scale))

    def spacing(self, bar: int) -> int:
        """Return the median distance, in nanoseconds, between the 100 bars before `bar`."""
        assert self.times is not None and self.nanoseconds is not None
        if bar < 2:
            return 0
        times = self.times[max(0, bar - 100) : bar]
        recent = (times[1:] - times[:-1]) * self.nanoseconds
        recent.sort()  # np.diff and np.median cost three times as much, on every bar of live statistics
        return int(recent[(len(recent) - 1) // 2] + recent[len(recent) // 2]) // 2

    @staticmethod
    def period(spacing: int) -> str:
        """Return over what returns of bars so far apart are taken: "D", "W", "M" or "Y"."""
        return {7: "W", 31: "M", 365: "Y"}.get(spacing // DAY, "D")

    @staticmethod
    def resolution(spacing: int) -> int:
        """Return the unit, in nanoseconds, that durations are rounded up to for bars so far apart."""
        return next(unit for unit in _RESOLUTIONS if spacing % unit == 0)

    def period_numbers(self, period: str, start: int, stop: int) -> np.ndarray:
        """Return, for bars `start` up to `stop`, the number of the day, week, month or year each belongs to."""
        assert self.local_days is not None
        days = self.local_days[start:stop]
        if period == "D":
            return days
        if period == "W":
            return (days + 3) // 7  # weeks end on Sunday; day 0 was a Thursday
        return days.astype("datetime64[D]").astype(f"datetime64[{period}]").astype(np.int64)

    def weekend_bars(self, start: int, stop: int) -> int:
        """Return how many of bars `start` up to `stop` lie on a Saturday or Sunday."""
        assert self.local_days is not None
        weekday = self.local_days[start:stop] + 3  # day 0 was a Thursday
        weekday %= 7
        return int(np.count_nonzero(weekday >= 5))

    @staticmethod
    def periods_a_year(period: str, bars: int, weekend_bars: int) -> int:
        """Return how many of the periods make a year; a market that trades on weekends has 365 days, others 252."""
        if period != "D":
            return {"W": 52, "M": 12, "Y": 1}[period]
        return 365 if bars and weekend_bars / bars > _WEEKEND_SHARE else 252

    def elapsed(self, start: np.ndarray | int, stop: np.ndarray | int) -> np.ndarray:
        """Return how long it is from bars `start` to bars `stop`: nanoseconds, or bars without dates."""
        if self.times is None or self.nanoseconds is None:
            return np.asarray(stop) - np.asarray(start)
        return np.asarray((self.times[stop] - self.times[start]) * self.nanoseconds)


def round_up(duration: float, unit: int) -> int:
    """Return a duration rounded up to whole units, both in nanoseconds."""
    return -(-int(duration) // unit) * unit
