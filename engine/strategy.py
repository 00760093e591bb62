"""Strategy: what users subclass to trade."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from engine.parameters import Bounds
from engine.trades import Position, Trade

if TYPE_CHECKING:
    from engine.broker import SimBroker
    from engine.data import Data
    from engine.declare import Declarations
    from engine.orders import Order

__all__ = ["Bounds", "Strategy"]

_ALL_IN = 1 - sys.float_info.epsilon


class Strategy:
    """Declare indicators in `init()`, decide once a bar in `next()`.

    Class attributes are parameters: `fast = 10`, or `fast: Annotated[int, Bounds(2, 200), "Bars in the average"] = 10`.
    Orders placed in `next()` are first looked at on the following bar.
    """

    def __init__(self, broker: SimBroker, data: Data, declarations: Declarations, params: dict[str, Any]):
        self._broker = broker
        self.data = data  # the bars up to the current one; a property would cost more than reading a price does
        self._declarations = declarations
        self._params = params
        self._warm_up = 0  # the first bar on which every indicator has a value
        for name, value in params.items():
            setattr(self, name, value)

    def init(self) -> None:
        """Declare indicators with `self.I`; the whole history is visible here, for them to be computed from."""

    def next(self) -> None:
        """Decide on the current bar; `self.data.Close[-1]` is its close."""

    def I(  # noqa: E743 - the name that strategies of this API are written with
        self,
        func: Any,
        *args: Any,
        name: Any = None,
        plot: bool = True,
        overlay: bool | None = None,
        color: Any = None,
        scatter: bool = False,
        pane: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the indicator `func(*args, **kwargs)` as a series that reaches up to the current bar.

        `func` returns one array as long as the data, or several, which can be unpacked. `pane` is "price" or the name
        of a pane of its own; without it `overlay` decides, and without that whether the values look like prices.
        """
        return self._declarations.declare(
            func, args, kwargs, name=name, plot=plot, overlay=overlay, color=color, scatter=scatter, pane=pane
        )

    def buy(
        self,
        *,
        size: float = _ALL_IN,
        limit: float | None = None,
        stop: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        tag: Any = None,
        good_till: Any = None,
        oco: Order | None = None,
    ) -> Order:
        """Place a buy order and return it.

        `size` is units, or below 1 the fraction of what is available. It waits until cancelled, or until the time
        `good_till`; when it or the order given as `oco` fills, the other is cancelled.
        """
        return self._broker.place(size, limit, stop, sl, tp, tag, good_till, oco)

    def sell(
        self,
        *,
        size: float = _ALL_IN,
        limit: float | None = None,
        stop: float | None = None,
        sl: float | None = None,
        tp: float | None = None,
        tag: Any = None,
        good_till: Any = None,
        oco: Order | None = None,
    ) -> Order:
        """Place a sell order and return it; see `buy`."""
        return self._broker.place(size, limit, stop, sl, tp, tag, good_till, oco, sign=-1)

    def log(self, message: str) -> None:
        """Write a line on the tape, at the current bar."""
        self._broker.log(str(message))

    @property
    def equity(self) -> float:
        """Return the account's value at the current close."""
        return self._broker.equity

    @property
    def position(self) -> Position:
        """Return what is held."""
        return self._broker.position

    @property
    def orders(self) -> tuple[Order, ...]:
        """Return the waiting orders, in the order in which they are looked at."""
        return self._broker.orders

    @property
    def trades(self) -> tuple[Trade, ...]:
        """Return the open trades, oldest first."""
        return tuple(self._broker.open_trades)

    @property
    def closed_trades(self) -> tuple[Trade, ...]:
        """Return the closed trades, in order of closing."""
        return tuple(self._broker.closed_trades)

    def __repr__(self) -> str:
        return strategy_label(type(self), self._params)


def strategy_label(strategy: type[Strategy], params: dict[str, Any]) -> str:
    """Return the name shown for a run: `SmaCross(n1=10,n2=20)`."""
    if not params:
        return strategy.__name__
    return f"{strategy.__name__}({','.join(f'{name}={_short(value)}' for name, value in params.items())})"


def _short(value: Any) -> Any:
    return value.__name__ if isinstance(value, type) else value
