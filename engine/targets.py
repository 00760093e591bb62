"""Targets: a run from an array that says on each bar which side to be on, visiting only the bars that change it."""

from __future__ import annotations

import sys
from array import array
from typing import Any, NamedTuple

import numpy as np

from engine.bars import Bars
from engine.events import ACTIVE, ENTERED, LEFT, PLACED, REJECTED, Events
from engine.ledger import Ledger
from engine.sizing import too_dear, too_little
from engine.strategy import Strategy
from engine.tape import Tape

ALL_IN = 1 - sys.float_info.epsilon
_PLAIN = {"trade_on_close": False, "hedging": False, "exclusive_orders": False, "finalize_trades": False, "slippage": 0}


def target_strategy(targets: np.ndarray, size: float) -> type[Strategy]:
    """Return the strategy that `play_targets` stands for, to be run bar by bar."""

    class Targets(Strategy):
        def init(self) -> None:
            self.targets = self.I(lambda: targets, name="target", plot=False, scatter=True)
            self.side = 0.0

        def next(self) -> None:
            side = self.targets[-1]
            if side == side and side != self.side:  # NaN keeps the side
                self.side = side
                self.position.close()
                if side:
                    (self.buy if side > 0 else self.sell)(size=size)

    return Targets


class _Walk(NamedTuple):
    """Columns with a row for each change of side: its bar, the side, and what was held and owned after the fill."""

    bars: np.ndarray
    sides: list[float]
    prices: list[float]
    held: list[int]
    cash: list[float]
    rate: float
    spread: float
    leverage: float


def play_targets(bars: Bars, targets: np.ndarray, size: float, settings: dict[str, Any]) -> Tape | None:
    """Return the tape that `target_strategy` writes, or None when a setting asks for more or the account is ruined.

    Only market orders and a commission that is a rate can be done this way: nothing then happens between the changes,
    and the account is a few sums per change. Events are made when they are read.
    """
    commission = settings.get("commission", 0.0)
    if any(settings.get(name, plain) != plain for name, plain in _PLAIN.items()) or not isinstance(
        commission, (int, float)
    ):
        return None
    at = np.flatnonzero(~np.isnan(targets[1:])) + 1  # nothing is decided on the first bar
    sides = np.sign(targets[at])
    changes = np.diff(sides, prepend=0.0) != 0
    at, sides = at[changes], sides[changes]
    last = int(np.searchsorted(at, len(bars) - 1))  # a change on the last bar is placed and never filled
    prices = bars.open[at[:last] + 1].tolist()
    walk = _walk(at, sides.tolist(), prices, size, float(commission), settings)
    cash = float(settings.get("cash", 10_000.0))
    ledger, safe = _ledger(walk, bars, cash)
    if not safe:
        return None
    tape = Tape(bars, (), cash, dict(settings), ledger, TargetEvents(walk, size), len(bars), 1, "Targets")
    return tape


def _walk(
    at: np.ndarray, sides: list[float], prices: list[float], size: float, rate: float, settings: dict[str, Any]
) -> _Walk:
    """Walk over the changes; where the money does not suffice nothing is held."""
    cash, spread = float(settings.get("cash", 10_000.0)), settings.get("spread", 0.0)
    leverage, fraction = 1 / settings.get("margin", 1.0), size < 1
    held, entry = 0, 0.0
    helds: list[int] = []
    cashes: list[float] = []
    for price, side in zip(prices, sides, strict=False):
        if held:
            cash += held * (price - entry) - (held if held > 0 else -held) * price * rate
        if side:
            entry = price * (1 + spread) if side > 0 else price * (1 - spread)
            unit = entry + size * price * rate / size
            free = cash * leverage if cash > 0 else 0.0
            units = int(free * size // unit) if fraction else int(size)
            if units * unit > free:
                units = 0
            cash -= units * entry * rate
            held = units if side > 0 else -units
        else:
            held = 0
        helds.append(held)
        cashes.append(cash)
    return _Walk(at, sides, prices, helds, cashes, rate, spread, leverage)


def _ledger(walk: _Walk, bars: Bars, cash: float) -> tuple[Ledger, bool]:
    """Return the account by segments, and whether it stayed above nothing at every close."""
    count = len(walk.held)
    ledger = Ledger(cash)
    if not count:
        return ledger, True
    starts, held = walk.bars[:count] + 1, np.array(walk.held, dtype=np.float64)
    cashes = np.array(walk.cash)
    entries = np.array(walk.prices) * (1 + np.sign(held) * walk.spread)
    costs = held * entries
    worst = np.where(held > 0, np.minimum.reduceat(bars.close, starts), np.maximum.reduceat(bars.close, starts))
    safe = bool(np.all(cashes + (held * worst - costs) > 0))
    changed = np.concatenate(([True], (held[1:] != 0) | (held[:-1] != 0))) & ((held != 0) | (np.arange(count) > 0))
    starts, cashes, held, costs = starts[changed], cashes[changed], held[changed], costs[changed]
    ledger.bars.frombytes(starts.astype(np.int64).tobytes())
    ledger.cashes.frombytes(cashes.tobytes())
    ledger.positions.frombytes(held.tobytes())
    ledger.costs.frombytes(costs.tobytes())
    return ledger, safe


class TargetEvents(Events):
    """The events of such a run, written when they are first read."""

    __slots__ = ("_size", "_walk", "_written")

    def __init__(self, walk: _Walk, size: float) -> None:
        self._walk = walk
        self._size = size
        self._written: Events | None = None
        self._start()

    @property
    def log(self) -> array[int]:  # type: ignore[override]
        """Return the entries."""
        return self._whole().log

    @property
    def cells(self) -> list[Any]:  # type: ignore[override]
        """Return the cells of all rows."""
        return self._whole().cells

    def _whole(self) -> Events:
        if self._written is None:
            self._written = _written(self._walk, self._size)
        return self._written


def _written(walk: _Walk, size: float) -> Events:
    """Write what the broker would have written."""
    events = Events()
    write = events.write
    order = trade = 0
    held, entry, paid = 0, 0.0, 0.0
    for change, (bar, side) in enumerate(zip(walk.bars.tolist(), walk.sides, strict=True)):
        closing, opening = None, None
        if held:
            order += 1
            closing = (order, trade, -held, None, None, None, None, None, None)
            write(bar, PLACED, closing)
        if side:
            order += 1
            opening = (order, None, size if side > 0 else -size, None, None, None, None, None, None)
            write(bar, PLACED, opening)
        if change == len(walk.held):
            break
        bar, price = bar + 1, walk.prices[change]
        for row in (closing, opening):
            if row is not None:
                write(bar, ACTIVE, row)
        if closing is not None:
            fee = abs(held) * price * walk.rate
            gain = held * (price - entry)
            row = _fill(closing[0], trade, held, price, fee + paid, gain - (fee + paid), "closed", bar)
            write(bar, LEFT, (*row, fee))
        held = walk.held[change]
        if opening is None:
            continue
        entry = price * (1 + walk.spread) if side > 0 else price * (1 - walk.spread)
        if not held:
            free = max(0.0, walk.cash[change]) * walk.leverage
            reason = too_little(free, entry) if size < 1 else too_dear(free, size, entry)
            write(bar, REJECTED, (*opening[:-1], reason))
        else:
            trade += 1
            paid = abs(held) * entry * walk.rate
            write(bar, ENTERED, _fill(opening[0], trade, held, entry, paid, None, None, bar))
    return events


def _fill(
    order: int, trade: int, size: float, price: float, fee: float, pnl: float | None, reason: str | None, bar: int
) -> tuple[Any, ...]:
    return (order, trade, size, price, fee, pnl, None, None, None, reason, False, 0.0, bar)
