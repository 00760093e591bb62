"""Words: values as a person reads them, short, whatever they are."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import pandas as pd

from engine.orders import Order
from engine.series import Readable, Rows, Values
from engine.trades import Position, Trade

LONGEST = 60  # characters
NUMBERS = (int, float, np.integer, np.floating)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = LONGEST
_repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = _repr.maxdict = _repr.maxdeque = 3
_repr.maxlevel = 2
_PLAIN = (bool, int, float, str, bytes, type(None))


def show(value: Any) -> str:
    """Return a value in at most LONGEST characters; a column is its last value."""
    try:
        text = _show(value)
    except Exception as error:  # a repr of the user's that fails
        text = f"<{type(value).__name__}, whose repr fails: {type(error).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def number(value: Any) -> float | None:
    """Return what a value counts as in a comparison, None when it is no number; a column counts as its last value."""
    if type(value) is float:
        return value
    try:
        if isinstance(value, (bool, np.bool_)):
            return None
        if isinstance(value, NUMBERS):
            return float(value)
        if is_column(value):
            return number(last(value))
    except (ValueError, TypeError, OverflowError, IndexError):
        pass
    return None


def is_column(value: Any) -> bool:
    """Say whether a value is a column of the engine's, whose truth is that of its last value."""
    return isinstance(value, (Readable, Values)) and not isinstance(value, Rows)


def last(values: Any, back: int = 1) -> Any:
    """Return the last value of a column or an array, or the one `back` - 1 before it; a number is its own past."""
    if isinstance(values, NUMBERS):
        return values
    if isinstance(values, pd.Series):
        return values.iloc[-back]
    return values[-back]


def truth(value: Any) -> bool | None:
    """Return the truth of a value that nobody tested; None where finding out would run code that is not ours."""
    if isinstance(value, (*_PLAIN, np.bool_, *NUMBERS, Position)) or is_column(value):
        return bool(value)
    if type(value) in (list, tuple, dict, set, frozenset):
        return bool(len(value))
    return None


def figure(value: float) -> str:
    """Return a number as short as its size allows: 31.2, 1.0843, 12345.67."""
    if not math.isfinite(value):
        return {math.inf: "infinity", -math.inf: "−infinity"}.get(value, "not a number")
    size = abs(value)
    if value == int(value) and size < 1e15:
        return f"{int(value)}".replace("-", "−")
    digits = 2 if size >= 1000 else 4 if size >= 0.1 else 6
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".") if 1e-4 <= size < 1e15 else f"{value:.4g}"
    return text.replace("-", "−", 1)


def _show(value: Any) -> str:
    match value:
        case bool() | np.bool_() | None:
            return str(bool(value) if value is not None else None)
        case int() | float() | np.integer() | np.floating():
            return figure(float(value))
        case str():
            return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")
        case Position():
            return _held(value.size) if value.size else "flat"
        case Trade():
            return f"trade {value.id}: {_held(value.size)}"
        case Order():
            return f"order {value.id}: {_held(value.size)}, {value.state}"
        case Rows():
            return f"{len(value)} columns"
        case Readable() | np.ndarray():
            return _show_array(value)
        case pd.DataFrame():
            return f"DataFrame of {len(value)} rows"
        case pd.Series() | pd.Index():
            ends = "".join(f", last {show(item)}" for item in value[-1:].tolist())
            return f"{type(value).__name__} of {len(value)}{ends}"
    return _show_other(value)


def _show_array(value: Any) -> str:
    if getattr(value, "ndim", 1) == 0:
        return show(value.item())
    if not len(value):
        return "empty"
    if getattr(value, "ndim", 1) > 1:
        return f"array of {' × '.join(map(str, value.shape))}"
    text = show(value[-1].item() if isinstance(value[-1], np.generic) else value[-1])
    return text if is_column(value) else f"{text} (last of {len(value)})"


def _show_other(value: Any) -> str:
    if isinstance(value, (FunctionType, BuiltinFunctionType, MethodType, type)):
        return getattr(value, "__qualname__", "function").rpartition(".")[2] + ("" if isinstance(value, type) else "()")
    if isinstance(value, partial):
        return "partial"
    if isinstance(value, (Sequence, set, frozenset)) and type(value) in (list, tuple, set, frozenset):
        kinds = {type(item) for item in value}
        if not value:
            return "none" if type(value) is tuple else "empty"
        if kinds <= {Trade} or kinds <= {Order}:
            name = "trade" if Trade in kinds else "order"
            return f"{len(value)} {name}{'s' if len(value) > 1 else ''}"
        if all(isinstance(item, NUMBERS) for item in value) and isinstance(value, Sequence):
            shown = ", ".join(show(item) for item in value[:3])
            return f"{shown}{f', … ({len(value)})' if len(value) > 3 else ''}"
    if isinstance(value, Mapping) and type(value) is dict and not value:
        return "empty"
    if type(value).__repr__ is object.__repr__:
        return f"<{type(value).__name__}>"
    text = _repr.repr(value) if type(value).__module__ in ("builtins", "collections") else repr(value)
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", text[: 4 * LONGEST])


def _held(size: float) -> str:
    return f"{'long' if size > 0 else 'short'} {figure(abs(size))}"
