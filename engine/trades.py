"""Trades: round trips, and the position they add up to."""

from __future__ import annotations

from math import copysign
from typing import TYPE_CHECKING, Any

from engine.orders import STOP_LOSS, TAKE_PROFIT, Order

if TYPE_CHECKING:
    from engine.broker import SimBroker


class Trade:
    """One round trip; `exit_price` and `exit_bar` are None while it is open. `size` is signed units."""

    __slots__ = (
        "_broker", "_entry_fee", "_fees", "_sl", "_sl_order", "_tp", "_tp_order", "ambiguous", "entry_bar",
        "entry_price", "exit_bar", "exit_price", "id", "size", "tag",
    )  # fmt: skip

    def __init__(self, broker: SimBroker, number: int, size: float, price: float, bar: int, tag: Any, fee: float):
        self._broker = broker
        self.id = number
        self.size = size
        self.entry_price = price
        self.entry_bar = bar
        self.exit_price: float | None = None
        self.exit_bar: int | None = None
        self.tag = tag
        self.ambiguous = False
        self._entry_fee = fee  # cash paid for what is still open
        self._fees = 0.0  # cash paid at both ends, once closed
        self._sl: float | None = None
        self._tp: float | None = None
        self._sl_order: Order | None = None  # while it waits
        self._tp_order: Order | None = None

    def close(self, portion: float = 1.0) -> None:
        """Place a closing market order for `portion` (0 to 1] of the trade, at least one unit."""
        if portion == 1:
            self._broker.place_closing(self, -self.size)
            return
        assert 0 < portion <= 1, "portion must be a fraction above 0, up to 1"
        units = max(1, round(abs(self.size) * portion))
        self._broker.place_closing(self, copysign(units, -self.size))

    def _split(self, size: float, fee: float) -> Trade:
        """Take `size` units and their entry fee out, as a trade of the same entry; it has no stop or target."""
        part = Trade(self._broker, self.id, size, self.entry_price, self.entry_bar, self.tag, fee)
        part.ambiguous = self.ambiguous
        self.size -= size
        self._entry_fee -= fee
        return part

    @property
    def is_long(self) -> bool:
        """Return whether it gains when the price rises."""
        return self.size > 0

    @property
    def is_short(self) -> bool:
        """Return whether it gains when the price falls."""
        return self.size < 0

    @property
    def pl(self) -> float:
        """Return the profit in cash: after commission once closed, before it at the last close while open."""
        price = self._broker.last_price if self.exit_price is None else self.exit_price
        return self.size * (price - self.entry_price) - self._fees

    @property
    def pl_pct(self) -> float:
        """Return the profit as a fraction of the entry price."""
        price = self._broker.last_price if self.exit_price is None else self.exit_price
        gross = copysign(1, self.size) * (price / self.entry_price - 1)
        return gross - self._fees / (abs(self.size) * self.entry_price)

    @property
    def value(self) -> float:
        """Return what the units are worth, always above 0."""
        price = self._broker.last_price if self.exit_price is None else self.exit_price
        return abs(self.size) * price

    @property
    def entry_time(self) -> Any:
        """Return the index of the entry bar."""
        return self._broker.index_at(self.entry_bar)

    @property
    def exit_time(self) -> Any:
        """Return the index of the exit bar, None while open."""
        return None if self.exit_bar is None else self._broker.index_at(self.exit_bar)

    @property
    def sl(self) -> float | None:
        """Return the stop-loss price; setting it moves the stop, None takes it away."""
        return self._sl

    @sl.setter
    def sl(self, price: float | None) -> None:
        self._broker.guard(self, STOP_LOSS, price)

    @property
    def tp(self) -> float | None:
        """Return the take-profit price; setting it moves the target, None takes it away."""
        return self._tp

    @tp.setter
    def tp(self, price: float | None) -> None:
        self._broker.guard(self, TAKE_PROFIT, price)

    def __repr__(self) -> str:
        end = "" if self.exit_bar is None else f", closed on bar {self.exit_bar} at {self.exit_price:g}"
        return f"<Trade {self.id}: size={self.size:g}, bar {self.entry_bar} at {self.entry_price:g}{end}>"


class Position:
    """All open trades taken together; true when there is one."""

    __slots__ = ("_broker",)

    def __init__(self, broker: SimBroker):
        self._broker = broker

    def __bool__(self) -> bool:
        return self._broker.position_size != 0

    @property
    def size(self) -> float:
        """Return the units held, below 0 when short."""
        return self._broker.position_size

    @property
    def pl(self) -> float:
        """Return the unrealised profit in cash, before commission."""
        return sum(trade.pl for trade in self._broker.open_trades)

    @property
    def pl_pct(self) -> float:
        """Return the unrealised profit as a percentage of the money at entry."""
        money = sum(abs(trade.size) * trade.entry_price for trade in self._broker.open_trades)
        return self.pl / money * 100 if money else 0.0

    @property
    def is_long(self) -> bool:
        """Return whether more is held than owed."""
        return self._broker.position_size > 0

    @property
    def is_short(self) -> bool:
        """Return whether more is owed than held."""
        return self._broker.position_size < 0

    def close(self, portion: float = 1.0) -> None:
        """Place a closing order for `portion` of every open trade."""
        broker = self._broker
        for trade in tuple(broker.open_trades):
            if portion == 1:
                broker.place_closing(trade, -trade.size)
            else:
                trade.close(portion)

    def __repr__(self) -> str:
        return f"<Position: {self.size:g} in {len(self._broker.open_trades)} trades>"
