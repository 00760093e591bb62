"""Bollinger reversion: trade back to the middle of the band."""

from typing import Annotated

from engine import Bounds, Strategy
from engine.indicators import BBANDS
from engine.lib import crossover


class BollingerReversion(Strategy):
    """Bollinger reversion

    Buys when the price returns into its band from below and sells short when it returns from above; the target of
    both is the middle of the band. A band is so many standard deviations around a moving average, so it widens with
    the market's own restlessness.
    """

    window: Annotated[int, Bounds(2, 400), "Bars in the average and in the deviation"] = 20
    width: Annotated[float, Bounds(0.1, 10), "Standard deviations from the middle to each edge"] = 2.0
    short: Annotated[bool, "Also sell short at the upper edge"] = False

    def init(self):
        self.upper, self.middle, self.lower = self.I(
            BBANDS, self.data.Close, self.window, self.width, name=["BB upper", "BB middle", "BB lower"]
        )

    def next(self):
        price = self.data.Close[-1]
        if (self.position.is_long and price >= self.middle[-1]) or (
            self.position.is_short and price <= self.middle[-1]
        ):
            self.position.close()
        elif not self.position:
            if crossover(self.data.Close, self.lower):
                self.buy(tag="back from below")
            elif self.short and crossover(self.upper, self.data.Close):
                self.sell(tag="back from above")
