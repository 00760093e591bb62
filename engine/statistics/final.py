"""Final: the statistics of a finished run, by the names that backtesting.py's users know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engine import rules
from engine.calendar import Calendar, round_up
from engine.statistics import measures
from engine.statistics.columns import Trades, read_trades
from engine.statistics.measures import NAN, ratio
from engine.tape import Indicator, Tape


class Statistics(pd.Series):
    """The figures of a run; its print-out shows each on a line, "-" where undefined."""

    @property
    def _constructor(self) -> type[pd.Series]:
        return Statistics

    def __repr__(self) -> str:
        with pd.option_context("display.max_rows", None, "display.max_colwidth", 20, "display.precision", 5):
            return self.to_string(na_rep="-", dtype=False)


def final(tape: Tape, *, risk_free_rate: float = 0.0, compat: bool = False, strategy: Any = None) -> Statistics:
    """Return the statistics of a run as a Series that also holds `_strategy`, `_equity_curve` and `_trades`.

    Args:
        risk_free_rate: a yearly return, as a fraction, that Sharpe, Sortino and alpha are measured against.
        compat: give exactly what backtesting.py 0.6.6 gives, its faults included (the rules in engine.rules).
        strategy: what `_strategy` is to be; the tape's label of it by default.
    """
    bars = tape.bars if tape.bar == len(tape.bars) else tape.bars[: tape.bar]
    equity = tape.equity()
    if compat and tape.bar > tape.first_bar:
        equity[: tape.first_bar] = rules.START_EQUITY.theirs(tape.initial_balance, equity[tape.first_bar])  # type: ignore[misc]
    return compute(
        equity,
        bars.close,
        bars.index,
        read_trades(tape.events, tape.bar),
        warm_up=min(tape.first_bar, tape.bar) - 1,
        risk_free_rate=risk_free_rate,
        compat=compat,
        strategy=tape.strategy if strategy is None else strategy,
        indicators=tape.declared,
    )


def compute(
    equity: np.ndarray,
    close: np.ndarray,
    index: pd.Index,
    trades: Trades,
    *,
    warm_up: int = 0,
    risk_free_rate: float = 0.0,
    compat: bool = False,
    strategy: Any = None,
    indicators: Any = (),
) -> Statistics:
    """Return the statistics of an account.

    Args:
        equity: after each bar, shape (n_bars,), first value above 0.
        close: the market's price at the same bars.
        index: their times, or any other index for bars without dates.
        warm_up: the bar whose close buying and holding is counted from.
    """
    dates = Calendar.of(index)
    drawdown = measures.drawdowns(equity)
    found = measures.episodes(drawdown)
    figures: dict[str, Any] = {
        "Start": index[0],
        "End": index[-1],
        "Duration": index[-1] - index[0],
        "Exposure Time [%]": np.float64(measures.bars_in_trades(trades) / len(index) * 100),
        "Equity Final [$]": equity[-1],
        "Equity Peak [$]": equity.max(),
    }
    if len(trades) and (commission := trades.commission.sum()):
        figures["Commissions [$]"] = commission
    figures |= _returns(equity, close, dates, drawdown, warm_up, risk_free_rate, compat)
    figures |= _drawdowns(drawdown, found, dates, compat)
    figures |= _trades(trades, dates, len(index), compat)
    figures["_strategy"] = strategy
    figures["_equity_curve"] = _equity_curve(equity, drawdown, found, index, dates, compat)
    figures["_trades"] = trades_frame(trades, index, indicators)
    return Statistics(figures, dtype=object)


def _returns(
    equity: np.ndarray,
    close: np.ndarray,
    dates: Calendar,
    drawdown: np.ndarray,
    warm_up: int,
    risk_free_rate: float,
    compat: bool,
) -> dict[str, Any]:
    total = (equity[-1] - equity[0]) / equity[0]
    held = close[-1] / close[warm_up] - 1
    deepest = drawdown.max()
    yearly = _annual(equity, dates, risk_free_rate, compat)
    slope = measures.beta(equity, close)
    figures = {
        "Return [%]": total * 100,
        "Buy & Hold Return [%]": held * 100,
        "Return (Ann.) [%]": yearly.mean * 100,
        "Volatility (Ann.) [%]": yearly.volatility * 100,
    }
    if dates.nanoseconds is not None:
        figures["CAGR [%]"] = growth_rate(equity[-1] / equity[0], int(dates.elapsed(0, -1)), compat) * 100
    figures |= {
        "Sharpe Ratio": yearly.sharpe,
        "Sortino Ratio": yearly.sortino,
        "Calmar Ratio": ratio(yearly.mean, deepest),
        "Alpha [%]": (total - risk_free_rate - slope * (held - risk_free_rate)) * 100,
        "Beta": slope,
        "Max. Drawdown [%]": -deepest * 100,
    }
    return {name: np.float64(value) for name, value in figures.items()}


def _annual(equity: np.ndarray, dates: Calendar, risk_free_rate: float, compat: bool) -> measures.Annual:
    bars = len(equity)
    if dates.local_days is None:
        # range_index_ann: 1 ** NaN is 1, and so their growth of a year is none.
        return measures.Annual(0.0 if compat else NAN, NAN, NAN, NAN)
    period = dates.period(dates.spacing(bars))
    ends = measures.period_ends(dates.period_numbers(period, 0, bars))
    returns = measures.returns_between(equity[ends])
    a_year = dates.periods_a_year(period, bars, dates.weekend_bars(0, bars))
    # bankrupt_stats: their geometric mean of a total loss is 0.
    mean = measures.geometric_mean(returns, total_loss=0.0 if compat else -1.0)
    variance = float(np.var(returns, ddof=1)) if len(returns) > 1 else NAN
    downside = float(np.mean(np.minimum(returns, 0) ** 2)) if len(returns) else NAN
    return measures.annual(len(returns), mean, variance, downside, a_year, risk_free_rate, compat)


def growth_rate(growth: float, nanoseconds: int, compat: bool = False) -> float:
    """Return growth over a time as growth a year (CAGR)."""
    years = nanoseconds // 10**9 / (365.25 * 86_400)  # whole seconds, as theirs
    if not years:
        return NAN
    with np.errstate(over="ignore", invalid="ignore"):
        rate = float(np.float64(growth) ** (1 / years) - 1)
    return rate if compat or np.isfinite(rate) else NAN


def _drawdowns(drawdown: np.ndarray, found: measures.Episodes, dates: Calendar, compat: bool) -> dict[str, Any]:
    if not len(found.depth):
        return {"Avg. Drawdown [%]": NAN, "Max. Drawdown Duration": NAN, "Avg. Drawdown Duration": NAN}
    figures: dict[str, Any] = {"Avg. Drawdown [%]": -found.depth.mean() * 100}
    if compat and _falls_last(found):
        return figures | {"Max. Drawdown Duration": drawdown[-1], "Avg. Drawdown Duration": drawdown[-1]}
    lasted = dates.elapsed(found.peak, found.end)
    return figures | {
        "Max. Drawdown Duration": _duration(lasted.max(), dates, len(drawdown)),
        "Avg. Drawdown Duration": _duration(lasted.sum(dtype=np.float64) / len(lasted), dates, len(drawdown)),
    }


def _falls_last(found: measures.Episodes) -> bool:
    """Return whether the only drawdown is a fall on the last bar, which rules.DD_LAST_BAR is about."""
    return len(found.depth) == 1 and found.end[0] - found.peak[0] == 1


def _duration(value: float, dates: Calendar, bars: int) -> Any:
    """Return a Timedelta rounded up to the bars' resolution, or a number of bars."""
    if dates.nanoseconds is None:
        return np.float64(value)
    return pd.Timedelta(round_up(value, dates.resolution(dates.spacing(bars))), unit="ns")


def _trades(trades: Trades, dates: Calendar, bars: int, compat: bool) -> dict[str, Any]:
    names = (
        "Win Rate [%]", "Best Trade [%]", "Worst Trade [%]", "Avg. Trade [%]", "Max. Trade Duration",
        "Avg. Trade Duration", "Profit Factor", "Expectancy [%]", "SQN", "Kelly Criterion",
    )  # fmt: skip
    if not len(trades):
        return {"# Trades": 0} | dict.fromkeys(names, NAN)
    pnl, returns = trades.pnl, trades.return_pct
    lasted = dates.elapsed(trades.entry_bar, trades.exit_bar)
    wins, losses = pnl > 0, pnl < 0
    won = int(wins.sum())
    values = (
        np.float64(won / len(trades) * 100),
        returns.max() * 100,
        returns.min() * 100,
        # gmean_zero: theirs is 0 when a trade lost everything.
        np.float64(measures.geometric_mean(returns, total_loss=0.0 if compat else NAN) * 100),
        _duration(lasted.max(), dates, bars),
        _duration(lasted.sum(dtype=np.float64) / len(lasted), dates, bars),
        np.float64(ratio(returns[returns > 0].sum(), abs(returns[returns < 0].sum()))),
        returns.mean() * 100,
        np.float64(measures.sqn(pnl)),
        np.float64(measures.kelly(won, len(trades), pnl[wins].sum(), int(losses.sum()), pnl[losses].sum())),
    )
    return {"# Trades": len(trades)} | dict(zip(names, values, strict=True))


def _equity_curve(
    equity: np.ndarray, drawdown: np.ndarray, found: measures.Episodes, index: pd.Index, dates: Calendar, compat: bool
) -> pd.DataFrame:
    durations: np.ndarray
    if not len(found.depth) or dates.nanoseconds is None or (compat and _falls_last(found)):
        durations = np.full(len(equity), np.nan)
        durations[found.end] = found.depth if compat and _falls_last(found) else found.end - found.peak
    else:
        durations = np.full(len(equity), np.timedelta64("NaT", index.unit))  # type: ignore[attr-defined]
        durations[found.end] = dates.elapsed(found.peak, found.end).astype("timedelta64[ns]")
    columns = {"Equity": equity, "DrawdownPct": drawdown, "DrawdownDuration": durations}
    return pd.DataFrame(columns, index=index, copy=False)


def trades_frame(trades: Trades, index: pd.Index, indicators: Any = ()) -> pd.DataFrame:
    """Return the table of closed trades, with each indicator's value at entry and at exit."""
    whole = bool((trades.size == np.round(trades.size)).all())
    entered, left = index[trades.entry_bar], index[trades.exit_bar]
    columns: dict[str, Any] = {
        "Size": trades.size.astype(np.int64) if whole else trades.size,
        "EntryBar": trades.entry_bar,
        "ExitBar": trades.exit_bar,
        "EntryPrice": trades.entry_price,
        "ExitPrice": trades.exit_price,
        "SL": _levels(trades.sl),
        "TP": _levels(trades.tp),
        "PnL": trades.pnl,
        "Commission": trades.commission,
        "ReturnPct": trades.return_pct,
        "EntryTime": entered,
        "ExitTime": left,
        "Duration": left - entered,
        "Tag": trades.tag.tolist(),
    }
    for label, values in _labelled(indicators) if len(trades) else ():
        columns[f"Entry_{label}"] = values[trades.entry_bar]
        columns[f"Exit_{label}"] = values[trades.exit_bar]
    return pd.DataFrame(columns)


def _levels(prices: np.ndarray) -> Any:
    """Return prices, or Nones where no trade had one: a column of NaN looks like figures gone missing."""
    return np.full(len(prices), None, dtype=object) if len(prices) and np.isnan(prices).all() else prices


def _labelled(indicators: Any) -> list[tuple[str, np.ndarray]]:
    """Return each indicator's name in the table: `name`, or `name_0`, `name_1` for those of several rows."""
    labelled, waiting = [], list(indicators)
    while waiting:
        first: Indicator = waiting[0]
        rows = next((count for count in range(len(waiting), 0, -1) if _are_rows_of(first.group, waiting[:count])), 1)
        names = [row.name for row in waiting[:rows]]
        label = first.group if names[0] == f"{first.group}[0]" else str(names)
        for position, row in enumerate(waiting[:rows]):
            labelled.append((f"{label}_{position}" if rows > 1 else row.name, row.values))
        del waiting[:rows]
    return labelled


def _are_rows_of(group: str, rows: list[Indicator]) -> bool:
    """Return whether these are all the rows of one indicator; a group is named by its label, or by its rows' names."""
    names = [row.name for row in rows]
    numbered = names == [f"{group}[{position}]" for position in range(len(names))]
    return (numbered or ", ".join(names) == group) and all(row.group == group for row in rows)
