"""Backtest: run a strategy over bars, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, product, repeat
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.bars import Bars
from engine.errors import ConfigError
from engine.simulation import Simulation
from engine.strategy import Strategy
from engine.tape import Frame, Tape
from engine.targets import ALL_IN, play_targets, target_strategy

if TYPE_CHECKING:
    from engine.lookahead import Report


class Backtest:
    """Bars, a strategy and a broker's settings, to be run as often as needed.

    `data` is a DataFrame with Open, High, Low, Close and (if known) Volume, or Bars. `commission` is a rate, a pair of
    a fixed fee and a rate, or a function of size and price; `slippage` a rate or one of `Percent`, `Fixed`, `Random`;
    `margin` is 1 / leverage. `compat=True` gives exactly what backtesting.py gives; engine.rules lists the differences.
    """

    def __init__(
        self,
        data: pd.DataFrame | Bars,
        strategy: type[Strategy],
        *,
        cash: float = 10_000,
        spread: float = 0.0,
        commission: Any = 0.0,
        slippage: Any = 0.0,
        margin: float = 1.0,
        trade_on_close: bool = False,
        hedging: bool = False,
        exclusive_orders: bool = False,
        finalize_trades: bool = False,
        compat: bool = False,
        seed: int = 0,
    ):
        if not (isinstance(strategy, type) and issubclass(strategy, Strategy)):
            raise TypeError("strategy must be a subclass of Strategy")
        self.bars = data if isinstance(data, Bars) else Bars.from_frame(data, compat=compat)
        self.strategy = strategy
        self.settings: dict[str, Any] = {
            "cash": cash,
            "spread": spread,
            "commission": commission,
            "slippage": slippage,
            "margin": margin,
            "trade_on_close": trade_on_close,
            "hedging": hedging,
            "exclusive_orders": exclusive_orders,
            "finalize_trades": finalize_trades,
            "compat": compat,
            "seed": seed,
        }
        self.simulation: Simulation | None = None

    def simulate(self, **params: Any) -> Simulation:
        """Return a simulation at its first bar."""
        for name in params:
            if not hasattr(self.strategy, name):
                raise AttributeError(
                    f"{self.strategy.__name__} has no parameter {name!r}; declare it as a class attribute."
                )
        self.simulation = Simulation(self.bars, self.strategy, params, **self.settings)
        return self.simulation

    def run(self, **params: Any) -> pd.Series:
        """Run to the end and return the statistics, under backtesting.py's names."""
        from engine.statistics import final

        simulation = self.simulate(**params)
        simulation.advance(simulation.total_bars)
        stats = final(simulation.tape, compat=self.settings["compat"])
        stats["_strategy"] = simulation.strategy
        return stats

    def signals(self, targets: Any, size: float = ALL_IN) -> Tape:
        """Return the tape of a run that follows precomputed signals, without calling a strategy.

        Args:
            targets: per bar, the side to be on from the next open: above 0 long, below 0 short, 0 flat, NaN as before.
            size: what to trade on a change of side: units, or below 1 the fraction of what is available.
        """
        sides = np.asarray(targets, dtype=np.float64)
        if sides.shape != (len(self.bars),):
            raise ConfigError(f"There are {len(self.bars)} bars and the targets have the shape {sides.shape}.")
        tape = play_targets(self.bars, sides, size, self.settings)
        if tape is None:
            simulation = Simulation(self.bars, target_strategy(np.sign(sides), size), **self.settings)
            simulation.advance(simulation.total_bars)
            tape = simulation.tape
        return tape

    def stream(self, **params: Any) -> Iterator[Frame]:
        """Run bar by bar, yielding a frame after each."""
        simulation = self.simulate(**params)
        # The last iterator plays the bar; all of this is C but the loop itself.
        return map(Frame, zip(repeat(simulation.tape), count(), count(1), simulation.steps(), strict=False))

    def check_lookahead(self, **params: Any) -> Report:
        """Decide bars again without their future, and return a report of what came out differently.

        `report.clean` tells whether nothing did; printed, it names each difference with its bar and line.
        """
        from engine.lookahead import check

        return check(self.bars, self.strategy, params, self.settings)

    def optimize(
        self,
        *,
        maximize: str | Callable[[pd.Series], float] = "SQN",
        constraint: Callable[[Any], bool] | None = None,
        max_tries: int | float | None = None,
        return_heatmap: bool = False,
        random_state: int | None = None,
        **ranges: Iterable[Any],
    ) -> Any:
        """Run every combination of parameters and return the statistics of the best.

        Args:
            maximize: a key of the statistics, or a function of them.
            constraint: whether a combination is to be run; it reads the parameters as attributes.
            max_tries: run only so many combinations, or this fraction of them, drawn by `random_state`.
            return_heatmap: return also a Series of the figure by parameters.
        Raises:
            ConfigError: there is nothing to run.
        """
        names = list(ranges)
        choices = [[values] if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) else list(values)
                   for values in ranges.values()]  # fmt: skip
        grid = [dict(zip(names, combination, strict=True)) for combination in product(*choices)]
        if constraint is not None:
            grid = [params for params in grid if constraint(_Attributes(params))]
        if max_tries is not None:
            tries = int(max_tries if max_tries >= 1 else max(1, max_tries * len(grid)))
            grid = Random(random_state).sample(grid, min(tries, len(grid)))
        if not names or not grid:
            raise ConfigError(
                "There is no combination of parameters to run. Give ranges, such as fast=range(5, 30, 5)."
            )
        measure = maximize if callable(maximize) else lambda stats: stats[maximize]
        figures = [float(measure(self.run(**params))) for params in grid]
        known = [figure if figure == figure else -inf for figure in figures]
        best = self.run(**grid[known.index(max(known))])
        if not return_heatmap:
            return best
        index = pd.MultiIndex.from_tuples([tuple(params.values()) for params in grid], names=names)
        label = getattr(maximize, "__name__", None) if callable(maximize) else maximize
        return best, pd.Series(figures, index=index, name=label)


class _Attributes(dict[str, Any]):
    """Parameters that a constraint can read as `p.fast`."""

    def __getattr__(self, name: str) -> Any:
        return self[name]
