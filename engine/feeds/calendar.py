"""Calendar: which bar is still being made, and when the next one will be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from engine.bars import DATED
from engine.feeds.request import seconds

_SETTLE = 900.0  # seconds after a close until Yahoo's daily bar is final
_DAY = 86_400.0


def is_unfinished(last: pd.Timestamp, interval: str, about: Mapping[str, Any], now: float) -> bool:
    """Say whether the bar that opened at `last` (zoned) can still change at `now` (epoch seconds).

    Args:
        about: Yahoo's `meta` of the symbol: `currentTradingPeriod`, `instrumentType`.
    """
    moment = pd.Timestamp(now, unit="s", tz="UTC").tz_convert(last.tz)
    if interval not in DATED:
        return last.timestamp() + seconds(interval) > now and not _closed_since(last, about, now)
    if interval == "1mo":
        return (moment.year, moment.month) <= (last.year, last.month)
    if interval == "1wk":
        over = moment >= last + pd.DateOffset(days=7)
        weekend = not _trades_daily(about) and moment.weekday() >= 5 and last.weekday() < 5
        return not over and not weekend
    if moment.date() != last.date():
        return moment < last
    close = _regular(about, "end")
    same_day = close is not None and pd.Timestamp(close, unit="s", tz="UTC").tz_convert(last.tz).date() == last.date()
    return not same_day or close is None or now < close


def fresh_until(interval: str, about: Mapping[str, Any], now: float) -> float:
    """Return when bars fetched `now` should be fetched again: after the next close, or after one intraday bar."""
    if interval not in DATED:
        return now + min(max(seconds(interval), 60), 900)
    close = _regular(about, "end")
    if close is None:
        return now + 6 * 3_600
    due = close + _SETTLE
    while due <= now or (_is_weekend(due, about) and not _trades_daily(about)):
        due += _DAY
    return due


def _closed_since(last: pd.Timestamp, about: Mapping[str, Any], now: float) -> bool:
    """Say whether the market closed inside the bar, as it does in the last hourly bar of a day of 6.5 hours."""
    close = _regular(about, "end")
    return close is not None and last.timestamp() < close <= now


def _regular(about: Mapping[str, Any], which: str) -> float | None:
    try:
        value = about["currentTradingPeriod"]["regular"][which]
    except (KeyError, TypeError):
        return None
    return value.timestamp() if isinstance(value, pd.Timestamp) else float(value)


def _trades_daily(about: Mapping[str, Any]) -> bool:
    return about.get("instrumentType") == "CRYPTOCURRENCY"


def _is_weekend(moment: float, about: Mapping[str, Any]) -> bool:
    zone = about.get("exchangeTimezoneName") or "UTC"
    return pd.Timestamp(moment, unit="s", tz="UTC").tz_convert(zone).weekday() >= 5
