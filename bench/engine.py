"""The engine beside backtesting.py and vectorbt: the same work on the same data in the same run.

Times are those of the processor, medians of rounds in turns; a run includes its statistics where not said otherwise.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.kit import seconds, side_by_side, table, worked
from engine import Backtest, Bars, Strategy
from engine.lib import crossover
from engine.statistics import final

COMMISSION = 0.001


def prices(n: int) -> pd.DataFrame:
    """Return a random walk of minute bars that trends just enough for crossing averages to pay for their commission."""
    noise = np.random.default_rng(7).normal(0, 0.004, n)
    drift = np.repeat(np.random.default_rng(8).normal(0, 0.00037, n // 60 + 1), 60)[:n]
    # The sum of moves is drawn back to its start, so that ten million bars keep to prices that exist.
    log = np.cumsum(noise + drift)
    log -= pd.Series(log).rolling(5_000, min_periods=1).mean().to_numpy()
    close = 100 * np.exp(log)
    start = np.concatenate(([100.0], close[:-1]))
    wick = 1 + np.random.default_rng(9).uniform(0, 0.002, n)
    high, low = np.maximum(start, close) * wick, np.minimum(start, close) / wick
    columns = {"Open": start, "High": high, "Low": low, "Close": close}
    return pd.DataFrame(columns | {"Volume": 1000.0}, index=pd.date_range("2000-01-03", periods=n, freq="min"))


def average(values: Any, n: int) -> pd.Series:
    return pd.Series(values).rolling(n).mean()


def sma_cross(base: type, crosses: Callable[[Any, Any], bool], **size: float) -> type:
    class SmaCross(base):  # type: ignore[misc]
        def init(self):
            self.fast = self.I(average, self.data.Close, 10)
            self.slow = self.I(average, self.data.Close, 30)

        def next(self):
            if crosses(self.fast, self.slow):
                self.position.close()
                self.buy(**size)
            elif crosses(self.slow, self.fast):
                self.position.close()
                self.sell(**size)

    return SmaCross


def guarded(base: type, crosses: Callable[[Any, Any], bool]) -> type:
    class Guarded(base):  # type: ignore[misc]
        def init(self):
            self.fast = self.I(average, self.data.Close, 10)
            self.slow = self.I(average, self.data.Close, 30)

        def next(self):
            price = self.data.Close[-1]
            if crosses(self.fast, self.slow):
                self.position.close()
                self.buy(sl=price * 0.97, tp=price * 1.04)
            elif crosses(self.slow, self.fast):
                self.position.close()
                self.sell(sl=price * 1.03, tp=price * 0.96)

    return Guarded


def resting(base: type) -> type:
    class Resting(base):  # type: ignore[misc]
        def init(self):
            for k in range(1000):
                self.buy(size=1, limit=1 + k / 1000)

        def next(self):
            pass

    return Resting


class BuyAndHold(Strategy):
    def init(self):
        self.buy()

    def next(self):
        pass


def main(argv: list[str]) -> int:
    """Print the table. `--quick` uses fewer bars and rounds, `--peers` limits whom to run beside ("none")."""
    quick, alone = "--quick" in argv, "none" in argv
    rows: list[tuple[str, ...]] = []
    for work in (crosses, streaming, precomputed, buy_and_hold, guards, many_orders, statistics_, growth, memory):
        rows += work(quick, alone)
    table("Engine", ("work", "Tapedeck", "peer", "ratio", "goal"), rows)
    return 0


def crosses(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time the SMA cross, statistics included."""
    rows = []
    for n in (50_000,) if quick else (100_000, 1_000_000):
        frame = prices(n)
        ours = Backtest(Bars.from_frame(frame), sma_cross(Strategy, crossover), commission=COMMISSION)
        if alone:
            rows.append((f"SMA cross, {n:,} bars", _rate(n, seconds(ours.run, 3, worked)), "", "", "10 x"))
            continue
        theirs, quiet = _theirs(frame, sma_cross, commission=COMMISSION)
        mine, peer = side_by_side(ours.run, quiet(theirs.run), 3 if n > 100_000 else 7, worked)
        rows.append((f"SMA cross, {n:,} bars", _rate(n, mine), _rate(n, peer), f"{peer / mine:.1f} x", "10 x"))
    return rows


def streaming(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time the same run as a stream of a frame per bar."""
    n = 100_000 if quick else 1_000_000
    test = Backtest(Bars.from_frame(prices(n)), sma_cross(Strategy, crossover), commission=COMMISSION)
    whole, stream = side_by_side(test.run, lambda: deque(test.stream(), maxlen=0), 9, worked)
    bare = seconds(lambda: test.simulate().advance(n), 3, worked)
    return [
        ("as a stream, a frame per bar", _rate(n, stream), f"run() {_rate(n, whole)}", _slower(stream, whole), "+5 %"),
        ("as a stream, statistics left out", _rate(n, stream), f"run() {_rate(n, bare)}", _slower(stream, bare), ""),
    ]


def precomputed(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time the same trades from arrays."""
    n = 100_000 if quick else 1_000_000
    frame = prices(n)
    fast, slow = (average(frame.Close, k).to_numpy() for k in (10, 30))
    above, known = fast > slow, ~np.isnan(slow)
    up = known & above & ~np.concatenate(([False], above[:-1])) & np.concatenate(([False], known[:-1]))
    down = known & ~above & np.concatenate(([False], above[:-1]))
    targets = np.where(up, 1.0, np.where(down, -1.0, np.nan))
    test = Backtest(Bars.from_frame(frame), Strategy, commission=COMMISSION)
    first = worked(lambda: test.signals(targets))
    if alone:
        return [(f"signals, {n:,} bars", _time(seconds(lambda: test.signals(targets), 5, worked)), "", "", "4 x")]
    import vectorbt

    close, after = frame.Close.to_numpy(), np.append(frame.Open.to_numpy()[1:], frame.Close.iloc[-1])

    def theirs() -> Any:
        return vectorbt.Portfolio.from_signals(
            close, entries=up, short_entries=down, price=after, fees=COMMISSION, init_cash=10_000, freq="1min"
        )

    warm_up = worked(theirs)
    mine, peer = side_by_side(lambda: test.signals(targets), theirs, 9, worked)
    return [
        (f"signals, {n:,} bars", _time(mine), f"vectorbt {_time(peer)}", f"{peer / mine:.1f} x", "4 x"),
        ("their first call", _time(first), f"vectorbt {_time(warm_up)}", "", "50 ms"),
    ]


def buy_and_hold(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time what the loop adds to calling an empty next()."""
    n = 100_000 if quick else 1_000_000
    test = Backtest(Bars.from_frame(prices(n)), BuyAndHold)

    def calls() -> None:
        decide = BuyAndHold.next
        for _ in range(n):
            decide(None)  # type: ignore[arg-type]

    loop, bare = side_by_side(lambda: test.simulate().advance(n), calls, 5, worked)
    overhead = (loop - bare) / n * 1e9
    return [(f"buy and hold, {n:,} bars", _rate(n, loop), "empty next()", f"{overhead:.0f} ns a bar", "150 ns")]


def guards(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time a stop-loss and a take-profit on every trade."""
    return _event_style("sl/tp on every trade", guarded, 20_000 if quick else 100_000, alone, "8 x")


def many_orders(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time a thousand orders that rest; the peer gets few bars, because it needs minutes for more."""
    n = 100_000
    test = Backtest(Bars.from_frame(prices(n)), resting(Strategy))
    mine = seconds(lambda: test.simulate().advance(n), 3, worked)
    if alone:
        return [("1,000 resting orders", _rate(n, mine), "", "", "500,000")]
    few = 300
    theirs, quiet = _theirs(prices(few), resting)
    peer = worked(quiet(theirs.run)) / few * n
    return [("1,000 resting orders", _rate(n, mine), _rate(n, peer), f"{peer / mine:,.0f} x", "500,000 bars/s")]


def statistics_(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time the final statistics."""
    rows = []
    for n, goal in ((100_000, "20 ms"),) if quick else ((100_000, "20 ms"), (1_000_000, "100 ms")):
        test = Backtest(Bars.from_frame(prices(n)), sma_cross(Strategy, crossover), commission=COMMISSION)
        simulation = test.simulate()
        simulation.advance(n)
        tape = simulation.tape
        rows.append((f"statistics, {n:,} bars", _time(seconds(lambda tape=tape: final(tape), 5, worked)), "", "", goal))
    return rows


def growth(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Time growing numbers of bars and trades, of one unit each: all in, ten million bars would outgrow any account."""
    rows = []
    for n in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000):
        test = Backtest(Bars.from_frame(prices(n)), sma_cross(Strategy, crossover, size=1), cash=1e8)
        took = seconds(test.run, 1 if n > 1_000_000 else 3, worked)
        count = len(test.simulation.strategy.closed_trades) if test.simulation else 0
        rows.append((f"growth: {n:,} bars, {count:,} trades", f"{took / n * 1e9:.0f} ns a bar", "", "", "linear"))
    return rows


def memory(quick: bool, alone: bool) -> list[tuple[str, ...]]:
    """Measure a process of its own at its fullest, beside one that only has the bars."""
    if sys.platform == "win32":
        return []
    n = 100_000 if quick else 1_000_000
    code = "from bench.engine import peak; import sys; print(peak(int(sys.argv[1]), sys.argv[2]))"

    def measured(what: str) -> float:
        command = [sys.executable, "-c", code, str(n), what]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    base, run, *theirs = map(measured, ("", "ours", *(() if alone else ("their bars", "theirs"))))
    peer = "" if alone else f"{theirs[1] - theirs[0]:.0f} MB"
    return [(f"memory beyond the bars, {n:,}", f"{run - base:.0f} MB", peer, "", "100 MB")]


def peak(n: int, what: str) -> float:
    """Return the most memory, in MB, that this process has held after the given work."""
    frame = prices(n)
    bars = Bars.from_frame(frame)
    test = Backtest(bars, sma_cross(Strategy, crossover), commission=COMMISSION)
    if what == "ours":
        test.run()
    elif what:
        theirs, quiet = _theirs(frame, sma_cross, commission=COMMISSION)
        if what == "theirs":
            quiet(theirs.run)()
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    # Linux hands ru_maxrss down from the process that started this one; the high-water mark begins anew.
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def _event_style(name: str, make: Callable[..., type], n: int, alone: bool, goal: str) -> list[tuple[str, ...]]:
    frame = prices(n)
    ours = Backtest(Bars.from_frame(frame), make(Strategy, crossover), commission=COMMISSION)
    if alone:
        return [(f"{name}, {n:,} bars", _rate(n, seconds(ours.run, 3, worked)), "", "", goal)]
    theirs, quiet = _theirs(frame, make, commission=COMMISSION)
    mine, peer = side_by_side(ours.run, quiet(theirs.run), 3 if n > 100_000 else 7, worked)
    return [(f"{name}, {n:,} bars", _rate(n, mine), _rate(n, peer), f"{peer / mine:.1f} x", goal)]


def _theirs(frame: pd.DataFrame, make: Callable[..., type], **settings: Any) -> tuple[Any, Callable[..., Any]]:
    """Return backtesting.py's backtest of the same strategy, and what silences its warnings and progress bar."""
    import backtesting
    import backtesting.lib

    backtesting.backtesting._tqdm = lambda items, **_: items
    base = backtesting.Strategy
    strategy = make(base) if make is resting else make(base, backtesting.lib.crossover)
    test = backtesting.Backtest(frame, strategy, **settings)

    def quiet(run: Callable[[], Any]) -> Callable[[], Any]:
        def silent() -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return run()

        return silent

    return test, quiet


def _slower(one: float, other: float) -> str:
    return f"{one / other - 1:+.1%}"


def _rate(n: int, took: float) -> str:
    return f"{n / took:,.0f} bars/s"


def _time(took: float) -> str:
    return f"{took * 1e3:.1f} ms"
