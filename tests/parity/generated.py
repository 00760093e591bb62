"""Generated runs: random bars, a random script of every kind of order, random settings."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import strategies as st

# Quarters and whole numbers: orders then meet highs, lows, opens and each other exactly.
STEPS = st.sampled_from([0.0, 0.0, 0.25, -0.25, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0])
WILD_STEPS = st.sampled_from([0.0, 0.25, -0.25, 1.0, -1.0, 12.0, -12.0, 15.0, -15.0])
WICKS = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 2.0])
OFFSETS = st.sampled_from([-6.0, -3.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0])
SIZES = st.sampled_from([None, 0.1, 0.3, 0.5, 0.9, 1, 2, 5, 10, 30, 80, 150])


def per_order(size: float, price: float) -> float:
    """A commission that no formula of rates describes."""
    return 1 + abs(size) * price * 0.0001


def by_side(size: float, price: float) -> float:
    """A commission that depends on the sign of the size."""
    return abs(size) * 0.05 if size > 0 else abs(size) * 0.02


@st.composite
def frames(draw: Any, least: int = 4, most: int = 30) -> pd.DataFrame:
    """Return bars whose prices are multiples of a quarter."""
    steps = draw(st.sampled_from([STEPS, STEPS, STEPS, WILD_STEPS]))
    moves = draw(st.lists(st.tuples(steps, steps, WICKS, WICKS), min_size=least, max_size=most))
    rows, close = [], 100.0
    for gap, body, up, down in moves:
        start = max(close + gap, 1.0)
        close = max(start + body, 1.0)
        rows.append((start, max(start, close) + up, max(0.25, min(start, close) - down), close, 1.0))
    index = pd.date_range("2020-01-01", periods=len(rows), name=None)
    return pd.DataFrame(rows, columns=["Open", "High", "Low", "Close", "Volume"], index=index)


@st.composite
def entries(draw: Any) -> dict[str, Any]:
    """Return a buy or a sell: market, limit, stop or stop-limit, with or without stop-loss and take-profit."""
    side = draw(st.sampled_from(["buy", "sell"]))
    sign = 1 if side == "buy" else -1
    action: dict[str, Any] = {"do": side, "size": draw(SIZES)}
    kind = draw(st.sampled_from(["market", "limit", "stop", "stop-limit"]))
    if "limit" in kind:
        action["limit"] = draw(OFFSETS)
    if "stop" in kind:
        action["stop"] = draw(OFFSETS)
    price = action.get("limit", action.get("stop", 0.0))
    guards = draw(st.sampled_from(["", "", "sl", "tp", "sl tp"])).split()
    distances = st.sampled_from([0.25, 0.5, 0.75, 1.25, 2.25, 3.25, 6.25, -0.5])
    if "sl" in guards:
        action["sl"] = price - sign * draw(distances)
    if "tp" in guards:
        action["tp"] = price + sign * draw(distances)
    action["tag"] = draw(st.sampled_from([None, None, "a", "b"]))
    return action


_WHICH = st.integers(0, 4)
_PORTIONS = st.sampled_from([1, 0.5, 0.3, 0.25])
OTHERS = st.one_of(
    st.fixed_dictionaries({"do": st.just("close"), "portion": _PORTIONS}),
    st.fixed_dictionaries({"do": st.just("cancel"), "which": _WHICH}),
    st.fixed_dictionaries({"do": st.just("close_trade"), "which": _WHICH, "portion": _PORTIONS}),
    st.fixed_dictionaries(
        {"do": st.sampled_from(["sl", "tp"]), "which": _WHICH, "to": st.sampled_from([None, -3, -1, -0.5, 0.5, 1, 3])}
    ),
)
ACTIONS = st.one_of(entries(), entries(), OTHERS)


def scripts(most: int = 30) -> st.SearchStrategy[dict[int, list[dict[str, Any]]]]:
    """Return what to do on which bar."""
    return st.dictionaries(st.integers(1, most), st.lists(ACTIONS, min_size=1, max_size=3), min_size=1, max_size=12)


SETTINGS = st.fixed_dictionaries(
    {
        "cash": st.sampled_from([1_000, 10_000, 100_000]),
        "commission": st.sampled_from([0, 0.002, (5, 0.001), (1, 0), -0.0005, per_order, by_side]),
        "spread": st.sampled_from([0, 0, 0.001, 0.01]),
        "margin": st.sampled_from([1, 1, 0.5, 0.1, 0.02]),
        "trade_on_close": st.booleans(),
        "hedging": st.booleans(),
        "exclusive_orders": st.booleans(),
        "finalize_trades": st.booleans(),
    }
)
