"""Soak: an hour of thirty visitors, ten thousand runs and a fault every ten seconds; what the server keeps of it.

The visitors are threads of one process on the server's own cores. They start runs at a steady pace, so that what is
measured at the end is measured under the load of the beginning, and compare every run with the first of its kind. The
first tenth of the time fills caches and counts for no slope.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from bench.kit import served, table
from bench.load import shipped
from bench.sabotage import Saboteur, master, write_strategies
from bench.visitors import Ledger, Page, Visitor

CLIENTS, RUNS, MINUTES = 30, 10_000, 60.0
PAGES = 6  # of the clients
FAULT = 10.0  # s between two faults
SAMPLE = 5.0  # s between two looks at the server
GOOD_BYE = 45.0  # s for what is left of clients to be noticed
MIB = 1 << 20


class Sample(NamedTuple):
    """The server at one time; memory in bytes, `shared_once` with pages that several processes share counted once."""

    at: float
    tree: int
    shared_once: int
    workers: int
    threads: int
    descriptors: int
    runs: int


def main(argv: list[str]) -> int:
    """Soak the server as shipped; 1 when a run lost or doubled a bar, or a fault did more than it may."""
    parser = argparse.ArgumentParser(prog="dev.py bench soak")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long; runs are fewer in proportion")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    options = parser.parse_args(argv)
    seconds, every = options.minutes * 60, MINUTES * 60 * options.clients / RUNS
    print(f"\n{shipped()}; {options.minutes:g} minutes", flush=True)
    sys.setswitchinterval(0.0005)
    ledger = Ledger()
    with tempfile.TemporaryDirectory() as folder:
        home, strategies = Path(folder, "home"), Path(folder, "strategies")
        home.mkdir()
        strategies.mkdir()
        write_strategies(strategies)
        settings = {"TAPEDECK_HOME": str(home), "TAPEDECK_STRATEGIES_DIR": str(strategies)}
        with served(**settings, TAPEDECK_LOG_LEVEL="ERROR") as url:
            server = master(url)
            rest = sample(server, ledger)
            begin = time.perf_counter() + 1
            visitors = [
                (Page if number < PAGES else Visitor)(
                    url, ledger, number, begin + every * number / options.clients, every, begin + seconds
                )
                for number in range(options.clients)
            ]
            saboteur = Saboteur(url, strategies, [v for v in visitors if not isinstance(v, Page)], ledger, FAULT)
            gc.freeze()
            for thread in (*visitors, saboteur):
                thread.start()
            samples = observe(server, ledger, begin + seconds)
            saboteur.stop.set()
            for thread in (*visitors, saboteur):
                thread.join(2 * GOOD_BYE)
            time.sleep(GOOD_BYE)
            after = sample(server, ledger)
        wal = sum(path.stat().st_size for path in home.glob("*-wal"))
    report(ledger, saboteur, [s for s in samples if s.at <= begin + seconds], (begin, seconds), (rest, after), wal)
    for line in ledger.wrong[:20]:
        print(f"- {line}")
    return 1 if ledger.wrong else 0


def sample(server: psutil.Process, ledger: Ledger) -> Sample:
    """Look at the server: its master, its workers, and what runs below them."""
    workers = server.children()
    tree = shared_once = held = threads = descriptors = 0
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended meanwhile
            memory = process.memory_full_info()
            tree += memory.rss
            shared_once += getattr(memory, "pss", memory.rss)
            if process in workers:
                held += memory.rss
                threads += process.num_threads()
                descriptors += process.num_fds()
    return Sample(time.perf_counter(), tree, shared_once, held, threads, descriptors, ledger.runs)


def observe(server: psutil.Process, ledger: Ledger, until: float) -> list[Sample]:
    """Look at the server now and then, and tell each minute."""
    samples: list[Sample] = []
    while time.perf_counter() < until:
        time.sleep(min(SAMPLE, max(0.0, until - time.perf_counter())))
        samples.append(sample(server, ledger))
        if len(samples) % 12 == 0:
            now = samples[-1]
            late = np.percentile(ledger.late(now.at - 60, now.at), 99) if ledger.runs else 0
            print(
                f"{time.strftime('%H:%M:%S')} {now.runs:,} runs, workers {now.workers / MIB:.1f} MiB, all "
                f"{now.shared_once / MIB:.1f} MiB, {now.threads} threads, {now.descriptors} descriptors, "
                f"p99 {late:.1f} ms, {len(ledger.wrong)} wrong",
                flush=True,
            )
    return samples


def report(
    ledger: Ledger,
    saboteur: Saboteur,
    samples: list[Sample],
    span: tuple[float, float],
    ends: tuple[Sample, Sample],
    wal: int,
) -> None:
    """Print what was found beside what should be."""
    begin, seconds = span
    first, last = (ledger.late(begin + at * seconds, begin + (at + 0.1) * seconds) for at in (0, 0.9))
    p99s = [float(np.percentile(part, 99)) for part in (first, last)]
    settled = [one for one in samples if one.at >= begin + seconds / 10]
    rest, after = ends

    def flat(name: str) -> str:
        figures = [getattr(one, name) for one in samples]
        tenth = max(1, len(samples) // 10)
        early, late = np.median(figures[:tenth]), np.median(figures[-tenth:])
        return f"{early:.0f} → {late:.0f}; before {getattr(rest, name)}, after {getattr(after, name)}"

    faults = sum(saboteur.done.values())
    rows = [
        ("runs played to the end", f"{ledger.runs:,}", f"{RUNS * seconds / 3600:,.0f}"),
        ("resumed after a cut", f"{ledger.resumed:,}", ""),
        ("runs that lost or doubled a bar, or other wrongs", f"{len(ledger.wrong)}", "0"),
        ("faults", f"{faults} of {len(saboteur.done)} kinds", f"{seconds / FAULT:.0f}"),
        ("memory a 1,000 runs: workers", f"{slope(settled, 'workers'):+.2f} MiB", "at most 1 MiB"),
        ("… all processes, shared pages once", f"{slope(settled, 'shared_once'):+.2f} MiB", "at most 1 MiB"),
        ("… all processes, shared pages each time", f"{slope(settled, 'tree'):+.2f} MiB", ""),
        ("threads of the workers, first → last tenth", flat("threads"), "flat"),
        ("descriptors of the workers, first → last tenth", flat("descriptors"), "flat"),
        ("p99 lateness, first → last tenth", f"{p99s[0]:.1f} → {p99s[1]:.1f} ms", "at most 1.2 ×"),
        ("… ratio", f"{p99s[1] / p99s[0]:.2f}", "1.2"),
        ("the database's log", f"{wal / MIB:.1f} MiB", "at most 16 MiB"),
    ]
    table("Soak", ("what", "measured", "goal"), rows)


def slope(samples: list[Sample], name: str) -> float:
    """Return by how many MiB a figure grew with 1,000 runs."""
    runs = np.array([one.runs for one in samples]) / 1000
    return float(np.polyfit(runs, [getattr(one, name) / MIB for one in samples], 1)[0])
