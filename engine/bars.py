"""Bars: checked, read-only columns of time, open, high, low, close and volume."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from engine import gate
from engine.errors import BadBars

DATED = frozenset({"1d", "5d", "1wk", "1mo", "3mo"})  # intervals whose bars carry a date, not a time of day
_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume")


class Buckets(NamedTuple):
    """Several bars drawn as one candle each, in columns; `bar` is the first bar (from 0) of each bucket."""

    bar: np.ndarray
    time: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Bars:
    """OHLCV columns that passed the gate once, and what there is to say about them.

    `time` is each bar's open in UTC epoch seconds (the date's midnight for bars of a day or longer; the row number when
    not `dated`); prices are float64 above 0. `volume` is all NaN when the data has none. `source` is a label for the
    page, `timezone` an IANA name or None, and `notes` are sentences a user should read: repairs, gaps, age.
    Build with `from_frame` or `from_columns`; the constructor itself trusts its arguments.
    """

    time: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    symbol: str = ""
    interval: str = ""
    source: str = ""
    timezone: str | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    dated: bool = True
    _index: pd.Index | None = field(default=None, repr=False)
    _digest: str | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", _read_only(self.time, np.int64))
        for name in _NUMBERS:
            object.__setattr__(self, name, _read_only(getattr(self, name), np.float64))
        object.__setattr__(self, "extra", {name: _read_only(values) for name, values in self.extra.items()})

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        *,
        symbol: str = "",
        interval: str = "",
        source: str = "",
        repair: bool | Collection[str] = False,
        compat: bool = False,
    ) -> Bars:
        """Check a DataFrame and take its columns.

        Column names match in any case; further columns become `extra`. The index may be times (with or without a zone),
        date texts, epoch numbers of any unit, or a RangeIndex (beside a date column, or bars without dates).

        Args:
            repair: True repairs what can be repaired without guessing ("missing" rows, "order", identical
                "duplicates"), or name the ones allowed; each repair is told in `notes`.
            compat: take what backtesting.py takes, with its ValueError and TypeError.
        Raises:
            BadBars: a rule is broken; the message names the row, `row` is its position from 0.
            TypeError: `df` is not a DataFrame.
        """
        columns = gate.read(df, daily=interval in DATED if interval else None, repair=repair, compat=compat)
        return cls(**columns, symbol=symbol, interval=interval, source=source)

    @classmethod
    def from_columns(
        cls, time: Any, open: Any, high: Any, low: Any, close: Any, volume: Any = None, **about: Any
    ) -> Bars:
        """Check columns that need no reading: `time` in epoch seconds, `about` as the constructor's names."""
        columns: dict[str, Any] = dict(
            zip(_PRICES, (np.array(c, dtype=np.float64) for c in (open, high, low, close)), strict=True)
        )
        seconds = np.array(time, dtype=np.int64)
        columns["volume"] = np.full(len(seconds), np.nan) if volume is None else np.array(volume, dtype=np.float64)
        gate.check(seconds, columns)
        return cls(seconds, **columns, **about)

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, part: slice) -> Bars:
        """Return the bars of a slice with step 1, sharing memory with these."""
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise TypeError("Bars are cut with a plain slice, such as bars[10:20]")
        cut = {name: getattr(self, name)[part] for name in ("time", *_NUMBERS)}
        extra = {name: values[part] for name, values in self.extra.items()}
        return replace(self, **cut, extra=extra, _index=None if self._index is None else self._index[part])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bars) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def index(self) -> pd.Index:
        """The user's own pandas index, or one made from `time`: dates, zoned times, or row numbers when not `dated`."""
        if self._index is None:
            object.__setattr__(self, "_index", self._make_index())
        assert self._index is not None
        return self._index

    @property
    def digest(self) -> str:
        """The SHA-256, in hex, of everything that `to_parquet` keeps."""
        if self._digest is None:
            object.__setattr__(self, "_digest", self._hash())
        assert self._digest is not None
        return self._digest

    def told(self, *notes: str, **changes: Any) -> Bars:
        """Return the same bars with more notes, and other `symbol`, `source` and the like."""
        return replace(self, notes=(*self.notes, *notes), **changes)

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with columns Open, High, Low, Close, Volume and the extra ones."""
        columns = {name.capitalize(): getattr(self, name) for name in _NUMBERS}
        return pd.DataFrame({**columns, **self.extra}, index=self.index, copy=True)

    def aggregate(self, start: int, stop: int, size: int) -> Buckets:
        """Return bars `start` to `stop` (exclusive) as candles of `size` bars each.

        Buckets start at multiples of `size`, so the same bar is in the same bucket whatever the window; the first one
        reaches back before `start` for that, the last one never past `stop`. Shape of each column: (n_buckets,).
        """
        start, stop = max(start, 0) // size * size, min(stop, len(self))
        first = np.arange(start, max(stop, start), size)
        if not len(first):
            return Buckets(first, self.time[:0], *(getattr(self, name)[:0] for name in _NUMBERS))
        last, at = np.append(first[1:], stop) - 1, first - start
        high = np.maximum.reduceat(self.high[start:stop], at)
        low = np.minimum.reduceat(self.low[start:stop], at)
        volume = np.add.reduceat(self.volume[start:stop], at)
        return Buckets(first, self.time[first], self.open[first], high, low, self.close[last], volume)

    def to_parquet(self) -> bytes:
        """Return the bars and all that is known of them as one Parquet file."""
        import pyarrow as pa
        from pyarrow import parquet

        columns = {name: pa.array(getattr(self, name)) for name in ("time", *_NUMBERS)}
        columns |= {f"extra:{name}": pa.array(_storable(values)) for name, values in self.extra.items()}
        table = pa.table(columns).replace_schema_metadata({b"tapedeck": json.dumps(self._about()).encode()})
        sink = io.BytesIO()
        parquet.write_table(table, sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes) -> Bars:
        """Return what `to_parquet` stored.

        Raises:
            BadBars: the bytes are damaged, or not written by `to_parquet`.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            table = parquet.read_table(pa.BufferReader(content))
            about = json.loads(table.schema.metadata[b"tapedeck"])
            columns = {name: table.column(name).to_numpy() for name in ("time", *_NUMBERS)}
            names = [name for name in table.column_names if name.startswith("extra:")]
            extra = {name.removeprefix("extra:"): table.column(name).to_numpy() for name in names}
            about["notes"] = tuple(about["notes"])
            return cls(**columns, **about, extra=extra)
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise BadBars(f"The stored bars cannot be read: {error}. Load the symbol again.") from error

    def _about(self) -> dict[str, Any]:
        names = ("symbol", "interval", "source", "timezone", "notes", "dated")
        return {name: getattr(self, name) for name in names}

    def _hash(self) -> str:
        hasher = hashlib.sha256(json.dumps(self._about()).encode())
        for name in ("time", *_NUMBERS):
            values = getattr(self, name)
            hasher.update(values.astype(values.dtype.newbyteorder("<"), copy=False))
        for name, values in self.extra.items():
            hasher.update(f"\0{name}\0{values.dtype}\0".encode())
            stored = _storable(values)
            hasher.update("\0".join(map(str, stored)).encode() if stored.dtype == object else stored.tobytes())
        return hasher.hexdigest()

    def _make_index(self) -> pd.Index:
        if not self.dated:
            return pd.Index(self.time)
        index = pd.DatetimeIndex(self.time.view("datetime64[s]"))
        if self.timezone is None or self.interval in DATED:
            return index
        return index.tz_localize("UTC").tz_convert(self.timezone)


def _read_only(values: np.ndarray, dtype: type | None = None) -> np.ndarray:
    array = np.ascontiguousarray(values, dtype=dtype).view()
    array.flags.writeable = False
    return array


def _storable(values: np.ndarray) -> np.ndarray:
    """Return objects as text, and None for those that are missing; numbers as they are."""
    if values.dtype != object:
        return values
    return np.array([None if missing else str(v) for v, missing in zip(values, pd.isna(values), strict=True)], object)
