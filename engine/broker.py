"""SimBroker: takes orders, fills them against the bars, and keeps the account."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pandas as pd

from engine import rules
from engine.events import CANCELLED, CHANGED, LOG, PLACED, REJECTED
from engine.matching import Matching
from engine.orders import CLOSING, STOP_LOSS, WAITING, Order
from engine.trades import Trade


class SimBroker(Matching):
    """The broker as a strategy meets it: it places, moves and cancels orders, and reads the account."""

    # What a strategy reads.

    @property
    def last_price(self) -> float:
        """Return the current bar's close."""
        return self._closes[self._clock.base + self._clock.at - 1]

    @property
    def equity(self) -> float:
        """Return cash and open profits at the current close."""
        return self.cash + self.open_profit(self.last_price) if self.open_trades else self.cash

    @property
    def orders(self) -> tuple[Order, ...]:
        """Return the waiting orders, in the order in which they are looked at."""
        return self._queue.ordered()

    def index_at(self, bar: int) -> Any:
        """Return what the bars' index says for a bar."""
        return self.bars.index[bar]

    def get_recent_signals(self, reader: str = "default") -> list[Any]:
        """Return the signals that `reader` has not had, in order; see SignalQueue."""
        return self.signals.take(reader)

    def start(self) -> None:
        """Begin with the first bar: what was placed until now belongs to it."""
        self._started = True

    def log(self, message: str) -> None:
        """Write a line on the tape."""
        self._write(self.bar, LOG, (message,))

    # What a strategy does.

    def place(
        self,
        size: float,
        limit: Any = None,
        stop: Any = None,
        sl: Any = None,
        tp: Any = None,
        tag: Any = None,
        good_till: Any = None,
        oco: Order | None = None,
        sign: int = 1,
    ) -> Order:
        """Queue an order that opens exposure, or reject it with its reason."""
        assert 0 < size < 1 or round(size) == size >= 1, (
            f"size is {size}: give a fraction between 0 and 1, or a whole number of units"
        )
        limit = float(limit) if limit else None
        stop = float(stop) if stop else None
        sl = float(sl) if sl else None
        tp = float(tp) if tp else None
        if sign < 0:
            size = -size
        self._orders_placed = number = self._orders_placed + 1
        order = Order(self, number, size, limit, stop, sl, tp, tag)
        if (sl is not None or tp is not None) and (reason := self._contradiction(order)):
            if self.rule(rules.CONTRADICTORY_LEVELS) == "raise":
                raise ValueError(reason)
            self._write(self.bar, PLACED, self._row(order))
            self._end(order, REJECTED, "rejected", reason)
            return order
        if self.exclusive_orders:
            for other in self.rule(rules.EXCLUSIVE_SKIP, list(self._queue.ordered())):
                self._end(other, CANCELLED, "cancelled", "a new exclusive order")
            for trade in tuple(self.open_trades):
                trade.close()
        if good_till is not None:
            order.expires = self._last_bar_until(good_till)
            self._queue.expiring.append(order)
        if oco is not None:
            self._join(order, oco)
        self._enqueue(order, (number, None, size, limit, stop, sl, tp, tag, None))
        return order

    def place_closing(self, trade: Trade, size: float) -> Order:
        """Queue a market order that closes up to `size` units of a trade."""
        self._orders_placed = number = self._orders_placed + 1
        tag = trade.tag
        order = Order(self, number, size, None, None, None, None, tag, CLOSING, trade)
        self._enqueue(order, (number, trade.id, size, None, None, trade._sl, trade._tp, tag, None), True)
        return order

    def guard(self, trade: Trade, role: int, price: Any) -> None:
        """Set, move or take away (None) a trade's stop-loss or take-profit."""
        if price is not None:
            price = float(price)
            assert 0 < price < inf, f"a stop-loss or take-profit of {price} is not a price"
        if trade.exit_bar is not None:
            return
        current = trade._sl_order if role == STOP_LOSS else trade._tp_order
        if price is None:
            if current is not None:
                self.cancel(current, "taken away by the strategy")
            return
        if current is not None:
            self._move(current, price)
            return
        self._place_guard(trade, role, price)
        self._note_guards(trade)

    def _move(self, order: Order, price: float) -> None:
        """Move a stop or target; like a new order it goes to its end of the queue, and meets the next bar."""
        trade = order.trade
        assert trade is not None
        if order.role == STOP_LOSS:
            order.stop = trade._sl = price
        else:
            order.limit = trade._tp = price
        self._queue.put(order, front=order.role == STOP_LOSS)
        if order._trigger is not None:
            self._queue.watch(order)
            self._watch()
        self._write(self.bar, CHANGED, self._row(order))

    def _note_guards(self, trade: Trade) -> None:
        """Write down an open trade's stop and target after one was set or taken away."""
        self._write(self.bar, CHANGED, (None, trade.id, trade.size, None, None, trade.sl, trade.tp, trade.tag, None))

    def cancel(self, order: Order, reason: str = "cancelled by the strategy") -> None:
        """Take an order out of the queue; one that no longer waits stays as it is."""
        if order.state is not WAITING:
            return
        self._end(order, CANCELLED, "cancelled", reason)
        trade = order.trade
        if order.role >= STOP_LOSS and trade is not None and trade.exit_bar is None:
            self._note_guards(trade)

    # What the loop calls.

    def finalize(self, bar: int) -> None:
        """Close what is still open, on the last bar."""
        if self.rule.compat:
            for trade in reversed(self.open_trades):
                trade.close()
            self.meet(bar, self.bars.low.item(bar), self.bars.high.item(bar))
            return
        if self._queue.ordered() or self.open_trades:
            self.rule.touched.add(rules.FINALIZE_OPEN.name)
        self._bar, self.close_price = bar, self.last_price  # no order may have met a bar since long
        for trade in reversed(tuple(self.open_trades)):
            order = self.place_closing(trade, -trade.size)
            self._fill_exit(order, trade, self.last_price, bar, 0.0)
        self._settle()

    def _contradiction(self, order: Order) -> str | None:
        """Return why the order's levels cannot all be meant, None when they can."""
        size = order.size
        price = order.limit or order.stop
        if price is None:
            last = self._closes[self._clock.base + self._clock.at - 1]
            price = last * (1 + self.spread if size > 0 else 1 - self.spread)
        low, high = (order.sl, order.tp) if size > 0 else (order.tp, order.sl)
        if (low is None or low < price) and (high is None or price < high):
            return None
        below, above = ("stop-loss", "take-profit") if order.size > 0 else ("take-profit", "stop-loss")
        return (
            f"a {'long' if order.size > 0 else 'short'} order needs {below} < price < {above}; "
            f"here they are {low} < {price:g} < {high}"
        )

    def _last_bar_until(self, good_till: Any) -> int:
        """Return the last bar on which an order may fill that is good till a time, or for a number of bars."""
        if isinstance(good_till, int):
            return self.bar + good_till
        moment = pd.Timestamp(good_till)
        moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
        return int(np.searchsorted(self.bars.time, moment.timestamp(), side="right")) - 1

    @staticmethod
    def _join(order: Order, other: Order) -> None:
        """Put an order into the group of another, of which only one is to fill."""
        if other.group is None:
            other.group = [other]
        other.group.append(order)
        order.group = other.group
