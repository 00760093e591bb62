"""MACD trend: momentum, but only in the direction of the long trend."""

from typing import Annotated

from engine import Bounds, Strategy
from engine.errors import ConfigError
from engine.indicators import EMA, MACD
from engine.lib import crossover


class MacdTrend(Strategy):
    """MACD trend

    Buys when the MACD crosses above its signal line while the price is above a long average, so that it does not buy
    every rebound of a falling market; leaves when the MACD crosses back.
    """

    fast: Annotated[int, Bounds(2, 200), "Bars in the fast average of the MACD"] = 12
    slow: Annotated[int, Bounds(3, 400), "Bars in the slow average of the MACD"] = 26
    signal: Annotated[int, Bounds(2, 200), "Bars over which the MACD itself is averaged"] = 9
    trend: Annotated[int, Bounds(2, 1000), "Bars in the average that tells the trend"] = 50

    @classmethod
    def check(cls, params):
        if params["fast"] >= params["slow"]:
            raise ConfigError(
                f"Fast is {params['fast']} and slow is {params['slow']}. The fast average must have fewer bars.",
                field="params.fast",
            )

    def init(self):
        self.average = self.I(EMA, self.data.Close, self.trend, name=f"EMA {self.trend}")
        self.macd, self.macd_signal, self.histogram = self.I(
            MACD, self.data.Close, self.fast, self.slow, self.signal, name=["MACD", "Signal", "Histogram"]
        )

    def next(self):
        if self.position:
            if crossover(self.macd_signal, self.macd):
                self.position.close()
        elif crossover(self.macd, self.macd_signal) and self.data.Close[-1] > self.average[-1]:
            self.buy(tag="momentum up")
