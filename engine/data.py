"""Data: the bars as a strategy sees them, cut at the current one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from engine.bars import Bars
from engine.series import Clock, Series, revealed_index

_COLUMNS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}


class Data:
    """Columns by attribute (`data.Close`) or by item (`data["Close"]`), extra columns of the bars included."""

    Open: Series
    High: Series
    Low: Series
    Close: Series
    Volume: Series

    def __init__(self, bars: Bars, clock: Clock):
        self._bars = bars
        self._clock = clock
        self._pip: float | None = None
        columns = {name: getattr(bars, field) for name, field in _COLUMNS.items()} | dict(bars.extra)
        self._columns = {name: Series(values, clock, name, bars.index) for name, values in columns.items()}
        for name, series in self._columns.items():
            if not hasattr(type(self), name):
                setattr(self, name, series)  # through __dict__ it would be read more slowly

    def __getitem__(self, name: str) -> Series:
        return self._columns[name]

    def lacks(self, name: str) -> str:
        """Return what to say when a strategy reads a column that is none.

        A `__getattr__` could say it by itself, but CPython would then read every column the slow way.
        """
        return f"The bars have no column {name!r}; they have {', '.join(self._columns)}."

    def series(self) -> list[Series]:
        """Return the columns."""
        return list(self._columns.values())

    def __len__(self) -> int:
        return self._clock.base + self._clock.at

    @property
    def index(self) -> Any:
        """Return the index of the bars revealed so far."""
        bars = len(self)
        return self._bars.index if bars == len(self._bars) else RevealedIndex(self._bars.index, bars)

    @property
    def df(self) -> pd.DataFrame:
        """Return the bars revealed so far as a DataFrame."""
        arrays = {name: np.array(series.array) for name, series in self._columns.items()}
        return pd.DataFrame(arrays, index=revealed_index(self._bars.index, len(self)))

    @property
    def pip(self) -> float:
        """Return the usual smallest step of the price: 0.01 for prices with two decimals."""
        if self._pip is None:
            decimals = [len(str(price).partition(".")[2]) for price in self._bars.close.tolist()]
            self._pip = float(Decimal(10) ** -int(np.median(decimals)))
        return self._pip


class RevealedIndex:
    """A pandas index up to the current bar; single items cost no copy of it."""

    __slots__ = ("_bars", "_index")

    def __init__(self, index: Any, bars: int):
        self._index = index
        self._bars = bars

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            place = self._bars + key if key < 0 else key
            if not 0 <= place < self._bars:
                raise IndexError(f"bar {key} is out of range: {self._bars} bars are revealed")
            return self._index[place]
        return self._copy()[key]

    def __len__(self) -> int:
        return self._bars

    def __iter__(self) -> Iterator[Any]:
        return iter(self._copy())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._copy(), dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._copy(), name)

    def _copy(self) -> Any:
        return revealed_index(self._index, self._bars)
