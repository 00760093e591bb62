"""Band: how equity would have gone where a bar does not say what came first, at worst and at best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.costs import commission_function
from engine.tape import CLOSED, OPENED, REDUCED, Tape

_Row = tuple[Any, ...]
# Where a fill's event row has what; see Events.write.
_TRADE, _SIZE, _PRICE, _COMMISSION, _PNL, _SL, _TP = range(1, 8)
_REASON, _AMBIGUOUS, _FILL_BAR = 9, 10, 12


@dataclass(frozen=True, slots=True)
class Doubt:
    """One trade, or part of one, that may have ended otherwise inside its bars.

    `others` are the ends that the bars allow besides the one it had: (bar, price, profit in cash after commission).
    `exit_bar` is None, and `pnl` so far unknown, while it is open.
    """

    trade: int
    size: float
    entry_bar: int
    entry_price: float
    entry_fee: float
    exit_bar: int | None
    pnl: float | None
    others: tuple[tuple[int, float, float], ...]

    @property
    def bars(self) -> set[int]:
        """Return the bars whose inner path is unknown."""
        return {bar for bar, _, _ in self.others}


@dataclass(frozen=True, slots=True)
class Band:
    """Equity at worst (`low`) and at best (`high`) after each bar from `start` on, and the doubts it comes from.

    The decisions are the run's own; only the order of events inside the doubtful bars differs. Arrays have one value
    a bar.
    """

    start: int
    low: np.ndarray
    high: np.ndarray
    doubts: tuple[Doubt, ...]

    @property
    def bars(self) -> list[int]:
        """Return the bars whose inner path is unknown."""
        return sorted(set().union(*(doubt.bars for doubt in self.doubts)))

    @property
    def width(self) -> float:
        """Return what lies between worst and best at the end, in cash."""
        return float(self.high[-1] - self.low[-1]) if len(self.low) else 0.0


def band(tape: Tape, start: int = 0, stop: int | None = None) -> Band:
    """Return the band of bars `start` up to `stop`, as it is known after `stop` bars."""
    stop = tape.bar if stop is None else max(0, min(stop, tape.bar))
    start = max(0, min(start, stop))
    equity = tape.equity(start, stop)
    found = doubts(tape, stop)
    low, high = equity.copy(), equity
    for doubt in found:
        ways = [(_against(doubt, other, tape, stop), other) for other in doubt.others]
        worst, best = min(ways, key=lambda way: way[0]), max(ways, key=lambda way: way[0])
        if worst[0] < 0:
            _shift(low, doubt, worst[1], tape, start, stop)
        if best[0] > 0:
            _shift(high, doubt, best[1], tape, start, stop)
    return Band(start, low, high, found)


def doubts(tape: Tape, bar: int | None = None) -> tuple[Doubt, ...]:
    """Return the trades that may have ended otherwise, as known after `bar` bars.

    Two cases are in doubt. A bar that holds both stop and target of a trade: the stop was taken. And a bar that a
    limit or stop order opened a trade in, with its stop or target inside: they count from the next bar on, for the
    way to the fill is unknown.
    """
    events = tape.events
    stop = events.between(0, tape.bar if bar is None else bar).stop
    kinds = events.kinds(range(stop))
    numbers = np.flatnonzero((kinds == OPENED) | (kinds == CLOSED) | (kinds == REDUCED))
    ambiguous = events.column(numbers, _AMBIGUOUS)
    if not any(ambiguous):
        return ()
    trades = events.column(numbers, _TRADE)
    suspects = {trade for trade, doubt in zip(trades, ambiguous, strict=True) if doubt}
    fee = commission_function(tape.settings.get("commission", 0.0))
    opened: dict[int, _Row] = {}
    left: dict[int, float] = {}
    found = []
    for number, trade in zip(numbers.tolist(), trades, strict=True):
        if trade not in suspects:
            continue
        row = events.row(number)
        if kinds[number] == OPENED:
            opened[trade] = row
            left[trade] = row[_SIZE]
            continue
        left[trade] -= row[_SIZE]
        if row[_AMBIGUOUS] and (doubt := _doubt(opened[trade], row, row[_SIZE], tape, fee)).others:
            found.append(doubt)
    for trade, size in left.items():
        if size and opened[trade][_AMBIGUOUS] and (doubt := _doubt(opened[trade], None, size, tape, fee)).others:
            found.append(doubt)
    return tuple(found)


def _doubt(entry: _Row, end: _Row | None, size: float, tape: Tape, fee: Any) -> Doubt:
    bars, price, first = tape.bars, entry[_PRICE], entry[_FILL_BAR]
    paid = entry[_COMMISSION] * size / entry[_SIZE]

    def ended(bar: int, at: float) -> tuple[int, float, float]:
        return bar, at, size * (at - price) - paid - fee(size, at)

    others = []
    if entry[_AMBIGUOUS]:
        levels = (level for level in (entry[_SL], entry[_TP]) if level is not None)
        others += [ended(first, level) for level in levels if bars.low[first] <= level <= bars.high[first]]
    if end is not None and end[_REASON] == "stop-loss" and end[_TP] is not None:
        last, target = end[_FILL_BAR], end[_TP]
        if bars.low[last] <= target <= bars.high[last]:
            others.append(ended(last, target))
    exit_bar, pnl = (None, None) if end is None else (end[_FILL_BAR], end[_PNL])
    return Doubt(entry[_TRADE], size, first, price, paid, exit_bar, pnl, tuple(others))


def _against(doubt: Doubt, other: tuple[int, float, float], tape: Tape, stop: int) -> float:
    """Return how much better another end would have been by the last bar, in cash."""
    return other[2] - float(_worth(doubt, tape, stop - 1, stop)[0])


def _shift(
    equity: np.ndarray, doubt: Doubt, other: tuple[int, float, float], tape: Tape, start: int, stop: int
) -> None:
    """Put another end of a trade into `equity`, the values of bars `start` up to `stop`."""
    first = max(other[0], start)
    if first < stop:
        equity[first - start :] += other[2] - _worth(doubt, tape, first, stop)


def _worth(doubt: Doubt, tape: Tape, start: int, stop: int) -> np.ndarray:
    """Return what the trade as it was had added to equity after each bar from `start` up to `stop`."""
    worth = doubt.size * (tape.bars.close[start:stop] - doubt.entry_price) - doubt.entry_fee
    if doubt.exit_bar is not None and doubt.pnl is not None:
        worth[max(doubt.exit_bar - start, 0) :] = doubt.pnl
    return worth
