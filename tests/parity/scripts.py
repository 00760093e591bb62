"""Scripts: what a strategy does on which bar, so that two engines can be made to do the same."""

from __future__ import annotations

import math
import warnings
from typing import Any

import backtesting
import numpy as np
import pandas as pd

from engine import Backtest, Strategy

# Its progress bar writes to the terminal of every test.
backtesting.backtesting._tqdm = lambda items, **_: items

Script = dict[int, list[dict[str, Any]]]


def scripted(base: type, script: Script) -> type:
    """Return a strategy of either engine that follows `script` (bar number: actions) and writes a diary."""

    class Scripted(base):  # type: ignore[misc]
        def init(self) -> None:
            self.diary: list[Any] = []

        def next(self) -> None:
            bar = len(self.data) - 1
            refusals = [_act(self, action) for action in script.get(bar, ())]
            self.diary.append((bar, refusals, _picture(self)))

    return Scripted


def _act(strategy: Any, action: dict[str, Any]) -> str | None:
    close = float(strategy.data.Close[-1])
    do = action["do"]
    try:
        if do in ("buy", "sell"):
            prices = {name: _price(close, action.get(name)) for name in ("limit", "stop", "sl", "tp")}
            size = {} if action.get("size") is None else {"size": action["size"]}
            getattr(strategy, do)(**size, **prices, tag=action.get("tag"))
        elif do == "close":
            strategy.position.close(action["portion"])
        elif do == "cancel" and strategy.orders:
            strategy.orders[action["which"] % len(strategy.orders)].cancel()
        elif do in ("close_trade", "sl", "tp") and strategy.trades:
            trade = strategy.trades[action["which"] % len(strategy.trades)]
            if do == "close_trade":
                trade.close(action["portion"])
            else:
                setattr(trade, do, _price(close, action["to"]))
    except ValueError:
        return "contradictory"
    return None


def _price(close: float, offset: float | None) -> float | None:
    """Return a price some quarters away from the close: round numbers, so that bars touch them exactly."""
    return None if offset is None else max(0.25, round(close * 4) / 4 + offset)


def _picture(strategy: Any) -> tuple[Any, ...]:
    orders = [(o.size, o.limit, o.stop, o.sl, o.tp, o.is_contingent, o.tag) for o in strategy.orders]
    trades = [(t.size, t.entry_bar, t.entry_price, t.sl, t.tp, t.pl, t.pl_pct, t.value, t.tag) for t in strategy.trades]
    closed = strategy.closed_trades[-1:]
    last = [(t.size, t.entry_bar, t.exit_bar, t.entry_price, t.exit_price, t.pl, t.pl_pct) for t in closed]
    position = strategy.position
    return (
        strategy.equity, position.size, position.pl, position.pl_pct, bool(position), orders, trades,
        len(strategy.closed_trades), last,
    )  # fmt: skip


def run_theirs(frame: pd.DataFrame, script: Script, **settings: Any) -> pd.Series:
    """Run the script in backtesting.py."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return backtesting.Backtest(frame, scripted(backtesting.Strategy, script), **settings).run()


def run_ours(frame: pd.DataFrame, script: Script, *, compat: bool = True, **settings: Any) -> Any:
    """Run the script in our engine; return the backtest, run to its end."""
    test = Backtest(frame, scripted(Strategy, script), compat=compat, **settings)
    simulation = test.simulate()
    simulation.advance(simulation.total_bars)
    return simulation


def same(one: Any, other: Any, where: str = "") -> None:
    """Assert that two values agree to 1e-9, however nested."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        assert len(one) == len(other), f"{where}: {one} != {other}"
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            same(left, right, f"{where}[{place}]")
        return
    if isinstance(one, (float, np.floating)) or isinstance(other, (float, np.floating)):
        if one is None or other is None:
            assert _missing(one) and _missing(other), f"{where}: {one} != {other}"
            return
        close = math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
        assert close, f"{where}: {one} != {other}"
        return
    assert one == other, f"{where}: {one} != {other}"


def _missing(value: Any) -> bool:
    return value is None or math.isnan(value)


def ours_as_theirs(simulation: Any) -> list[tuple[Any, ...]]:
    """Return our closed trades as rows of their `_trades`."""
    return [
        (t.size, t.entry_bar, t.exit_bar, t.entry_price, t.exit_price, t.sl, t.tp, t.pl, t.tag)
        for t in simulation.strategy.closed_trades
    ]


def theirs_as_rows(stats: pd.Series) -> list[tuple[Any, ...]]:
    """Return the rows of their `_trades`."""
    columns = ["Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "SL", "TP", "PnL", "Tag"]
    table = stats._trades[columns].astype(object)
    return [tuple(row) for row in table.where(table.notna(), None).itertuples(index=False)]


def compare(frame: pd.DataFrame, script: Script, **settings: Any) -> None:
    """Assert that both engines, ours in compat mode, tell the same story bar by bar."""
    theirs, ours = run_theirs(frame, script, **settings), run_ours(frame, script, **settings)
    compare_results(theirs, ours)


def compare_results(theirs: pd.Series, ours: Any) -> None:
    """Assert that two runs agree: what the strategy saw on each bar, the trades, the equity curve."""
    for left, right in zip(ours.strategy.diary, theirs._strategy.diary, strict=False):
        same(left, right, f"bar {left[0]}")
    assert len(ours.strategy.diary) == len(theirs._strategy.diary)
    same(ours_as_theirs(ours), theirs_as_rows(theirs), "trades")
    same(ours.tape.equity().tolist(), theirs._equity_curve.Equity.tolist(), "equity")
