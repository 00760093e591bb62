"""Span: the part of a source's bars that was asked for, and days made into weeks and months."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from engine.bars import DATED, Bars
from engine.errors import NoBars
from engine.feeds.request import Request, back, trading_days


def cut(bars: Bars, request: Request) -> Bars:
    """Return the bars of the period or the dates that `request` names.

    Raises:
        NoBars: fewer than two lie inside; the message names the range that there is.
    """
    first = 0 if request.start is None else int(np.searchsorted(bars.time, instant(request.start, bars)))
    stop = len(bars) if request.end is None else int(np.searchsorted(bars.time, instant(request.end, bars)))
    if request.start is None and request.period is not None and request.period != "max" and stop > 0:
        first = _period_start(bars, stop, request.period)
    if stop - first >= 2:
        return bars if (first, stop) == (0, len(bars)) else bars[first:stop]
    found = "are no bars" if stop <= first else "is only one bar"
    hint = f"There {found} in {request.wish}: it has {extent(bars)}. Choose dates inside that."
    raise NoBars(
        request.symbol,
        bars.source,
        hint,
        field="period" if request.start is None and request.end is None else "start_date",
    )


def extent(bars: Bars) -> str:
    """Return the dates of the first and the last bar: "2000-03-01 to 2013-03-01"."""
    return f"{_day(bars, 0)} to {_day(bars, -1)}"


def instant(day: date, bars: Bars) -> int:
    """Return the epoch second at which a date begins where the bars are traded."""
    moment = pd.Timestamp(day)
    if bars.timezone is not None and bars.interval not in DATED:
        moment = moment.tz_localize(bars.timezone, ambiguous=True, nonexistent="shift_forward")
    return int(moment.timestamp())


def resample(bars: Bars, interval: str) -> Bars:
    """Return daily bars as weeks from Monday ("1wk") or calendar months ("1mo").

    A last week or month that the days do not fill is left out, with a note: its close is not known yet.
    """
    days = bars.time.view("datetime64[s]").astype("datetime64[D]")
    unit = _weeks(days) if interval == "1wk" else days.astype("datetime64[M]")
    first = np.flatnonzero(np.concatenate(([True], unit[1:] != unit[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    following = np.busday_offset(days[-1] + np.timedelta64(1, "D"), 0, roll="forward")
    next_unit = _weeks(np.array([following]))[0] if interval == "1wk" else following.astype("datetime64[M]")
    columns: dict[str, Any] = {
        "time": unit[first].astype("datetime64[s]").astype(np.int64),
        "open": bars.open[first],
        "high": np.maximum.reduceat(bars.high, first),
        "low": np.minimum.reduceat(bars.low, first),
        "close": bars.close[last],
        "volume": np.add.reduceat(bars.volume, first),
    }
    name = "week" if interval == "1wk" else "month"
    source = f"{bars.source}, {name}s made from its days"
    made = replace(bars, **columns, interval=interval, source=source, extra={}, _index=None)
    if next_unit != unit[-1]:
        return made
    return made[:-1].told(f"The last {name} was not complete: left out.")


def _weeks(days: np.ndarray) -> np.ndarray:
    """Return the Monday on or before each day; 1970-01-05 was one."""
    since = (days - np.datetime64("1970-01-05")).astype(np.int64)
    return np.datetime64("1970-01-05") + since // 7 * 7


def _period_start(bars: Bars, stop: int, period: str) -> int:
    last = _wall(bars, stop - 1)
    n = trading_days(period)
    if n is None:
        return int(np.searchsorted(bars.time, instant(back(last, period).date(), bars)))
    index = bars.index[:stop]
    days = pd.DatetimeIndex(index).tz_localize(None).normalize().asi8
    changes = np.flatnonzero(np.diff(days)) + 1
    return int(changes[-n]) if n <= len(changes) else 0


def _wall(bars: Bars, bar: int) -> pd.Timestamp:
    moment = pd.Timestamp(int(bars.time[bar]), unit="s")
    if bars.timezone is None or bars.interval in DATED:
        return moment
    return moment.tz_localize("UTC").tz_convert(bars.timezone).tz_localize(None)


def _day(bars: Bars, bar: int) -> str:
    return f"{_wall(bars, bar):%Y-%m-%d}"
