"""Strategies of both engines from one source: the text differs in nothing but its base classes and helpers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import backtesting
import backtesting.lib
import numpy as np
import pandas as pd

import engine
import engine.lib

THEIRS = SimpleNamespace(Strategy=backtesting.Strategy, Backtest=backtesting.Backtest, lib=backtesting.lib)
OURS = SimpleNamespace(Strategy=engine.Strategy, Backtest=engine.Backtest, lib=engine.lib)


def SMA(values: Any, n: int) -> pd.Series:
    return pd.Series(values).rolling(n).mean()


def bands(values: Any, n: int, width: float) -> tuple[Any, Any]:
    middle, sigma = pd.Series(values).rolling(n).mean(), pd.Series(values).rolling(n).std()
    return middle - width * sigma, middle + width * sigma


def sma_cross(kit: Any) -> type:
    class SmaCross(kit.Strategy):
        n1 = 10
        n2 = 20

        def init(self):
            self.sma1 = self.I(SMA, self.data.Close, self.n1)
            self.sma2 = self.I(SMA, self.data.Close, self.n2)

        def next(self):
            if kit.lib.crossover(self.sma1, self.sma2):
                self.position.close()
                self.buy()
            elif kit.lib.crossover(self.sma2, self.sma1):
                self.position.close()
                self.sell()

    return SmaCross


def guarded_cross(kit: Any) -> type:
    class GuardedCross(kit.Strategy):
        def init(self):
            self.average = self.I(SMA, self.data.Close, 15, name="average")

        def next(self):
            price = self.data.Close[-1]
            if kit.lib.cross(self.data.Close, self.average) and len(self.trades) < 3:
                self.buy(size=0.3, sl=price * 0.97, tp=price * 1.05, tag="up")
                self.sell(size=3, limit=price * 1.01, sl=price * 1.06)

    return GuardedCross


def band_reversion(kit: Any) -> type:
    class BandReversion(kit.Strategy):
        def init(self):
            self.low, self.high = self.I(bands, self.data.Close, 20, 2.0)

        def next(self):
            if self.data.Close < self.low and not self.position:
                self.buy(size=0.5)
            elif self.position and self.data.Close > self.high:
                self.position.close(0.5)

    return BandReversion


def weekly_trend(kit: Any) -> type:
    class WeeklyTrend(kit.Strategy):
        def init(self):
            self.weekly = kit.lib.resample_apply("W-FRI", SMA, self.data.Close, 4)
            self.plain = kit.lib.resample_apply("W-FRI", None, self.data.High)
            self.daily = self.I(SMA, self.data.Close, 10)

        def next(self):
            if self.daily > self.weekly and not self.position:
                self.buy()
            elif self.daily < self.weekly and self.position:
                self.position.close()

    return WeeklyTrend


def signals(kit: Any) -> type:
    class Signals(kit.lib.SignalStrategy):
        def init(self):
            super().init()
            fast, slow = self.I(SMA, self.data.Close, 10), self.I(SMA, self.data.Close, 25)
            turns = pd.Series(np.asarray(fast) > np.asarray(slow)).astype(int).diff().fillna(0)
            self.set_signal(entry_size=turns.replace(-1, 0) * 0.4, exit_portion=-turns.replace(1, 0) * 0.5)

    return Signals


def trailing(kit: Any) -> type:
    class Trailing(kit.lib.TrailingStrategy):
        def init(self):
            super().init()
            self.set_atr_periods(20)
            self.set_trailing_sl(3)
            self.average = self.I(SMA, self.data.Close, 30)

        def next(self):
            super().next()
            if kit.lib.crossover(self.data.Close, self.average) and not self.position:
                self.buy(size=0.6)
            elif kit.lib.crossover(self.average, self.data.Close) and not self.position:
                self.sell(size=0.6)

    return Trailing


def trailing_pct(kit: Any) -> type:
    class TrailingPct(kit.lib.TrailingStrategy):
        def init(self):
            super().init()
            self.set_trailing_pct(0.08)

        def next(self):
            super().next()
            if not self.position and kit.lib.barssince(self.data.Close < self.data.Open, 99) > 1:
                self.buy()

    return TrailingPct


ALL = (sma_cross, guarded_cross, band_reversion, weekly_trend, signals, trailing, trailing_pct)
