"""Measures: figures of an account and its trades, from arrays; NaN where a figure is undefined.

`compat` follows backtesting.py 0.6.6 where engine.rules names a difference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.statistics.columns import Trades

NAN = float("nan")
_BLOCK = 1 << 16  # bars taken at a time


class Episodes(NamedTuple):
    """Drawdowns, oldest first: from the peak's bar to the one that reached it again, or the last; depth above 0."""

    peak: np.ndarray
    end: np.ndarray
    depth: np.ndarray


class Annual(NamedTuple):
    """Yearly figures as fractions."""

    mean: float
    volatility: float
    sharpe: float
    sortino: float


def ratio(above: float, below: float) -> float:
    """Return above / below, NaN where that is not a finite number."""
    if below == 0 or below != below:
        return NAN
    value = above / below
    return value if np.isfinite(value) else NAN


def drawdowns(equity: np.ndarray) -> np.ndarray:
    """Return how far equity stands below its running peak after each bar, a fraction from 0 up."""
    fall = np.maximum.accumulate(equity)
    np.divide(equity, fall, out=fall)  # in place: a fresh array of a million costs more than its arithmetic
    return np.subtract(1, fall, out=fall)


def episodes(drawdown: np.ndarray) -> Episodes:
    """Return the spans between bars at the running peak that are more than one bar apart.

    A fall on the last bar alone is an episode of one bar where there is no other.
    """
    last = len(drawdown) - 1
    marks = np.flatnonzero(drawdown == 0)
    if last >= 0 and (not len(marks) or marks[-1] != last):
        marks = np.append(marks, last)
    starts, ends = marks[:-1], marks[1:]
    apart = ends - starts > 1
    if not apart.any() and last > 0 and drawdown[last] > 0:
        apart[-1:] = True
    starts, ends = starts[apart], ends[apart]
    if not len(starts):
        return Episodes(starts, ends, np.empty(0))
    # reduceat takes the maximum from each mark up to the next; every second one is a stretch between episodes.
    cuts = np.column_stack([starts, ends + 1]).ravel()
    depth = np.maximum.reduceat(drawdown, cuts[:-1] if cuts[-1] > last else cuts)[::2]
    return Episodes(starts, ends, depth)


def period_ends(numbers: np.ndarray) -> np.ndarray:
    """Return the last bar of each period, given each bar's period number."""
    return np.append(np.flatnonzero(numbers[1:] != numbers[:-1]), len(numbers) - 1)


def returns_between(values: np.ndarray) -> np.ndarray:
    """Return the relative change from each value to the next; 0/0, after a ruin, is left out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = values[1:] / values[:-1] - 1
    return change[~np.isnan(change)]


def geometric_mean(returns: np.ndarray, total_loss: float) -> float:
    """Return the mean growth of `returns`, NaN when there are none, `total_loss` when one lost everything."""
    growth = 1 + returns
    if (growth <= 0).any():
        return total_loss
    return float(np.exp(np.log(growth).sum() / len(growth)) - 1) if len(growth) else NAN


def annual(
    count: int, mean: float, variance: float, downside: float, a_year: float, risk_free_rate: float, compat: bool
) -> Annual:
    """Return the yearly figures.

    Args:
        count: number of returns.
        mean: their geometric mean; -1 when the account was ruined.
        variance: of the returns, with n - 1.
        downside: mean of the squares of the returns below 0.
        a_year: periods a year.
    """
    if count == 0:
        return Annual(NAN, NAN, NAN, NAN)
    if mean <= -1:
        return Annual(-1.0, NAN, NAN, NAN)
    # A month's growth in a few days, compounded over a year, can exceed a float: then there is no such figure.
    with np.errstate(over="ignore", invalid="ignore"):
        growth = np.float64(1 + mean)
        yearly = float(growth**a_year - 1)
        volatility = float(np.sqrt((variance + growth**2) ** a_year - growth ** (2 * a_year)))
        fall = float(np.sqrt(downside) * np.sqrt(a_year))
        sharpe = (yearly - risk_free_rate) / volatility if volatility else NAN
        with np.errstate(divide="ignore"):
            sortino = float(np.float64(yearly - risk_free_rate) / fall)
    if compat:  # rules.INFINITE is about the difference
        return Annual(yearly, volatility, sharpe, sortino)
    return Annual(*(value if np.isfinite(value) else NAN for value in (yearly, volatility, sharpe, sortino)))


def log_changes(values: np.ndarray) -> np.ndarray:
    """Return the logarithm of each value over the one before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = values[1:] / values[:-1]
        return np.log(change, out=change)


def beta(equity: np.ndarray, close: np.ndarray) -> float:
    """Return how equity moves with the market: the covariance of log returns over the market's variance."""
    if len(equity) < 3:
        return NAN
    market = log_changes(close)
    with np.errstate(invalid="ignore"):
        market -= market.mean()
        # Not ours @ market: that wakes a thread for each core, which costs more than the sums. And since the market's
        # changes now add up to nothing, those of equity need not: they are made a block at a time.
        together = sum(
            float((log_changes(equity[at : at + _BLOCK + 1]) * market[at : at + _BLOCK]).sum())
            for at in range(0, len(market), _BLOCK)
        )
        market *= market
        return ratio(together, float(market.sum()))


def bars_in_trades(trades: Trades) -> int:
    """Return how many bars lie in at least one trade, its entry and exit bars included."""
    if not len(trades):
        return 0
    order = np.argsort(trades.entry_bar, kind="stable")
    entries, exits = trades.entry_bar[order], trades.exit_bar[order]
    reached = np.maximum.accumulate(exits)
    before = np.concatenate([[-1], reached[:-1]])
    return int(np.maximum(0, exits - np.maximum(entries - 1, before)).sum())


def sqn(pnl: np.ndarray) -> float:
    """Return the system quality number: how many standard errors the mean profit is above 0."""
    if len(pnl) < 2:
        return NAN
    return ratio(float(np.sqrt(len(pnl)) * pnl.mean()), float(pnl.std(ddof=1)))


def kelly(wins: float, count: int, gross_profit: float, losses: float, gross_loss: float) -> float:
    """Return the share of the account that Kelly's formula would bet; `gross_loss` is below 0."""
    if not wins or not losses:
        return NAN
    rate = wins / count
    return rate - (1 - rate) / (gross_profit / wins / (-gross_loss / losses))
