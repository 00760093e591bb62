"""Lib: helpers that strategies are written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from math import inf, nan
from typing import Any

import numpy as np
import pandas as pd

from engine import rules
from engine.backtest import Backtest
from engine.bars import Bars
from engine.series import BLOCK, OVERLAP, Series
from engine.simulation import initialising
from engine.statistics import Trades, compute
from engine.strategy import Strategy

OHLCV_AGG = {"Open": "first", "High": "max", "Low": "min", "Close": "last", "Volume": "sum"}


def crossover(one: Any, other: Any) -> bool:
    """Return whether `one` has just risen above `other`; either may be a number. Touching is not crossing."""
    try:
        if one._partner is other:
            return one._over[one._clock.at]
    except AttributeError:
        pass  # a number or an array
    if isinstance(one, Series) and isinstance(other, Series) and 0 < one._clock.at <= BLOCK + OVERLAP:
        return one.rises_above(other)
    before, now = _last_two(one)
    other_before, other_now = _last_two(other)
    return bool(before < other_before and now > other_now)


def cross(one: Any, other: Any) -> bool:
    """Return whether `one` has just crossed `other`, either way."""
    return crossover(one, other) or crossover(other, one)


def _last_two(values: Any) -> tuple[Any, Any]:
    if isinstance(values, (int, float, np.number)):
        return values, values
    if isinstance(values, pd.Series):
        values = values.array
    return (values[-2], values[-1]) if len(values) > 1 else (nan, nan)


def barssince(condition: Sequence[bool], default: float = inf) -> float:
    """Return how many bars ago `condition` was last true, 0 for the current bar, `default` if it never was."""
    return next(compress(range(len(condition)), reversed(list(condition))), default)


def quantile(series: Sequence[float], quantile: float | None = None) -> float:
    """Return the share of earlier values below the last one, or the value at `quantile` (0 to 1) of all."""
    if quantile is None:
        values = np.asarray(series)
        return float(np.mean(values[:-1] < values[-1]))
    assert 0 <= quantile <= 1, "quantile must be from 0 to 1"
    return float(np.nanpercentile(np.asarray(series), quantile * 100))


def resample_apply(
    rule: str,
    func: Callable[..., Any] | None,
    series: Any,
    *args: Any,
    agg: str | dict[str, str] | None = None,
    **kwargs: Any,
) -> Any:
    """Apply `func` to a column resampled to a longer interval, and return it on the original index.

    A period's value appears once the period is over. Called from `init()` the result is an indicator. `agg` says how
    the column is resampled: by default as its name demands, or by its last value.
    """
    strategy = initialising.get()
    values: Any = series if isinstance(series, (pd.Series, pd.DataFrame)) else series.s
    if agg is None:
        agg = OHLCV_AGG.get(str(getattr(series, "name", "")), "last")
        if isinstance(values, pd.DataFrame):
            agg = {column: OHLCV_AGG.get(column, "last") for column in values.columns}
    resampled: Any = values.resample(rule, label="right").agg(agg).dropna()
    resampled.name = f"{getattr(values, 'name', '') or ''}[{rule}]"  # what the indicator is called

    def compute(resampled: Any, *args: Any, **kwargs: Any) -> Any:
        result = resampled if func is None else func(resampled, *args, **kwargs)
        if not isinstance(result, (pd.Series, pd.DataFrame)):
            array = np.asarray(result)
            result = pd.DataFrame(array.T, resampled.index) if array.ndim == 2 else pd.Series(array, resampled.index)
        if not isinstance(result.index, pd.DatetimeIndex):
            result.index = resampled.index
        return result.reindex(values.index.union(resampled.index), method="ffill").reindex(values.index)

    if strategy is None:
        return compute(resampled, *args, **kwargs)
    compute.__name__ = "func" if func is None else getattr(func, "__name__", "")
    return strategy.I(compute, resampled, *args, **kwargs)


def compute_stats(
    *, stats: pd.Series, data: pd.DataFrame, trades: pd.DataFrame | None = None, risk_free_rate: float = 0.0
) -> pd.Series:
    """Return the statistics of a run again, with a risk-free rate or for some of its trades only.

    Equity is then the starting one plus each trade's profit from its entry on.
    """
    curve = stats["_equity_curve"]["Equity"].to_numpy(copy=True)
    if trades is None:
        trades = stats["_trades"]
    else:
        curve[:] = curve[0]
        for entry, profit in zip(trades["EntryBar"], trades["PnL"], strict=True):
            curve[entry:] += profit
    columns = {"size": "Size", "entry_bar": "EntryBar", "exit_bar": "ExitBar", "entry_price": "EntryPrice"} | {
        "exit_price": "ExitPrice", "pnl": "PnL", "commission": "Commission", "tag": "Tag"
    }  # fmt: skip
    found = Trades.of(**{name: trades[key].to_numpy() for name, key in columns.items()})
    strategy = stats["_strategy"]
    return compute(
        curve,
        data["Close"].to_numpy(),
        data.index,
        found,
        warm_up=getattr(strategy, "_warm_up", 0),
        risk_free_rate=risk_free_rate,
        strategy=strategy,
    )


class SignalStrategy(Strategy):
    """Trades by arrays: where the entry size is above 0 it buys that much, below 0 it sells; see `set_signal`."""

    __entry: Series | tuple[int, ...] = (0,)
    __exit: Series | tuple[int, ...] = (0,)

    def set_signal(self, entry_size: Any, exit_portion: Any = None, *, plot: bool = True) -> None:
        """Set what to trade on each bar.

        Args:
            entry_size: per bar, a size as for `buy` (above 0) or `sell` (below 0); 0 does nothing.
            exit_portion: per bar, the portion to close of long trades (above 0) or of short ones (below 0).
        """
        self.__entry = self.I(
            _nothing_where_zero, entry_size, name="entry size", plot=plot, overlay=False, scatter=True
        )
        if exit_portion is not None:
            self.__exit = self.I(
                _nothing_where_zero, exit_portion, name="exit portion", plot=plot, overlay=False, scatter=True
            )

    def next(self) -> None:
        """Close by the exit portion, then enter by the entry size."""
        portion = self.__exit[-1]
        if portion > 0:
            for trade in self.trades:
                if trade.is_long:
                    trade.close(portion)
        elif portion < 0:
            for trade in self.trades:
                if trade.is_short:
                    trade.close(-portion)
        size = self.__entry[-1]
        if size > 0:
            self.buy(size=size)
        elif size < 0:
            self.sell(size=-size)


def _nothing_where_zero(values: Any) -> np.ndarray:
    sizes = np.array(values, dtype=float)
    sizes[sizes == 0] = nan
    return sizes


class TrailingStrategy(Strategy):
    """Gives every trade a stop-loss that follows the close at a distance of average true ranges.

    Until there are enough bars the range is averaged over those there are; see rules.TRAILING_LOOKAHEAD.
    """

    __n_atr: Any = 6.0
    __pct: float | None = None
    __atr: Any = None

    def init(self) -> None:
        """Set the period of the average true range to 100 bars."""
        super().init()
        self.set_atr_periods()

    def set_atr_periods(self, periods: int = 100) -> None:
        """Set over how many bars the true range is averaged."""
        high, low, close = (pd.Series(np.asarray(self.data[name])) for name in ("High", "Low", "Close"))
        before = close.shift(1)
        true_range = pd.concat([high - low, (high - before).abs(), (before - low).abs()], axis=1).max(
            axis=1, skipna=False
        )
        full = true_range.rolling(periods).mean()
        if len(full) >= periods > 1:
            self._broker.rule.touched.add(rules.TRAILING_LOOKAHEAD.name)
        sofar = full.bfill() if self._broker.rule.compat else true_range.rolling(periods, min_periods=1).mean()
        atr = full.fillna(sofar).to_numpy()
        self.__atr = Series(atr, self.data._clock, "ATR", self.data._bars.index)
        self._declarations.series.append(self.__atr)

    def set_trailing_sl(self, n_atr: float = 6) -> None:
        """Set the distance in average true ranges."""
        self.__n_atr, self.__pct = n_atr, None

    def set_trailing_pct(self, pct: float = 0.05) -> None:
        """Set the distance as a fraction of price; with `compat`, turned into average true ranges over all bars."""
        assert 0 < pct < 1, "pct must be a fraction between 0 and 1"
        if not self._broker.rule.compat:
            self.__pct = pct
            return
        atr = np.asarray(self.__atr)
        self.set_trailing_sl(float(np.mean(np.asarray(self.data.Close) * pct / atr)))

    def next(self) -> None:
        """Move the stops of all open trades."""
        super().next()
        close = self.data.Close[-1]
        distance = self.__atr[-1] * self.__n_atr if self.__pct is None else close * self.__pct
        for trade in self.trades:
            follow = close - distance if trade.is_long else close + distance
            nearest = max if trade.is_long else min
            trade.sl = follow if trade.sl is None else nearest(trade.sl, follow)


class FractionalBacktest(Backtest):
    """Trades fractions of a unit: prices are scaled down to `fractional_unit`, and the results back up."""

    def __init__(
        self, data: pd.DataFrame | Bars, strategy: type[Strategy], *, fractional_unit: float = 1e-8, **settings: Any
    ):
        frame = data.to_frame() if isinstance(data, Bars) else data
        scaled = frame.copy(deep=False)
        for column in scaled.columns:
            if str(column).lower() in ("open", "high", "low", "close"):
                scaled[column] = scaled[column] * fractional_unit
            elif str(column).lower() == "volume":
                scaled[column] = scaled[column] / fractional_unit
        self._unit = fractional_unit
        super().__init__(scaled, strategy, **settings)

    def run(self, **params: Any) -> pd.Series:
        """Run to the end and return the statistics, sizes and prices in the units of the given data."""
        stats = super().run(**params)
        trades = stats["_trades"]
        trades["Size"] = trades["Size"] * self._unit
        trades[["EntryPrice", "ExitPrice", "TP", "SL"]] /= self._unit
        return stats
