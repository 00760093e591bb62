"""Excursions: how far a trade ran for and against its holder before it ended."""

from __future__ import annotations

from engine.bars import Bars
from engine.record import TradeRecord


def excursions(bars: Bars, trade: TradeRecord, bar: int) -> tuple[float, float]:
    """Return a trade's best and worst open profit (MFE, MAE) within the first `bar` bars, in cash before commission.

    The best is 0 or more, the worst 0 or less. Bars cannot tell what came first inside them: the entry bar counts with
    its whole range, the exit bar with its open and the exit price alone.
    """
    start = trade.entry_bar
    last = bar - 1 if trade.exit_bar is None else min(trade.exit_bar, bar - 1)
    whole = last if trade.exit_bar is None or trade.exit_bar > last else trade.exit_bar - 1
    highs, lows = bars.high[start : whole + 1], bars.low[start : whole + 1]
    top = float(highs.max()) if len(highs) else trade.entry_price
    bottom = float(lows.min()) if len(lows) else trade.entry_price
    if trade.exit_price is not None and whole < last:
        at_exit = (trade.exit_price, bars.open.item(last)) if last > start else (trade.exit_price,)
        top, bottom = max(top, *at_exit), min(bottom, *at_exit)
    ends = trade.size * (top - trade.entry_price), trade.size * (bottom - trade.entry_price)
    return max(0.0, *ends), min(0.0, *ends)
