"""Columns: the closed trades of a tape as arrays, so that no figure walks over them one by one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from engine.events import (
    CLOSED,
    ENTERED,
    ENTRY_MASK,
    EXIT_FEE,
    FILLED,
    LEFT,
    LEFT_PART,
    OPENED,
    REDUCED,
    SHIFT,
    Events,
)

# Where a fill's row has what; see Events.write.
_TRADE, _SIZE, _PRICE, _COMMISSION, _PNL, _SL, _TP, _TAG = range(1, 9)
_SLIPPAGE, _FILL_BAR, _CELLS = 11, 12, 13


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
    """Reads fills and trades from a tape's events, each once, as the tape grows."""

    def __init__(self, events: Events):
        self._events = events
        self._read = 0
        self._opened: dict[int, int] = {}

    def catch_up(self) -> Changes | None:
        """Return what the events written since the last call did, None when there are none."""
        log, places = _since(self._events, self._read)
        if not len(log):
            return None
        self._read += len(log)
        bars, entries, cells = log >> SHIFT, log & ENTRY_MASK, self._events.cells
        filled, opened, ended = _FILLS[entries], _OPENS[entries], _ENDS[entries]
        fees = places + np.where(_LEFTS[entries], EXIT_FEE, _COMMISSION)
        costs = [_cells(cells, fees[filled]), _cells(cells, places[filled] + _SLIPPAGE)]
        return Changes(
            fill_bar=bars[filled],
            fill_costs=np.array(costs, dtype=np.float64).T,
            opened_bar=bars[opened],
            closed_bar=bars[ended],
            whole=_WHOLE[entries[ended]],
            closed=_pair(self._opened, cells, places[opened], places[ended]),
        )


def read_trades(events: Events, bar: int) -> Trades:
    """Return the trades that were closed in the first `bar` bars."""
    log, places = _since(events, 0)
    entries = log[: np.searchsorted(log, bar << SHIFT)] & ENTRY_MASK
    places = places[: len(entries)]
    return _pair({}, events.cells, places[_OPENS[entries]], places[_ENDS[entries]])


def _among(*kinds: int) -> np.ndarray:
    """Return for every kind of entry whether it is one of `kinds`."""
    return np.isin(np.arange(ENTRY_MASK + 1), kinds)


_FILLS, _OPENS = _among(FILLED, ENTERED, LEFT, LEFT_PART), _among(OPENED, ENTERED)
_ENDS, _WHOLE = _among(CLOSED, REDUCED, LEFT, LEFT_PART), _among(CLOSED, LEFT)
_LEFTS = _among(LEFT, LEFT_PART)


def _since(events: Events, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries from number `first` on, and where their rows begin; as copies, for both grow."""
    return np.array(events.log[first:], dtype=np.int64), np.array(events.places[first:-1], dtype=np.int64)


def _pair(known: dict[int, int], cells: list[Any], opening: np.ndarray, closing: np.ndarray) -> Trades:
    """Return the trades that the rows at `closing` end; `known` has where earlier ones were opened, and gets more."""
    known.update(zip(_cells(cells, opening + _TRADE), opening.tolist(), strict=True))
    ends = _rows(cells, closing.tolist())
    starts = np.array([known[trade] for trade in ends[_TRADE::_CELLS]], dtype=np.int64)
    return Trades.of(
        size=ends[_SIZE::_CELLS],
        entry_bar=_cells(cells, starts + _FILL_BAR),
        exit_bar=ends[_FILL_BAR::_CELLS],
        entry_price=_cells(cells, starts + _PRICE),
        exit_price=ends[_PRICE::_CELLS],
        pnl=ends[_PNL::_CELLS],
        commission=ends[_COMMISSION::_CELLS],
        sl=_levels(ends[_SL::_CELLS]),
        tp=_levels(ends[_TP::_CELLS]),
        tag=_cells(cells, starts + _TAG),
    )


def _rows(cells: list[Any], places: list[int]) -> list[Any]:
    """Return the rows at `places`, end to end: they lie far apart, and taking many columns from there takes longer."""
    rows: list[Any] = []
    for place in places:
        rows += cells[place : place + _CELLS]
    return rows


def _cells(cells: list[Any], places: np.ndarray) -> list[Any]:
    return [cells[place] for place in places.tolist()]


def _levels(prices: list[float | None]) -> Any:
    """Return prices of which None, for one that is not set, becomes NaN."""
    if prices.count(None) == len(prices):
        return np.full(len(prices), np.nan)  # as floats, one by one, Nones cost more than all other columns
    return prices


def _column(values: Any, kind: Any) -> np.ndarray:
    if kind is object:
        return np.fromiter(values, dtype=object, count=len(values))  # np.array would open up tags that are tuples
    return np.array(values, dtype=kind)
