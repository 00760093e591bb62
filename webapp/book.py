"""Book: trades, orders and the log as they stood at any bar, in time that does not grow with the run.

`Tape.trades(bar)` walks every event up to `bar`: exact and simple, and too slow for ten panels a second after 100,000
trades. The book reads each event once, remembers by number where a trade or an order begins, changes and ends, and
keeps what was open and waiting at every `_STRIDE` changes; any bar is then a look-up and a short replay, also when the
playhead goes back. What it remembers lies in arrays and dicts of numbers: the garbage collector, for which every stream
has to wait, would look through a list for each order and through every cell of a long one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import numpy as np

from engine.record import OrderRecord, TradeRecord
from engine.tape import (
    ACTIVE,
    CANCELLED,
    CHANGED,
    CLOSED,
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
    Tape,
)

SORTS = ("time", "best", "worst", "longest")
_STRIDE = 512
_ORDER, _TRADE, _PNL, _AMBIGUOUS, _FILL_BAR = 0, 1, 5, 10, 12  # in an event's row; see Events.write
_ENDS_ORDER = frozenset((FILLED, CANCELLED, REJECTED, EXPIRED))


def _among(*kinds: int) -> np.ndarray:
    """Return for every kind of event whether it is one of `kinds`."""
    return np.isin(np.arange(len(KINDS)), kinds)


_TOLD = _among(OPENED, REDUCED, CLOSED, CANCELLED, REJECTED, EXPIRED, RUIN, LOG)
_TRADING = _among(OPENED, REDUCED, CLOSED)
_FILED = _TRADING | _among(PLACED, ACTIVE, CHANGED, FILLED, CANCELLED, REJECTED, EXPIRED)


class Book:
    """The events of a tape by trade and by order; `catch_up` reads the new ones."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self._read = 0  # events read so far
        self._opened: dict[int, int] = {}  # trade -> number of its event
        self._began: dict[int, int] = {}  # trade -> bar of its entry
        self._of_trade = _Chains()  # numbers of what changed or reduced it
        self._of_order = _Chains()  # numbers of all its events
        self._exits = array("q")  # numbers of reduced and closed, and columns beside them
        self._pnl = array("d")
        self._total = array("d")
        self._held = array("q")
        self._orders = array("q")  # numbers of placed, of what the log tells, of what opens and ends things
        self._told = array("q")
        self._doubtful = array("q")  # numbers of entries and exits that may have gone otherwise inside their bar
        self._turns = array("q")
        self._marks: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), ())]
        self._open: dict[int, None] = {}
        self._waiting: dict[int, None] = {}

    def catch_up(self) -> None:
        """Read the events that were written since."""
        events, start = self.tape.events, self._read
        self._read = stop = len(events)
        if stop == start:
            return
        kinds = events.kinds(range(start, stop))
        self._told.extend((np.flatnonzero(_TOLD[kinds]) + start).tolist())
        trading = np.flatnonzero(_TRADING[kinds])
        self._file_trades(trading + start, kinds[trading].tolist(), events.bars(range(start, stop))[trading].tolist())
        filed = np.flatnonzero(_FILED[kinds])
        orders, trades = (events.column(filed + start, cell) for cell in (_ORDER, _TRADE))
        for number, kind, order, trade in zip(
            (filed + start).tolist(), kinds[filed].tolist(), orders, trades, strict=True
        ):
            self._file(number, kind, order, trade)

    def _file_trades(self, numbers: np.ndarray, kinds: list[int], bars: list[int]) -> None:
        """Note what opened and ended trades."""
        ambiguous, pnls, filled, trades = (
            self.tape.events.column(numbers, cell) for cell in (_AMBIGUOUS, _PNL, _FILL_BAR, _TRADE)
        )
        self._doubtful.extend(number for number, doubt in zip(numbers.tolist(), ambiguous, strict=True) if doubt)
        total = self._total[-1] if self._total else 0.0
        for number, kind, bar, pnl, at, trade in zip(numbers.tolist(), kinds, bars, pnls, filled, trades, strict=True):
            began = bar if at is None else at
            if kind == OPENED:
                self._opened[trade] = number
                self._began[trade] = began
                continue
            total += pnl or 0.0
            self._exits.append(number)
            self._pnl.append(pnl or 0.0)
            self._total.append(total)
            self._held.append(began - self._began[trade])

    def _file(self, number: int, kind: int, order: int | None, trade: int | None) -> None:
        if kind in (OPENED, CLOSED):
            self._turn(number, self._open, trade, kind == OPENED)
            return
        if kind in (REDUCED, CHANGED) and trade is not None:
            self._of_trade.add(trade, number)  # its size, sl or tp is another
        if order is None or kind == REDUCED:
            return
        self._of_order.add(order, number)
        if kind == PLACED:
            self._orders.append(number)
            self._turn(number, self._waiting, order, True)
        elif kind in _ENDS_ORDER:
            self._turn(number, self._waiting, order, False)

    def _turn(self, number: int, among: dict[int, None], key: int | None, begins: bool) -> None:
        self._turns.append(number)
        _move(among, key, begins)
        if len(self._turns) % _STRIDE == 0:
            self._marks.append((tuple(self._open), tuple(self._waiting)))

    # -- what stood after `bar` bars

    def closed_count(self, bar: int) -> int:
        """Return how many times a trade was closed or reduced in the first `bar` bars."""
        return bisect_left(self._exits, self._stop(bar))

    def order_count(self, bar: int) -> int:
        """Return how many orders were placed in the first `bar` bars."""
        return bisect_left(self._orders, self._stop(bar))

    def told_count(self, bar: int) -> int:
        """Return how many lines the log has after `bar` bars."""
        return bisect_left(self._told, self._stop(bar))

    def doubtful_count(self, bar: int) -> int:
        """Return how many entries and exits of the first `bar` bars rest on an order of events that no bar tells."""
        return bisect_left(self._doubtful, self._stop(bar))

    def closed(self, bar: int, newest: int = 100, sort: str = "time") -> list[tuple[int, TradeRecord, float]]:
        """Return up to `newest` closed trades, first the latest, best, worst or longest.

        Each with its place in the order of closing, from 1, and the sum of all profits up to it.
        """
        count = self.closed_count(bar)
        return [(i + 1, self._closed(i), self._total[i]) for i in self._chosen(count, newest, sort)]

    def closed_between(self, start: int, stop: int, newest: int) -> list[TradeRecord]:
        """Return the newest trades that closed in bars `start` up to `stop`, in order of closing."""
        first, last = self.closed_count(start), self.closed_count(stop)
        return [self._closed(i) for i in range(max(first, last - newest), last)]

    def open(self, bar: int) -> list[TradeRecord]:
        """Return the trades that were open after `bar` bars, valued at its close."""
        close = float(self.tape.bars.close[bar - 1]) if bar else 0.0
        stop = self._stop(bar)
        return [self._trade(trade, stop, close) for trade in self._state(bar)[0]]

    def pending(self, bar: int) -> list[OrderRecord]:
        """Return the orders that waited after `bar` bars."""
        stop = self._stop(bar)
        return [self._order(order, stop) for order in self._state(bar)[1]]

    def orders(self, bar: int, newest: int = 100) -> list[OrderRecord]:
        """Return the last orders placed in the first `bar` bars, latest first, with their state by then."""
        count, stop = self.order_count(bar), self._stop(bar)
        numbers = reversed(self._orders[max(0, count - newest) : count])
        return [self._order(self.tape.events[number].order, stop) for number in numbers]

    def told(self, bar: int, newest: int = 100) -> list[Event]:
        """Return the last events that the log tells, latest first."""
        count = self.told_count(bar)
        return [self.tape.events[number] for number in reversed(self._told[max(0, count - newest) : count])]

    # -- helpers

    def _stop(self, bar: int) -> int:
        self.catch_up()
        return self.tape.events.between(0, bar).stop

    def _state(self, bar: int) -> tuple[Iterable[int], Iterable[int]]:
        turns = bisect_left(self._turns, self._stop(bar))
        mark = turns // _STRIDE
        still_open, waiting = (dict.fromkeys(keys) for keys in self._marks[mark])
        for number in self._turns[mark * _STRIDE : turns]:
            event = self.tape.events[number]
            if event.kind in ("opened", "closed"):
                _move(still_open, event.trade, event.kind == "opened")
            else:
                _move(waiting, event.order, event.kind == "placed")
        return still_open, waiting

    def _chosen(self, count: int, newest: int, sort: str) -> list[int]:
        if sort == "time":
            return list(range(count - 1, max(-1, count - 1 - newest), -1))
        keys = np.asarray(self._held[:count] if sort == "longest" else self._pnl[:count], float)
        order = np.argsort(keys if sort == "worst" else -keys, kind="stable")[:newest]
        return [int(i) for i in order]

    def _closed(self, i: int) -> TradeRecord:
        event = self.tape.events[self._exits[i]]
        assert event.trade is not None and event.size is not None and event.price is not None
        entry = self.tape.events[self._opened[event.trade]]
        time, began, ended = self.tape.bars.time, _filled(entry), _filled(event)
        return TradeRecord(
            event.trade, event.size, began, ended, entry.price or 0.0, event.price, event.sl, event.tp,
            event.pnl or 0.0, event.commission or 0.0, entry.tag, entry.ambiguous or event.ambiguous,
            entry.reason, event.reason, int(time[began]), int(time[ended]),
        )  # fmt: skip

    def _trade(self, trade: int, stop: int, close: float) -> TradeRecord:
        entry = self.tape.events[self._opened[trade]]
        assert entry.size is not None and entry.price is not None
        began = _filled(entry)
        size, commission, sl, tp = entry.size, entry.commission or 0.0, entry.sl, entry.tp
        for number in self._of_trade.of(trade):
            if number >= stop:
                break
            event = self.tape.events[number]
            if event.kind == "reduced":
                left = size - (event.size or 0.0)
                commission, size = commission * left / size, left
            else:
                sl, tp = event.sl, event.tp
        return TradeRecord(
            trade, size, began, None, entry.price, None, sl, tp, size * (close - entry.price), commission,
            entry.tag,
            entry.ambiguous, entry.reason, None, int(self.tape.bars.time[began]), None,
        )  # fmt: skip

    def _order(self, order: int | None, stop: int) -> OrderRecord:
        assert order is not None
        numbers = self._of_order.of(order)
        placed = self.tape.events[next(numbers)]
        limit, stop_price, size = placed.limit, placed.stop, placed.size or 0.0
        state, reason, at, price = "placed", placed.reason, placed.bar, None
        for number in numbers:
            if number >= stop:
                break
            event = self.tape.events[number]
            at = event.bar
            if event.kind == "changed":
                size, limit, stop_price = event.size or 0.0, event.limit, event.stop
            else:
                state, reason, price = event.kind, event.reason, event.price
        return OrderRecord(
            order, placed.trade, size, limit, stop_price, placed.sl, placed.tp, placed.tag, state, reason,
            placed.bar, at, price, placed.reason if placed.reason in ("sl", "tp") else None,
        )  # fmt: skip


class _Chains:
    """Numbers by what they belong to, in the order in which they came."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._next: dict[int, int] = {}  # after each number that has one

    def add(self, key: int, number: int) -> None:
        """Append `number` to what belongs to `key`."""
        last = self._last.get(key)
        if last is None:
            self._first[key] = number
        else:
            self._next[last] = number
        self._last[key] = number

    def of(self, key: int) -> Iterator[int]:
        """Yield what belongs to `key`."""
        number = self._first.get(key)
        while number is not None:
            yield number
            number = self._next.get(number)


def _filled(event: Event) -> int:
    """Return the bar of a fill; with `trade_on_close` it is the one before the broker met it."""
    return event.bar if event.fill_bar is None else event.fill_bar


def _move(among: dict[int, None], key: int | None, begins: bool) -> None:
    assert key is not None
    if begins:
        among[key] = None
    else:
        among.pop(key, None)
