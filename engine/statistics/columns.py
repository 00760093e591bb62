"""Columns: the closed trades of a tape as arrays, so that no figure walks over them one by one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..tape import CLOSED, OPENED, REDUCED, Events


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed trades in order of closing, each column of shape (n_trades,); bars count from 0.

    `size` is signed, `pnl` is cash after `commission`, the cash paid at both ends. `sl` and `tp` are NaN when not set.
    """

    size: np.ndarray
    entry_bar: np.ndarray
    exit_bar: np.ndarray
    entry_price: np.ndarray
    exit_price: np.ndarray
    pnl: np.ndarray
    commission: np.ndarray
    sl: np.ndarray
    tp: np.ndarray
    tag: np.ndarray

    def __len__(self) -> int:
        return len(self.size)

    @property
    def return_pct(self) -> np.ndarray:
        """Return each profit as a fraction of the money at entry, after commission."""
        money = np.abs(self.size) * self.entry_price
        return np.sign(self.size) * (self.exit_price / self.entry_price - 1) - self.commission / money

    @classmethod
    def of(cls, **columns: Any) -> Trades:
        """Build from columns by name; `commission`, `sl`, `tp` and `tag` may be left out."""
        count = len(columns["size"])
        given = {"commission": np.zeros(count), "sl": np.full(count, np.nan), "tp": np.full(count, np.nan), **columns}
        given.setdefault("tag", np.full(count, None, dtype=object))
        kinds = {"entry_bar": np.int64, "exit_bar": np.int64, "tag": object}
        return cls(**{field.name: _column(given[field.name], kinds.get(field.name, np.float64)) for field in fields(cls)})


class TradeReader:
    """Reads what opens and closes trades from a tape's events, each event once, as the tape grows.

    Three lists of columns, in the order of the events: what was opened, what was closed (parts included), and for each
    whole close its bar. `*_number` are numbers of events.
    """

    def __init__(self, events: Events):
        self._events = events
        self._read = 0
        self._opened: dict[int, tuple[int, tuple[Any, ...]]] = {}

    def catch_up(self) -> tuple[Opened, Closed]:
        """Return what was opened and closed in the events written since the last call."""
        first = self._read
        if len(self._events) == first:
            return Opened.of([], []), Closed.of([], [], [], [], [])
        kinds, bars, rows = self._events.plain(first)
        self._read = first + len(kinds)
        kind = np.frombuffer(kinds, np.uint8)
        opened = np.flatnonzero(kind == OPENED).tolist()
        ended = np.flatnonzero((kind == REDUCED) | (kind == CLOSED)).tolist()
        for place in opened:
            row = rows[place]
            self._opened[row[1]] = bars[place], row
        closing = [rows[place] for place in ended]
        begun = [self._opened[row[1]] for row in closing]
        for place in ended:
            if kinds[place] == CLOSED:
                del self._opened[rows[place][1]]
        return (
            Opened.of([bars[place] for place in opened], [rows[place] for place in opened]),
            Closed.of(
                [bars[place] for place in ended],
                [kinds[place] == CLOSED for place in ended],
                closing,
                [bar for bar, _ in begun],
                [row for _, row in begun],
            ),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """Trades that began: the event's `bar`, and the commission `paid` then."""

    bar: np.ndarray
    paid: np.ndarray

    @classmethod
    def of(cls, bars: list[int], rows: list[tuple[Any, ...]]) -> Opened:
        """Build from event rows; see `Events.write`."""
        return cls(np.array(bars, dtype=np.int64), np.array([row[4] or 0.0 for row in rows], dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Closed:
    """Trades, or parts of them, that ended: the event's `bar`, whether nothing is left, and the trades themselves."""

    bar: np.ndarray
    whole: np.ndarray
    trades: Trades

    @classmethod
    def of(
        cls,
        bars: list[int],
        whole: list[bool],
        closing: list[tuple[Any, ...]],
        entry_bars: list[int],
        opening: list[tuple[Any, ...]],
    ) -> Closed:
        """Build from event rows; see `Events.write`."""
        ends = list(zip(*closing, strict=True)) or [()] * 11
        starts = list(zip(*opening, strict=True)) or [()] * 11
        trades = Trades.of(
            size=ends[2],
            entry_bar=entry_bars,
            exit_bar=bars,
            entry_price=starts[3],
            exit_price=ends[3],
            pnl=ends[5],
            commission=ends[4],
            sl=ends[6],
            tp=ends[7],
            tag=starts[8],
        )
        return cls(np.array(bars, dtype=np.int64), np.array(whole, dtype=bool), trades)


def read_trades(events: Events) -> Trades:
    """Return all closed trades of a tape."""
    return TradeReader(events).catch_up()[1].trades


def _column(values: Any, kind: Any) -> np.ndarray:
    if kind is object:
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    return np.array(values, dtype=kind)  # None, for a price that is not set, becomes NaN
