"""Request: which bars are wanted, checked before any source is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from engine.errors import ConfigError

_DAILY = ("1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max")
_HOURLY = ("1d", "5d", "1mo", "3mo", "6mo", "1y")
_MINUTES = ("1d", "5d", "1mo")

INTERVALS: dict[str, tuple[str, ...]] = {
    "1m": ("1d", "5d"),
    "2m": _MINUTES,
    "5m": _MINUTES,
    "15m": _MINUTES,
    "30m": _MINUTES,
    "60m": _HOURLY,
    "1h": _HOURLY,
    "90m": _MINUTES,
    "1d": _DAILY,
    "1wk": _DAILY,
    "1mo": _DAILY,
}
"""The intervals that Yahoo has, each with the periods to offer for it."""

REACH = {"1m": 7, "2m": 60, "5m": 60, "15m": 60, "30m": 60, "90m": 60, "60m": 730, "1h": 730}
"""How many days back Yahoo's intraday bars go; the other intervals have no limit."""

_SYMBOL = re.compile(r"[A-Z0-9.^=\-]{1,15}")
_SYNTHETIC = re.compile(r"SYNTH(:\d{1,9})?")
_INTERVAL = re.compile(r"([1-9]\d{0,2})(m|h|d|wk|mo)")
_PERIOD = re.compile(r"([1-9]\d{0,3})(d|wk|mo|y)")
_WORDS = re.compile(r"(\d+)\s*-?\s*(d|days?|w|wk|weeks?|m|mo|mos|months?|y|yrs?|years?)")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "wk": 604_800, "mo": 2_629_746}  # a month is a twelfth of a year
_DAYS = {"d": 1, "wk": 7, "mo": 30, "y": 365}
_FIRST, _LAST = date(1900, 1, 1), date(2200, 1, 1)


@dataclass(frozen=True, slots=True)
class Request:
    """Bars of `symbol`, each `interval` long: from `start` up to `end`, or `period` back from the last one there is.

    A symbol of a file may have an interval that Yahoo does not know. `end` is exclusive; dates are the exchange's.
    """

    symbol: str
    interval: str
    period: str | None
    start: date | None
    end: date | None

    @property
    def wish(self) -> str:
        """The range in words: "6mo", "2020-01-01 to 2021-01-01"."""
        if self.start is None:
            return f"{self.period}" if self.end is None else f"{self.period} up to {self.end}"
        return f"{self.start} to today" if self.end is None else f"{self.start} to {self.end}"


def make(
    symbol: str,
    interval: str,
    period: str | None = None,
    start: str | date | None = None,
    end: str | date | None = None,
) -> Request:
    """Check what a user asked for. Dates, where given, win over a period.

    Raises:
        ConfigError: with `field` "symbol", "interval", "period", "start_date" or "end_date".
    """
    symbol, interval = check_symbol(symbol), check_interval(interval)
    first, until = parse_date(start, "start_date"), parse_date(end, "end_date")
    if first and until and first >= until:
        raise ConfigError(f"The start, {first}, must be before the end, {until} (which is left out).", field="end_date")
    if first:
        return Request(symbol, interval, None, first, until)
    return Request(symbol, interval, normalise_period(period) if period else longest_period(interval), None, until)


def check_symbol(symbol: str) -> str:
    """Return the symbol upper-cased and trimmed, or raise ConfigError."""
    wanted = str(symbol or "").strip().upper()
    if _SYNTHETIC.fullmatch(wanted) or _SYMBOL.fullmatch(wanted):
        return wanted
    if not wanted:
        raise ConfigError("Give a symbol, such as AAPL, ^GSPC, EURUSD=X or BTC-USD.", field="symbol")
    raise ConfigError(
        f"{wanted[:30]!r} is not a symbol: up to 15 letters, digits and . ^ = -, as AAPL, ^GSPC, EURUSD=X or BTC-USD.",
        field="symbol",
    )


def check_interval(interval: str) -> str:
    """Return the interval in lower case, or raise ConfigError; "4h" is well formed though Yahoo has no such bars."""
    wanted = str(interval or "").strip().lower()
    if wanted in INTERVALS or _INTERVAL.fullmatch(wanted):
        return wanted
    raise ConfigError(f"{wanted[:30]!r} is not an interval. Choose one of {', '.join(INTERVALS)}.", field="interval")


def normalise_period(period: str) -> str:
    """Return a period as Yahoo spells it: "6 months" is "6mo", "1year" is "1y"; raise ConfigError for anything else."""
    text = str(period or "").strip().lower()
    if text in ("ytd", "max") or _PERIOD.fullmatch(text):
        return text
    words = _WORDS.fullmatch(text)
    if words:
        short = str(int(words[1])) + {"d": "d", "w": "wk", "m": "mo", "y": "y"}[words[2][0]]
        if _PERIOD.fullmatch(short):
            return short
    raise ConfigError(
        f"{text[:30]!r} is not a period. Write a number and d, wk, mo or y (such as 6mo), or ytd, or max.",
        field="period",
    )


def check_period(interval: str, period: str) -> str:
    """Return the period normalised, or raise ConfigError when Yahoo's bars of this interval do not go back so far."""
    check_yahoo_interval(interval)
    wanted = normalise_period(period)
    reach = REACH.get(interval)
    if wanted in INTERVALS[interval] or reach is None:
        return wanted
    match = _PERIOD.fullmatch(wanted)
    if match and int(match[1]) * _DAYS[match[2]] <= reach:
        return wanted
    raise ConfigError(
        f"Bars of {interval} go back {reach} days at most, so {wanted} is too long. "
        f"Choose one of {', '.join(INTERVALS[interval])}, or a longer interval.",
        field="period",
    )


def check_yahoo_interval(interval: str) -> None:
    """Raise ConfigError for an interval that only a user's file could have."""
    if interval not in INTERVALS:
        raise ConfigError(f"There are no bars of {interval}. Choose one of {', '.join(INTERVALS)}.", field="interval")


def longest_period(interval: str) -> str:
    """Return the longest period that is offered for the interval."""
    return INTERVALS[interval][-1] if interval in INTERVALS else "max"


def parse_date(value: str | date | None, field: str) -> date | None:
    """Return an ISO date, None for nothing, or raise ConfigError for `field`."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        text = str(value).strip()
        try:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
                raise ValueError(text)
            value = date.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(f"{text[:30]!r} is not a date. Write it as 2024-12-31.", field=field) from error
    if not _FIRST <= value <= _LAST:
        raise ConfigError(f"{value} is out of range: dates are from {_FIRST} to {_LAST}.", field=field)
    return value


def seconds(interval: str) -> int:
    """Return how long a bar is, in seconds; a month is an average one."""
    match = _INTERVAL.fullmatch(interval)
    assert match, interval
    return int(match[1]) * _SECONDS[match[2]]


def back(last: pd.Timestamp, period: str) -> pd.Timestamp:
    """Return the date that is `period` ("2wk", "6mo", "1y", "ytd") before the date of `last`."""
    day = last.normalize()
    if period == "ytd":
        return day.replace(month=1, day=1)
    match = _PERIOD.fullmatch(period)
    assert match, period
    n, unit = int(match[1]), match[2]
    if unit in ("d", "wk"):
        return day - pd.DateOffset(days=n * _DAYS[unit])
    months = n * (12 if unit == "y" else 1)
    return day - pd.DateOffset(months=min(months, (day.year - _FIRST.year) * 12))  # 9999y would pass the year 1


def trading_days(period: str) -> int | None:
    """Return n for a period of n days, which counts days with bars, not days of the calendar; else None."""
    match = _PERIOD.fullmatch(period)
    return int(match[1]) if match and match[2] == "d" else None
