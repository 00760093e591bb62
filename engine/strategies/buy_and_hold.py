"""Buy and hold: the strategy that every other one has to beat."""

from engine import Strategy


class BuyAndHold(Strategy):
    """Buy and hold

    Buys with all the cash at the first opportunity and never sells. What it earns is what the market gave; a strategy
    that earns less for the same nerves was not worth its commissions.
    """

    def init(self):
        pass

    def next(self):
        # The order fills at the next open, so on the bar after this one there is a position and nothing is left to do.
        if not self.position and not self.orders:
            self.buy()
