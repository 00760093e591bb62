"""Lib: helpers that strategies are written with."""

from __future__ import annotations

from typing import Any

from engine.series import Series


def crossover(one: Any, other: Any) -> bool:
    """Return whether `one` has just risen above `other`; either may be a number. Touching is not crossing."""
    before, now = _last_two(one)
    other_before, other_now = _last_two(other)
    return bool(before < other_before and now > other_now)


def cross(one: Any, other: Any) -> bool:
    """Return whether `one` has just crossed `other`, either way."""
    return crossover(one, other) or crossover(other, one)


def _last_two(values: Any) -> tuple[Any, Any]:
    if isinstance(values, (int, float)):
        return values, values
    if isinstance(values, Series) or not hasattr(values, "iloc"):
        return (values[-2], values[-1]) if len(values) > 1 else (float("nan"), float("nan"))
    return values.iloc[-2], values.iloc[-1]
