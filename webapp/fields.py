"""Fields: how one value, from a form or from JSON, becomes a number, a date or a flag, or is refused.

Every refusal names the field, the value and the way out.
"""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from typing import Any

from engine.errors import ConfigError

_FIRST_DATE = date(1900, 1, 1)
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def shown(value: Any) -> str:
    """Return `value` as a message may quote it: short, printable, in quotes when it is text."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, int) and abs(value) >= 10**15:
        return "a number of too many digits"
    text = value if isinstance(value, str) else str(value)
    short = text if len(text) <= 40 else text[:39] + "…"
    return ascii(short) if not short.isprintable() else repr(short) if isinstance(value, str) else short


def text(name: str, label: str, value: Any) -> str:
    """Return `value` without the space around it."""
    if not isinstance(value, str):
        raise ConfigError(f"{label} must be text, not {shown(value)}.", field=name)
    return value.strip()


def number(name: str, label: str, value: Any, *, example: str) -> float:
    """Return `value` as a finite number; text may have thousands commas, and a percent sign that divides by 100.

    Args:
        example: what to write instead, for the message.
    """
    way_out = f"Write a number such as {example}."
    if isinstance(value, str):
        parsed = _read_number(value.strip())
        if parsed is None:
            problem = "is empty" if not value.strip() else f"must be a number, not {shown(value.strip())}"
            raise ConfigError(f"{label} {problem}. {way_out}", field=name)
        value = parsed
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{label} must be a number, not {shown(value)}. {way_out}", field=name)
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        problem = "must be a number, not NaN" if math.isnan(result) else "is too large a number"
        raise ConfigError(f"{label} {problem}. {way_out}", field=name)
    return result


def flag(name: str, label: str, value: Any) -> bool:
    """Return `value` as yes or no."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "on", "yes", "1"):
        return True
    if isinstance(value, str) and value.strip().lower() in ("false", "off", "no", "0", ""):
        return False
    raise ConfigError(f"{label} must be true or false, not {shown(value)}.", field=name)


def iso_date(name: str, label: str, value: Any) -> date:
    """Return `value` (2012-09-04, or a timestamp of that day) as a date."""
    if not isinstance(value, str):
        raise ConfigError(f"{label} must be a date such as 2012-09-04, not {shown(value)}.", field=name)
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})([T ][0-9:.+Z-]*)?", value.strip(), re.ASCII)
    try:
        day = date.fromisoformat(match[1] if match else "")
    except ValueError:
        problem = f"{label} must be a date such as 2012-09-04, not {shown(value)}."
        raise ConfigError(problem, field=name) from None
    if day < _FIRST_DATE:
        raise ConfigError(f"{label} {day} is too long ago. Choose a day after {_FIRST_DATE}.", field=name)
    if day > date.today() + timedelta(days=366):
        raise ConfigError(f"{label} {day} lies in the future. Choose an earlier day.", field=name)
    return day


def _read_number(written: str) -> float | None:
    percent = written.endswith("%")
    digits = written.removesuffix("%").strip() if percent else written
    if len(digits) > 400 or not re.search(r"\d", digits) or not _NUMBER.fullmatch(digits):
        return {"nan": math.nan, "inf": math.inf, "infinity": math.inf}.get(digits.lower().lstrip("+-"))
    value = float(digits.replace(",", ""))
    return value / 100 if percent else value
