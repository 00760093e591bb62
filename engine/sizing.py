"""Account: what the money allows when an order is about to fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine import rules

if TYPE_CHECKING:
    from engine.desk import Desk

_Decide = Callable[[float, Callable[..., float]], int]


class Account:
    """Sizes and refuses orders by what is available: equity less the margin that open trades take."""

    __slots__ = ("_broker", "leverage", "rate")

    def __init__(self, broker: Desk, margin: float, *, rate: float | None):
        self._broker = broker
        self.rate = rate  # when commission is one: the same cost for every unit
        self.leverage = 1 / margin

    def available(self, price: float) -> float:
        """Return the money that is free when open trades are valued at `price`, 0 or more."""
        broker = self._broker
        if not broker.open_trades:
            return max(0.0, broker.cash)
        equity = broker.cash + broker.open_profit(price)
        used = sum(abs(trade.size) * price / self.leverage for trade in broker.open_trades)
        return max(0.0, equity - used)

    def free(self, price: float) -> float:
        """Return what can be bought with the available money and its leverage."""
        return self.available(price) * self.leverage

    def units(self, fraction: float, entry_price: float, raw_price: float) -> tuple[int, bool]:
        """Return the whole units that a fraction of the available money buys, and whether that is known to suffice."""
        if self.rate is not None and not self._broker.open_trades:  # no rule can make a difference
            part, cash = fraction if fraction > 0 else -fraction, self._broker.cash
            free = cash * self.leverage if cash > 0 else 0.0
            unit = entry_price + part * raw_price * self.rate / part
            units = int(free * part // unit)
            return units, units * unit <= free

        def decide(valued_at: float, cost: Callable[..., float]) -> int:
            budget = self.available(valued_at) * self.leverage * abs(fraction)
            if self.rate is not None or cost is rules.FIXED_COMMISSION_PER_UNIT.theirs:
                fee = self._broker.commission(fraction, raw_price) / abs(fraction)
                return int(budget // (entry_price + fee))
            return self._most(budget, fraction, entry_price, raw_price)

        return self._choose(decide, raw_price), False

    def allows(self, units: float, ordered: float, entry_price: float, raw_price: float) -> bool:
        """Return whether the available money pays for `units`, the part that is left of an order."""
        if self.rate is not None and not self._broker.open_trades:
            fee = abs(ordered) * raw_price * self.rate / abs(ordered)
            return abs(units) * (entry_price + fee) <= max(0.0, self._broker.cash) * self.leverage

        def decide(valued_at: float, cost: Callable[..., float]) -> int:
            budget = self.available(valued_at) * self.leverage
            if self.rate is not None or cost is rules.FIXED_COMMISSION_PER_UNIT.theirs:
                fee = self._broker.commission(ordered, raw_price) / abs(ordered)
                return abs(units) * (entry_price + fee) <= budget
            return abs(units) * entry_price + self._broker.commission(units, raw_price) <= budget

        return bool(self._choose(decide, raw_price))

    def _choose(self, decide: _Decide, raw_price: float) -> int:
        """Decide by our rules or theirs, and note each rule that makes a difference."""
        book, close = self._broker.rule, self._broker.close_price
        value, cost = rules.SIZING_LOOKAHEAD, rules.FIXED_COMMISSION_PER_UNIT
        assert cost.theirs is not None and cost.ours is not None
        ours, theirs = decide(raw_price, cost.ours), decide(close, cost.theirs)
        if ours != theirs:
            if self._broker.open_trades:
                book.touched.add(value.name)
            if self.rate is None:
                book.touched.add(cost.name)
        return theirs if book.compat else ours

    def _most(self, budget: float, fraction: float, entry_price: float, raw_price: float) -> int:
        """Return the most units whose price and fee fit the budget; the fee may be any function of the size."""
        sign = 1 if fraction > 0 else -1
        enough, too_many = 0, int(budget // entry_price * 1.2) + 2
        while too_many - enough > 1:
            middle = (enough + too_many) // 2
            if middle * entry_price + self._broker.commission(sign * middle, raw_price) <= budget:
                enough = middle
            else:
                too_many = middle
        return enough


def too_little(free: float, price: float) -> str:
    """Return why a fraction of the money buys nothing."""
    return f"the size rounds to zero: {free:,.2f} is available and a unit costs {price:,.2f}"


def too_dear(free: float, units: float, price: float) -> str:
    """Return why an order of so many units is refused."""
    return f"not enough money: {abs(units):g} units cost {abs(units) * price:,.2f} and {free:,.2f} is available"
