"""Tape: the append-only record of a run, from which everything that is shown is read."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

import numpy as np

from engine import record
from engine.bars import Bars
from engine.ledger import Ledger
from engine.record import OrderRecord, PositionRecord, TradeRecord

KINDS = (
    "placed", "active", "changed", "filled", "cancelled", "rejected", "expired",
    "opened", "reduced", "closed", "entry", "exit", "ruin", "log",
)  # fmt: skip
PLACED, ACTIVE, CHANGED, FILLED, CANCELLED, REJECTED, EXPIRED, OPENED, REDUCED, CLOSED, ENTRY, EXIT, RUIN, LOG = range(
    14
)


class Event(NamedTuple):
    """One numbered thing that happened just before the close of `bar` (an index from 0).

    `size` is signed: an order's buys are above 0, a trade's longs are above 0. `price` is the fill's; `commission`,
    `pnl` and `slippage` are cash. A closed trade's `commission` and `pnl` count both ends. `reason` says why an order
    was refused or cancelled, or what ended a trade. `fill_bar` differs from `bar` only with `trade_on_close`: the fill
    has the price of the bar before.
    """

    number: int
    bar: int
    kind: str
    order: int | None = None
    trade: int | None = None
    side: str | None = None
    size: float | None = None
    price: float | None = None
    limit: float | None = None
    stop: float | None = None
    sl: float | None = None
    tp: float | None = None
    commission: float | None = None
    pnl: float | None = None
    tag: Any = None
    reason: str | None = None
    ambiguous: bool = False
    slippage: float | None = None
    fill_bar: int | None = None


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


class Events(Sequence[Event]):
    """The events of a tape in order, kept as plain rows and made whole when they are read.

    Most events of a long run are never looked at, and a row is a third of an Event; rows of the same fill are shared.
    """

    __slots__ = ("codes", "rows")

    def __init__(self) -> None:
        self.codes = array("q")  # bar * 16 + kind: ascending by bar
        self.rows: list[tuple[Any, ...]] = []

    def write(self, bar: int, kind: int, row: tuple[Any, ...]) -> None:
        """Append one event.

        A row is `(order, trade, size, price, commission, pnl, sl, tp, tag, reason, ambiguous, slippage, fill_bar)` for
        fills (FILLED, OPENED to EXIT), `(order, trade, size, limit, stop, sl, tp, tag, reason)` for the other kinds of
        orders, `(reason,)` for RUIN and LOG.
        """
        self.codes.append(bar << 4 | kind)
        self.rows.append(row)

    def between(self, start: int, stop: int) -> range:
        """Return the numbers of the events in bars `start` up to `stop`."""
        return range(bisect_left(self.codes, start << 4), bisect_left(self.codes, stop << 4))

    def numbered(self, kinds: frozenset[int], numbers: range) -> Iterator[Event]:
        """Yield those events among `numbers` that are of `kinds`."""
        return (self._make(number) for number in numbers if self.codes[number] & 15 in kinds)

    def plain(self, start: int = 0) -> tuple[bytes, list[int], list[tuple[Any, ...]]]:
        """Return the kinds, bars and rows of the events from number `start` on: plain data for `extend`."""
        codes = np.array(self.codes[start:], dtype=np.int64)
        return (codes & 15).astype(np.uint8).tobytes(), (codes >> 4).tolist(), self.rows[start:]

    def extend(self, kinds: bytes, bars: Sequence[int], rows: Sequence[tuple[Any, ...]]) -> None:
        """Append what `plain` gave."""
        self.codes.extend(bar << 4 | kind for bar, kind in zip(bars, kinds, strict=True))
        self.rows.extend(rows)

    def _make(self, number: int) -> Event:
        code, row = self.codes[number], self.rows[number]
        bar, kind = code >> 4, code & 15
        name = KINDS[kind]
        if kind == FILLED or OPENED <= kind <= EXIT:
            order, trade, size, price, commission, pnl, sl, tp, tag, *rest = row
            side = "long" if size > 0 else "short"
            return Event(
                number, bar, name, order, trade, side, size, price, None, None, sl, tp, commission, pnl, tag, *rest
            )
        if kind >= RUIN:
            return Event(number, bar, name, reason=row[0])
        order, trade, size, limit, stop, sl, tp, tag, reason = row
        direction = None if size is None else "long" if size > 0 else "short"
        return Event(
            number, bar, name, order, trade, direction, size, None, limit, stop, sl, tp, None, None, tag, reason
        )

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, key: int) -> Event: ...

    @overload
    def __getitem__(self, key: slice) -> list[Event]: ...

    def __getitem__(self, key: int | slice) -> Event | list[Event]:
        if isinstance(key, slice):
            return [self._make(number) for number in range(*key.indices(len(self)))]
        return self._make(range(len(self))[key])

    def __iter__(self) -> Iterator[Event]:
        return map(self._make, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Events):
            return self.codes == other.codes and self.rows == other.rows
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Events: {len(self)}>"


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
