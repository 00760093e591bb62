"""Functions: the usual indicators under their usual names, for `self.I` and for notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import numpy as np
import talib
from numpy.typing import ArrayLike

from engine.errors import ConfigError

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Line:
    """How one output is drawn: its name (empty when it is the only one) and "line", "histogram" or "scatter"."""

    name: str = ""
    style: str = "line"


class Study:
    """An indicator function that knows the pane it is drawn on, its lines and its warm-up.

    `warm_up(**parameters)` is the number of bars that are NaN at the beginning.
    """

    def __init__(self, function: Callable[..., Any], pane: str, lines: tuple[Line, ...], warm_up: Callable[..., int]):
        self.function = function
        self.pane = pane
        self.lines = lines
        self.warm_up = warm_up
        self.__signature__ = inspect.signature(function)
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<indicator {self.__name__}{self.__signature__}>"  # type: ignore[attr-defined]


def study(pane: str, warm_up: Callable[..., int], *lines: str | Line) -> Callable[[Callable[..., Any]], Study]:
    """Return the decorator that makes a function a Study."""
    drawn = tuple(line if isinstance(line, Line) else Line(line) for line in lines) or (Line(),)
    return lambda function: Study(function, pane, drawn, warm_up)


@study("price", lambda window=20: window - 1)
def SMA(values: ArrayLike, window: int = 20) -> Array:
    """Return the simple moving average."""
    return _talib("SMA", values, timeperiod=window)


@study("price", lambda window=20: window - 1)
def EMA(values: ArrayLike, window: int = 20) -> Array:
    """Return the exponential moving average, begun with the simple one of its first window."""
    return _talib("EMA", values, timeperiod=window)


@study("price", lambda window=20: window - 1)
def WMA(values: ArrayLike, window: int = 20) -> Array:
    """Return the linearly weighted moving average."""
    return _talib("WMA", values, timeperiod=window)


@study("RSI", lambda window=14: window)
def RSI(values: ArrayLike, window: int = 14) -> Array:
    """Return Wilder's relative strength index, 0 to 100."""
    return _talib("RSI", values, timeperiod=window)


@study(
    "MACD",
    lambda fast=12, slow=26, signal=9: max(fast, slow) + signal - 2,
    "MACD",
    "Signal",
    Line("Histogram", "histogram"),
)
def MACD(values: ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[Array, Array, Array]:
    """Return the difference of two exponential averages, its own average, and the difference of those."""
    return _talib("MACD", values, fastperiod=fast, slowperiod=slow, signalperiod=signal)


@study("price", lambda window=20, deviations=2.0: window - 1, "upper", "middle", "lower")
def BBANDS(values: ArrayLike, window: int = 20, deviations: float = 2.0) -> tuple[Array, Array, Array]:
    """Return the Bollinger bands: upper, middle and lower, `deviations` standard deviations apart."""
    return _talib("BBANDS", values, timeperiod=window, nbdevup=float(deviations), nbdevdn=float(deviations))


@study("ATR", lambda window=14: window)
def ATR(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14) -> Array:
    """Return Wilder's average true range, in price."""
    return _talib("ATR", high, low, close, timeperiod=window)


@study("Stochastic", lambda window=14, smooth=3, signal=3: window + smooth + signal - 3, "%K", "%D")
def STOCH(
    high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14, smooth: int = 3, signal: int = 3
) -> tuple[Array, Array]:
    """Return the slow stochastic oscillator %K and its average %D, 0 to 100."""
    return _talib("STOCH", high, low, close, fastk_period=window, slowk_period=smooth, slowd_period=signal)


@study("ADX", lambda window=14: 2 * window - 1)
def ADX(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 14) -> Array:
    """Return Wilder's average directional index: how strong the trend is, 0 to 100, whichever way it goes."""
    return _talib("ADX", high, low, close, timeperiod=window)


@study("OBV", lambda: 0)
def OBV(close: ArrayLike, volume: ArrayLike) -> Array:
    """Return the on-balance volume: volume added on rising bars and taken off on falling ones."""
    return _talib("OBV", close, volume)


@study("price", lambda: 0)
def VWAP(
    high: ArrayLike, low: ArrayLike, close: ArrayLike, volume: ArrayLike, session: ArrayLike | None = None
) -> Array:
    """Return the volume-weighted average price since the session began.

    Args:
        session: a number for each bar that changes where a new session begins; None for one long session.
    """
    volumes = _floats(volume)
    traded = (_floats(high) + _floats(low) + _floats(close)) / 3 * volumes
    known = np.isfinite(traded)
    volumes, traded = np.where(known, volumes, 0.0), np.where(known, traded, 0.0)
    edges = np.array([0], dtype=np.int64)
    if session is not None:
        edges = np.append(edges, np.flatnonzero(np.diff(np.asarray(session))) + 1)
    average = np.empty(len(traded))
    # Sums begin anew in each session: the difference of two sums over everything would lose digits.
    for start, stop in zip(edges, [*edges[1:], len(traded)], strict=True):
        total = np.cumsum(volumes[start:stop])
        with np.errstate(divide="ignore", invalid="ignore"):
            average[start:stop] = np.where(total > 0, np.cumsum(traded[start:stop]) / total, np.nan)
    return average


@study("price", lambda window=20: window - 1, "high", "middle", "low")
def DONCHIAN(high: ArrayLike, low: ArrayLike, window: int = 20) -> tuple[Array, Array, Array]:
    """Return the highest high, the middle and the lowest low of the last `window` bars, the current one included."""
    top, bottom = _highest(high, window), _lowest(low, window)
    return top, (top + bottom) / 2, bottom


@study("price", lambda window=10, multiplier=3.0: window)
def SUPERTREND(high: ArrayLike, low: ArrayLike, close: ArrayLike, window: int = 10, multiplier: float = 3.0) -> Array:
    """Return the Supertrend line: below the price while the trend is up, above it while it is down.

    The line keeps `multiplier` average true ranges from the middle of the bar, moves only towards the price, and
    changes side when the close crosses it.
    """
    closes = _floats(close).tolist()
    middle = (_floats(high) + _floats(low)) / 2
    reach = multiplier * ATR(high, low, close, window)
    line = np.full(len(closes), np.nan)
    above, below, falling = float("inf"), float("-inf"), True
    uppers, lowers = (middle + reach).tolist(), (middle - reach).tolist()
    for bar in np.flatnonzero(np.isfinite(reach)).tolist():
        before = closes[bar - 1]
        above = uppers[bar] if uppers[bar] < above or before > above else above
        below = lowers[bar] if lowers[bar] > below or before < below else below
        falling = closes[bar] <= above if falling else closes[bar] < below
        line[bar] = above if falling else below
    return line


@study(
    "price",
    lambda conversion=9, base=26, span=52: max(conversion, base, span) - 1 + base,
    "conversion",
    "base",
    "span A",
    "span B",
)
def ICHIMOKU(
    high: ArrayLike, low: ArrayLike, conversion: int = 9, base: int = 26, span: int = 52
) -> tuple[Array, Array, Array, Array]:
    """Return conversion line, base line, and the two spans of the cloud that stands over each bar.

    The spans are those computed `base` bars ago, as the cloud is drawn ahead. The lagging span is left out: it is the
    close drawn `base` bars back, which at those bars lay in the future.
    """
    fast, slow = _middle(high, low, conversion), _middle(high, low, base)
    return fast, slow, _later((fast + slow) / 2, base), _later(_middle(high, low, span), base)


def _middle(high: ArrayLike, low: ArrayLike, window: int) -> Array:
    return (_highest(high, window) + _lowest(low, window)) / 2


def _later(values: Array, bars: int) -> Array:
    return np.concatenate([np.full(min(bars, len(values)), np.nan), values[: max(0, len(values) - bars)]])


def _highest(values: ArrayLike, window: int) -> Array:
    return _floats(values).copy() if window == 1 else _talib("MAX", values, timeperiod=window)


def _lowest(values: ArrayLike, window: int) -> Array:
    return _floats(values).copy() if window == 1 else _talib("MIN", values, timeperiod=window)


def _talib(name: str, *inputs: ArrayLike, **parameters: Any) -> Any:
    """Call TA-Lib, whose own errors tell a number but not the parameter."""
    try:
        return getattr(talib, name)(*map(_floats, inputs), **parameters)
    except Exception as error:  # TA-Lib raises plain Exception for a parameter out of its range, TypeError for a type
        told = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        raise ConfigError(f"{name} does not take {told}.") from error


def _floats(values: ArrayLike) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64)
