"""Tapedeck's engine: backtests that can be run, or watched bar by bar."""

from engine.backtest import Backtest
from engine.bars import Bars
from engine.config import BacktestConfig
from engine.costs import Fixed, Percent, Random
from engine.errors import BadBars, ConfigError, DataError, EngineError, NoBars, StrategyError
from engine.parameters import Bounds
from engine.simulation import Simulation
from engine.strategy import Strategy
from engine.tape import Event, Frame, Indicator, Tape

__all__ = [
    "Backtest",
    "BacktestConfig",
    "BadBars",
    "Bars",
    "Bounds",
    "ConfigError",
    "DataError",
    "EngineError",
    "Event",
    "Fixed",
    "Frame",
    "Indicator",
    "NoBars",
    "Percent",
    "Random",
    "Simulation",
    "Strategy",
    "StrategyError",
    "Tape",
]
