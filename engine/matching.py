"""Matching: how waiting orders meet a bar, and what a fill does to the account."""

from __future__ import annotations

from math import inf

from engine import rules
from engine.desk import Desk
from engine.events import (
    ACTIVE,
    CANCELLED,
    CHANGED,
    ENTERED,
    EXPIRED,
    LEFT,
    LEFT_PART,
    PLACED,
    REJECTED,
    RUIN,
    SHIFT,
)
from engine.order_queue import by_place
from engine.orders import STOP_LOSS, TAKE_PROFIT, WAITING, Order
from engine.sizing import too_dear, too_little
from engine.trades import Trade

_ENDED_BY = ("netted", "closed", "stop-loss", "take-profit")  # by the role of the order


class Matching(Desk):
    """The account of one run, and the rules by which a bar changes it.

    The loop calls `meet` for a bar whose low is at or below `lo` or whose high is at or above `hi`: the nearest prices
    at which anything can happen. Other bars cannot change the account. When an order is new, `lo` is infinite.

    Within a bar, orders are looked at in queue order: closing orders and stop-losses first, the rest as placed. Where
    one bar touches a trade's stop and its target the stop wins: bars cannot tell, so the worse counts.
    """

    def meet(self, bar: int, low: float, high: float) -> bool:
        """Let the orders meet a bar; return whether the account is ruined by its close."""
        self._bar, self._low, self._high = bar, low, high
        self._open, self.close_price = self._opens[bar], self._closes[bar]
        if self.trade_on_close:
            self._last_close = self._closes[bar - 1]
        self._pass(self._due())
        if self._again:
            self._pass(self._second_look())
        return self._settle()

    def _due(self) -> list[Order]:
        """Return the orders that this bar may fill, in queue order; those that met no bar yet become active."""
        queue = self._queue
        if queue.expiring:
            self._expire()
        found: list[Order] = []
        if queue.fresh:
            code, log, cells = self._bar << SHIFT | ACTIVE, self._log, self._cells
            for order in queue.fresh:
                if order.state is not WAITING:
                    continue
                log.append(code)
                cells.append(order.row)
                if order.limit is None and order.stop is None:
                    found.append(order)
                else:
                    queue.watch(order)
            queue.fresh = []
        if queue.reached(self._low, self._high):
            queue.add_reached(found, self._low, self._high)
        if len(found) > 1:
            found.sort(key=by_place)
        return found

    def _expire(self) -> None:
        expiring = self._queue.expiring
        for order in tuple(expiring):
            if order.state is not WAITING:
                expiring.remove(order)
            elif order.expires is not None and order.expires < self._bar:
                expiring.remove(order)
                self._end(order, EXPIRED, "expired", "its time is over")

    def _pass(self, orders: list[Order]) -> None:
        for order in orders:
            if order.state is not WAITING:
                continue
            if self._at_open and order.limit is None and order.stop is None:
                if order.trade is None:
                    self._fill_entry(order, self._open, self._bar, 0.0, None)
                else:
                    self._fill_exit(order, order.trade, self._open, self._bar, 0.0)
            else:
                self._look(order)

    def _second_look(self) -> list[Order]:
        """Return what is looked at again in the bar of a market entry, whose stop and target count from its open on."""
        new, self._again = self._again, []
        everything = self._due()
        if not everything:
            return everything
        guards = [order for order in everything if order.role >= STOP_LOSS and order.trade in new]
        chosen: list[Order] = self.rule(rules.REPROCESS_STOP_LIMIT, everything, guards)
        for order in everything:
            if order not in chosen:
                self._queue.watch(order)
        return chosen

    def _look(self, order: Order) -> None:
        """Fill an order against the bar if its prices allow."""
        buys, stop, limit = order.size > 0, order.stop, order.limit
        bar, open_price = self._bar, self._open
        if stop is not None and limit is not None:
            reached = self._low <= limit if buys else self._high >= limit
            order.stop = None  # it is a plain limit order from now on
            if not reached or (limit <= stop if buys else limit >= stop):
                # The limit lies on the near side of the stop: it may have been passed before the stop was hit.
                self._queue.watch(order)
                self._write(bar, CHANGED, self._row(order, "the stop was hit"))
                return
            price = self.rule(rules.STOP_LIMIT_GAP_FILL, buys, open_price, stop, limit)
        elif limit is not None:
            price = min(open_price, limit) if buys else max(open_price, limit)
        elif stop is not None:
            if self.trade_on_close and order.role < STOP_LOSS:
                price = self.rule(rules.TOC_STOP_GAP_FILL, buys, self._last_close, open_price, stop)
            else:
                price = max(open_price, stop) if buys else min(open_price, stop)
        elif self.trade_on_close:
            price, bar = self._last_close, bar - 1
        else:
            price = open_price
        lost = 0.0
        if self.slippage is not None and (limit is None or stop is not None):
            price, lost = self._slip(price, buys, limit)
        if order.trade is not None:
            self._fill_exit(order, order.trade, price, bar, lost)
        else:
            self._fill_entry(order, price, bar, lost, stop)

    def _slip(self, price: float, buys: bool, limit: float | None) -> tuple[float, float]:
        """Return the price after slippage and the loss per unit; a limit is never exceeded."""
        assert self.slippage is not None
        loss = self.slippage.draw(price, self._chance)
        if limit is not None:
            loss = min(loss, abs(limit - price))
        return (price + loss if buys else max(price - loss, 0.0)), loss

    # Exits.

    def _fill_exit(self, order: Order, trade: Trade, price: float, bar: int, lost: float) -> None:
        if trade.exit_bar is not None:
            self._end(order, CANCELLED, "cancelled", "its trade is closed")
            return
        if order.role >= STOP_LOSS and trade._sl_order is order:
            other = trade._tp
            if other is not None and self._low <= other <= self._high and self._not_beyond(order):
                trade.ambiguous = True
        order._trigger = self._queue.listed = None
        order.state = "filled"
        size, wanted = trade.size, -order.size
        if size != wanted:
            size = min(size, wanted) if size > 0 else max(size, wanted)
        self._reduce(trade, size, price, bar, order.id, _ENDED_BY[order.role], lost)
        if order.group is not None:
            self._one_cancels_others(order)

    def _not_beyond(self, order: Order) -> bool:
        """Return whether the bar opened before a stop: a gap through it leaves no doubt about what came first."""
        assert order.stop is not None
        return self._open < order.stop if order.size > 0 else self._open > order.stop

    def _reduce(
        self, trade: Trade, size: float, price: float, bar: int, order: int | None, reason: str, lost: float
    ) -> None:
        """Close `size` of a trade at `price`: all of it, or a part that becomes a closed trade of its own."""
        held = trade.size
        units = size if size > 0 else -size
        if self.trade_on_close:
            bar = self.rule(rules.TOC_NEGATIVE_DURATION, trade.entry_bar, bar)
        rate = self.account.rate
        exit_fee = self.commission(size, price) if rate is None else units * price * rate
        whole = size == held
        if whole and rate is not None:
            entry_fee = trade._entry_fee
        else:
            entry_fee = self.rule(
                rules.FIXED_COMMISSION_PARTIAL_PNL, self.commission, size, held, trade._entry_fee, trade.entry_price
            )
        gain = size * (price - trade.entry_price)
        self.cash += gain - exit_fee
        self.position_size -= size
        self._changed = True
        fees = exit_fee + entry_fee
        closed = trade if whole else trade._split(size, entry_fee)
        sl, tp = (trade._sl, trade._tp) if whole else (None, None)
        self._log.append(self._bar << SHIFT | (LEFT if whole else LEFT_PART))
        self._cells += (
            order, trade.id, size, price, fees, gain - fees, sl, tp, trade.tag, reason, trade.ambiguous,
            lost * units if lost else 0.0, bar, exit_fee,
        )  # fmt: skip
        closed.exit_price, closed.exit_bar, closed._fees = price, bar, fees
        self.closed_trades.append(closed)
        if whole:
            self.open_trades.remove(trade)
        if trade._sl_order is not None or trade._tp_order is not None:
            (self._drop_guards if whole else self._resize_guards)(trade)

    def _drop_guards(self, trade: Trade) -> None:
        """Cancel what is left of a closed trade's stop and target; as `_end` would, for two orders at once."""
        log, code, reason = self._log, self._bar << SHIFT | CANCELLED, "its trade is closed"
        for guard in (trade._sl_order, trade._tp_order):
            if guard is not None and guard.state is WAITING:
                guard.state, guard.reason, guard._trigger = "cancelled", reason, None
                log.append(code)
                self._cells += (
                    guard.id, trade.id, guard.size, guard.limit, guard.stop, trade._sl, trade._tp, guard.tag, reason,
                )  # fmt: skip
        self._queue.listed = None
        trade._sl_order = trade._tp_order = None

    def _resize_guards(self, trade: Trade) -> None:
        for guard in (trade._sl_order, trade._tp_order):
            if guard is not None:
                guard.size = -trade.size
                self._write(self._bar, CHANGED, self._row(guard, "the trade was reduced"))

    # Entries.

    def _fill_entry(self, order: Order, price: float, bar: int, lost: float, stop: float | None) -> None:
        order._trigger = self._queue.listed = None
        entry_price = price * (1 + self.spread) if order.size > 0 else price * (1 - self.spread)
        ordered = left = order.size
        paid = False
        if -1 < ordered < 1:
            units, paid = self.account.units(ordered, entry_price, price)
            if not units:
                self._end(order, REJECTED, "rejected", too_little(self.account.free(self._open), entry_price))
                return
            left = units if ordered > 0 else -units
        if not self.hedging and self.open_trades and (left > 0) != (self.open_trades[0].size > 0):
            left = self._net(order, left, price, bar, lost)
        if left and not paid and not self.account.allows(left, ordered, entry_price, price):
            self._end(order, REJECTED, "rejected", too_dear(self.account.free(self._open), left, entry_price))
            return
        if left:
            self._open_trade(order, left, entry_price, bar, lost, stop)
        order.state = "filled"
        if order.group is not None:
            self._one_cancels_others(order)

    def _net(self, order: Order, left: float, price: float, bar: int, lost: float) -> float:
        """Close opposite trades with an order, oldest first; return what is left of it."""
        for trade in tuple(self.open_trades):
            if (trade.size > 0) == (left > 0):
                continue
            size = -left if abs(left) <= abs(trade.size) else trade.size
            self._reduce(trade, size, price, bar, order.id, _ENDED_BY[order.role], lost)
            left += size
            if not left:
                break
        return left

    def _open_trade(self, order: Order, size: float, price: float, bar: int, lost: float, stop: float | None) -> None:
        rate = self.account.rate
        fee = self.commission(size, price) if rate is None else abs(size) * price * rate
        self.cash -= fee
        self._trades_opened += 1
        trade = Trade(self, self._trades_opened, size, price, bar, order.tag, fee)  # type: ignore[arg-type]
        counts_now = False
        if order.sl is not None or order.tp is not None:
            counts_now = (stop is None and order.limit is None) or self._counts_in_entry_bar(order, stop)
            if not counts_now:
                trade.ambiguous = self._stop_touched(order) or self._target_touched(order)
        self.open_trades.append(trade)
        self.position_size += size
        self._changed = True
        self._log.append(self._bar << SHIFT | ENTERED)
        self._cells += (
            order.id, trade.id, size, price, fee, None, order.sl, order.tp, order.tag, None, trade.ambiguous,
            lost * abs(size) if lost else 0.0, bar,
        )  # fmt: skip
        if order.tp is not None and order.sl is not None:
            self._place_guards(trade, order.sl, order.tp)
        elif order.tp is not None:
            self._place_guard(trade, TAKE_PROFIT, order.tp)
        elif order.sl is not None:
            self._place_guard(trade, STOP_LOSS, order.sl)
        if counts_now:
            self._again.append(trade)

    def _counts_in_entry_bar(self, order: Order, stop: float | None) -> bool:
        """Return whether a new trade's stop and target can be hit in the bar that opened it.

        A market order fills at the open, so all of the bar follows. Within the bar the way to the fill is unknown, but
        a stop order whose target alone is touched went through the stop first. Anything else waits for the next bar.
        """
        if order.limit is not None:
            return False
        if stop is None:
            return True
        return self._target_touched(order) and not self._stop_touched(order)

    def _stop_touched(self, order: Order) -> bool:
        if order.sl is None:
            return False
        return self._low <= order.sl if order.size > 0 else self._high >= order.sl

    def _target_touched(self, order: Order) -> bool:
        if order.tp is None:
            return False
        return self._high >= order.tp if order.size > 0 else self._low <= order.tp

    def _place_guards(self, trade: Trade, sl: float, tp: float) -> None:
        """Place the target and then the stop of a new trade: `_place_guard` for each, in half the steps."""
        number, cells, size, tag = self._orders_placed, self._cells, -trade.size, trade.tag
        self._orders_placed = number + 2
        target = Order(self, number + 1, size, tp, None, None, None, tag, TAKE_PROFIT, trade)  # type: ignore[arg-type]
        stop = Order(self, number + 2, size, None, sl, None, None, tag, STOP_LOSS, trade)  # type: ignore[arg-type]
        trade._tp_order, trade._tp, trade._sl_order, trade._sl = target, tp, stop, sl
        target.row = len(cells)
        stop.row = target.row + 9
        cells += (
            number + 1, trade.id, size, tp, None, None, tp, tag, "tp",
            number + 2, trade.id, size, None, sl, sl, tp, tag, "sl",
        )  # fmt: skip
        code = self._bar << SHIFT | PLACED
        self._log.append(code)
        self._log.append(code)
        self._queue.surround(stop, target)
        self.lo = inf

    def _place_guard(self, trade: Trade, role: int, price: float) -> None:
        self._orders_placed = number = self._orders_placed + 1
        size, tag = -trade.size, trade.tag
        if role == STOP_LOSS:
            order = Order(self, number, size, None, price, None, None, tag, role, trade)  # type: ignore[arg-type]
            trade._sl_order, trade._sl = order, price
        else:
            order = Order(self, number, size, price, None, None, None, tag, role, trade)  # type: ignore[arg-type]
            trade._tp_order, trade._tp = order, price
        self._enqueue(order, self._row(order, "sl" if role == STOP_LOSS else "tp"), role == STOP_LOSS)

    # After the orders.

    def _settle(self) -> bool:
        """Write the account down if it changed, note when to look again, and return whether it is ruined."""
        trades, size, cash = self.open_trades, self.position_size, self.cash
        if self._changed:
            self._changed = False
            if len(trades) == 1:
                cost = trades[0].size * trades[0].entry_price
            else:
                cost = sum([trade.size * trade.entry_price for trade in trades])
            self._ledger.write(self._bar, cash, size, cost)
            self._ruin_price = (cost - cash) / size if size else None
        elif not trades:
            self._watch()
            return False
        self._watch()
        ruin, close = self._ruin_price, self.close_price
        if ruin is None:
            near = cash <= 0 or bool(trades)
        elif size > 0:
            near = close <= ruin * (1 + 1e-9)
        else:
            near = close >= ruin * (1 - 1e-9)
        # Adding up every trade is only for closes at which rounding could decide.
        if near and cash + self.open_profit(close) <= 0:
            self._ruin()
            return True
        return False

    def _watch(self) -> None:
        """Set the prices at which the next bar can change anything; near ruin counts, with room for rounding."""
        queue, ruin = self._queue, self._ruin_price
        if queue.fresh or queue.expiring:
            self.lo = inf  # every bar's low is below
            return
        lo = -queue.nearest(queue.below) if queue.below else -inf
        hi = queue.nearest(queue.above) if queue.above else inf
        if ruin is not None and ruin > 0:
            if self.position_size > 0:
                near = ruin * (1 + 1e-9)
                lo = near if near > lo else lo
            else:
                near = ruin * (1 - 1e-9)
                hi = near if near < hi else hi
        self.lo, self.hi = lo, hi

    def _ruin(self) -> None:
        self._write(self._bar, RUIN, ("the account is worth nothing",))
        for trade in self.rule(rules.BANKRUPT_LEFTOVER, list(self.open_trades)):
            self._reduce(trade, trade.size, self.close_price, self._bar, None, "ruin", 0.0)
        for order in self._queue.ordered():
            self._end(order, CANCELLED, "cancelled", "the account is ruined")
        self.cash = 0.0
        self._ledger.write(self._bar, 0.0, 0.0, 0.0)
        self.ruined = True
        self.lo, self.hi = -inf, inf
