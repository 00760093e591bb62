"""Gate: where a DataFrame becomes checked columns, once, before anything trusts them."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from engine.errors import BadBars

REPAIRS = frozenset({"missing", "order", "duplicates"})  # what can be put right without guessing
RANGE = "range"  # a high or low that misses its own open or close by at most 1 %: only for feeds nobody can correct
_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume")
_TIME_COLUMNS = ("datetime", "date", "timestamp", "time")
_EPOCH = 1e8  # numbers from here on are epoch times (of 1973 and later, if seconds), smaller ones are row numbers
_NOISE = 1e-9  # relative; adjusted prices are products, and a close that is the high may come out a hair above it


def read(df: pd.DataFrame, *, daily: bool | None, repair: bool | Collection[str], compat: bool) -> dict[str, Any]:
    """Return the arguments of `Bars` (all but its labels) from a DataFrame.

    Args:
        daily: the bars carry dates; None means look whether each one is at midnight of its zone.
        repair, compat: as in `Bars.from_frame`.
    """
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"Bars are read from a pandas DataFrame, not from {type(df).__name__}")
    if compat:
        return _read_compatible(df)
    faults = REPAIRS if repair is True else frozenset(repair or ())
    df = _flat(df)
    names = _find_columns(df)
    index = _find_index(df)
    columns = {name: _numbers(df, names.get(name), name, index) for name in _NUMBERS}
    used = set(names.values())
    extra = {str(name): df[name].to_numpy(copy=True) for name in df.columns if name not in used}
    table = _Table(index, columns, extra, daily)
    table.repair(faults)
    check(table.time, table.columns, table.index)
    return table.arguments()


def check(time: np.ndarray, columns: dict[str, np.ndarray], index: pd.Index | None = None) -> None:
    """Raise BadBars for the first row that breaks a rule; a few milliseconds for a million bars."""
    if len(time) < 2:
        raise BadBars(f"At least two bars are needed, and there {'is 1' if len(time) else 'are none'}.")
    later = time[1:] > time[:-1]
    if not later.all():
        row = int(np.argmin(later)) + 1
        what = "the same time as" if time[row] == time[row - 1] else "before"
        raise _bad(row, _label(time, index, row), f"the time is {what} the row above; times must increase.")
    good = _good_rows(**columns)
    if not good.all():
        row = int(np.argmin(good))
        values = {name: float(column[row]) for name, column in columns.items()}
        raise _bad(row, _label(time, index, row), _explain(values))


def _good_rows(
    open: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray
) -> np.ndarray:
    """Return a mask; a volume column that is all NaN is an unknown one, and good."""
    top, bottom = high * (1 + _NOISE), low * (1 - _NOISE)
    good = (low > 0) & (high < np.inf)  # with the comparisons below, finite and positive for all; NaN compares false
    for price in (open, close):
        good &= price <= top
        good &= price >= bottom
    good &= low <= top
    known = volume >= 0
    known &= volume < np.inf
    if not known.all() and not np.isnan(volume).all():
        good &= known
    return good


def _explain(row: dict[str, float]) -> str:
    for name, value in row.items():
        if np.isnan(value):
            return f"{name.capitalize()} is missing (NaN)."
        if np.isinf(value):
            return f"{name.capitalize()} is {value}, not a finite number."
        if value < 0 or (value == 0 and name != "volume"):
            return f"{name.capitalize()} is {value:g}; it must be {'0 or more' if name == 'volume' else 'above 0'}."
    if row["high"] < row["low"]:
        return f"High {row['high']:.10g} is below Low {row['low']:.10g}."
    if row["high"] < max(row["open"], row["close"]):
        other = "open" if row["open"] > row["high"] else "close"
        return f"High {row['high']:.10g} is below {other.capitalize()} {row[other]:.10g}."
    other = "open" if row["open"] < row["low"] else "close"
    return f"Low {row['low']:.10g} is above {other.capitalize()} {row[other]:.10g}."


def _bad(row: int, when: str, what: str) -> BadBars:
    return BadBars(f"Row {row}{when}: {what}", row=row)


def _label(time: np.ndarray, index: pd.Index | None, row: int) -> str:
    if index is None:
        return f" ({pd.Timestamp(int(time[row]), unit='s')})"
    return "" if isinstance(index, pd.RangeIndex) else f" ({index[row]})"


class _Table:
    """Columns on their way through the gate, and the notes of what was done to them."""

    def __init__(
        self, index: pd.Index, columns: dict[str, np.ndarray], extra: dict[str, np.ndarray], daily: bool | None
    ):
        self.index = index
        self.columns = columns
        self.extra = extra
        self.dated = isinstance(index, pd.DatetimeIndex)
        self.time = _seconds(index, daily) if isinstance(index, pd.DatetimeIndex) else index.to_numpy(np.int64)
        self.notes: list[str] = []

    def arguments(self) -> dict[str, Any]:
        zone = _zone_name(self.index) if isinstance(self.index, pd.DatetimeIndex) else None
        return {
            "time": self.time,
            **self.columns,
            "extra": self.extra,
            "timezone": zone,
            "dated": self.dated,
            "notes": tuple(self.notes),
            "_index": self.index,
        }

    def repair(self, faults: Collection[str]) -> None:
        self._refuse_no_time("missing" in faults)
        if "missing" in faults:
            self._drop_missing()
        if "order" in faults:
            self._sort()
        if "duplicates" in faults:
            self._drop_duplicates()
        if RANGE in faults:
            self._widen_ranges()

    def _keep(self, rows: np.ndarray) -> None:
        """Take `rows`, a mask or positions."""
        self.index = self.index[rows]
        self.time = self.time[rows]
        self.columns = {name: values[rows] for name, values in self.columns.items()}
        self.extra = {name: values[rows] for name, values in self.extra.items()}

    def _refuse_no_time(self, allowed: bool) -> None:
        missing = np.asarray(self.index.isna())
        if missing.any() and not allowed:
            raise _bad(int(np.argmax(missing)), "", "the time is missing.")

    def _drop_missing(self) -> None:
        missing = np.asarray(self.index.isna())
        for name in _PRICES:
            missing = missing | np.isnan(self.columns[name])
        count, total = int(missing.sum()), len(missing)
        if count > max(3, total // 20):
            row = int(np.argmax(missing))
            what = f"{count} of {total} rows have missing values: too many to leave out."
            raise _bad(row, _label(self.time, self.index, row), what)
        if count:
            self.notes.append(f"{_rows(count)} with missing values left out (first: row {int(np.argmax(missing))}).")
            self._keep(~missing)
        volume = self.columns["volume"]
        unknown = np.isnan(volume)
        if unknown.any() and not unknown.all():
            self.notes.append(f"Missing volume taken as 0 in {_rows(int(unknown.sum()))}.")
            volume[unknown] = 0.0

    def _sort(self) -> None:
        if (self.time[1:] < self.time[:-1]).any():
            self._keep(np.argsort(self.time, kind="stable"))
            self.notes.append("Rows were not in order of time: sorted.")

    def _drop_duplicates(self) -> None:
        """Drop a row that repeats the one above it; keep one that says something else, for `check` to refuse."""
        if len(self.time) < 2:
            return
        same = np.concatenate(([False], self.time[1:] == self.time[:-1]))
        for values in self.columns.values():
            same[1:] &= (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        if same.any():
            self.notes.append(f"{_rows(int(same.sum()))} repeating the row above left out.")
            self._keep(~same)

    def _widen_ranges(self) -> None:
        open_, high, low, close = (self.columns[name] for name in _PRICES)
        top, bottom = np.maximum(open_, close), np.minimum(open_, close)
        wrong = ((top > high) | (bottom < low)) & (top <= high * 1.01) & (bottom >= low * 0.99) & (low > 0)
        told = wrong & ((top > high * (1 + _NOISE)) | (bottom < low * (1 - _NOISE)))
        high[wrong], low[wrong] = np.maximum(high, top)[wrong], np.minimum(low, bottom)[wrong]
        if told.any():
            self.notes.append(f"High and Low widened to hold Open and Close in {_rows(int(told.sum()))}.")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _flat(df: pd.DataFrame) -> pd.DataFrame:
    """Drop the level of column names that says the same everywhere, as in a frame of one downloaded symbol."""
    if not isinstance(df.columns, pd.MultiIndex):
        return df
    levels = [level for level in range(df.columns.nlevels) if df.columns.get_level_values(level).nunique() > 1]
    if len(levels) != 1:
        raise BadBars(
            "The columns have several levels. Choose one symbol, to have Open, High, Low and Close as columns."
        )
    flat = df.copy(deep=False)
    flat.columns = df.columns.get_level_values(levels[0])
    return flat


def _find_columns(df: pd.DataFrame) -> dict[str, Any]:
    """Return our name -> the frame's name; Volume may be missing."""
    found: dict[str, Any] = {}
    for name in _NUMBERS:
        exact = [column for column in df.columns if column == name.capitalize()]
        alike = exact or [column for column in df.columns if isinstance(column, str) and column.strip().lower() == name]
        if len(alike) > 1:
            raise BadBars(f"There are {len(alike)} columns named {name.capitalize()}.")
        if alike:
            found[name] = alike[0]
    missing = [name.capitalize() for name in _PRICES if name not in found]
    if missing:
        raise BadBars(f"No column {', '.join(missing)}; there are {', '.join(map(str, df.columns)) or 'no columns'}.")
    return found


def _numbers(df: pd.DataFrame, column: Any, name: str, index: pd.Index) -> np.ndarray:
    if column is None:
        return np.full(len(df), np.nan)
    series = df[column]
    if not pd.api.types.is_numeric_dtype(series.dtype):
        read = pd.to_numeric(series, errors="coerce")
        wrong = (read.isna() & series.notna()).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            what = f"{name.capitalize()} is {str(series.iloc[row])[:40]!r}, not a number."
            raise _bad(row, _label(np.arange(len(df)), index, row), what)
        series = read
    return np.array(series.to_numpy(dtype=np.float64, na_value=np.nan))


def _find_index(df: pd.DataFrame) -> pd.Index:
    """Return the index as times, or a RangeIndex when there are none to find."""
    index = df.index
    if isinstance(index, pd.RangeIndex) and not (len(index) and abs(index[0]) >= _EPOCH):  # pandas makes evenly spaced
        named = [c for c in df.columns if isinstance(c, str) and c.strip().lower() in _TIME_COLUMNS]  # epochs one too
        if not named:
            return pd.RangeIndex(len(df))
        index = pd.Index(df[named[0]])
    return _as_times(index)


def _as_times(index: pd.Index) -> pd.Index:
    if isinstance(index, pd.DatetimeIndex):
        return index
    if isinstance(index, pd.PeriodIndex):
        return index.to_timestamp()
    if isinstance(index, pd.MultiIndex):
        raise BadBars("The index has several levels. Choose one symbol, so that only the time is left.")
    if pd.api.types.is_numeric_dtype(index.dtype) and not pd.api.types.is_bool_dtype(index.dtype):
        return _from_epoch(index)
    times = pd.to_datetime(pd.Series(index.to_numpy()), errors="coerce", utc=_is_mixed(index), format="ISO8601")
    wrong = np.asarray(times.isna()) & ~np.asarray(index.isna())
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _bad(row, "", f"{str(index[row])[:40]!r} is not a date; write 2024-12-31 or 2024-12-31 15:30.")
    return pd.DatetimeIndex(times)


def _is_mixed(index: pd.Index) -> bool:
    """Say whether the texts carry offsets, which differ over a year of daylight saving: only UTC holds them all."""
    first = index[0] if len(index) else ""
    if isinstance(first, str):
        return first.endswith("Z") or "+" in first[10:] or "-" in first[10:]
    return getattr(first, "tzinfo", None) is not None


def _from_epoch(index: pd.Index) -> pd.Index:
    values = index.to_numpy(dtype=np.float64)
    largest = float(np.nanmax(np.abs(values))) if len(values) and not np.isnan(values).all() else 0.0
    if largest < _EPOCH:  # row numbers, with some rows left out
        if not np.array_equal(values, np.trunc(values)):
            raise BadBars(f"The index, {values[0]:g} and so on, is neither times nor row numbers.")
        return pd.Index(values.astype(np.int64))
    unit = next(u for u, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf)) if largest < limit)
    whole = np.nan_to_num(values).astype(np.int64) if index.hasnans else index.to_numpy().astype(np.int64)
    whole[np.isnan(values)] = np.iinfo(np.int64).min  # NaT
    return pd.DatetimeIndex(whole.view(f"datetime64[{unit}]"))


def _seconds(index: pd.DatetimeIndex, daily: bool | None) -> np.ndarray:
    """Return UTC epoch seconds; bars of a day or longer get their date's midnight, whatever their zone."""
    if index.tz is not None:
        wall = index.tz_localize(None)
        if daily or (daily is None and bool((wall == wall.normalize()).all())):
            index = wall.normalize()
        else:
            index = index.tz_convert("UTC").tz_localize(None)
    return index.as_unit("s").asi8.astype(np.int64)


def _zone_name(index: pd.DatetimeIndex) -> str | None:
    if index.tz is None:
        return None
    try:
        return ZoneInfo(str(index.tz)).key
    except (ZoneInfoNotFoundError, ValueError):  # a fixed offset: it has no name, and the times are true without it
        return None


def _read_compatible(df: pd.DataFrame) -> dict[str, Any]:
    """Take what backtesting.py takes: order mended with a warning, no look at the values but for NaN prices."""
    if len(df) == 0:
        raise ValueError("There are no bars: the DataFrame is empty")
    missing = [name.capitalize() for name in _PRICES if name.capitalize() not in df.columns]
    if missing:
        raise ValueError(f"The DataFrame has no column {', '.join(missing)}; Open, High, Low and Close are needed")
    names = {name: name.capitalize() for name in _NUMBERS if name.capitalize() in df.columns}
    if df[[names[name] for name in _PRICES]].isna().to_numpy().any():
        raise ValueError("Some prices are missing (NaN); drop those rows or fill them in")
    index: pd.Index = df.index
    if not isinstance(index, (pd.DatetimeIndex, pd.RangeIndex)) and pd.api.types.is_numeric_dtype(index.dtype):
        index = _from_epoch(index)
    if not index.is_monotonic_increasing:
        warnings.warn("The index is not in increasing order: sorting it", stacklevel=4)
        order = index.argsort(kind="stable")
        df, index = df.iloc[order], index[order]
    if not isinstance(index, pd.DatetimeIndex):
        warnings.warn("The index is not made of dates: taking bars as simple periods", stacklevel=4)
    columns = {name: _numbers(df, names.get(name), name, index) for name in _NUMBERS}
    extra = {str(name): df[name].to_numpy(copy=True) for name in df.columns if name not in names.values()}
    if isinstance(index, pd.DatetimeIndex):
        return _Table(index, columns, extra, None).arguments()
    rows = _Table(pd.RangeIndex(len(df)), columns, extra, None).arguments()
    return rows | {"_index": index}
