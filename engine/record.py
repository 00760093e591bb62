"""Records: trades, orders and position as they stood at a bar, rebuilt from the events up to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.tape import Event, Tape

_WAITING = frozenset(("placed", "active"))
_STATES = {
    "filled": "filled",
    "cancelled": "cancelled",
    "rejected": "rejected",
    "expired": "expired",
    "active": "active",
}


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """A round trip; `exit_bar` and `exit_price` are None while it is open.

    `size` is signed units. A closed trade's `pnl` is cash after the commissions of both ends; an open one's is marked
    at the close of the bar asked for, before commission. `return_pct` is a fraction of the money at entry.
    """

    trade: int
    size: float
    entry_bar: int
    exit_bar: int | None
    entry_price: float
    exit_price: float | None
    sl: float | None
    tp: float | None
    pnl: float
    commission: float
    tag: Any
    ambiguous: bool = False
    entry_reason: str | None = None
    exit_reason: str | None = None
    entry_time: int | None = None
    exit_time: int | None = None

    @property
    def is_open(self) -> bool:
        """Return whether the trade still runs."""
        return self.exit_bar is None

    @property
    def side(self) -> str:
        """Return "long" or "short"."""
        return "long" if self.size > 0 else "short"

    @property
    def return_pct(self) -> float:
        """Return the profit as a fraction of the money at entry."""
        return self.pnl / (abs(self.size) * self.entry_price)


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order and what became of it: placed, active, filled, cancelled, rejected or expired."""

    order: int
    trade: int | None
    size: float
    limit: float | None
    stop: float | None
    sl: float | None
    tp: float | None
    tag: Any
    state: str
    reason: str | None
    placed_bar: int
    changed_bar: int
    fill_price: float | None = None
    contingent: str | None = None

    @property
    def waiting(self) -> bool:
        """Return whether the order can still fill."""
        return self.state in _WAITING

    @property
    def side(self) -> str:
        """Return "long" for a buy, "short" for a sell."""
        return "long" if self.size > 0 else "short"

    @property
    def kind(self) -> str:
        """Return what kind of order it is: market, limit, stop, stop-limit, or a trade's stop-loss or take-profit."""
        if self.contingent:
            return "stop-loss" if self.contingent == "sl" else "take-profit"
        if self.stop is not None:
            return "stop" if self.limit is None else "stop-limit"
        return "market" if self.limit is None else "limit"


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """What is held: signed `size`, its average entry `price` (None when flat) and the profit at the bar's close."""

    size: float
    price: float | None
    pnl: float
    trades: tuple[TradeRecord, ...]

    @property
    def side(self) -> str | None:
        """Return "long", "short", or None when flat."""
        return "long" if self.size > 0 else "short" if self.size < 0 else None


def trades(tape: Tape, bar: int) -> list[TradeRecord]:
    """Return the trades as they stood after `bar` bars."""
    time, numbers = tape.bars.time, tape.events.between(0, bar)
    still_open: dict[int, TradeRecord] = {}
    closed: list[TradeRecord] = []
    for event in tape.events[: numbers.stop]:
        if event.kind == "opened":
            still_open[event.trade] = _opened(event, int(time[event.fill_bar]))  # type: ignore[index]
        elif event.kind in ("reduced", "closed"):
            trade = still_open[event.trade]  # type: ignore[index]
            closed.append(_closed(trade, event, int(time[event.fill_bar])))
            if event.kind == "closed":
                del still_open[trade.trade]
            else:
                left = trade.size - event.size  # type: ignore[operator]
                still_open[trade.trade] = replace(trade, size=left, commission=trade.commission * left / trade.size)
        elif event.kind == "changed" and event.trade in still_open:
            trade = still_open[event.trade]
            still_open[trade.trade] = replace(trade, sl=event.sl, tp=event.tp)
    mark = float(tape.bars.close[bar - 1]) if bar else 0.0
    return closed + [replace(trade, pnl=trade.size * (mark - trade.entry_price)) for trade in still_open.values()]


def _opened(event: Event, time: int) -> TradeRecord:
    assert event.trade is not None and event.size is not None and event.price is not None and event.fill_bar is not None
    return TradeRecord(
        event.trade, event.size, event.fill_bar, None, event.price, None, event.sl, event.tp, 0.0,
        event.commission or 0.0, event.tag, event.ambiguous, event.reason, None, time,
    )  # fmt: skip


def _closed(trade: TradeRecord, event: Event, time: int) -> TradeRecord:
    assert event.size is not None and event.pnl is not None and event.commission is not None
    return replace(
        trade,
        size=event.size,
        exit_bar=event.fill_bar,
        exit_price=event.price,
        pnl=event.pnl,
        commission=event.commission,
        sl=event.sl,
        tp=event.tp,
        ambiguous=trade.ambiguous or event.ambiguous,
        exit_reason=event.reason,
        exit_time=time,
    )


def orders(tape: Tape, bar: int) -> list[OrderRecord]:
    """Return every order placed in the first `bar` bars with its state by then."""
    numbers = tape.events.between(0, bar)
    found: dict[int, OrderRecord] = {}
    for event in tape.events[: numbers.stop]:
        if event.order is None:
            continue
        if event.kind == "placed":
            found[event.order] = _placed(event)
        elif event.order in found and event.kind == "changed":
            assert event.size is not None
            found[event.order] = replace(
                found[event.order], size=event.size, limit=event.limit, stop=event.stop, changed_bar=event.bar
            )
        elif event.order in found and event.kind in _STATES:
            found[event.order] = replace(
                found[event.order],
                state=_STATES[event.kind],
                reason=event.reason,
                changed_bar=event.bar,
                fill_price=event.price,
            )
    return list(found.values())


def _placed(event: Event) -> OrderRecord:
    assert event.order is not None and event.size is not None
    contingent = event.reason if event.reason in ("sl", "tp") else None
    return OrderRecord(
        event.order, event.trade, event.size, event.limit, event.stop, event.sl, event.tp, event.tag, "placed",
        event.reason, event.bar, event.bar, None, contingent,
    )  # fmt: skip


def position(tape: Tape, bar: int) -> PositionRecord:
    """Return what was held after `bar` bars."""
    held = tuple(trade for trade in trades(tape, bar) if trade.is_open)
    size = sum(trade.size for trade in held)
    price = sum(trade.size * trade.entry_price for trade in held) / size if size else None
    return PositionRecord(size, price, sum(trade.pnl for trade in held), held)
