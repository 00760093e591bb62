"""Series: columns that a strategy can read up to the current bar, and no further."""

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
        return None if self.index is None else revealed_index(self.index, self.shape[-1])


def revealed_index(index: Any, bars: int) -> Any:
    """Return the first `bars` of a pandas index; as a copy, because a slice keeps the whole one as its base."""
    if bars == len(index):
        return index
    return index[:bars].copy(deep=True) if bars < len(index) else None


class Readable:
    """What all readable columns share: they calculate like arrays, and as a truth value mean the current one."""

    __slots__ = ()

    @property
    def array(self) -> Values:
        """Return the values revealed so far; the last axis is bars."""
        raise NotImplementedError

    @property
    def s(self) -> pd.Series:
        """Return the values revealed so far (of the first row) as a pandas Series."""
        return self.array.s

    @property
    def df(self) -> pd.DataFrame:
        """Return the values revealed so far as a pandas DataFrame, a column for each row."""
        return self.array.df

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __len__(self) -> int:
        return len(self.array)

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

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*map(plain, inputs), **options)

    __hash__ = object.__hash__


class Series(Readable):
    """One column, cut at the shared clock wherever it is kept: an attribute, a list, a closure.

    `[-1]` is the current bar's value. Everything but reading single values goes through an array of what has been
    revealed so far: those values are copied into it as they appear, so that not even its base holds a later one.
    """

    __slots__ = (
        "_block", "_buffer", "_clock", "_index", "_over", "_partner", "_shown", "_values", "is_indicator", "name",
        "scatter",
    )  # fmt: skip

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
        self._partner: Series | None = None  # whose crossings `_over` has, for the current block
        self._over: list[bool] = []
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
            place = bar + int(key) if key < 0 else int(key)
            if not 0 <= place < bar:
                raise IndexError(f"bar {key} of {self.name or 'series'} is out of range: {bar} bars are revealed")
            if key < 0 and self._block is _NOT_LOADED and 0 < self._clock.at <= BLOCK + OVERLAP:
                self._load()
            return self._values.item(place)
        return self.array[key]

    def _load(self) -> None:
        base = self._clock.base
        self._block = self._values[base : base + BLOCK + OVERLAP].tolist()

    def unload(self) -> None:
        """Forget the block: the clock has moved to another one."""
        self._block = _NOT_LOADED
        self._partner = None

    def rises_above(self, other: Series) -> bool:
        """Return whether this series has just crossed above another; the block's crossings are found at once."""
        base, last = self._clock.base, self._clock.base + BLOCK + OVERLAP
        above = self._values[base:last] > other._values[base:last]
        below = self._values[base:last] < other._values[base:last]
        # A place more than bars: the first answers for the clock at 0, the second for the block's first bar.
        self._over = [False, False, *(above[1:] & below[:-1]).tolist()]
        self._partner = other
        return self._over[self._clock.at]

    @property
    def array(self) -> Values:
        """Return the values revealed so far, shape (bars revealed,)."""
        bar = self._clock.bar
        revealed = (self._values if bar == len(self._values) else self._copied(bar)).view(Values)
        revealed.index = self._index
        revealed.label = self.name
        revealed.flags.writeable = False
        return revealed

    def _copied(self, bar: int) -> np.ndarray:
        if self._buffer is None:
            blank = np.nan if self._values.dtype.kind == "f" else None
            self._buffer = np.full(len(self._values), blank).astype(self._values.dtype, copy=False)
        if self._shown < bar:
            self._buffer[self._shown : bar] = self._values[self._shown : bar]
            self._shown = bar
        return self._buffer[:bar]

    def __len__(self) -> int:
        return self._clock.base + self._clock.at

    def __repr__(self) -> str:
        return f"<Series {self.name}: {len(self)} bars>"


class Derived(Readable):
    """A calculation on columns as of one bar: `close > average` costs one comparison until more of it is asked for."""

    __slots__ = ("_bars", "_left", "_operation", "_right")

    def __init__(self, operation: Callable[[Any, Any], Any], left: Any, right: Any):
        self._operation = operation
        self._left = left
        self._right = right
        self._bars = len(left if isinstance(left, (Series, Derived)) else right)

    def __getitem__(self, key: Any) -> Any:
        if type(key) is int and -self._bars <= key < 0:
            place = self._bars + key
            return self._operation(_value(self._left, place), _value(self._right, place))
        return self.array[key]

    @property
    def array(self) -> Values:
        """Return the values up to the bar of the calculation."""
        return self._operation(_upto(self._left, self._bars), _upto(self._right, self._bars))

    def __len__(self) -> int:
        return self._bars


def _value(operand: Any, place: int) -> Any:
    if isinstance(operand, Series):
        key = place - len(operand)
        return operand[key]
    return operand[place - len(operand)] if isinstance(operand, Derived) else operand


def _upto(operand: Any, bars: int) -> Any:
    return operand.array[:bars] if isinstance(operand, (Series, Derived)) else operand


class Rows(Readable):
    """An indicator of several rows: unpack it, or take a row with `[0]`, or a value with `[0, -1]`."""

    __slots__ = ("_rows", "is_indicator", "name", "scatter")

    def __init__(self, rows: list[Series], name: str = ""):
        self._rows = rows
        self.name = name
        self.is_indicator = rows[0].is_indicator
        self.scatter = rows[0].scatter

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            return self._rows[key]
        if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], (int, np.integer)):
            return self._rows[key[0]][key[1]]
        return self.array[key]

    @property
    def array(self) -> Values:
        """Return the values revealed so far, shape (rows, bars revealed)."""
        stacked = np.vstack([np.asarray(row) for row in self._rows]).view(Values)
        stacked.index = self._rows[0]._index
        stacked.label = self.name
        return stacked

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Series]:
        return iter(self._rows)

    def __bool__(self) -> bool:
        return bool(self._rows[-1])

    def __float__(self) -> float:
        return float(self._rows[-1])


def plain(value: Any) -> Any:
    """Return the array behind a readable column; anything else as it is."""
    return value.array if isinstance(value, Readable) else value


def full_values(series: Series | Rows) -> np.ndarray:
    """Return all values, shape (rows, n_bars): for the engine, before the first bar."""
    rows = series._rows if isinstance(series, Rows) else [series]
    return np.vstack([row._values for row in rows])


def _calculate(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    simple = (Series, Derived, int, float)
    if isinstance(left, simple) and isinstance(right, simple):
        return Derived(operation, left, right)
    return operation(plain(left), plain(right))


def _define(name: str) -> None:
    operation, dunder = getattr(operator, name), f"__{name.rstrip('_')}__"
    setattr(Readable, dunder, lambda self, other: _calculate(operation, self, other))
    if name not in _COMPARISONS:
        setattr(Readable, dunder.replace("__", "__r", 1), lambda self, other: _calculate(operation, other, self))


def _define_from_array(name: str) -> None:
    setattr(Readable, name, property(lambda self: getattr(self.array, name)))


def _define_unary(name: str) -> None:
    operation = getattr(operator, name)
    setattr(Readable, f"__{name}__", lambda self: operation(self.array))


_COMPARISONS = ("lt", "le", "eq", "ne", "gt", "ge")
for _name in (*_COMPARISONS, "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_"):
    _define(_name)
for _name in ("neg", "pos", "abs", "invert"):
    _define_unary(_name)
# mean(), shape, dtype ...: whatever an array knows. With a `__getattr__` instead, CPython would look up every attribute
# of a series the slow way, and crossover() would take twice as long.
for _name in dir(Values):
    if not _name.startswith("_") and not hasattr(Readable, _name):
        _define_from_array(_name)
