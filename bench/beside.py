"""Beside: what a server does next to paced streams: instant runs and slow strategies."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.clients import Reader
from bench.kit import ROOT
from bench.visitors import PATH

MILLION = {"symbol": "SYNTH:1000000", "interval": "1m", "period": "max", "strategy": "sma_cross", "speed": "instant"}
SLOW = {"symbol": "SYNTH:50000", "interval": "1m", "period": "max", "strategy": "slow", "speed": 20}
SLOW_SOURCE = """
from engine import Strategy
class Slow(Strategy):
    def next(self):
        sum(range(400_000))
"""


def main(url: str, kind: str) -> None:
    """Be the clients of four such runs, one after the other, for ever: half of them pages, half plain clients."""
    config = {"instant": MILLION, "slow": SLOW}[kind]
    threads = [threading.Thread(target=_again, args=(url, config | {"frames": bool(i % 2)})) for i in range(4)]
    for thread in threads:
        thread.start()
    print("reading", flush=True)
    threads[0].join()


@contextmanager
def busy(url: str, kind: str) -> Iterator[None]:
    """Have four runs beside what is measured, read by a process of their own."""
    code = f"from bench import beside; beside.main({url!r}, {kind!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as clients:
        assert clients.stdout
        clients.stdout.readline()
        time.sleep(2)
        yield
        clients.kill()


def write_slow(folder: Path) -> None:
    """Write the strategy that computes for some milliseconds over each bar."""
    (folder / "slow.py").write_text(SLOW_SOURCE, encoding="utf-8")


def _again(url: str, config: dict) -> None:
    while True:
        reader = Reader(url + PATH, config)
        reader.socket.settimeout(120)
        rest = b""
        while b'{"type":"complete"' not in rest:
            data = reader.socket.recv(1 << 20)
            if not data:
                break
            rest = rest[-32:] + data
        reader.socket.close()
