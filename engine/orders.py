"""Orders: what a strategy, or a trade's stop and target, waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.broker import SimBroker
    from engine.trades import Trade

ENTRY, CLOSING, STOP_LOSS, TAKE_PROFIT = range(4)  # roles

WAITING = "waiting"


class Order:
    """A wish to trade: signed `size` (a fraction of what is available when |size| < 1), optional `limit` and `stop`.

    `state` is "waiting" until it is "filled", "cancelled", "rejected" or "expired"; `reason` then says why.
    """

    __slots__ = (
        "_broker", "_trigger", "expires", "group", "id", "limit", "place", "reason", "role", "row", "size",
        "sl", "state", "stop", "tag", "tp", "trade",
    )  # fmt: skip

    place: int  # in the queue: lower is looked at earlier
    row: int  # where the tape has it as it was placed

    def __init__(
        self,
        broker: SimBroker,
        number: int,
        size: float,
        limit: float | None = None,
        stop: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        tag: Any = None,
        role: int = ENTRY,
        trade: Trade | None = None,
    ):
        self._broker = broker
        self.id = number
        self.size = size
        self.limit = limit
        self.stop = stop
        self.sl = sl
        self.tp = tp
        self.tag = tag
        self.role = role
        self.trade = trade
        self.state = WAITING
        self.reason: str | None = None
        self.expires: int | None = None  # the last bar on which it may fill
        self.group: list[Order] | None = None  # of orders of which one is to fill
        self._trigger: Any = None  # the heap entry that stands for it, None while no price is watched

    @property
    def is_long(self) -> bool:
        """Return whether it buys."""
        return self.size > 0

    @property
    def is_short(self) -> bool:
        """Return whether it sells."""
        return self.size < 0

    @property
    def is_contingent(self) -> bool:
        """Return whether it is the stop or target of an open trade."""
        return self.role >= STOP_LOSS and self.state is WAITING

    def cancel(self) -> None:
        """Take the order back; a trade whose stop or target it was no longer has one."""
        self._broker.cancel(self, "cancelled by the strategy")

    def __repr__(self) -> str:
        prices = {"limit": self.limit, "stop": self.stop, "sl": self.sl, "tp": self.tp, "tag": self.tag}
        shown = "".join(f", {name}={value}" for name, value in prices.items() if value is not None)
        return f"<Order {self.id}: size={self.size:g}{shown}, {self.state}>"
