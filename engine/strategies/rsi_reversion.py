"""RSI reversion: buy what has fallen too fast."""

from typing import Annotated

from engine import Bounds, Strategy
from engine.errors import ConfigError
from engine.indicators import RSI
from engine.lib import crossover


class RsiReversion(Strategy):
    """RSI reversion

    Buys when the relative strength index climbs back out of the oversold zone, which is later but safer than buying
    while it still falls. Leaves when the index has recovered, or when a stop limits a fall that goes on.
    """

    window: Annotated[int, Bounds(2, 200), "Bars that the index looks back"] = 14
    oversold: Annotated[float, Bounds(1, 99), "Buy when the index rises through this level"] = 30.0
    recovered: Annotated[float, Bounds(1, 99), "Sell when the index rises through this level"] = 60.0
    stop_loss: Annotated[float, Bounds(0, 0.9), "Stop this far below the entry, as a fraction; 0 for none"] = 0.08

    @classmethod
    def check(cls, params):
        if params["oversold"] >= params["recovered"]:
            raise ConfigError(
                f"Oversold is {params['oversold']:g} and recovered is {params['recovered']:g}. "
                "The index must rise between buying and selling, so oversold must be the lower one.",
                field="params.oversold",
            )

    def init(self):
        self.rsi = self.I(RSI, self.data.Close, self.window, name=f"RSI {self.window}")

    def next(self):
        if self.position:
            if crossover(self.rsi, self.recovered):
                self.position.close()
        elif crossover(self.rsi, self.oversold):
            stop = self.data.Close[-1] * (1 - self.stop_loss) if self.stop_loss else None
            self.buy(sl=stop, tag="oversold")
