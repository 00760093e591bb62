"""Build: bars for tests, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from engine.bars import Bars

START = 1_704_067_200  # 2024-01-01 00:00 UTC, a Monday
DAY = 86_400


def times(n: int, *, start: int | str = START, step: int = DAY) -> np.ndarray:
    """Return `n` evenly spaced epoch seconds; `start` may be an ISO date."""
    first = start if isinstance(start, int) else int(pd.Timestamp(start).timestamp())
    return first + np.arange(n, dtype=np.int64) * step


def bars(closes: Iterable[float], *, start: int | str = START, step: int = DAY, **about) -> Bars:
    """Return bars that open at the close before and reach no further than open and close; volume is 1,000."""
    close = np.array(list(closes), dtype=np.float64)
    open_ = np.concatenate((close[:1], close[:-1]))
    return _make(open_, np.maximum(open_, close), np.minimum(open_, close), close, None, start, step, about)


def flat(prices: Iterable[float], *, start: int | str = START, step: int = DAY, **about) -> Bars:
    """Return bars whose open, high, low and close are one price each."""
    price = np.array(list(prices), dtype=np.float64)
    return _make(price, price, price, price, None, start, step, about)


def ohlc(*rows: Sequence[float], start: int | str = START, step: int = DAY, **about) -> Bars:
    """Return bars from rows of (open, high, low, close) or (open, high, low, close, volume)."""
    table = np.array(rows, dtype=np.float64)
    volume = table[:, 4] if table.shape[1] > 4 else None
    return _make(table[:, 0], table[:, 1], table[:, 2], table[:, 3], volume, start, step, about)


def random_bars(
    n: int,
    seed: int = 0,
    *,
    price: float = 100.0,
    spread: float = 0.02,
    start: int | str = START,
    step: int = DAY,
    **about,
) -> Bars:
    """Return a seeded random walk with gaps; `spread` is the size of a usual bar as a fraction of price."""
    random = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(random.normal(0, spread / 2, n)))
    open_ = np.concatenate(([price], close[:-1])) * np.exp(random.normal(0, spread / 10, n))
    high = np.maximum(open_, close) * np.exp(np.abs(random.normal(0, spread / 4, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(random.normal(0, spread / 4, n)))
    open_, high, low, close = (np.round(column, 4) for column in (open_, high, low, close))
    volume = random.integers(1_000, 100_000, n).astype(np.float64)
    return _make(open_, high, low, close, volume, start, step, about)


def frame(bars: Bars) -> pd.DataFrame:
    """Return the bars as a DataFrame that a test may damage."""
    return bars.to_frame()


def _make(open_, high, low, close, volume, start, step, about) -> Bars:
    if volume is None:
        volume = np.full(len(close), 1_000.0)
    about = {"symbol": "TEST", "interval": "1d" if step == DAY else "", "source": "test"} | about
    return Bars.from_columns(times(len(close), start=start, step=step), open_, high, low, close, volume, **about)
