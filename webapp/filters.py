"""Numbers and times as the pages write them; a dash stands for what is not defined."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask
from jinja2 import Undefined

DASH = "–"
MINUS = "−"


def register(app: Flask) -> None:
    """Make every filter of this module known to the templates of `app`."""
    for filter_ in (
        money,
        signed_money,
        percent,
        signed_percent,
        number,
        count,
        moment,
        day,
        tone,
        plain,
        price,
        units,
        duration,
    ):
        app.jinja_env.filters[filter_.__name__] = filter_


def money(value: float | None, digits: int = 2) -> str:
    """Write an amount: 10,432.50."""
    return _write(value, f",.{digits}f")


def signed_money(value: float | None, digits: int = 2) -> str:
    """Write a gain or loss: +432.50."""
    return _write(value, f"+,.{digits}f")


def percent(value: float | None, digits: int = 2) -> str:
    """Write a number that is already a percentage: 4.33 %."""
    text = _write(value, f",.{digits}f")
    return text if text == DASH else f"{text} %"


def signed_percent(value: float | None, digits: int = 2) -> str:
    """Write a change that is already a percentage: +4.33 %."""
    text = _write(value, f"+,.{digits}f")
    return text if text == DASH else f"{text} %"


def number(value: float | None, digits: int = 2) -> str:
    """Write a ratio: 1.84."""
    return _write(value, f",.{digits}f")


def count(value: float | None) -> str:
    """Write a whole number: 2,520."""
    return _write(value, ",.0f")


def price(value: float | None) -> str:
    """Write a price with as many decimals as its size asks for: 187.35, 1.0843, 0.00012300."""
    size = abs(value) if value is not None and math.isfinite(value) else 0.0
    digits = 2 if size == 0 or size >= 10 else 4 if size >= 1 else 6 if size >= 0.01 else 8
    return _write(value, f",.{digits}f")


def units(value: float | None) -> str:
    """Write a number of units, whole or a fraction: 52, 0.0125."""
    return _write(value, ",.6g" if value is not None and abs(value) < 1000 else ",.0f")


def duration(seconds: float | None) -> str:
    """Write a span of time in the unit that fits: 41 days, 6.5 hours, 12 minutes."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            text = f"{seconds / size:,.1f}".removesuffix(".0")
            return f"{text} {unit}" if text == "1" else f"{text} {unit}s"
    return f"{seconds:.0f} s"


def moment(time: float | None, timezone: str | None = None) -> str:
    """Write epoch seconds as a date, with the time of day and its zone when it is not midnight."""
    if time is None or not math.isfinite(time):
        return DASH
    local = datetime.fromtimestamp(time, _zone(timezone))
    return f"{local:%Y-%m-%d}" if (local.hour, local.minute) == (0, 0) else f"{local:%Y-%m-%d %H:%M %Z}"


def day(time: float | None, timezone: str | None = None) -> str:
    """Write epoch seconds as a date."""
    if time is None or not math.isfinite(time):
        return DASH
    return f"{datetime.fromtimestamp(time, _zone(timezone)):%Y-%m-%d}"


def tone(value: float | None) -> str:
    """Name the class for a figure's colour: gain, loss or flat."""
    if value is None or isinstance(value, Undefined) or math.isnan(value) or value == 0:
        return "flat"
    return "gain" if value > 0 else "loss"


def plain(value: Any) -> str:
    """Write a configuration's value as its form field takes it: 10000, 0.001, yes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _write(value: float | None, form: str) -> str:
    if value is None or isinstance(value, Undefined) or not math.isfinite(value):
        return DASH
    text = format(value, form)
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")  # no sign on what rounds to zero
    return text.replace("-", MINUS)


def _zone(name: str | None) -> Any:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
