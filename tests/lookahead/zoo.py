"""Zoo: small strategies that know the future, each in another way, and where each says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import signal

from engine import Strategy
from engine.lib import SignalStrategy, TrailingStrategy, crossover


class Indicator(Strategy):
    """Trades by one indicator: buys when it has risen, sells when it has fallen."""

    def values(self, close):
        raise NotImplementedError

    def init(self):
        self.line = self.I(self.values, self.data.Close.s, name="line")

    def next(self):
        if self.line[-1] > self.line[-2] and not self.position:
            self.buy()
        elif self.line[-1] < self.line[-2] and self.position:
            self.position.close()


class ShiftedBack(Indicator):
    def values(self, close):
        return close.shift(-1)


class CentredWindow(Indicator):
    def values(self, close):
        return close.rolling(5, center=True).mean()


class LessTheMean(Indicator):
    def values(self, close):
        return close - close.mean()


class ZScore(Indicator):
    def values(self, close):
        return (close - close.mean()) / close.std()


class UnfinishedWeek(Indicator):
    def values(self, close):
        weekly = close.resample("W-MON", label="left", closed="left").last()
        return weekly.reindex(close.index, method="ffill")


class WeekByTransform(Indicator):
    def values(self, close):
        return close.groupby(close.index.to_period("W")).transform("last")


class FilledBack(Indicator):
    def values(self, close):
        return close.rolling(20).mean().bfill()


class FutureMaximum(Indicator):
    def values(self, close):
        return close[::-1].cummax()[::-1]


class Gradient(Indicator):
    def values(self, close):
        return np.gradient(close.to_numpy())


class FiltFilt(Indicator):
    def values(self, close):
        b, a = signal.butter(2, 0.2)
        return signal.filtfilt(b, a, close.to_numpy())


class RankOfAll(Indicator):
    def values(self, close):
        return close.rank(pct=True)


class ScaledToAll(Indicator):
    def values(self, close):
        return (close - close.min()) / (close.max() - close.min())


class ConvolvedSame(Indicator):
    def values(self, close):
        return np.convolve(close.to_numpy(), np.ones(5) / 5, mode="same")


class Interpolated(Indicator):
    def values(self, close):
        thin = close.where(np.arange(len(close)) % 5 == 0)
        return thin.interpolate().bfill()


class PercentileOfAll(Indicator):
    def values(self, close):
        return (close > np.percentile(close, 60)).astype(float)


class FittedLine(Indicator):
    def values(self, close):
        time = np.arange(len(close))
        return close - np.polyval(np.polyfit(time, close, 1), time)


class RegressedOnNext(Indicator):
    def values(self, close):
        change = close.pct_change().fillna(0).to_numpy()
        known, wanted = change[:-1], change[1:]
        return change * np.dot(known, wanted) / np.dot(known, known)


class SavitzkyGolay(Indicator):
    def values(self, close):
        return signal.savgol_filter(close.to_numpy(), 9, 2)


class Spectrum(Indicator):
    def values(self, close):
        waves = np.fft.rfft(close.to_numpy())
        waves[8:] = 0
        return np.fft.irfft(waves, len(close))


class Rolled(Indicator):
    def values(self, close):
        return np.roll(close.to_numpy(), -1)


class ZigZag(Indicator):
    def values(self, close):
        turns = signal.argrelextrema(close.to_numpy(), np.greater, order=3)[0]
        marked = np.full(len(close), 0.0)
        marked[turns] = 1.0
        return np.cumsum(marked)


class ReverseRolling(Indicator):
    def values(self, close):
        return close[::-1].rolling(5, min_periods=1).mean()[::-1]


class ListOfIndicators(Strategy):
    def init(self):
        self.lines = [self.I(lambda c: c.shift(-2), self.data.Close.s, name="peek")]

    def next(self):
        if self.lines[0][-1] > self.data.Close[-1]:
            self.buy(size=1)


class PlainArray(Strategy):
    def init(self):
        self.closes = np.array(self.data.Close)

    def next(self):
        bar = len(self.data)
        if bar < len(self.closes) and self.closes[bar] > self.data.Close[-1]:
            self.buy(size=1)


class ScalarOfAll(Strategy):
    def init(self):
        self.top = float(np.max(self.data.High))

    def next(self):
        if self.data.Close[-1] > self.top * 0.9:
            self.buy(size=1)


class InABag(Strategy):
    def init(self):
        self.facts = {"mean": float(np.mean(self.data.Close))}
        self.bars_seen = 0

    def next(self):
        self.bars_seen += 1
        if self.data.Close[-1] < self.facts["mean"]:
            self.buy(size=1, tag=self.bars_seen)


class InAClosure(Strategy):
    def init(self):
        later = self.data.Close.s.shift(-1).to_numpy().copy()
        self.rises = lambda bar: later[bar] > later[bar - 1]

    def next(self):
        if len(self.data) > 3 and self.rises(len(self.data) - 1):
            self.buy(size=1)


class FromAnIterator(Strategy):
    def init(self):
        close = np.array(self.data.Close)
        self.pairs = iter(zip(close[1:].tolist(), close[2:].tolist(), strict=False))

    def next(self):
        now, later = next(self.pairs, (0, 0))
        if later > now:
            self.buy(size=1)


class StopAtTheLow(Strategy):
    def init(self):
        self.low = np.append(np.array(self.data.Low)[1:], np.nan)

    def next(self):
        if not self.position and not self.orders and len(self.data) % 7 == 0:
            stop = self.low[len(self.data) - 1] * 0.999
            self.buy(size=1, sl=min(stop, self.data.Close[-1] * 0.99))


class Engine(Strategy):
    def init(self):
        pass

    def next(self):
        later = self.data._bars.close
        if len(self.data) < len(later) and later[len(self.data)] > self.data.Close[-1]:
            self.buy(size=1)


class Signals(SignalStrategy):
    def init(self):
        super().init()
        close = self.data.Close.s
        rises = (close.shift(-1) > close).astype(float)
        self.set_signal(rises * 0.5, (close.shift(-1) < close).astype(float))


class TrailingBack(TrailingStrategy):
    def init(self):
        super().init()
        self.set_trailing_sl(2)
        self.average = self.I(lambda c: c.rolling(5).mean(), self.data.Close.s, name="average")

    def next(self):
        super().next()
        if not self.position and crossover(self.data.Close, self.average):
            self.buy()


class TrailingByPercent(TrailingStrategy):
    def init(self):
        super().init()
        self.set_atr_periods(10)
        self.set_trailing_pct(0.03)
        self.average = self.I(lambda c: c.rolling(12).mean(), self.data.Close.s, name="average")

    def next(self):
        super().next()
        if not self.position and crossover(self.data.Close, self.average):
            self.buy(size=10)


class RankedOfAll(Indicator):
    def values(self, close):
        return close.rank(pct=True)


class HighestToCome(Indicator):
    def values(self, close):
        return close[::-1].cummax()[::-1]


class SmoothedBothWays(Indicator):
    def values(self, close):
        return (close.ewm(span=5).mean() + close[::-1].ewm(span=5).mean()[::-1]) / 2


class LowFrequencies(Indicator):
    def values(self, close):
        waves = np.fft.rfft(close)
        waves[8:] = 0
        return np.fft.irfft(waves, len(close))


class TrendOfAll(Strategy):
    """Fits a line through all closes, and keeps nothing but two numbers of it."""

    def init(self):
        closes = self.data.Close.s.to_numpy()
        steps = np.arange(len(closes)) - (len(closes) - 1) / 2
        self.middle = closes.mean()
        self.slope = (steps * closes).sum() / (steps**2).sum() if len(closes) > 1 else 0.0

    def next(self):
        if self.data.Close[-1] < self.middle and self.slope > 0 and not self.position:
            self.buy()
        elif self.position and (self.data.Close[-1] > self.middle or self.slope < 0):
            self.position.close()


class KnowsTheWinners(Strategy):
    """Keeps the numbers of the bars that a rise follows."""

    def init(self):
        closes = self.data.Close.s.to_numpy()
        self.rises = {bar for bar in range(len(closes) - 1) if closes[bar + 1] > closes[bar]}

    def next(self):
        if len(self.data) - 1 in self.rises:
            self.buy(size=1)
        elif self.position:
            self.position.close()


LEAKS = [
    ShiftedBack,
    CentredWindow,
    LessTheMean,
    ZScore,
    UnfinishedWeek,
    WeekByTransform,
    FilledBack,
    FutureMaximum,
    Gradient,
    FiltFilt,
    RankOfAll,
    ScaledToAll,
    ConvolvedSame,
    Interpolated,
    PercentileOfAll,
    FittedLine,
    RegressedOnNext,
    SavitzkyGolay,
    Spectrum,
    Rolled,
    ZigZag,
    ReverseRolling,
    ListOfIndicators,
    PlainArray,
    ScalarOfAll,
    InABag,
    InAClosure,
    FromAnIterator,
    StopAtTheLow,
    Engine,
    Signals,
    RankedOfAll,
    HighestToCome,
    SmoothedBothWays,
    LowFrequencies,
    TrendOfAll,
    KnowsTheWinners,
]


def outsiders(frame: pd.DataFrame) -> dict[str, type[Strategy]]:
    """Return strategies that read `frame` past `self.data`, by how they reach it."""
    closes = frame.Close.to_numpy().copy()
    as_list = closes.tolist()
    by_date = dict(zip(frame.index, as_list, strict=True))

    class ClosureFrame(Strategy):
        def init(self):
            pass

        def next(self):
            if frame.Close.iloc[-1] > self.data.Close[-1]:
                self.buy(size=1)

    class ClosureArray(Strategy):
        def init(self):
            pass

        def next(self):
            bar = len(self.data)
            if bar < len(closes) and closes[bar] > closes[bar - 1]:
                self.buy(size=1)

    class ClosureList(Strategy):
        def init(self):
            pass

        def next(self):
            if sum(as_list) / len(as_list) > self.data.Close[-1]:
                self.buy(size=1)

    class ClosureDict(Strategy):
        def init(self):
            pass

        def next(self):
            if sum(by_date.values()) / len(by_date) > self.data.Close[-1]:
                self.buy(size=1)

    class ClassAttribute(Strategy):
        table = frame

        def init(self):
            self.line = self.I(lambda: self.table.Close.reindex(self.data.index).shift(-1), name="line")

        def next(self):
            if self.line[-1] > self.data.Close[-1]:
                self.buy(size=1)

    class Helper:
        def __init__(self):
            self.table = frame

        def rises(self, bar):
            return bar < len(self.table) and self.table.Close.iloc[bar] > self.table.Close.iloc[bar - 1]

    helper = Helper()

    class ThroughAHelper(Strategy):
        def init(self):
            pass

        def next(self):
            if helper.rises(len(self.data)):
                self.buy(size=1)

    class ByDefault(Strategy):
        def init(self):
            pass

        def next(self, table=frame):
            if table.High.mean() > self.data.Close[-1]:
                self.buy(size=1)

    return {
        "frame in a closure": ClosureFrame,
        "array in a closure": ClosureArray,
        "list in a closure": ClosureList,
        "dict in a closure": ClosureDict,
        "class attribute": ClassAttribute,
        "helper object": ThroughAHelper,
        "default argument": ByDefault,
    }


# Files of strategies, as a catalog imports them; {path} is a CSV of the very bars.
FILES = {
    "a global mean": """
import pandas as pd
from engine import Strategy

MEAN = pd.read_csv(r"{path}").High.mean()

class Peek(Strategy):
    def next(self):
        if self.data.Close[-1] > MEAN:
            self.buy(size=1)
""",
    "a global frame": """
import pandas as pd
from engine import Strategy

DATA = pd.read_csv(r"{path}", index_col=0, parse_dates=True)

class Peek(Strategy):
    def init(self):
        self.line = self.I(lambda: DATA.Close.reindex(self.data.index).shift(-1), name="line")

    def next(self):
        if self.line[-1] > self.data.Close[-1]:
            self.buy(size=1)
""",
    "a class body": """
from pandas import read_csv
from engine import Strategy

class Peek(Strategy):
    mean = float(read_csv(r"{path}").Close.mean())

    def next(self):
        if self.data.Close[-1] < self.mean:
            self.buy(size=1)
""",
    "a file opened in next()": """
from engine import Strategy

class Peek(Strategy):
    def next(self):
        with open(r"{path}") as file:
            closes = [float(line.split(",")[4]) for line in file.read().splitlines()[1:]]
        if closes[-1] > self.data.Close[-1]:
            self.buy(size=1)
""",
    "a file read in next()": """
from functools import lru_cache
import pandas as pd
from engine import Strategy

@lru_cache
def table():
    return pd.read_csv(r"{path}", index_col=0, parse_dates=True)

class Peek(Strategy):
    def next(self):
        known = table()
        bar = len(self.data)
        if bar < len(known) and known.Close.iloc[bar] > self.data.Close[-1]:
            self.buy(size=1)
""",
    "a path read in init()": """
from pathlib import Path
from engine import Strategy

class Peek(Strategy):
    def init(self):
        rows = Path(r"{path}").read_text().splitlines()[1:]
        self.top = sum(float(row.split(",")[2]) for row in rows) / len(rows)

    def next(self):
        if self.data.Close[-1] > self.top:
            self.buy(size=1)
""",
}
