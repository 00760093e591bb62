"""Donchian breakout: buy a new high and follow it with a stop."""

from typing import Annotated

from engine import Bounds, Strategy
from engine.indicators import ATR, DONCHIAN


class DonchianBreakout(Strategy):
    """Donchian breakout

    Buys when the price closes above the highest high of the bars before, and sells short below their lowest low. A
    stop some multiples of the average true range away follows the price and never steps back; it is the only way out.
    The position is sized so that being stopped out at once costs the same share of the account every time.
    """

    window: Annotated[int, Bounds(2, 400), "Bars in the channel"] = 20
    atr_window: Annotated[int, Bounds(2, 200), "Bars in the average true range"] = 14
    atr_stop: Annotated[float, Bounds(0.5, 20), "Distance of the stop, in average true ranges"] = 3.0
    risk: Annotated[float, Bounds(0.001, 0.2), "Share of the account that one stop may cost"] = 0.02
    short: Annotated[bool, "Also sell short below the channel"] = True

    def init(self):
        high, low, close = self.data.High, self.data.Low, self.data.Close
        self.upper, self.middle, self.lower = self.I(
            DONCHIAN, high, low, self.window, name=["Channel high", "Channel middle", "Channel low"]
        )
        self.atr = self.I(ATR, high, low, close, self.atr_window, name=f"ATR {self.atr_window}")

    def next(self):
        price, distance = self.data.Close[-1], self.atr_stop * self.atr[-1]
        for trade in self.trades:
            if trade.is_long:
                trade.sl = max(trade.sl or 0, price - distance)
            else:
                trade.sl = min(trade.sl or float("inf"), price + distance)
        if self.trades or distance <= 0:
            return
        # The channel of the bar before: the current high is always inside its own channel.
        if price > self.upper[-2] and distance < price:
            self.buy(size=self._units(distance), sl=price - distance, tag="new high")
        elif self.short and price < self.lower[-2]:
            self.sell(size=self._units(distance), sl=price + distance, tag="new low")

    def _units(self, distance):
        """Return the size that loses `risk` of the account over `distance`, but no more than the cash can buy."""
        affordable = 0.98 * self.equity / self.data.Close[-1]
        return max(1, int(min(self.risk * self.equity / distance, affordable)))
