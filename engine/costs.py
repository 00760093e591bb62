"""Costs: what trading takes away, as commission and as slippage."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import ConfigError

Commission = float | tuple[float, float] | Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Percent:
    """Every taken price is worse by a fraction: 0.001 is 10 basis points."""

    fraction: float

    def draw(self, price: float, chance: random.Random) -> float:
        """Return the loss per unit."""
        return price * self.fraction


@dataclass(frozen=True, slots=True)
class Fixed:
    """Every taken price is worse by the same amount of money per unit."""

    amount: float

    def draw(self, price: float, chance: random.Random) -> float:
        """Return the loss per unit."""
        return self.amount


@dataclass(frozen=True, slots=True)
class Random:
    """Every taken price is worse by a fraction between `low` and `high`, the same draws for the same seed."""

    high: float
    low: float = 0.0

    def draw(self, price: float, chance: random.Random) -> float:
        """Return the loss per unit."""
        return price * chance.uniform(self.low, self.high)


Slippage = float | Percent | Fixed | Random


def slippage_model(slippage: Slippage) -> Percent | Fixed | Random | None:
    """Return the model meant by a setting: a number is a fraction of price; None when nothing slips.

    Raises:
        ConfigError: it could favour the trader, or take more than the price.
    """
    if isinstance(slippage, (int, float)):
        slippage = Percent(float(slippage))
    least = (
        slippage.low
        if isinstance(slippage, Random)
        else getattr(slippage, "fraction", getattr(slippage, "amount", 0.0))
    )
    most = slippage.high if isinstance(slippage, Random) else least
    if not 0 <= least <= most or (most >= 1 and not isinstance(slippage, Fixed)):
        raise ConfigError(f"Slippage is {slippage}. Enter a cost from 0 up to, not including, 1.", field="slippage")
    return slippage if most else None


def commission_function(commission: Commission) -> Callable[[float, float], float]:
    """Return commission as a function of signed size and price.

    Raises:
        ConfigError: a rate outside [-0.1, 0.1), or a fixed part below 0.
    """
    if callable(commission):
        return commission
    fixed, rate = commission if isinstance(commission, (tuple, list)) else (0.0, commission)
    if not -0.1 <= rate < 0.1:
        raise ConfigError(
            f"Commission is {rate}. Enter a rate from -0.1 up to, not including, 0.1.", field="commission"
        )
    if fixed < 0:
        raise ConfigError(f"The fixed commission is {fixed}. Enter 0 or more.", field="commission")
    if fixed:
        return lambda size, price: fixed + abs(size) * price * rate
    return lambda size, price: abs(size) * price * rate
