"""Columns: the closed trades of a tape as arrays, so that no figure walks over them one by one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from engine.tape import CLOSED, FILLED, OPENED, REDUCED, Events

# Where a fill's event row has what; see Events.write.
_TRADE, _SIZE, _PRICE, _COMMISSION, _PNL, _SL, _TP, _TAG = range(1, 9)
_SLIPPAGE, _FILL_BAR = 11, 12
_Row = tuple[Any, ...]


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
        missing, free = np.full(count, np.nan), np.zeros(count)
        given = {"commission": free, "sl": missing, "tp": missing, **columns}
        given.setdefault("tag", np.full(count, None, dtype=object))
        kinds = {"entry_bar": np.int64, "exit_bar": np.int64, "tag": object}
        return cls(
            **{field.name: _column(given[field.name], kinds.get(field.name, np.float64)) for field in fields(cls)}
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """What a stretch of a tape did to trades; each `*_bar` is the bar after which the record knows it.

    `fill_costs` has the cash that each fill lost, shape (n_fills, 2): commission and slippage. `closed` counts every
    part of a trade that was closed, `whole` tells after which of them nothing was left.
    """

    fill_bar: np.ndarray
    fill_costs: np.ndarray
    opened_bar: np.ndarray
    closed_bar: np.ndarray
    whole: np.ndarray
    closed: Trades


class TradeReader:
    """Reads fills and trades from a tape's events, each event once, as the tape grows."""

    def __init__(self, events: Events):
        self._events = events
        self._read = 0
        self._opened: dict[int, _Row] = {}

    def catch_up(self) -> Changes | None:
        """Return what the events written since the last call did, None when there are none."""
        first, rows = self._read, self._events.rows
        codes = np.array(self._events.codes[first:], dtype=np.int64)
        if not len(codes):
            return None
        self._read = first + len(codes)
        bars, kinds = codes >> 4, codes & 15
        filled, opened = np.flatnonzero(kinds == FILLED), np.flatnonzero(kinds == OPENED)
        ended = _ends(kinds)
        fills = [rows[number] for number in (filled + first).tolist()]
        costs = [[row[column] for row in fills] for column in (_COMMISSION, _SLIPPAGE)]
        return Changes(
            fill_bar=bars[filled],
            fill_costs=np.array(costs, dtype=np.float64).T,
            opened_bar=bars[opened],
            closed_bar=bars[ended],
            whole=kinds[ended] == CLOSED,
            closed=_pair(
                self._opened,
                [rows[number] for number in (opened + first).tolist()],
                [rows[number] for number in (ended + first).tolist()],
            ),
        )


def _pair(known: dict[int, _Row], opening: list[_Row], closing: list[_Row]) -> Trades:
    """Return the trades that the rows of `closing` end; `known` has the openings of before, and gets new ones."""
    known.update((row[_TRADE], row) for row in opening)
    starts = [known[row[_TRADE]] for row in closing]
    # Column by column: zip(*rows) would make an object for each row, enough to set off the garbage collector.
    return Trades.of(
        size=[row[_SIZE] for row in closing],
        entry_bar=[row[_FILL_BAR] for row in starts],
        exit_bar=[row[_FILL_BAR] for row in closing],
        entry_price=[row[_PRICE] for row in starts],
        exit_price=[row[_PRICE] for row in closing],
        pnl=[row[_PNL] for row in closing],
        commission=[row[_COMMISSION] for row in closing],
        sl=[row[_SL] for row in closing],
        tp=[row[_TP] for row in closing],
        tag=[row[_TAG] for row in starts],
    )


def read_trades(events: Events, bar: int) -> Trades:
    """Return the trades that were closed in the first `bar` bars."""
    kinds, rows = np.array(events.codes[: events.between(0, bar).stop], dtype=np.int64) & 15, events.rows
    opening = [rows[number] for number in np.flatnonzero(kinds == OPENED).tolist()]
    return _pair({}, opening, [rows[number] for number in _ends(kinds).tolist()])


def _ends(kinds: np.ndarray) -> np.ndarray:
    return np.flatnonzero((kinds == REDUCED) | (kinds == CLOSED))


def _column(values: Any, kind: Any) -> np.ndarray:
    if kind is object:
        return np.fromiter(values, dtype=object, count=len(values))  # np.array would open up tags that are tuples
    return np.array(values, dtype=kind)  # None, for a price that is not set, becomes NaN
