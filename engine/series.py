"""Series: a column that a strategy can read up to the current bar, and no further."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

BLOCK = 4096  # bars converted to Python floats at a time: a whole column of floats costs 32 bytes a bar
OVERLAP = 256  # bars of the block before that stay within reach of the fast path

_NOT_LOADED: tuple[float, ...] = ()


class Clock:
    """How far the run is: `base` is the first bar of the current block, `at` the bars revealed since then."""

    __slots__ = ("at", "base")

    def __init__(self) -> None:
        self.at = 0
        self.base = 0

    @property
    def bar(self) -> int:
        """Return the number of bars revealed."""
        return self.base + self.at


class Values(np.ndarray):
    """An array of past values; as a number or a truth value it means its last one."""

    index: Any = None
    label: str = ""

    def __array_finalize__(self, source: Any) -> None:
        self.index = getattr(source, "index", None)
        self.label = getattr(source, "label", "")

    def __bool__(self) -> bool:
        return bool(self.item(-1)) if self.size else False

    def __float__(self) -> float:
        return float(self.item(-1)) if self.size else float("nan")

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.label

    @property
    def s(self) -> pd.Series:
        """Return a pandas Series with the bars' index."""
        rows = np.atleast_2d(self)
        return pd.Series(np.asarray(rows[0]), index=self._fitting_index(), name=self.label)

    @property
    def df(self) -> pd.DataFrame:
        """Return a pandas DataFrame, one column for each row of a 2-d array."""
        rows = np.atleast_2d(np.asarray(self))
        names = [self.label] if len(rows) == 1 else [f"{self.label}[{i}]" for i in range(len(rows))]
        return pd.DataFrame(dict(zip(names, rows, strict=True)), index=self._fitting_index())

    def _fitting_index(self) -> Any:
        if self.index is None or len(self.index) < self.shape[-1]:
            return None
        return self.index[: self.shape[-1]]


class Series:
    """One column, cut at the shared clock wherever it is kept: an attribute, a list, a closure.

    `[-1]` is the current bar's value. Everything but reading single values goes through an array of what has been
    revealed so far: those values are copied into it as they appear, so that not even its base holds a later one.
    """

    __slots__ = ("_block", "_buffer", "_clock", "_index", "_shown", "_values", "is_indicator", "name", "scatter")

    def __init__(
        self,
        values: np.ndarray,
        clock: Clock,
        name: str = "",
        index: Any = None,
        *,
        is_indicator: bool = False,
        scatter: bool = False,
    ):
        self._values = values
        self._clock = clock
        self._index = index
        self._block: Any = _NOT_LOADED
        self._buffer: np.ndarray | None = None
        self._shown = 0
        self.name = name
        self.is_indicator = is_indicator
        self.scatter = scatter

    def __getitem__(self, key: Any) -> Any:
        try:
            place = self._clock.at + key
            if key < 0 <= place:
                return self._block[place]
        except (TypeError, ValueError, IndexError):
            pass
        return self._get(key)

    def _get(self, key: Any) -> Any:
        """Answer what the loaded block cannot: the first read in a block, far bars, positive indices, slices."""
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            bar = self._clock.bar
            place = bar + key if key < 0 else key
            if not 0 <= place < bar:
                raise IndexError(f"bar {key} of {self.name or 'series'} is out of range: {bar} bars are revealed")
            if key < 0 and self._block is _NOT_LOADED and self._clock.at:
                self.load()
            return self._values.item(place)
        return self.array[key]

    def load(self) -> Any:
        """Convert the current block to a list, and return it."""
        base = self._clock.base
        self._block = self._values[base : base + BLOCK + OVERLAP].tolist()
        return self._block

    @property
    def full(self) -> np.ndarray:
        """Return all values, for the engine's own use before the first bar."""
        return self._values

    def unload(self) -> None:
        """Forget the block: the clock has moved to another one."""
        self._block = _NOT_LOADED

    @property
    def array(self) -> Values:
        """Return the values revealed so far, shape (bars revealed,)."""
        bar = self._clock.bar
        if bar == len(self._values):
            revealed = self._values.view(Values)
        else:
            if self._buffer is None:
                blank = np.nan if self._values.dtype.kind == "f" else None
                dtype = self._values.dtype
                self._buffer = (
                    np.zeros(len(self._values), dtype) if blank is None else np.full(len(self._values), blank)
                )
            if self._shown < bar:
                self._buffer[self._shown : bar] = self._values[self._shown : bar]
                self._shown = bar
            revealed = self._buffer[:bar].view(Values)
        revealed.index = self._index
        revealed.label = self.name
        revealed.flags.writeable = False
        return revealed

    @property
    def s(self) -> pd.Series:
        """Return the values revealed so far as a pandas Series."""
        return self.array.s

    @property
    def df(self) -> pd.DataFrame:
        """Return the values revealed so far as a pandas DataFrame."""
        return self.array.df

    def __len__(self) -> int:
        return self._clock.base + self._clock.at

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array.tolist())

    def __float__(self) -> float:
        return float(self[-1]) if len(self) else float("nan")

    def __bool__(self) -> bool:
        return bool(self[-1]) if len(self) else False

    def __int__(self) -> int:
        return int(self[-1])

    def __round__(self, digits: int | None = None) -> Any:
        return round(self[-1], digits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.asarray(self.array)
        return array.astype(dtype) if dtype is not None or copy else array

    def __getattr__(self, name: str) -> Any:
        # mean(), shape, dtype ...: whatever an array knows. Dunders would be taken for protocols we do not follow.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.array, name)

    def __repr__(self) -> str:
        return f"<Series {self.name}: {len(self)} bars>"

    __hash__ = object.__hash__


def plain(value: Any) -> Any:
    """Return the array behind a Series or a Rows; anything else as it is."""
    return value.array if isinstance(value, (Series, Rows)) else value


def _forward(operation: Callable[[Any, Any], Any]) -> Callable[[Series, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return operation(self.array, plain(other))

    return method


def _backward(operation: Callable[[Any, Any], Any]) -> Callable[[Series, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return operation(plain(other), self.array)

    return method


def _unary(operation: Callable[[Any], Any]) -> Callable[[Series], Any]:
    def method(self: Any) -> Any:
        return operation(self.array)

    return method


class Rows:
    """An indicator of several rows: unpack it, or take a row with `[0]`, or a value with `[0, -1]`."""

    __slots__ = ("_rows", "is_indicator", "name", "scatter")

    def __init__(self, rows: list[Series], name: str = ""):
        self._rows = rows
        self.name = name
        self.is_indicator = rows[0].is_indicator
        self.scatter = rows[0].scatter

    @property
    def full(self) -> np.ndarray:
        """Return all values, for the engine's own use before the first bar."""
        return np.vstack([row.full for row in self._rows])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            return self._rows[key]
        if isinstance(key, tuple) and key and isinstance(key[0], (int, np.integer)):
            row = self._rows[key[0]]
            return row[key[1]] if len(key) == 2 else row
        return self.array[key]

    @property
    def array(self) -> Values:
        """Return the values revealed so far, shape (rows, bars revealed)."""
        stacked = np.vstack([np.asarray(row) for row in self._rows]).view(Values)
        stacked.index = self._rows[0]._index
        stacked.label = self.name
        return stacked

    @property
    def s(self) -> pd.Series:
        """Return the first row as a pandas Series."""
        return self.array.s

    @property
    def df(self) -> pd.DataFrame:
        """Return a pandas DataFrame with a column for each row."""
        return self.array.df

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Series]:
        return iter(self._rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.asarray(self.array)
        return array.astype(dtype) if dtype is not None else array

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.array, name)

    __hash__ = object.__hash__


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "eq", "ne", "gt", "ge", "and_", "or_")
for _kind in (Series, Rows):
    for _name in _BINARY:
        _dunder = f"__{_name.rstrip('_')}__"
        setattr(_kind, _dunder, _forward(getattr(operator, _name)))
        if _name not in ("lt", "le", "eq", "ne", "gt", "ge"):
            setattr(_kind, _dunder.replace("__", "__r", 1), _backward(getattr(operator, _name)))
    for _name in ("neg", "pos", "abs", "invert"):
        setattr(_kind, f"__{_name}__", _unary(getattr(operator, _name)))
