"""Cutting: copies of a user's own data in which nothing is left of the bars after a cut."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from engine.bars import Bars
from engine.lookahead.futures import REMOVED, another

_FEWEST = 8  # values; shorter arrays are settings, not data


class Cutter:
    """Cuts whatever holds data of the time of `bars`: by its times where it has any, else by position.

    Removed rows are gone. Replaced ones stay with other values, because code may count on as many rows as bars.
    """

    def __init__(self, bars: Bars, k: int, how: str, offsets: dict[int, tuple[np.ndarray, int | None]] | None = None):
        self.bars = bars
        self.k = k
        self.how = how
        self._first = bars.index[k] if k < len(bars) else None  # the time at which the future begins
        self._offsets: dict[int, tuple[np.ndarray, int | None]] = {} if offsets is None else offsets

    @cached_property
    def _random(self) -> np.random.Generator:
        """Return chance of this cut's own; most cuts need none."""
        return np.random.default_rng(self.k)

    def cut(self, value: Any) -> Any:
        """Return a copy without the future, or `value` itself when it has nothing to do with the bars."""
        if self._first is None:
            return value
        if isinstance(value, Bars):
            return self._bars(value)
        if isinstance(value, (pd.DataFrame, pd.Series)):
            return self._frame(value)
        if isinstance(value, pd.DatetimeIndex):
            kept = value[: self._rows(value)]
            return kept if self.how == REMOVED and len(kept) < len(value) else value
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, (list, tuple)):
            return self._list(value)
        if isinstance(value, dict):
            return self._dict(value)
        return value

    def text(self, content: str) -> str:
        """Return the lines of a file of dated rows up to the cut."""
        if self._first is None:
            return content
        lines = content.splitlines(keepends=True)
        times = _times_of_lines(lines)
        if times is None:
            return content
        later = np.asarray(times >= self._moment(times))
        return "".join(line for line, gone in zip(lines, later, strict=True) if not gone)

    def _frame(self, value: Any) -> Any:
        rows = self._rows_of(value)
        if rows is None or rows >= len(value):
            return value
        if self.how == REMOVED:
            return value.iloc[:rows].copy()
        later = value.iloc[rows:]
        columns = [later] if isinstance(later, pd.Series) else [later[name] for name in later]
        known = value.iloc[rows - 1] if rows else None
        before = [known] if isinstance(later, pd.Series) or known is None else list(known)
        changed = [
            pd.Series(another(np.asarray(column), self._random, last), later.index)
            for column, last in zip(columns, before if known is not None else [None] * len(columns), strict=True)
        ]
        if isinstance(value, pd.Series):
            tail: Any = pd.Series(changed[0], name=value.name)
        else:
            tail = pd.concat(changed, axis=1)
            tail.columns = value.columns
        return pd.concat([value.iloc[:rows], tail]) if rows else tail

    def _rows_of(self, value: Any) -> int | None:
        """Return how many rows of a frame are known at the cut, None when it has nothing to do with the bars."""
        if isinstance(value.index, pd.DatetimeIndex):
            return self._rows(value.index)
        if isinstance(value, pd.DataFrame):
            for name in value.columns[:3]:
                times = _as_times(value[name])
                if times is not None:
                    return self._rows(times)
        elif (offset := self._offset(value.to_numpy())) is not None:
            return max(self.k - offset, 0)
        if (times := _as_times(value.index)) is not None:
            return self._rows(times)
        return self.k if len(value) == len(self.bars) else None

    def _rows(self, index: pd.DatetimeIndex) -> int:
        """Return how many leading rows lie before the cut; an index in no order has as many as are true at first."""
        later = np.asarray(index >= self._moment(index))
        return int(np.argmax(later)) if later.any() else len(later)

    def _moment(self, index: pd.DatetimeIndex) -> Any:
        """Return the time of the first bar that is gone, in the zone that `index` is in."""
        first = self._first
        if not isinstance(first, pd.Timestamp):
            first = pd.Timestamp(int(self.bars.time[self.k]), unit="s")
        if index.tz is not None:
            return first.tz_convert(index.tz) if first.tzinfo else first.tz_localize(index.tz)
        return first.tz_localize(None) if first.tzinfo else first

    def _bars(self, value: Bars) -> Bars:
        rows = int(np.searchsorted(value.time, self.bars.time[self.k]))
        if rows >= len(value):
            return value
        if self.how == REMOVED:
            return value[:rows]
        from engine.lookahead.futures import Futures

        return Futures(value).at(max(rows, 1), self.how)

    def _array(self, value: np.ndarray) -> np.ndarray:
        if value.ndim == 2 and value.shape[1] == len(self.bars) != value.shape[0]:
            return np.ascontiguousarray(self._array(value.T).T)
        offset = self._offset(value) if value.ndim == 1 else 0 if len(value) == len(self.bars) else None
        if offset is None or value.ndim == 0:
            return value
        rows = max(self.k - offset, 0)
        if rows >= len(value):
            return value
        if self.how == REMOVED:
            return value[:rows].copy()
        later = value[rows:]
        before = value[rows - 1] if rows and value.ndim == 1 else None
        changed = another(later.ravel(), self._random, before).reshape(later.shape)
        return np.concatenate((value[:rows], changed))

    def _offset(self, value: np.ndarray) -> int | None:
        """Return the bar that an array begins on: that whose values it repeats, or 0 when it is as long as the run."""
        if id(value) not in self._offsets:
            self._offsets[id(value)] = value, self._find(value)  # kept with it: an id alone may come to mean another
        return self._offsets[id(value)][1]

    def _find(self, value: np.ndarray) -> int | None:
        if len(value) < _FEWEST:
            return None
        if value.dtype.kind == "f":
            for name in ("close", "open", "high", "low", "volume"):
                column = getattr(self.bars, name)
                for start in np.flatnonzero(column == value[0])[:50].tolist():
                    shared = min(len(column) - start, len(value))
                    if shared >= _FEWEST and np.array_equal(column[start : start + shared], value[:shared]):
                        return int(start)
        return 0 if len(value) == len(self.bars) else None

    def _list(self, value: Any) -> Any:
        if len(value) < _FEWEST:
            if any(isinstance(item, (pd.DataFrame, pd.Series, np.ndarray, Bars)) for item in value):
                return type(value)(self.cut(item) for item in value)
            return value
        if not all(isinstance(item, (int, float)) for item in (value[0], value[-1])):
            return value[: self.k] if self.how == REMOVED and len(value) == len(self.bars) else value
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            return value
        cut = self._array(array) if array.ndim == 1 else array
        return value if cut is array else type(value)(cut.tolist())

    def _dict(self, value: dict[Any, Any]) -> Any:
        kept = {key: self.cut(item) for key, item in value.items()}
        times = _as_times(pd.Index(list(value))) if len(value) >= _FEWEST else None
        if times is not None:
            later = np.asarray(times >= self._moment(times))
            if self.how == REMOVED:
                return {key: item for (key, item), gone in zip(kept.items(), later, strict=True) if not gone}
            return self._changed(kept, later)
        return kept if any(kept[key] is not value[key] for key in value) else value

    def _changed(self, values: dict[Any, Any], later: np.ndarray) -> dict[Any, Any]:
        """Return a dict by time with other numbers from the cut on."""
        known: float | None = None
        changed = {}
        for (key, item), gone in zip(values.items(), later, strict=True):
            if isinstance(item, (int, float)) and not isinstance(item, bool):
                changed[key] = float(another(np.array([item], dtype=float), self._random, known)[0]) if gone else item
                known = known if gone else item
            else:
                changed[key] = item
        return changed


def _as_times(values: Any) -> pd.DatetimeIndex | None:
    """Return a column or index of dates or date texts as times; None for anything else."""
    if len(values) < 1 or pd.api.types.is_numeric_dtype(values.dtype):
        return None
    if isinstance(values.dtype, pd.CategoricalDtype):
        return None
    try:
        times = pd.DatetimeIndex(pd.to_datetime(values, errors="raise", format="ISO8601"))
    except (TypeError, ValueError, OverflowError):
        return None
    return None if times.hasnans else times


def _times_of_lines(lines: list[str]) -> pd.DatetimeIndex | None:
    """Return the time that each line begins with (NaT for a header), None for a file of something else."""
    fields = pd.Series([line.replace(";", ",").replace("\t", ",").partition(",")[0].strip(' "\r\n') for line in lines])
    times = pd.to_datetime(fields, errors="coerce", format="ISO8601")
    if len(lines) < _FEWEST or times.isna().sum() > max(2, len(lines) // 10):
        return None
    return pd.DatetimeIndex(times)
