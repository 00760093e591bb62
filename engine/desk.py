"""Desk: the account of a run, its settings, and the lives of its orders on the tape."""

from __future__ import annotations

import random
from math import inf
from typing import Any

from engine.bars import Bars
from engine.costs import Commission, Slippage, commission_function, slippage_model
from engine.errors import ConfigError
from engine.events import CANCELLED, PLACED, SHIFT
from engine.order_queue import OrderQueue
from engine.orders import WAITING, Order
from engine.rules import Rulebook
from engine.series import Clock
from engine.signals import SignalQueue
from engine.sizing import Account
from engine.tape import Tape
from engine.trades import Position, Trade


class Desk:
    """What matching and the strategy's side of the broker share."""

    # A dictionary of so many names is read more slowly; the classes below have one all the same, for whoever hooks in.
    __slots__ = (
        "_again", "_at_open", "_bar", "_cells", "_chance", "_changed", "_clock", "_closes", "_high",
        "_last_close", "_ledger", "_log", "_low", "_open", "_opens", "_orders_placed",
        "_queue", "_ruin_price", "_started", "_trades_opened", "_write", "account", "bars", "cash", "close_price",
        "closed_trades", "commission", "exclusive_orders", "hedging", "hi", "lo", "open_trades", "position",
        "position_size", "ruined", "rule", "signals", "slippage", "spread", "tape", "trade_on_close",
    )  # fmt: skip

    def __init__(
        self,
        bars: Bars,
        clock: Clock,
        tape: Tape,
        *,
        cash: float = 10_000.0,
        commission: Commission = 0.0,
        spread: float = 0.0,
        slippage: Slippage = 0.0,
        margin: float = 1.0,
        trade_on_close: bool = False,
        hedging: bool = False,
        exclusive_orders: bool = False,
        compat: bool = False,
        seed: int = 0,
    ):
        """Take the settings of a run; see `Backtest`.

        Raises:
            ConfigError: one of them is out of range.
        """
        if not 0 < cash < inf:
            raise ConfigError(f"The initial balance is {cash}. Enter an amount above 0.", field="initial_balance")
        if not 0 < margin <= 1:
            raise ConfigError(f"Margin is {margin}. Enter a fraction above 0, up to 1.", field="margin")
        if not 0 <= spread < 1:
            raise ConfigError(f"Spread is {spread}. Enter a fraction from 0 up to 1.", field="spread")
        self.bars = bars
        self._opens, self._closes = bars.open.data, bars.close.data  # a memoryview gives one price faster than an array
        self.tape = tape
        self.rule = Rulebook(compat)
        self.commission = commission_function(commission)
        self.slippage = slippage_model(slippage)
        self.account = Account(self, margin, rate=commission if isinstance(commission, (int, float)) else None)
        self.spread = spread
        self.trade_on_close = trade_on_close
        self.hedging = hedging
        self.exclusive_orders = exclusive_orders
        self.cash = float(cash)
        self.open_trades: list[Trade] = []
        self.closed_trades: list[Trade] = []
        self.position_size: float = 0
        self.position = Position(self)  # type: ignore[arg-type]  # only SimBroker is ever made
        self.signals = SignalQueue(tape.events)
        self.ruined = False
        self.lo, self.hi = -inf, inf
        self._clock = clock
        self._chance = random.Random(seed)
        self._queue = OrderQueue()
        self._orders_placed = 0
        self._trades_opened = 0
        self._changed = False  # whether cash or position did, in this bar
        self._again: list[Trade] = []  # trades whose stop and target count from their entry bar on
        self._at_open = not trade_on_close and self.slippage is None  # what a market order pays
        self._ruin_price: float | None = None
        self._bar = 0
        self._open = self._high = self._low = self._last_close = 0.0
        self.close_price = 0.0
        self._write = tape.events.write
        self._ledger = tape.ledger
        self._log, self._cells = tape.events.log, tape.events.cells
        self._started = False

    @property
    def bar(self) -> int:
        """Return the current bar, from 0."""
        return self._clock.base + self._clock.at - 1 if self._started else 0

    def open_profit(self, price: float) -> float:
        """Return what open trades have gained at `price`, before commission."""
        return sum(trade.size * price - trade.size * trade.entry_price for trade in self.open_trades)

    def _enqueue(self, order: Order, row: tuple[Any, ...], front: bool = False) -> None:
        """Write an order down as placed, with its row, and have the next bar look at it."""
        clock, cells = self._clock, self._cells
        order.row = len(cells)
        cells += row
        self._log.append((clock.base + clock.at - 1 if self._started else 0) << SHIFT | PLACED)
        self._queue.add(order, front)
        self.lo = inf

    def _end(self, order: Order, kind: int, state: str, reason: str) -> None:
        """Write how an order ended without a (further) fill."""
        clock, trade = self._clock, order.trade
        bar = clock.base + clock.at - 1 if self._started else 0
        order._trigger = self._queue.listed = None
        order.state, order.reason = state, reason
        self._log.append(bar << SHIFT | kind)
        self._cells += self._row(order, reason)
        if trade is not None and trade.exit_bar is None:
            if trade._sl_order is order:
                trade._sl_order = trade._sl = None
            elif trade._tp_order is order:
                trade._tp_order = trade._tp = None

    def _one_cancels_others(self, order: Order) -> None:
        for other in order.group or ():
            if other is not order and other.state is WAITING:
                self._end(other, CANCELLED, "cancelled", f"order {order.id} filled first")

    @staticmethod
    def _row(order: Order, reason: str | None = None) -> tuple[Any, ...]:
        trade = order.trade
        if trade is None:
            return (order.id, None, order.size, order.limit, order.stop, order.sl, order.tp, order.tag, reason)
        return (order.id, trade.id, order.size, order.limit, order.stop, trade._sl, trade._tp, order.tag, reason)
