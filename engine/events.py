"""Events: what happened in a run, in order, kept as plain cells and made whole when it is read."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, overload

import numpy as np

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


# What one write of the broker stands for: a fill that opens a trade, that closes one, that closes a part of one; and an
# order that becomes active with a row of its own, instead of the place of the row that it was placed with.
ENTERED, LEFT, LEFT_PART, ACTIVE_ROW = range(14, 18)
_STANDS_FOR = {
    ENTERED: (FILLED, OPENED, ENTRY),
    LEFT: (FILLED, CLOSED, EXIT),
    LEFT_PART: (FILLED, REDUCED, EXIT),
    ACTIVE_ROW: (ACTIVE,),
}
_COUNTS = np.array([len(_STANDS_FOR.get(entry, (entry,))) for entry in range(18)])
_KINDS = np.array([kind for entry in range(18) for kind in _STANDS_FOR.get(entry, (entry,))])
_FIRST_KIND = np.cumsum(_COUNTS) - _COUNTS  # where in _KINDS those of an entry begin
SHIFT, ENTRY_MASK = 5, 31

_OWN = frozenset((2, 4, 5, 6, 7, 10))  # cells in which the FILLED event of an exit differs from the CLOSED one
EXIT_FEE = 13  # the cell in which a LEFT row has the fee of the exit alone, after those of its CLOSED row
_WIDTHS = [{FILLED: 13, RUIN: 1, LOG: 1}.get(kind, 13 if OPENED <= kind <= EXIT else 9) for kind in range(len(KINDS))]
_CELLS = np.array([*_WIDTHS, 13, 14, 14, 9])  # of an entry
_CELLS[ACTIVE] = 1


class Events(Sequence[Event]):
    """The events of a tape.

    Most events of a long run are never looked at. So the broker writes entries, each a number in `log` (bar * 32 +
    kind) and a row in `cells`, where the rows follow each other; a fill is one entry that stands for three events. A
    row of its own for each would be one more thing for the garbage collector to look through.
    """

    __slots__ = ("_codes", "_entries", "_places", "cells", "log")

    def __init__(self) -> None:
        self.log = array("q")
        self.cells: list[Any] = []
        self._start()

    def _start(self) -> None:
        self._places = array("q", [0])  # where the row of each entry begins, and the next one will
        self._codes = array("q")  # of each event: bar * 16 + kind
        self._entries = array("q")  # which entry stands for it

    def write(self, bar: int, kind: int, row: Sequence[Any]) -> None:
        """Append one event.

        A row is `(order, trade, size, price, commission, pnl, sl, tp, tag, reason, ambiguous, slippage, fill_bar)` for
        fills (FILLED, OPENED to EXIT), `(order, trade, size, limit, stop, sl, tp, tag, reason)` for the other kinds of
        orders, `(reason,)` for RUIN and LOG. An ENTERED entry has the row of its three events, a LEFT or LEFT_PART one
        that of CLOSED or REDUCED and then the commission of the exit.
        """
        self.log.append(bar << SHIFT | (ACTIVE_ROW if kind == ACTIVE else kind))
        self.cells += row

    @property
    def places(self) -> array[int]:
        """Return where in `cells` the row of each entry begins, and after the last one where the next will."""
        known = len(self._places) - 1
        if known < len(self.log):
            entries = np.array(self.log[known:], dtype=np.int64) & ENTRY_MASK
            self._places.frombytes((np.cumsum(_CELLS[entries]) + self._places[-1]).tobytes())
        return self._places

    @property
    def codes(self) -> array[int]:
        """Return each event's bar * 16 + kind, ascending by bar."""
        known = self._entries[-1] + 1 if self._entries else 0
        if known < len(self.log):
            log = np.array(self.log[known:], dtype=np.int64)
            entries = log & ENTRY_MASK
            counts = _COUNTS[entries]
            which = np.repeat(np.arange(len(log)), counts)
            position = np.arange(len(which)) - (np.cumsum(counts) - counts)[which]
            kinds = _KINDS[_FIRST_KIND[entries][which] + position]
            self._codes.frombytes(((log >> SHIFT)[which] << 4 | kinds).tobytes())
            self._entries.frombytes((which + known).tobytes())
        return self._codes

    def row(self, number: int) -> tuple[Any, ...]:
        """Return the row of one event; see `write`."""
        kind = self.codes[number] & 15
        entry = self._entries[number]
        place, cells, written = self.places[entry], self.cells, self.log[entry] & ENTRY_MASK
        if written == ACTIVE:
            place = cells[place]
        row = tuple(cells[place : place + _WIDTHS[kind]])
        if kind == FILLED and written in (LEFT, LEFT_PART):
            order, trade, size, price, _, _, _, _, tag, reason, _, cost, fill_bar = row
            fee = cells[place + EXIT_FEE]
            return (order, trade, -size, price, fee, None, None, None, tag, reason, False, cost, fill_bar)
        return row

    @property
    def rows(self) -> Sequence[tuple[Any, ...]]:
        """Return the rows of all events, each made when it is read."""
        return _Rows(self)

    def between(self, start: int, stop: int) -> range:
        """Return the numbers of the events in bars `start` up to `stop`."""
        return range(bisect_left(self.codes, start << 4), bisect_left(self.codes, stop << 4))

    def numbered(self, kinds: frozenset[int], numbers: range) -> Iterator[Event]:
        """Yield those events among `numbers` that are of `kinds`."""
        return (self._make(number) for number in numbers if self.codes[number] & 15 in kinds)

    def kinds(self, numbers: range) -> np.ndarray:
        """Return the kinds of consecutive events, without reading their rows."""
        return np.array(self.codes[numbers.start : numbers.stop], dtype=np.int64) & 15

    def bars(self, numbers: range) -> np.ndarray:
        """Return the bars of consecutive events, without reading their rows."""
        return np.array(self.codes[numbers.start : numbers.stop], dtype=np.int64) >> 4

    def column(self, numbers: np.ndarray, cell: int) -> list[Any]:
        """Return one cell of the rows of these events (ascending), without making the rows; see `write`."""
        if not len(numbers):
            return []
        first, last = int(numbers[0]), int(numbers[-1])
        kinds = self.kinds(range(first, last + 1))[numbers - first]
        entries = np.array(self._entries[first : last + 1], dtype=np.int64)[numbers - first]
        known = slice(entries[0], entries[-1] + 1)
        written = np.array(self.log[known], dtype=np.int64)[entries - known.start] & ENTRY_MASK
        places, cells = np.array(self.places[known], dtype=np.int64)[entries - known.start], self.cells
        for at in np.flatnonzero(written == ACTIVE).tolist():
            places[at] = cells[places[at]]
        values = [cells[place + cell] for place in places.tolist()]
        if cell in _OWN:
            for at in np.flatnonzero((kinds == FILLED) & ((written == LEFT) | (written == LEFT_PART))).tolist():
                values[at] = self.row(int(numbers[at]))[cell]
        return values

    def plain(self, start: int = 0) -> tuple[bytes, list[int], list[tuple[Any, ...]]]:
        """Return the kinds, bars and rows of the entries from number `start` on: plain data for `extend`."""
        log, places, cells = np.array(self.log[start:], dtype=np.int64), self.places, self.cells
        kinds = log & ENTRY_MASK
        kinds[kinds == ACTIVE] = ACTIVE_ROW
        rows = []
        for place, written, width in zip(places[start:], self.log[start:], _CELLS[kinds].tolist(), strict=False):
            first = cells[place] if written & ENTRY_MASK == ACTIVE else place
            rows.append(tuple(cells[first : first + width]))
        return kinds.astype(np.uint8).tobytes(), (log >> SHIFT).tolist(), rows

    def extend(self, kinds: bytes, bars: Sequence[int], rows: Sequence[Sequence[Any]]) -> None:
        """Append what `plain` gave."""
        self.log.extend([bar << SHIFT | kind for kind, bar in zip(kinds, bars, strict=True)])
        self.cells += chain.from_iterable(rows)

    def _make(self, number: int) -> Event:
        code, row = self.codes[number], self.row(number)
        bar, kind = code >> 4, code & 15
        name = KINDS[kind]
        if len(row) == _WIDTHS[FILLED]:
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
            return self.codes == other.codes and list(self.rows) == list(other.rows)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Events: {len(self)}>"


class _Rows(Sequence[tuple[Any, ...]]):
    """The rows of events, read when asked."""

    __slots__ = ("_events",)

    def __init__(self, events: Events):
        self._events = events

    def __len__(self) -> int:
        return len(self._events.codes)

    @overload
    def __getitem__(self, key: int) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, key: slice) -> list[tuple[Any, ...]]: ...

    def __getitem__(self, key: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        if isinstance(key, slice):
            return [self._events.row(number) for number in range(*key.indices(len(self)))]
        return self._events.row(key)
