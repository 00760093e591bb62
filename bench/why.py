"""Why: how soon a bar is explained, what counting every condition and the proof cost, and what a normal run pays."""

from __future__ import annotations

import argparse
import subprocess
import sys

from bench import kit, proof
from engine import why
from engine.catalog import Catalog
from engine.remote import Pool
from engine.simulation import Simulation
from tests.build import random_bars

LENGTHS = (126, 2_000, 100_000)


def main(argv: list[str]) -> int:
    """Print the tables; `--bars N` changes the longest run, `--rounds N` how often each figure is taken."""
    parser = argparse.ArgumentParser(prog="bench why")
    parser.add_argument("--bars", type=int, default=LENGTHS[-1])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    bars = options.bars
    columns = ["strategy", "plain run", "why, last bar", "in a child", "why a trade", "why 60 trades", "all conditions"]
    with Pool() as pool:
        rows = [_answers(pool, entry, bars, options.rounds) for entry in Catalog().all() if entry.strategy]
    kit.table(f"Answers at bar {bars:,} (s)", columns, rows)
    lengths = [length for length in LENGTHS if length < bars] + [bars]
    kit.table("Why the last bar, and all conditions (sma_cross, ms)", ["bars", "why", "all conditions"],
              [_length(length, options.rounds) for length in lengths])  # fmt: skip
    kit.table("A normal run", ["what", "figure"], _nothing(bars, options.rounds))
    return proof.main(["--rounds", str(options.rounds), "--bars", *map(str, lengths)])


def _answers(pool: Pool, entry, bars: int, rounds: int) -> list[str]:
    run = random_bars(bars, seed=3, spread=0.01)
    simulation = Simulation(run, entry.strategy)
    simulation.advance(bars)
    trades = [trade.trade for trade in simulation.tape.trades()[-60:]]
    pool.ask(why.Explanation, run[:200], entry, bar=100)
    times = [
        kit.seconds(lambda: Simulation(run, entry.strategy).advance(bars), rounds),
        kit.seconds(lambda: why.explain(run, entry.strategy, bar=bars - 1), rounds),
        kit.seconds(lambda: pool.ask(why.Explanation, run, entry, bar=bars - 1), rounds),
        kit.seconds(lambda: why.trade_reasons(run, entry.strategy, trade=trades[-1]), rounds),
        kit.seconds(lambda: why.list_reasons(run, entry.strategy, trades=trades), rounds),
        kit.seconds(lambda: why.survey(run, entry.strategy), 1),
    ]
    return [entry.name, *(f"{time:.2f}" for time in times)]


def _length(bars: int, rounds: int) -> list[str]:
    run, strategy = random_bars(bars, seed=3, spread=0.01), Catalog().find("sma_cross").strategy
    asked = kit.seconds(lambda: why.explain(run, strategy, bar=bars - 1), rounds)
    counted = kit.seconds(lambda: why.survey(run, strategy), rounds)
    return [f"{bars:,}", f"{1000 * asked:.0f}", f"{1000 * counted:.0f}"]


def _nothing(bars: int, rounds: int) -> list[list[str]]:
    """Compare runs before and after an answer, and say whether a run loads any of it."""
    run, strategy = random_bars(bars, seed=3, spread=0.01), Catalog().find("sma_cross").strategy
    before = kit.seconds(lambda: Simulation(run, strategy).advance(bars), rounds)
    code = strategy.next.__code__
    why.explain(run, strategy, bar=bars - 1)
    why.survey(run[: min(bars, 2_000)], strategy)
    same = strategy.next.__code__ is code
    after = kit.seconds(lambda: Simulation(run, strategy).advance(bars), rounds)
    program = "import sys, engine; print(any(name.startswith('engine.why') for name in sys.modules))"
    loads = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    return [
        ["run before any answer", f"{before:.3f} s"],
        ["run after answers", f"{after:.3f} s"],
        ["the strategy's code afterwards", "the same object" if same else "another"],
        ["`import engine` loads engine.why", "yes" if loads == "True" else "no"],
    ]
