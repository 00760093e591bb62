"""Windows: what the page's chart shows, in columns: new bars, or the candles of a stretch with what happened there."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.bars import Buckets
from engine.playback import INSTANT, Playhead
from engine.tape import CLOSED, KINDS, OPENED, REDUCED, REJECTED, RUIN, Frame, Indicator, Tape
from webapp import protocol
from webapp.book import Book
from webapp.rests import Rests

CANDLES = 2_000  # at most so many in a window: what a chart moves at 60 frames a second
MARKS = 400  # events, and trades, in a window
SKETCH = 500  # candles, and a quarter of the marks, of what an instant run shows on its way and replaces at once
EVENTS = 2_000  # at most so many in what is appended; above, a window with fewer marks replaces it
PER_SECOND = 250.0  # candles that an eye can follow; above it they are made of several bars
_MARKED = np.isin(np.arange(len(KINDS)), (OPENED, REDUCED, CLOSED, REJECTED, RUIN))  # of each kind
_QUIET = frozenset(("entry", "exit", "log"))  # kinds of events after which no order or trade stands otherwise


class Windows:
    """The chart of one page. `bucket` is how many bars a candle has that the page shows now.

    Bars go out as soon as they are played, never before: every message ends at the playhead or further back.
    """

    def __init__(self, tape: Tape, head: Playhead, book: Book | None = None):
        self.tape = tape
        self.head = head
        self.bucket = 1
        self.book = book or Book(tape)
        self._decimals = _decimals(tape)
        self.rests = Rests(tape, self.book)
        self._peak = (0, -np.inf)  # a bar, and the highest equity before it

    def wanted(self) -> int:
        """Return the bucket that suits what the playhead is doing."""
        total = len(self.tape.bars)
        if total <= CANDLES:
            return 1
        if self._sketching:
            return _power_of_two(self.head.bar / SKETCH)
        if self.head.status in ("finished", "failed"):
            return _power_of_two(self.head.bar / CANDLES)
        if not self.head.playing:
            return 1
        return _power_of_two(self.head.rate / PER_SECOND)

    @property
    def _sketching(self) -> bool:
        return self.head.playing and self.head.speed == INSTANT and self.head.status != "finished"

    def fits(self, start: int, stop: int) -> bool:
        """Say whether these bars can be appended: what happened in them is not too much to send and mark."""
        if self.rests.stale(stop, resting=self.head.status != "playing"):
            return False
        return len(self.tape.events.between(start, stop)) <= EVENTS

    def append(self, start: int, stop: int) -> dict[str, Any]:
        """Return the bars `start` up to `stop` for the end of the chart."""
        events = self.tape.frame(start, stop).events
        message: dict[str, Any] = {"type": "frame", "reset": False} | self._columns(start, stop, self.bucket)
        message |= self.rests.appended(start // self.bucket * self.bucket, stop, self.bucket)
        message["events"] = [protocol.event(self.tape.bars.time, event) for event in events]
        if any(event.kind not in _QUIET for event in events):
            message |= self._standing(stop)
            message["trades"] = [protocol.trade(trade) for trade in self.book.closed_between(start, stop, MARKS)]
        return message | self._place(stop)

    def reset(self, bucket: int) -> dict[str, Any]:
        """Return the window that ends at the playhead, for a chart that starts anew with candles of `bucket` bars."""
        self.bucket = bucket
        stop = self.head.bar
        start = max(0, -(-stop // bucket) - CANDLES) * bucket
        message: dict[str, Any] = {"type": "frame", "reset": True} | self._columns(start, stop, bucket)
        message |= self.rests.window(start, stop, bucket)
        return message | self._happened(start, stop) | self._standing(stop) | self._place(stop)

    def stretch(self, first: int, last: int) -> dict[str, Any]:
        """Return the candles of bars `first` to `last`, from 1, inclusive, but none beyond the playhead."""
        stop = min(last, self.head.bar)
        start = min(first - 1, stop)
        bucket = _power_of_two((stop - start) / CANDLES)
        if -(-stop // bucket) - start // bucket > CANDLES:
            bucket *= 2  # an edge cuts a bucket
        start = start // bucket * bucket
        message: dict[str, Any] = {"type": "window"} | self._columns(start, stop, bucket)
        message |= self.rests.window(start, stop, bucket)
        return message | self._happened(start, stop)

    def _columns(self, start: int, stop: int, bucket: int) -> dict[str, Any]:
        tape = self.tape
        start = start // bucket * bucket
        bars: Frame | Buckets = tape.frame(start, stop)
        last = None  # bar of each bucket, from `start`
        if bucket > 1:
            bars = tape.bars.aggregate(start, stop, bucket)
            last = np.append(bars.bar[1:], stop)[: len(bars.bar)] - 1 - start
        equity = tape.equity(start, stop)
        return {
            "from": start + 1,
            "to": stop,
            "bucket": bucket,
            "time": bars.time,
            "open": bars.open,
            "high": bars.high,
            "low": bars.low,
            "close": bars.close,
            "volume": bars.volume,
            "equity": np.round(equity if last is None else equity[last], 4),
            "drawdown": self._drawdown(equity, start, bucket),
            "indicators": {i.name: self._values(i, start, stop, last) for i in tape.indicators},
        }

    def _values(self, indicator: Indicator, start: int, stop: int, last: np.ndarray | None) -> np.ndarray:
        values = np.asarray(indicator.values[start:stop], np.float64)
        if last is None:
            return np.round(values, self._decimals)
        if indicator.style == "scatter":
            # Points stand alone: a bucket shows its latest, where a line shows what it came to.
            at = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))[last]
            first = np.append(0, last[:-1] + 1)
            return np.round(np.where(at >= first, values[at], np.nan), self._decimals)
        return np.round(values[last], self._decimals)

    def _drawdown(self, equity: np.ndarray, start: int, bucket: int) -> np.ndarray:
        """Return the deepest drawdown of each candle in percent, measured from the whole run's peak so far.

        `equity` is that of the bars from `start` on. What takes a value for each bar is done in place: a million are
        looked through four times a second.
        """
        if not len(equity):
            return equity
        peaks = np.fmax(equity, self._peak_before(start))
        np.maximum.accumulate(peaks, out=peaks)
        if not peaks[0] > 0:  # peaks only rise
            peaks[~(peaks > 0)] = np.nan
        left = np.divide(equity, peaks, out=peaks)
        deepest = np.fmin.reduceat(left, np.arange(0, len(left), bucket))
        return np.round(100 * np.minimum(deepest - 1, 0), 4)

    def _peak_before(self, bar: int) -> float:
        """Return the highest equity in the bars before `bar`; going on from the last answer costs only what is new."""
        known, peak = self._peak if self._peak[0] <= bar else (0, -np.inf)
        self._peak = bar, float(np.max(self.tape.equity(known, bar), initial=peak))
        return self._peak[1]

    def _happened(self, start: int, stop: int) -> dict[str, Any]:
        """Return the events and trades to mark between two bars, and how many were left out."""
        numbers = self.tape.events.between(start, stop)
        marked = np.flatnonzero(_MARKED[self.tape.events.kinds(numbers)]) + numbers.start
        most = MARKS // 4 if self._sketching else MARKS
        shown = marked[np.linspace(0, len(marked) - 1, most).astype(int)] if len(marked) > most else marked
        trades = self.book.closed_between(start, stop, most)
        closed = self.book.closed_count(stop) - self.book.closed_count(start)
        return {
            "events": [protocol.event(self.tape.bars.time, self.tape.events[int(number)]) for number in shown],
            "trades": [protocol.trade(trade) for trade in trades],
            "thinned": {"events": len(marked) - len(shown), "trades": closed - len(trades)},
        }

    def _standing(self, bar: int) -> dict[str, Any]:
        """Return the orders that wait and the trades that are open after `bar` bars."""
        return {
            "orders": [protocol.order(order) for order in self.book.pending(bar)],
            "open_trades": [protocol.trade(trade) for trade in self.book.open(bar)],
        }

    def _place(self, bar: int) -> dict[str, Any]:
        return {"bar_number": bar, "progress": protocol.progress(self.tape.bars, bar)}


def _power_of_two(least: float) -> int:
    return 1 << max(0, int(np.ceil(np.log2(max(least, 1.0)))))


def _decimals(tape: Tape) -> int:
    """Return how many decimals an indicator keeps: seven digits of the first price, the same for the whole run."""
    price = abs(float(tape.bars.close[0])) if len(tape.bars) else 1.0
    return int(np.clip(6 - np.floor(np.log10(price)), 2, 12)) if price > 0 else 6
