"""Statistics: every figure as backtesting.py has it, and its faults put right."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from engine import Simulation, Strategy
from engine.backtest import Backtest
from engine.statistics import Trades, compute, excursions, final
from tests.build import bars as made
from tests.build import ohlc, random_bars

KEYS = [
    "Start", "End", "Duration", "Exposure Time [%]", "Equity Final [$]", "Equity Peak [$]", "Commissions [$]",
    "Return [%]", "Buy & Hold Return [%]", "Return (Ann.) [%]", "Volatility (Ann.) [%]", "CAGR [%]", "Sharpe Ratio",
    "Sortino Ratio", "Calmar Ratio", "Alpha [%]", "Beta", "Max. Drawdown [%]", "Avg. Drawdown [%]",
    "Max. Drawdown Duration", "Avg. Drawdown Duration", "# Trades", "Win Rate [%]", "Best Trade [%]",
    "Worst Trade [%]", "Avg. Trade [%]", "Max. Trade Duration", "Avg. Trade Duration", "Profit Factor",
    "Expectancy [%]", "SQN", "Kelly Criterion", "_strategy", "_equity_curve", "_trades",
]  # fmt: skip
INDEXES = {
    "days": lambda n: pd.date_range("2019-03-05", periods=n),
    "business days": lambda n: pd.bdate_range("2019-03-05", periods=n),
    "weeks": lambda n: pd.date_range("2001-03-05", periods=n, freq="W-FRI"),
    "months": lambda n: pd.date_range("1999-03-05", periods=n, freq="MS"),
    "quarters": lambda n: pd.date_range("1901-01-01", periods=n, freq="QS"),
    "years": lambda n: pd.date_range("1701-01-01", periods=n, freq="YS"),
    "hours": lambda n: pd.date_range("2019-03-05", periods=n, freq="h"),
    "hours of New York": lambda n: pd.date_range("2019-03-05", periods=n, freq="h", tz="America/New_York"),
    "90 minutes": lambda n: pd.date_range("2019-03-05 01:10", periods=n, freq="90min"),
    "36 hours": lambda n: pd.date_range("2019-03-05", periods=n, freq="36h"),
    "7 seconds": lambda n: pd.date_range("2019-03-05", periods=n, freq="7s"),
    "milliseconds": lambda n: pd.date_range("2019-03-05", periods=n, freq="h").as_unit("ms"),
    "no dates": lambda n: pd.RangeIndex(n),
}
KINDS = [
    "usual",
    "unmoved",
    "only up",
    "falls on the last bar",
    "ruined",
    "in steps",
    "a trade that lost all",
    "no gain",
]


def account(index: pd.Index, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, Trades]:
    """Return equity, close and closed trades that need not fit each other: each figure reads its own."""
    random, n = np.random.default_rng(seed), len(index)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, n)))
    equity = 10_000 * np.exp(np.cumsum(random.normal(0.001, 0.02, n)))
    if kind in ("only up", "falls on the last bar"):
        equity = np.sort(equity)
    if kind == "falls on the last bar":
        equity[-1] *= 0.9
    if kind == "ruined":
        equity[max(1, n // 2) :] = 0.0
    if kind == "unmoved":
        equity[:] = 10_000.0
    if kind == "in steps":
        equity = np.round(equity, -2)
    count = int(random.choice([0, 1, 2, 40])) if n > 2 else 0
    entry = random.integers(0, n, count)
    exit_ = np.minimum(n - 1, entry + random.integers(0, n // 3 + 1, count))
    order = np.argsort(exit_, kind="stable")
    size = random.choice([-1, 1], count) * random.integers(1, 50, count)
    price = random.uniform(50, 150, count)
    sold = price * np.exp(random.normal(0, 0.2, count))
    if kind == "a trade that lost all" and count:
        size[0], sold[0] = -5, price[0] * 2.5
    if kind == "no gain":
        sold = price.copy()
    commission = np.round(random.uniform(0, 3, count), 2) * random.integers(0, 2)
    trades = Trades.of(
        size=size, entry_bar=entry[order], exit_bar=exit_[order], entry_price=price, exit_price=sold,
        pnl=size * (sold - price) - commission, commission=commission,
    )  # fmt: skip
    return equity, close, trades


@pytest.fixture(scope="module")
def theirs():
    """Return backtesting.py's own figures of an account, as a function."""
    from backtesting import Backtest as Peer
    from backtesting import Strategy as PeerStrategy
    from backtesting.lib import compute_stats

    from tests.parity import scripts  # noqa: F401 - quietens their progress bar

    class Idle(PeerStrategy):
        def init(self):
            pass

        def next(self):
            pass

    def frame(index, close):
        return pd.DataFrame({"Open": close, "High": close, "Low": close, "Close": close, "Volume": 1.0}, index=index)

    def figures(index, equity, close, table, risk_free_rate):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stats = Peer(frame(pd.date_range("2020", periods=5), np.full(5, 2.0)), Idle, cash=100).run()
            stats["_equity_curve"], stats["_trades"] = pd.DataFrame({"Equity": equity}, index=index), table
            return compute_stats(stats=stats, data=frame(index, close), risk_free_rate=risk_free_rate)

    return figures


def same(theirs, ours) -> bool:
    if pd.isna(theirs) or pd.isna(ours):
        return bool(pd.isna(theirs) and pd.isna(ours))
    if isinstance(theirs, (pd.Timestamp, pd.Timedelta)):
        return theirs == ours
    return math.isclose(theirs, ours, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", INDEXES)
def test_compat_gives_what_backtesting_gives(theirs, index, kind):
    for seed, n in enumerate((1, 2, 3, 7, 99, 101, 150)):
        times = INDEXES[index](n)
        equity, close, trades = account(times, kind, seed)
        risk_free_rate = 0.02 * (seed % 2)
        ours = compute(equity, close, times, trades, risk_free_rate=risk_free_rate, compat=True)
        peer = theirs(times, equity, close, ours["_trades"], risk_free_rate)
        # They know the commissions of a run, but not of a table of trades.
        names = [name for name in ours.index if not name.startswith(("_", "Commissions"))]
        assert names == [name for name in peer.index if not name.startswith(("_", "Commissions"))]
        assert {name: (peer[name], ours[name]) for name in names if not same(peer[name], ours[name])} == {}
        pd.testing.assert_frame_equal(peer["_equity_curve"], ours["_equity_curve"], check_freq=False, rtol=1e-9)


@pytest.mark.parametrize("index", INDEXES)
def test_honest_is_the_same_where_no_fault_is_involved(index):
    times = INDEXES[index](150)
    equity, close, trades = account(times, "usual", 4)
    ours, compat = (compute(equity, close, times, trades, compat=compat) for compat in (False, True))
    figures = [name for name in ours.index if not name.startswith("_")]
    differ = {name for name in figures if not same(compat[name], ours[name]) and compat[name] != np.inf}
    assert differ == ({"Return (Ann.) [%]", "Calmar Ratio"} if index == "no dates" else set())
    pd.testing.assert_frame_equal(compat["_equity_curve"], ours["_equity_curve"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", INDEXES)
def test_no_figure_is_infinite(index, kind):
    for n in (1, 2, 3, 40):
        times = INDEXES[index](n)
        stats = compute(*account(times, kind, n)[:2], times, account(times, kind, n)[2])
        numbers = [value for name, value in stats.items() if isinstance(value, float) and not name.startswith("_")]
        assert not np.isinf(numbers).any()


def days(n):
    return pd.date_range("2024-01-01", periods=n)


def no_trades():
    return Trades.of(size=[], entry_bar=[], exit_bar=[], entry_price=[], exit_price=[], pnl=[])


def test_bankrupt_stats_a_ruined_account_lost_everything_a_year():
    equity = np.array([100.0, 101, 102, 50, 0, 0, 0])
    close = np.array([100.0, 101, 102, 101, 103, 104, 103])
    stats = compute(equity, close, days(7), no_trades())
    assert stats["Return (Ann.) [%]"] == stats["CAGR [%]"] == stats["Max. Drawdown [%]"] == -100
    assert np.isnan(stats[["Volatility (Ann.) [%]", "Sharpe Ratio", "Sortino Ratio"]].astype(float)).all()
    assert compute(equity, close, days(7), no_trades(), compat=True)["Return (Ann.) [%]"] == 0


def test_gmean_zero_there_is_no_mean_of_a_total_loss():
    trades = Trades.of(
        size=[1, -1], entry_bar=[0, 1], exit_bar=[1, 2], entry_price=[100, 100], exit_price=[110, 220], pnl=[10, -120]
    )
    columns = np.full(3, 100.0), np.full(3, 100.0), days(3), trades
    assert np.isnan(compute(*columns)["Avg. Trade [%]"])
    assert compute(*columns)["Expectancy [%]"] == pytest.approx(-55)
    assert compute(*columns, compat=True)["Avg. Trade [%]"] == 0


def test_dd_last_bar_a_fall_on_the_last_bar_alone_lasted_a_bar():
    columns = np.array([100.0, 110, 99]), np.full(3, 100.0), days(3), no_trades()
    stats = compute(*columns)
    assert stats["Max. Drawdown Duration"] == stats["Avg. Drawdown Duration"] == pd.Timedelta(days=1)
    assert stats["Avg. Drawdown [%]"] == pytest.approx(-10)
    assert stats["_equity_curve"]["DrawdownDuration"].iloc[-1] == pd.Timedelta(days=1)
    assert compute(*columns, compat=True)["Max. Drawdown Duration"] == pytest.approx(0.1)


def test_range_index_ann_there_is_no_annual_return_without_dates():
    columns = np.array([100.0, 90, 120, 110]), np.full(4, 100.0), pd.RangeIndex(4), no_trades()
    stats = compute(*columns)
    assert np.isnan(stats["Return (Ann.) [%]"]) and np.isnan(stats["Calmar Ratio"]) and "CAGR [%]" not in stats
    assert stats["Max. Drawdown Duration"] == 2
    assert compute(*columns, compat=True)["Return (Ann.) [%]"] == 0


def test_infinite_there_is_no_ratio_to_nothing():
    columns = np.array([100.0, 101, 103, 104]), np.full(4, 100.0), days(4), no_trades()
    assert np.isnan(compute(*columns)["Sortino Ratio"])
    assert compute(*columns, compat=True)["Sortino Ratio"] == np.inf


def test_figures_worked_by_hand():
    trades = Trades.of(
        size=[10, -5, 10], entry_bar=[1, 3, 4], exit_bar=[3, 5, 6],
        entry_price=[100, 110, 100], exit_price=[110, 121, 100], pnl=[98, -57, -2], commission=[2, 2, 2],
    )  # fmt: skip
    equity = np.array([1000.0, 1000, 1050, 1098, 1070, 1041, 1039, 1039])
    close = np.array([100.0, 100, 105, 110, 115, 121, 100, 120])
    stats = compute(equity, close, days(8), trades, warm_up=1)
    assert stats["Return [%]"] == pytest.approx(3.9)
    assert stats["Buy & Hold Return [%]"] == pytest.approx(20)
    assert stats["Exposure Time [%]"] == 75
    assert stats["Max. Drawdown [%]"] == pytest.approx((1039 / 1098 - 1) * 100)
    assert stats["Max. Drawdown Duration"] == pd.Timedelta(days=4)
    assert (stats["# Trades"], stats["Win Rate [%]"]) == (3, pytest.approx(100 / 3))
    returns = [0.1 - 2 / 1000, -0.1 - 2 / 550, -2 / 1000]
    assert stats["Best Trade [%]"] == pytest.approx(returns[0] * 100)
    assert stats["Expectancy [%]"] == pytest.approx(sum(returns) / 3 * 100)
    assert stats["Profit Factor"] == pytest.approx(returns[0] / -(returns[1] + returns[2]))
    assert stats["Avg. Trade Duration"] == pd.Timedelta(days=2)
    assert stats["SQN"] == pytest.approx(3**0.5 * 13 / np.std([98, -57, -2], ddof=1))
    assert stats["Kelly Criterion"] == pytest.approx(1 / 3 - (2 / 3) / (98 / 29.5))
    assert stats["Commissions [$]"] == 6


class Weekly(Strategy):
    """Buys every tenth bar, sells half after three and the rest after six."""

    def init(self):
        self.mean = self.I(
            lambda values: np.stack([np.asarray(values), np.asarray(values) + 1]), self.data.Close, name="M"
        )
        self.two = self.I(lambda values: (values, values), self.data.Close, name=["a", "b"])
        self.one = self.I(lambda values: values, self.data.Close, name="one", plot=False)

    def next(self):
        step = len(self.data) % 10
        if step == 3:
            self.buy(size=10, tag=("x", 1))
        elif step == 6:
            self.position.close(0.5)
        elif step == 9:
            self.position.close()


def test_a_runs_result_has_every_key_in_order_and_tables_that_fit_it():
    bars = random_bars(200, seed=5)
    stats = Backtest(bars, Weekly, commission=0.002).run()
    assert list(stats.index) == KEYS
    table, curve = stats["_trades"], stats["_equity_curve"]
    assert list(table.columns) == [
        "Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "SL", "TP", "PnL", "Commission", "ReturnPct",
        "EntryTime", "ExitTime", "Duration", "Tag", "Entry_M_0", "Exit_M_0", "Entry_M_1", "Exit_M_1",
        "Entry_['a', 'b']_0", "Exit_['a', 'b']_0", "Entry_['a', 'b']_1", "Exit_['a', 'b']_1", "Entry_one", "Exit_one",
    ]  # fmt: skip
    assert len(table) == stats["# Trades"] > 30
    assert set(table["Tag"]) == {("x", 1)}
    np.testing.assert_array_equal(table["Entry_M_1"], bars.close[table["EntryBar"]] + 1)
    assert stats["Commissions [$]"] == pytest.approx(table["Commission"].sum())
    assert list(curve.columns) == ["Equity", "DrawdownPct", "DrawdownDuration"]
    assert curve["Equity"].iloc[-1] == stats["Equity Final [$]"]
    assert stats["Return [%]"] == pytest.approx(table["PnL"].sum() / 100)
    assert isinstance(stats["_strategy"], Weekly)


def test_the_print_out_shows_a_line_for_each_figure_and_a_dash_where_there_is_none():
    text = repr(compute(np.full(3, 100.0), np.full(3, 100.0), days(3), no_trades()))
    lines = {line[:25].strip(): line[25:].strip() for line in text.splitlines()}
    assert lines["Win Rate [%]"] == "-" and lines["# Trades"] == "0"
    assert lines["Duration"] == "2 days 00:00:00"


def test_a_run_without_a_trade_has_no_figures_of_trades():
    class Idle(Strategy):
        def next(self):
            pass

    stats = Backtest(random_bars(30), Idle).run()
    assert "Commissions [$]" not in stats and stats["# Trades"] == 0 and stats["Return [%]"] == 0
    assert stats["_trades"].empty and np.isnan(stats["Max. Trade Duration"])


def test_statistics_of_a_run_that_is_not_over_count_what_has_happened():
    simulation = Simulation(random_bars(200, seed=5), Weekly)
    simulation.advance(50)
    stats = final(simulation.tape)
    assert len(stats["_equity_curve"]) == 50
    assert stats["_trades"]["ExitBar"].max() < 50
    simulation.advance(100)
    simulation.tape.bar = 50  # as a tape has it whose reader is behind
    assert len(final(simulation.tape)["_trades"]) == len(stats["_trades"])


def test_excursions_are_the_extremes_while_the_trade_ran():
    class Once(Strategy):
        def next(self):
            if len(self.data) == 2:
                self.buy(size=10)
            if len(self.data) == 5:
                self.position.close()

    rows = [(100, 101, 99, 100)] * 2 + [(100, 103, 98, 102), (102, 108, 101, 107), (107, 107, 90, 95), (94, 200, 1, 99)]
    bars = ohlc(*rows)
    simulation = Simulation(bars, Once)
    simulation.advance(6)
    trade = simulation.tape.trades()[0]
    assert (trade.entry_price, trade.exit_price) == (100, 94)
    assert excursions(bars, trade, 6) == (80, -100)
    assert excursions(bars, simulation.tape.trades(4)[0], 4) == (80, -20)
    assert excursions(bars, simulation.tape.trades(3)[0], 3) == (30, -20)


def test_excursions_of_a_short_are_the_other_way_round():
    class Once(Strategy):
        def next(self):
            if len(self.data) == 2:
                self.sell(size=10)

    bars = made([100, 100, 90, 120])
    simulation = Simulation(bars, Once)
    simulation.advance(4)
    assert excursions(bars, simulation.tape.trades()[0], 4) == (100, -200)
