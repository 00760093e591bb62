"""SMA cross: follow the side that the fast average is on."""

from typing import Annotated

from engine import Bounds, Strategy
from engine.errors import ConfigError
from engine.indicators import SMA
from engine.lib import crossover


class SmaCross(Strategy):
    """SMA cross

    Goes long when the fast moving average crosses above the slow one, and closes, or turns short, when it crosses back
    below. It earns in long trends and pays for it with small losses whenever the market goes sideways.
    """

    fast: Annotated[int, Bounds(2, 200), "Bars in the fast average"] = 10
    slow: Annotated[int, Bounds(3, 400), "Bars in the slow average; more than in the fast one"] = 30
    short: Annotated[bool, "Sell short when the fast average falls below the slow one"] = True

    @classmethod
    def check(cls, params):
        if params["fast"] >= params["slow"]:
            raise ConfigError(
                f"Fast is {params['fast']} and slow is {params['slow']}. The fast average must have fewer bars.",
                field="params.fast",
            )

    def init(self):
        self.fast_sma = self.I(SMA, self.data.Close, self.fast, name=f"SMA {self.fast}")
        self.slow_sma = self.I(SMA, self.data.Close, self.slow, name=f"SMA {self.slow}")

    def next(self):
        if crossover(self.fast_sma, self.slow_sma):
            self.position.close()
            self.buy(tag="cross up")
        elif crossover(self.slow_sma, self.fast_sma):
            self.position.close()
            if self.short:
                self.sell(tag="cross down")
