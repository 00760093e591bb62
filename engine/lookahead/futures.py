"""Futures: the bars of a run with what comes after a bar taken away, or replaced by other prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.bars import Bars

REMOVED, REPLACED = "removed", "replaced"


class Futures:
    """Cuts bars: `at(k, how)` keeps the first `k` as they are.

    The other future is the run's own turned round: each close moves against the way it really went, by up to more
    than it really did, so that whatever depends on the sign or the size of a later move comes out differently. Prices
    keep the number of decimals that the real ones have.
    """

    def __init__(self, bars: Bars, seed: int = 0):
        self.bars = bars
        self._random = random = np.random.default_rng(seed)
        count = len(bars)
        moves = np.diff(np.log(bars.close))
        usual = max(float(np.std(moves)) if count > 2 else 0.0, 1e-3)
        against = -moves - np.where(moves > 0, 1, -1) * usual * random.uniform(0.5, 1.5, len(moves))
        path = np.concatenate(([0.0], np.cumsum(against)))
        self._close = np.exp(4 * np.tanh(path / 4))  # a trend turned round for long must not end at 0
        self._open = np.concatenate((self._close[:1], self._close[:-1])) * np.exp(random.normal(0, usual / 4, count))
        reach = np.abs(random.normal(0, usual / 2, (2, count)))
        self._high = np.maximum(self._open, self._close) * np.exp(reach[0])
        self._low = np.minimum(self._open, self._close) * np.exp(-reach[1])
        self._volume = np.round(random.permutation(bars.volume) * random.uniform(0.4, 2.5, count)) + 1
        self._extra = {name: another(values, random) for name, values in bars.extra.items()}
        self._decimals = _decimals(bars.close)

    def at(self, k: int, how: str) -> Bars:
        """Return the bars with the future after the first `k` removed or replaced."""
        if how == REMOVED:
            return self.bars[:k]
        scale = self.bars.close[k - 1] / self._close[k - 1]
        columns: dict[str, Any] = {
            name: self._joined(getattr(self.bars, name), getattr(self, f"_{name}"), k, scale)
            for name in ("open", "high", "low", "close")
        }
        columns["volume"] = np.concatenate((self.bars.volume[:k], self._volume[k:]))
        columns["extra"] = {
            name: np.concatenate((values[:k], self._extra[name][k:])) for name, values in self.bars.extra.items()
        }
        return replace(self.bars, **columns)

    def _joined(self, real: np.ndarray, other: np.ndarray, k: int, scale: float) -> np.ndarray:
        later = np.round(other[k:] * scale, self._decimals)
        return np.concatenate((real[:k], np.maximum(later, 10.0**-self._decimals)))


def another(values: np.ndarray, random: np.random.Generator, before: Any = None) -> np.ndarray:
    """Return values of the same kind that differ.

    Numbers are mirrored at `before`, the last one that is known, so that what was above lies below; truths are
    negated, the rest is put into another order.
    """
    if values.dtype.kind == "b":
        return ~values
    if values.dtype.kind == "f":
        known = before is not None and np.isfinite(before)
        middle = float(before) if known else float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
        mirrored = middle * 2 - values
        if middle > 0 and np.nanmin(values, initial=middle) > 0:
            mirrored = middle * (middle / values)  # prices stay above 0
        return mirrored * random.uniform(0.97, 0.99, len(values)) - 1e-6
    if values.dtype.kind in "iu":
        return values[::-1] + random.integers(1, 4, len(values)).astype(values.dtype)
    return values[::-1]


def _decimals(prices: np.ndarray) -> int:
    texts = (repr(price) for price in prices[-500:].tolist())
    return int(np.median([12 if "e" in text else len(text.partition(".")[2]) for text in texts]))
