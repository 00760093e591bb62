"""Remote: how soon a run in a child shows its first bar, and how fast its tape comes over."""

from __future__ import annotations

import statistics
import time

from bench import kit
from engine.catalog import Catalog, Entry
from engine.remote import Pool
from engine.simulation import Simulation
from tests.build import random_bars

STARTS = 40
MILLION = 1_000_000
IDLE = "from engine import Strategy\nclass Idle(Strategy): pass\n"


def main(argv: list[str]) -> int:
    """Print the tables; no arguments."""
    with Pool() as pool:
        kit.table("Start of a run in a child (126 daily bars)", ["what", "median", "slowest of 40"], _starts(pool))
        kit.table(
            "One million bars", ["strategy", "in this process", "in a child", "first bar in a child"], _long(pool)
        )
        kit.table("One million bars on their way", ["what", "ms"], _way(pool))
    return 0


def _starts(pool: Pool) -> list[list[str]]:
    bars, entry = random_bars(126), Catalog().find("sma_cross")
    pool.simulation(bars, entry).advance(126)
    paced, crowded = [], []
    for times, rest in ((paced, 0.15), (crowded, 0.0)):
        time.sleep(0.5)
        for _ in range(STARTS):
            began = time.perf_counter()
            simulation = pool.simulation(bars, entry)
            simulation.advance(1)
            times.append(1000 * (time.perf_counter() - began))
            simulation.close()
            time.sleep(rest)
    return [
        ["asked for to first bar, a spare child being ready", *_spread(paced)],
        ["the same, one start after another", *_spread(crowded)],
    ]


def _long(pool: Pool) -> list[list[str]]:
    bars = random_bars(MILLION, seed=1, spread=0.005)
    rows = []
    for name in ("sma_cross", "buy_and_hold"):
        entry = Catalog().find(name)
        assert entry.strategy is not None
        here = kit.timed(lambda: Simulation(bars, entry.strategy).advance(MILLION))  # noqa: B023
        began = time.perf_counter()
        simulation = pool.simulation(bars, entry)
        simulation.advance(1)
        first = time.perf_counter() - began
        simulation.advance(MILLION)
        whole = time.perf_counter() - began
        events = len(simulation.tape.events)
        rows.append([f"{name} ({events:,} events)", _rate(here), _rate(whole), f"{1000 * first:.0f} ms"])
    return rows


def _way(pool: Pool) -> list[list[str]]:
    bars = random_bars(MILLION, seed=1)
    entry = Entry("idle", "Idle", source=IDLE)
    times = []
    for _ in range(5):
        time.sleep(0.3)
        began = time.perf_counter()
        pool.simulation(bars, entry).close()
        times.append(1000 * (time.perf_counter() - began))
    return [["asked for until init has run in the child (48 MB of columns)", f"{statistics.median(times):.0f}"]]


def _rate(seconds: float) -> str:
    return f"{MILLION / seconds:,.0f} bars/s"


def _spread(times: list[float]) -> list[str]:
    return [f"{statistics.median(times):.1f} ms", f"{max(times):.1f} ms"]
