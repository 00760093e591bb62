"""Tape: the append-only record of a run, from which everything that is shown is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import record
from engine.bars import Bars
from engine.events import (
    ACTIVE,
    CANCELLED,
    CHANGED,
    CLOSED,
    ENTRY,
    EXIT,
    EXPIRED,
    FILLED,
    KINDS,
    LOG,
    OPENED,
    PLACED,
    REDUCED,
    REJECTED,
    RUIN,
    Event,
    Events,
)  # fmt: skip
from engine.ledger import Ledger
from engine.record import OrderRecord, PositionRecord, TradeRecord

__all__ = [
    "ACTIVE", "CANCELLED", "CHANGED", "CLOSED", "ENTRY", "EXIT", "EXPIRED", "FILLED", "KINDS", "LOG", "OPENED",
    "PLACED", "REDUCED", "REJECTED", "RUIN", "Event", "Events", "Frame", "Indicator", "Tape",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Indicator:
    """A column drawn with the bars; `pane` is "price" or a pane's own name. `values` has shape (n_bars,)."""

    name: str
    values: np.ndarray
    pane: str = "price"
    color: str | None = None
    style: str = "line"
    group: str = ""
    plot: bool = True


class Frame(tuple[Any, ...]):
    """The tape from bar `start` up to `stop`, read when asked.

    A stream makes one for each bar, mostly to be passed by: as a tuple (tape, start, stop) that costs next to nothing.
    """

    __slots__ = ()

    @property
    def tape(self) -> Tape:
        """Return the tape, with all that has happened by now."""
        tape: Tape = tuple.__getitem__(self, 0)
        if tape.bar < self.stop:
            tape.bar = self.stop
        return tape

    @property
    def start(self) -> int:
        """Return the first bar."""
        return tuple.__getitem__(self, 1)

    @property
    def stop(self) -> int:
        """Return the bar after the last."""
        return tuple.__getitem__(self, 2)

    @property
    def time(self) -> np.ndarray:
        """Return each bar's open, UTC epoch seconds."""
        return self.tape.bars.time[self.start : self.stop]

    def __getattr__(self, name: str) -> np.ndarray:
        if name in ("open", "high", "low", "close", "volume"):
            return getattr(self.tape.bars, name)[self.start : self.stop]
        raise AttributeError(name)

    @property
    def equity(self) -> np.ndarray:
        """Return the account's value after each bar."""
        return self.tape.equity(self.start, self.stop)

    @property
    def indicators(self) -> dict[str, np.ndarray]:
        """Return the values of each drawn indicator by name."""
        return {indicator.name: indicator.values[self.start : self.stop] for indicator in self.tape.indicators}

    @property
    def events(self) -> list[Event]:
        """Return what happened in these bars, in order."""
        numbers = self.tape.events.between(self.start, self.stop)
        return self.tape.events[numbers.start : numbers.stop]

    def __len__(self) -> int:
        return self.stop - self.start

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        columns = ("time", "open", "high", "low", "close", "volume", "equity")
        return (
            (self.start, self.stop, self.events) == (other.start, other.stop, other.events)
            and all(np.array_equal(getattr(self, name), getattr(other, name), equal_nan=True) for name in columns)
            and self.indicators.keys() == other.indicators.keys()
            and all(np.array_equal(v, other.indicators[k], equal_nan=True) for k, v in self.indicators.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Frame: bars {self.start} to {self.stop}>"


@dataclass(eq=False)
class Tape:
    """What a run is, so far: `bar` bars of it have happened.

    It can be rebuilt from its fields elsewhere. `first_bar` is the first bar on which the strategy decides; `settings`
    are the broker's; `facts` holds what else statistics need to know.
    """

    bars: Bars
    declared: Sequence[Indicator] = ()
    initial_balance: float = 10_000.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    events: Events = field(default_factory=Events)
    bar: int = 0
    first_bar: int = 1
    strategy: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def indicators(self) -> list[Indicator]:
        """Return the indicators that are drawn."""
        return [indicator for indicator in self.declared if indicator.plot]

    def equity(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the account's value at the close of bars `start` up to `stop`, shape (stop - start,)."""
        start, stop = self._clip(start, stop)
        equity = self.ledger.equity(self.bars.close, start, stop)
        if start < self.first_bar < self.bar and self.settings.get("compat"):
            # rules.START_EQUITY: they carry the first recorded value back.
            equity[: self.first_bar - start] = self.ledger.equity(self.bars.close, self.first_bar, self.first_bar + 1)
        return equity

    def cash(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the money that is not in the market at the close of each bar."""
        return self.ledger.cash(*self._clip(start, stop))

    def position(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the units held at the close of each bar, below 0 when short."""
        return self.ledger.position(*self._clip(start, stop))

    def frame(self, start: int, stop: int) -> Frame:
        """Return a view of bars `start` up to `stop`."""
        return Frame((self, *self._clip(start, stop)))

    def signals(self, start: int = 0, stop: int | None = None) -> list[Event]:
        """Return the entries and exits in bars `start` up to `stop`."""
        numbers = self.events.between(*self._clip(start, stop))
        return list(self.events.numbered(frozenset((ENTRY, EXIT)), numbers))

    def trades(self, bar: int | None = None) -> list[TradeRecord]:
        """Return the trades as they stood after `bar` bars: closed ones in order of closing, then those open."""
        return record.trades(self, self._at(bar))

    def orders(self, bar: int | None = None) -> list[OrderRecord]:
        """Return every order placed in the first `bar` bars, in order, with what had become of it by then."""
        return record.orders(self, self._at(bar))

    def pending(self, bar: int | None = None) -> list[OrderRecord]:
        """Return the orders that still waited after `bar` bars."""
        return [order for order in self.orders(bar) if order.waiting]

    def position_at(self, bar: int | None = None) -> PositionRecord:
        """Return what was held after `bar` bars."""
        return record.position(self, self._at(bar))

    def _at(self, bar: int | None) -> int:
        return self.bar if bar is None else max(0, min(bar, self.bar))

    def _clip(self, start: int, stop: int | None) -> tuple[int, int]:
        stop = self._at(stop)
        return max(0, min(start, stop)), stop
