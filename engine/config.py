"""BacktestConfig: everything that a run is a function of, besides the bars and the strategy's source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class BacktestConfig:
    """A validated configuration; field names are those of the form and of the wire.

    Either `period` is set, or `start_date` with an optional `end_date` (ISO dates; the end is exclusive).
    `commission`, `slippage` and `spread` are fractions of price; `margin` is 1 / leverage.
    """

    symbol: str = "AAPL"
    interval: str = "1d"
    period: str | None = "6mo"
    start_date: str | None = None
    end_date: str | None = None
    initial_balance: float = 10_000.0
    commission: float = 0.001
    slippage: float = 0.0
    spread: float = 0.0
    margin: float = 1.0
    trade_on_close: bool = False
    hedging: bool = False
    exclusive_orders: bool = False
    strategy: str = "sma_cross"
    params: dict[str, Any] = field(default_factory=dict)
    indicators: dict[str, dict[str, Any]] = field(default_factory=dict)
    speed: float | str = 1.0

    def broker_settings(self) -> dict[str, Any]:
        """Return the keywords that SimBroker takes."""
        return {
            "cash": self.initial_balance,
            "commission": self.commission,
            "slippage": self.slippage,
            "spread": self.spread,
            "margin": self.margin,
            "trade_on_close": self.trade_on_close,
            "hedging": self.hedging,
            "exclusive_orders": self.exclusive_orders,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as it travels: JSON-able, defaults included."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BacktestConfig:
        """Build from a stored dict; names this version does not know are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
