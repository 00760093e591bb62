"""Synthetic bars: made up, the same every time, for trying things out and for measuring."""

from __future__ import annotations

from datetime import date
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd

from engine.bars import Bars
from engine.errors import ConfigError, NoBars
from engine.feeds.request import Request, back, seconds, trading_days

MOST = 5_000_000
_END = np.datetime64("2025-01-01")  # exclusive, and fixed: the same request gives the same bars next year
_DAY = np.timedelta64(1, "D")
_EARLIEST = np.datetime64("1970-01-01")
_LATEST_DAY = 7_030 * 365.2425  # in the year 9000: dates stay such that Python and JavaScript can print them
_MAX_BARS = 10_000  # what "max" means here
_YEAR = 31_556_952  # seconds
_SEED = 20_240_229

# Those that somebody still holds, such as a run that is played: a million take 60 ms to make and 25 to digest.
_made: WeakValueDictionary[Request, Bars] = WeakValueDictionary()


def is_synthetic(symbol: str) -> bool:
    """Say whether a symbol names these bars: SYNTH, or SYNTH:1000000 for a number of them."""
    return symbol == "SYNTH" or symbol.startswith("SYNTH:")


def count(request: Request) -> int:
    """Return how many bars `make` would return, without making them; raises as it does."""
    _, _, number = request.symbol.partition(":")
    if number:
        _first_day(request, int(number))
        return int(number)
    start, end, most = _span(request)
    if request.interval[-1] in "mh":
        n = min(most, int(-((start - end).astype(int) * 86_400 // seconds(request.interval))))
    else:
        n = len(_times(start, most, request.interval, end))
    _check_enough(n, request)
    return n


def make(request: Request) -> Bars:
    """Return a random walk: 24 hours a day for intraday bars, weekdays for daily ones.

    SYNTH has the period or dates of the request; SYNTH:n has n bars, whatever the period, from its start date if there
    is one. The walk depends on the interval and begins anew at its first bar.

    Raises:
        ConfigError: more bars than can be served, or so many that they pass the year 9000.
        NoBars: fewer than two bars lie between the dates.
    """
    if (known := _made.get(request)) is not None:
        return known
    _, _, number = request.symbol.partition(":")
    time = _counted(request, int(number)) if number else _spanned(request)
    _check_enough(len(time), request)
    columns: dict[str, Any] = _walk(len(time), request.interval)
    about: dict[str, Any] = {"symbol": request.symbol, "interval": request.interval, "timezone": "UTC"}
    return _made.setdefault(request, Bars(time, **columns, **about, source="synthetic"))


def _check_enough(n: int, request: Request) -> None:
    if n < 2:
        hint = f"Fewer than two bars of {request.interval} lie in {request.wish}."
        raise NoBars(request.symbol, "the synthetic feed", hint, field="end_date" if request.start else "period")


def _walk(n: int, interval: str) -> dict[str, np.ndarray]:
    """Return prices with some 20 % volatility and 6 % growth a year, in calm and wild spells, and volume."""
    random = np.random.default_rng([_SEED, *interval.encode()])
    scale = np.sqrt(min(seconds(interval) / _YEAR, 1.0)) * 0.2
    spells = 1.0 + 0.5 * np.sin(np.arange(n) * (2 * np.pi / 377.0))
    moves = random.standard_normal(n, dtype=np.float64)
    moves *= spells
    moves *= scale
    moves += 0.06 * min(seconds(interval) / _YEAR, 1.0)
    level = np.cumsum(moves)
    level = 2.3 * np.sin(level / 2.3)  # folds the walk back, so that a million bars stay between 10 and 1,000
    close = np.round(100 * np.exp(level), 4)
    open_ = np.concatenate(([100.0], close[:-1]))
    reach = random.standard_exponential((2, n)) * (scale / 2)
    high = np.round(np.maximum(open_, close) * (1 + reach[0]), 4)
    low = np.round(np.minimum(open_, close) * np.exp(-reach[1]), 4)
    volume = np.round(50_000 * (1 + random.standard_exponential(n)) * spells)
    return {"open": open_, "high": high, "low": low, "close": close, "volume": volume}


def _counted(request: Request, n: int) -> np.ndarray:
    return _times(_first_day(request, n), n, request.interval)


def _first_day(request: Request, n: int) -> np.datetime64:
    if not 2 <= n <= MOST:
        raise ConfigError(f"SYNTH:{n} is out of range: from 2 to {MOST:,} bars.", field="symbol")
    start = np.datetime64(request.start) if request.start else _before(_END, n, request.interval)
    if int(start.astype(int)) + n * seconds(request.interval) * _calendar(request.interval) / 86_400 > _LATEST_DAY:
        raise ConfigError(
            f"{n:,} bars of {request.interval} would pass the year 9000. Choose fewer, or a shorter interval.",
            field="symbol",
        )
    return start


def _spanned(request: Request) -> np.ndarray:
    start, end, most = _span(request)
    return _times(start, most, request.interval, end)


def _span(request: Request) -> tuple[np.datetime64, np.datetime64, int]:
    """Return the first day, the day after the last, and a number of bars that is enough for them."""
    end: np.datetime64 = np.datetime64(request.end) if request.end else _END
    start: np.datetime64
    if request.start:
        start = np.datetime64(request.start)
        if start >= end:
            hint = f"It ends on {_END - _DAY}. Choose an earlier start, or an end too."
            raise NoBars("SYNTH", "the synthetic feed", hint, field="start_date")
    elif request.period == "max" or request.period is None:
        start = _before(end, _MAX_BARS, request.interval)
    else:
        start = _period_start(end, request)
    n = int((end - start).astype(int) * 86_400 // seconds(request.interval)) + 2
    if n > MOST:
        raise ConfigError(f"{n:,} bars of {request.interval} are too many: {MOST:,} is the most.", field="interval")
    return start, end, n


def _period_start(end: np.datetime64, request: Request) -> np.datetime64:
    assert request.period
    n = trading_days(request.period)
    if n is not None:
        return np.busday_offset(end, -n, roll="forward") if request.interval.endswith("d") else end - n * _DAY
    last: date = (end - _DAY).astype(object)
    return np.datetime64(back(pd.Timestamp(last), request.period).date())


def _before(end: np.datetime64, n: int, interval: str) -> np.datetime64:
    """Return the date from which `n` bars reach about up to `end`, 1970 at the earliest."""
    days = n * seconds(interval) * _calendar(interval) / 86_400
    start = end - np.timedelta64(int(np.ceil(days)), "D")
    return start if start > _EARLIEST else _EARLIEST


def _calendar(interval: str) -> float:
    """Return how many days of the calendar a day of trading takes."""
    return 7 / 5 if interval.endswith("d") else 1.0


def _times(start: np.datetime64, n: int, interval: str, end: np.datetime64 | None = None) -> np.ndarray:
    """Return at most `n` epoch seconds from the date `start`, before `end`."""
    size = int("".join(c for c in interval if c.isdigit()))
    if interval.endswith("mo"):
        month = start.astype("datetime64[M]")
        months = month + (month < start) + np.arange(n) * size
        times = months.astype("datetime64[D]")
    elif interval.endswith("wk"):
        monday = np.busday_offset(start, 0, roll="forward", weekmask="1000000")
        times = monday + np.arange(n) * 7 * size
    elif interval.endswith("d"):
        times = np.busday_offset(start, np.arange(n) * size, roll="forward")
    else:
        times = start.astype("datetime64[s]") + np.arange(n) * seconds(interval)
    time = times.astype("datetime64[s]").astype(np.int64)
    return time if end is None else time[time < end.astype("datetime64[s]").astype(np.int64)]
