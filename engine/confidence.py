"""Confidence: what a result rests on, in figures and in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import numpy as np

from engine.band import band
from engine.bars import Bars
from engine.errors import EngineError
from engine.simulation import Simulation
from engine.strategy import Strategy
from engine.tape import CLOSED, FILLED, REDUCED, Tape

FEW = 30  # trades; below, no figure of a run says much
_RESAMPLES = 2000
_PARTS = 1000  # more trades than this are drawn in random lots of equal size, which vary the same
_SIZE, _PRICE, _COMMISSION, _PNL = 2, 3, 4, 5  # in a fill's event row; see Events.write
_HIGHEST_RATE = 0.0999  # the broker takes less than a tenth


class Confidence:
    """Reads a tape as it grows, and answers for any bar of it."""

    def __init__(self, tape: Tape, seed: int = 0):
        self._tape = tape
        self._seed = seed
        self._read = 0
        self._closed_bar: list[int] = []
        self._pnl: list[float] = []
        self._fill_bar: list[int] = []
        self._value: list[float] = []
        self._fee: list[float] = []
        self._known: tuple[int, dict[str, float | None]] = (-1, {})

    def at(self, bar: int | None = None) -> dict[str, Any]:
        """Return what is to be said after `bar` bars, JSON-able; None stands for what is not defined yet.

        `trades`, `sample` (a sentence); `return_low`, `return_high`, `win_rate_low` ... `profit_factor_high`: the
        ends of 95 % intervals (returns as fractions); `doubtful_trades`, `doubtful_bars` (from 0), `equity_low`,
        `equity_high`, `doubtful_share` (of the profit) and `doubt` (a sentence, empty without any); `break_even` (a
        commission rate) and `break_even_text`.
        """
        bar = self._tape.bar if bar is None else max(0, min(bar, self._tape.bar))
        self._catch_up()
        count = int(np.searchsorted(self._closed_bar, bar))
        if self._known[0] != count:
            self._known = count, intervals(np.array(self._pnl[:count]), self._tape.initial_balance, self._seed)
        figures = self._known[1]
        return {"trades": count, "sample": sample(count, figures), **figures, **self._doubt(bar), **self._costs(bar)}

    def _catch_up(self) -> None:
        events, start = self._tape.events, self._read
        self._read = len(events)
        kinds, bars = events.kinds(range(start, self._read)), events.bars(range(start, self._read))
        closed = np.flatnonzero((kinds == CLOSED) | (kinds == REDUCED))
        self._closed_bar += bars[closed].tolist()
        self._pnl += events.column(closed + start, _PNL)
        filled = np.flatnonzero(kinds == FILLED)
        sizes, prices, fees = (events.column(filled + start, cell) for cell in (_SIZE, _PRICE, _COMMISSION))
        self._fill_bar += bars[filled].tolist()
        self._value += [abs(size) * price for size, price in zip(sizes, prices, strict=True)]
        self._fee += [fee or 0.0 for fee in fees]

    def _doubt(self, bar: int) -> dict[str, Any]:
        if not bar:
            return _told_doubt(0.0, 0.0, 0.0, [], 0)
        around = band(self._tape, bar - 1, bar)
        profit = float(self._tape.equity(bar - 1, bar)[0]) - self._tape.initial_balance
        return _told_doubt(float(around.low[0]), float(around.high[0]), profit, around.bars, len(around.doubts))

    def _costs(self, bar: int) -> dict[str, Any]:
        fills = int(np.searchsorted(self._fill_bar, bar))
        rate = None
        if fills and bar:
            equity = float(self._tape.equity(bar - 1, bar)[0])
            held = abs(float(self._tape.position(bar - 1, bar)[0])) * float(self._tape.bars.close[bar - 1])
            traded = sum(self._value[:fills]) + held
            rate = (equity - self._tape.initial_balance + sum(self._fee[:fills])) / traded
        return {"break_even": rate, "break_even_text": _told_rate(rate)}


def intervals(pnl: np.ndarray, initial_balance: float, seed: int = 0) -> dict[str, float | None]:
    """Return 95 % bootstrap intervals of return, win rate and profit factor.

    The trades are drawn again, with replacement, as often as there are; the interval holds the middle 95 % of what
    comes out. It takes trades as independent of each other, and tells nothing of markets that are yet to come.

    Args:
        pnl: cash won or lost by each closed trade, shape (n_trades,).
    Returns:
        `return_low` and `return_high` (fractions of `initial_balance`), `win_rate_low` ..., `profit_factor_low` ...;
        None while there are fewer than two trades, and for a profit factor without end.
    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3 (the percentile interval).
    """
    names = ("return", "win_rate", "profit_factor")
    empty: dict[str, float | None] = {f"{name}_{end}": None for name in names for end in ("low", "high")}
    if len(pnl) < 2:
        return empty
    random = np.random.default_rng(seed)
    before = initial_balance + np.cumsum(pnl) - pnl
    # Each trade counts as what it did to the account as it was, so that no redrawn account falls below nothing.
    growth = np.log(np.maximum(1 + pnl / np.where(before > 0, before, np.inf), 1e-6))
    columns = np.stack((np.maximum(pnl, 0.0), np.maximum(-pnl, 0.0), (pnl > 0).astype(float), growth))
    if len(pnl) > _PARTS:
        shuffled = columns[:, random.permutation(len(pnl))]
        edges = np.linspace(0, len(pnl), _PARTS + 1).astype(int)[:-1]
        columns = np.add.reduceat(shuffled, edges, axis=1)
    drawn = random.integers(0, columns.shape[1], (_RESAMPLES, columns.shape[1]))
    won, lost, wins, grown = (column[drawn].sum(axis=1) for column in columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(lost > 0, won / lost, np.where(won > 0, np.inf, np.nan))
    told = dict(empty)
    for name, values in zip(names, (np.expm1(grown), wins / len(pnl), factor), strict=True):
        known = values[~np.isnan(values)]
        if len(known):
            low, high = np.quantile(known, (0.025, 0.975), method="nearest")
            told[f"{name}_low"], told[f"{name}_high"] = _finite(low), _finite(high)
    return told


def sample(trades: int, figures: Mapping[str, float | None]) -> str:
    """Return how far so many closed trades carry a conclusion."""
    count = f"{trades:,} trade{'' if trades == 1 else 's'}"
    low, high = figures.get("return_low"), figures.get("return_high")
    if trades < FEW or low is None or high is None:
        return f"{count}: too few to tell from luck"
    least, most = (f"{100 * value:.1f} %".replace("-", "−") for value in (low, high))
    span = f"95 % of redrawn samples return between {least} and {most}"
    if low > 0:
        return f"{count}: more than luck would explain, if they are independent ({span})"
    if high < 0:
        return f"{count}: worse than bad luck would explain, if they are independent ({span})"
    return f"{count}: not to be told from luck ({span})"


def break_even(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    guess: float | None = None,
    runs: int = 12,
) -> float | None:
    """Return the commission rate at which a run breaks even, found by running it again.

    None when there is no profit even without commission, or when it survives the highest.

    A dearer run trades other sizes, so the rate that its turnover suggests is only a first guess.

    Args:
        guess: that rate, as `Confidence.at` gives it under `break_even`.
        runs: how often to run at most.
    Raises:
        EngineError: the run itself fails.
    """
    settings = {name: value for name, value in (settings or {}).items() if name != "commission"}

    def profit(rate: float) -> float:
        simulation = Simulation(bars, strategy, params, **settings, commission=rate)
        simulation.advance(len(bars))
        equity = float(simulation.tape.equity(len(bars) - 1)[0])
        held = abs(float(simulation.tape.position(len(bars) - 1)[0])) * float(bars.close[-1])
        return equity - simulation.tape.initial_balance - held * rate  # closing what is open would cost it too

    if profit(0.0) <= 0:
        return None
    near, far, left = 0.0, _HIGHEST_RATE, runs - 1
    if guess is not None and near < guess < far:
        near, far, left = _around(profit, guess, left)
    return _bisect(profit, near, far, left)


def _around(profit: Callable[[float], float], guess: float, left: int) -> tuple[float, float, int]:
    """Return two rates with the zero between them, close to the guess if it is, and how many runs are left."""
    below, above = guess * 0.95, min(guess * 1.05, _HIGHEST_RATE)
    if profit(above) > 0:
        return above, _HIGHEST_RATE, left - 1
    return (below, above, left - 2) if profit(below) > 0 else (0.0, below, left - 2)


def _bisect(profit: Callable[[float], float], near: float, far: float, left: int) -> float | None:
    if far == _HIGHEST_RATE and profit(far) > 0:
        return None
    for _ in range(left):
        middle = (near + far) / 2
        if profit(middle) > 0:
            near = middle
        else:
            far = middle
    return (near + far) / 2


def verified(
    bars: Bars, strategy: type[Strategy], params: Mapping[str, Any], settings: Mapping[str, Any], guess: float | None
) -> dict[str, Any]:
    """Return `break_even` and its text as `Confidence.at` names them, found by running; the guess when that fails."""
    if guess is None or guess <= 0:
        return {"break_even": guess, "break_even_text": _told_rate(guess)}
    try:
        rate = break_even(bars, strategy, params, settings, guess=guess)
    except EngineError:
        rate = guess
    return {"break_even": rate, "break_even_text": _told_rate(rate)}


def _told_doubt(low: float, high: float, profit: float, bars: list[int], trades: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "doubtful_trades": trades, "doubtful_bars": bars, "equity_low": low, "equity_high": high,
        "doubtful_share": None, "doubt": "",
    }  # fmt: skip
    if not bars or high <= low:
        return told
    count = f"{len(bars):,} ambiguous bar{'' if len(bars) == 1 else 's'}"
    if profit > 0:
        share = (high - low) / profit
        told["doubtful_share"] = share
        amount = "all of the profit and more" if share > 1 else f"{share * 100:.0f} % of the profit"
        if 0 < share < 0.005:
            amount = "less than 1 % of the profit"
        told["doubt"] = f"{amount[0].upper()}{amount[1:]} rests on {count}"
    else:
        told["doubt"] = f"{high - low:,.2f} of the result rests on {count}"
    return told


def _told_rate(rate: float | None) -> str:
    if rate is None:
        return ""
    if rate >= _HIGHEST_RATE:
        return "The profit survives any commission up to 10 %"
    if rate <= 0:
        return "There is no profit even without commission"
    return f"The run breaks even at a commission of {rate * 100:.3g} %"  # a run that lost has paid more


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None
