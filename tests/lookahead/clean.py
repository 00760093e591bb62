"""Clean: strategies that know only the past, some of them in ways that look suspicious."""

from __future__ import annotations

import functools
import random

import numpy as np
import pandas as pd

from engine import Strategy
from engine.indicators import ATR, DONCHIAN, OBV, VWAP
from engine.lib import SignalStrategy, barssince, cross, crossover, quantile, resample_apply


class Rising(Strategy):
    """Trades by one indicator, from its 30th bar on."""

    def values(self, close):
        raise NotImplementedError

    def init(self):
        self.line = self.I(self.values, self.data.Close.s, name="line")

    def next(self):
        if len(self.data) < 30:
            return
        if self.line[-1] > self.line[-2] and not self.position:
            self.buy()
        elif self.line[-1] < self.line[-2] and self.position:
            self.position.close()


class ShiftedOn(Rising):
    def values(self, close):
        return close.shift(1)


class Changes(Rising):
    def values(self, close):
        return close.pct_change()


class Highest(Rising):
    def values(self, close):
        return close.cummax()


class Expanding(Rising):
    def values(self, close):
        return (close - close.expanding().mean()) / close.expanding().std()


class Weighted(Rising):
    def values(self, close):
        return close.ewm(span=10, adjust=True).mean()


class RollingRank(Rising):
    def values(self, close):
        return close.rolling(20).rank(pct=True)


class Filtered(Rising):
    def values(self, close):
        from scipy import signal

        b, a = signal.butter(2, 0.2)
        return signal.lfilter(b, a, close.to_numpy() - close.iloc[0])


class Convolved(Rising):
    def values(self, close):
        from scipy.signal import fftconvolve

        return fftconvolve(close.to_numpy(), np.ones(5) / 5)[: len(close)]


class Summed(Rising):
    def values(self, close):
        sums = np.cumsum(close.to_numpy())
        return np.concatenate((np.full(9, np.nan), (sums[9:] - np.concatenate(([0.0], sums[:-10]))) / 10))


class FilledOn(Rising):
    def values(self, close):
        return close.where(close > close.shift(1)).ffill()


class Texts(Strategy):
    def init(self):
        self.mood = self.I(lambda c: np.where(c.diff() > 0, "up", "down").astype(object), self.data.Close.s, plot=False)

    def next(self):
        if self.mood[-1] == "up" and not self.position:
            self.buy(size=1, tag="mood")


class FourMeans(Strategy):
    """Written as users write who know backtesting.py: four averages, two of them a trend filter."""

    n1, n2, enter, leave = 50, 100, 20, 10

    def init(self):
        mean = lambda values, n: pd.Series(values).rolling(n).mean()  # noqa: E731
        self.sma1 = self.I(mean, self.data.Close, self.n1)
        self.sma2 = self.I(mean, self.data.Close, self.n2)
        self.sma_enter = self.I(mean, self.data.Close, self.enter)
        self.sma_leave = self.I(mean, self.data.Close, self.leave)

    def next(self):
        if not self.position:
            if self.sma1 > self.sma2 and crossover(self.data.Close, self.sma_enter):
                self.buy(sl=0.92 * self.data.Close[-1])
            if self.sma1 < self.sma2 and crossover(self.sma_enter, self.data.Close):
                self.sell(sl=1.08 * self.data.Close[-1])
        elif (self.position.is_long and crossover(self.sma_leave, self.data.Close)) or (
            self.position.is_short and crossover(self.data.Close, self.sma_leave)
        ):
            self.position.close()


def strength(values, n):
    """Return a relative strength index by exponential weights without a warm-up."""
    change = pd.Series(values).diff()
    up, down = change.clip(lower=0).ewm(n).mean(), change.clip(upper=0).abs().ewm(n).mean()
    return 100 - 100 / (1 + up / down)


class TwoTimeframes(Strategy):
    days, level = 20, 55

    def init(self):
        self.average = self.I(lambda c: c.rolling(60).mean(), self.data.Close.s, name="average")
        self.daily = self.I(strength, self.data.Close, self.days, name="daily")
        self.weekly = resample_apply("W-FRI", strength, self.data.Close, 5)

    def next(self):
        price = self.data.Close[-1]
        if not self.position and self.daily[-1] > self.level and self.weekly[-1] > self.level > 0:
            self.buy(sl=0.9 * price)
        elif price < 0.97 * self.average[-1]:
            self.position.close()


class Learner(Strategy):
    """Fits a nearest-neighbour vote on what has happened so far, again every twenty bars."""

    def init(self):
        self.change = self.I(lambda c: c.pct_change(3), self.data.Close.s, name="change")
        self.fitted = None

    def next(self):
        if len(self.data) < 60:
            return
        if self.fitted is None or len(self.data) % 20 == 0:
            past = np.array(self.change)[4:-3]
            after = np.array(self.data.Close)[7:] / np.array(self.data.Close)[4:-3] - 1
            self.fitted = past.copy(), after.copy()
        past, after = self.fitted
        nearest = np.argsort(np.abs(past - self.change[-1]))[:7]
        guess = after[nearest].mean()
        if guess > 0.002 and not self.position.is_long:
            self.buy(size=0.2, tp=self.data.Close[-1] * 1.02, sl=self.data.Close[-1] * 0.98)
        elif guess < -0.002 and not self.position.is_short:
            self.sell(size=0.2, tp=self.data.Close[-1] * 0.98, sl=self.data.Close[-1] * 1.02)


class Signals(SignalStrategy):
    fast, slow = 10, 25

    def init(self):
        super().init()
        close = self.data.Close.s
        first, second = close.rolling(self.fast).mean(), close.rolling(self.slow).mean()
        signal = (first > second).astype(int).diff().fillna(0)
        self.set_signal(signal.replace(-1, 0) * 0.95, (signal < 0).astype(float))


class SeededInInit(Strategy):
    def init(self):
        self.chance = random.Random(7)
        self.noise = self.I(lambda: np.random.default_rng(3).normal(size=len(self.data)), name="noise")

    def next(self):
        if self.chance.random() < 0.1:
            self.buy(size=1)
        elif self.noise[-1] > 1 and self.position:
            self.position.close()


class SeededGlobally(Strategy):
    def init(self):
        random.seed(11)
        np.random.seed(12)

    def next(self):
        if random.random() < 0.1 and np.random.random() < 0.7:
            self.buy(size=1)


class Stateful(Strategy):
    def init(self):
        self.highs = []
        self.counts = {"up": 0}
        self.average = self.I(lambda c: c.rolling(10).mean(), self.data.Close.s, name="average")
        self.series = [self.average]
        self.step = (position for position in range(10**9))

    def next(self):
        self.highs.append(self.data.High[-1])
        self.counts["up"] += self.data.Close[-1] > self.data.Open[-1]
        if next(self.step) % 9 == 0 and self.data.Close[-1] > self.series[0][-1] and self.counts["up"] > 5:
            self.buy(size=2, sl=min(self.data.Close[-1] * 0.97, self.highs[-1] * 0.99))


class KeepsLists(Strategy):
    """Copies the whole history in init(), and yet reads only what is past."""

    def init(self):
        self.closes = list(self.data.Close)
        self.count = len(self.data)

    def next(self):
        now = len(self.data) - 1
        if self.closes[now] > self.closes[max(now - 5, 0)] and not self.position:
            self.buy()
        elif self.position and self.closes[now] < self.closes[max(now - 3, 0)]:
            self.position.close()


class AllKinds(Strategy):
    """Uses the helpers, orders of every kind, and volume."""

    def init(self):
        self.top, _, self.bottom = self.I(DONCHIAN, self.data.High, self.data.Low, 15)
        self.atr = self.I(ATR, self.data.High, self.data.Low, self.data.Close, 10)
        self.volume = self.I(OBV, self.data.Close, self.data.Volume)
        self.vwap = self.I(VWAP, self.data.High, self.data.Low, self.data.Close, self.data.Volume)

    def next(self):
        price = self.data.Close[-1]
        for order in self.orders:
            if not order.is_contingent:
                order.cancel()
        if not self.position:
            self.buy(stop=self.top[-1] + 0.1 * self.atr[-1], size=0.3, good_till=3)
            if cross(self.data.Close, self.vwap) and quantile(self.data.Close) > 0.2:
                self.sell(limit=price * 1.01, sl=price * 1.05, size=0.2)
        elif barssince(self.data.Close > self.data.Open) > 3:
            self.position.close(0.5)
        for trade in self.trades:
            if trade.is_long:
                trade.sl = max(trade.sl or 0, price - 3 * self.atr[-1])


def when_flat(decide):
    """Let a strategy decide only while it holds nothing."""

    @functools.wraps(decide)
    def wrapper(self):
        if self.position:
            return self.hold()
        return decide(self)

    return wrapper


class Decorated(Rising):
    def values(self, close):
        return close.rolling(10).mean()

    def hold(self):
        if self.line[-1] < self.line[-2]:
            self.position.close()

    @when_flat
    def next(self):
        if self.line[-1] > self.line[-2]:
            self.buy()


class Yields(Rising):
    """Collects its reasons from a generator, and matches what came."""

    def values(self, close):
        return close.rolling(10).mean()

    def reasons(self):
        if self.data.Close[-1] > self.line[-1]:
            yield "above"
        if self.data.Close[-1] > self.data.Open[-1]:
            yield "rose"

    def next(self):
        match [*self.reasons()], bool(self.position):
            case ["above", "rose"], False:
                self.buy()
            case [], True:
                self.position.close()


class LooksBack(Strategy):
    """Counts back over the bars so far, and asks for one that may not be there."""

    def next(self):
        streak = 1
        while streak < len(self.data) - 1 and self.data.Close[-streak] > self.data.Close[-streak - 1]:
            streak += 1
        try:
            past = self.data.Close[-40]
        except IndexError:
            return
        price = self.data.Close[-1]
        self.buy() if streak >= 3 and price > past and not self.position else None
        streak == 1 and self.position and self.position.close()


CLEAN = [
    ShiftedOn,
    Changes,
    Highest,
    Expanding,
    Weighted,
    RollingRank,
    Filtered,
    Convolved,
    Summed,
    FilledOn,
    Texts,
    FourMeans,
    TwoTimeframes,
    Learner,
    Signals,
    SeededInInit,
    SeededGlobally,
    Stateful,
    KeepsLists,
    AllKinds,
    Decorated,
    Yields,
    LooksBack,
]
