"""Beside: what a server does next to paced streams, and how it dies: instant runs, slow strategies, killed workers."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from bench.clients import Reader
from bench.kit import ROOT
from bench.page import DAILY, PLAYS, start
from bench.visitors import PATH, Over, Wire

MILLION = {"symbol": "SYNTH:1000000", "interval": "1m", "period": "max", "strategy": "sma_cross", "speed": "instant"}
SLOW = {"symbol": "SYNTH:50000", "interval": "1m", "period": "max", "strategy": "slow", "speed": 20}
SLOW_SOURCE = """
from engine import Strategy
class Slow(Strategy):
    def next(self):
        sum(range(400_000))
"""
# Tells when a page that has lost its line paints a bar that it had not shown.
RETURNS = """() => {
  window.returned = new Promise((done) => {
    let last = null;
    const look = () => {
      const bar = Number(document.querySelector("[data-bar]").textContent.replaceAll(",", ""));
      if (document.querySelector(".player").dataset.status === "connecting") last ??= bar;
      const next = last === null || bar <= last ? look : () => done(performance.timeOrigin + performance.now());
      requestAnimationFrame(next);
    };
    look();
  });
}"""
RUN = {"symbol": "AAPL", "interval": "1d", "period": "5y", "strategy": "sma_cross", "speed": 1}
STREAMS = 50


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


def killed(page: Any, url: str, server: psutil.Process) -> tuple[float, float]:
    """Kill the only worker under a page; return the seconds until the next one answers, and until the page's next bar."""
    start(page, url, DAILY | {"period": "5y", "speed": "1"})
    page.wait_for_function(PLAYS)
    page.evaluate(RETURNS)
    healthy: list[float] = []
    (worker,) = server.children()
    watch = threading.Thread(target=lambda: healthy.append(_until_healthy(url, worker.pid, server)))
    began = time.time()
    os.kill(worker.pid, signal.SIGKILL)
    watch.start()
    shown = page.evaluate("window.returned") / 1000
    watch.join()
    return healthy[0] - began, shown - began


def stopped(url: str, server: psutil.Process) -> tuple[float, float]:
    """End a server with 50 streams by SIGTERM; return the seconds until the last was told, and until it was gone."""
    wires = [Wire(url) for _ in range(STREAMS)]
    for wire in wires:
        wire.send({"action": "start_backtest", "config": RUN})
    for wire in wires:
        while not wire.receive().startswith(b'{"type":"candle"'):
            pass
    told: list[float] = []
    threads = [threading.Thread(target=_until_told, args=(wire, told)) for wire in wires]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    gone = _until_gone(server)
    for thread in threads:
        thread.join()
    if len(told) < STREAMS:
        raise SystemExit(f"{STREAMS - len(told)} of {STREAMS} streams were not told of the end with 1012")
    return max(told) - began, gone - began


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


def _until_healthy(url: str, dead: int, server: psutil.Process) -> float:
    host, port = url.removeprefix("http://").split(":")
    while True:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200 and dead not in [child.pid for child in server.children()]:
                return time.time()
        time.sleep(0.02)


def _until_gone(server: psutil.Process) -> float:
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.005)
    return time.perf_counter()


def _until_told(wire: Wire, told: list[float]) -> None:
    with suppress(Over):
        while True:
            wire.receive()
    if wire.code == 1012:
        told.append(wire.at)
    wire.close()
