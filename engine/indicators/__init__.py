"""Indicators on TA-Lib, for strategies (`self.I(SMA, self.data.Close, 20)`) and for the chart (`build`).

Every function takes arrays and gives arrays of the same length that begin with NaN for its warm-up; value k is made of
bars 0 to k alone.
"""

from engine.indicators.charted import build, build_all, check, names
from engine.indicators.functions import (
    ADX,
    ATR,
    BBANDS,
    DONCHIAN,
    EMA,
    ICHIMOKU,
    MACD,
    OBV,
    RSI,
    SMA,
    STOCH,
    SUPERTREND,
    VWAP,
    WMA,
    Line,
    Study,
)
from engine.indicators.palette import PALETTE, color

__all__ = [
    "ADX",
    "ATR",
    "BBANDS",
    "DONCHIAN",
    "EMA",
    "ICHIMOKU",
    "MACD",
    "OBV",
    "PALETTE",
    "RSI",
    "SMA",
    "STOCH",
    "SUPERTREND",
    "VWAP",
    "WMA",
    "Line",
    "Study",
    "build",
    "build_all",
    "check",
    "color",
    "names",
]
