"""What it costs to prove that a run does not know its future, for runs of several lengths."""

from __future__ import annotations

import argparse
import statistics
from time import perf_counter

from bench.kit import table
from engine.bars import Bars
from engine.catalog import Catalog
from engine.confidence import Confidence, verified
from engine.feeds import Feeds
from engine.lookahead import check, prove
from engine.simulation import Simulation

LENGTHS = (126, 2_000, 100_000)
STRATEGIES = ("sma_cross", "donchian_breakout")


def main(argv: list[str]) -> int:
    """Print the cost of the full proof and of its longest step, beside that of the run."""
    options = argparse.ArgumentParser(prog="bench proof", description=main.__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--bars", type=int, nargs="*", default=list(LENGTHS))
    chosen = options.parse_args(argv)
    feeds = Feeds("data", yahoo=False)
    rows = []
    for name in STRATEGIES:
        for length in chosen.bars:
            rows.append(measured(name, feeds.load(f"SYNTH:{length}", "1d", "max"), chosen.rounds))
    heads = ("strategy", "bars", "the run", "the whole proof", "bars checked", "longest step", "found", "confidence")
    table(f"The cost of the proof, median of {chosen.rounds}", heads, rows)
    return 0


def measured(name: str, bars: Bars, rounds: int) -> tuple[str, ...]:
    """Return a row of the table."""
    strategy = Catalog().find(name).strategy
    assert strategy is not None
    runs, proofs, steps, sums = [], [], [], []
    report = check(bars[:126], strategy)  # loads what is loaded once
    for _ in range(rounds):
        start = perf_counter()
        simulation = Simulation(bars, strategy, {}, commission=0.001)
        simulation.advance(len(bars))
        runs.append(perf_counter() - start)
        start = perf_counter()
        told = Confidence(simulation.tape).at()
        verified(bars, strategy, {}, {"commission": 0.001}, told["break_even"])
        sums.append(perf_counter() - start)
        start = last = perf_counter()
        longest = 0.0
        for latest in prove(bars, strategy, {}, {"commission": 0.001}, slice_seconds=0.0):
            now = perf_counter()
            longest, last, report = max(longest, now - last), now, latest
        proofs.append(perf_counter() - start)
        steps.append(longest)
    return (
        name,
        f"{len(bars):,}",
        *(f"{statistics.median(times) * 1000:,.0f} ms" for times in (runs, proofs)),
        f"{report.checked:,}",
        f"{statistics.median(steps) * 1000:,.0f} ms",
        report.state,
        f"{statistics.median(sums) * 1000:,.0f} ms",
    )
