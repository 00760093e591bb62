"""Deaths: a worker killed under a page, and a server ended under fifty streams."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import psutil

from bench.kit import browsing, served
from bench.page import DAILY, PLAYS, start
from bench.sabotage import master
from bench.visitors import Over, Wire

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


def rows(settings: dict[str, str]) -> list[tuple[str, str, str]]:
    """Kill a worker under a page, and end a server under fifty streams; `settings` are those of the servers."""
    with served(**settings, WEB_CONCURRENCY="1") as url, browsing(bypass_csp=True) as page:
        times = [killed(page, url, master(url)) for _ in range(5)]
        healthy, shown = (max(some) for some in zip(*times, strict=True))
    with served(**settings) as url:
        told, gone = stopped(url, master(url))
    return [
        ("kill -9 of the only worker: healthy again (slowest of 5)", f"{healthy:.1f} s", "2 s"),
        ("… next bar painted on a page", f"{shown:.1f} s", "3 s"),
        ("SIGTERM with 50 streams: all told with 1012", f"{told:.2f} s", "1 s"),
        ("… process gone", f"{gone:.1f} s", "5 s"),
    ]


def killed(page: Any, url: str, server: psutil.Process) -> tuple[float, float]:
    """Kill the only worker under a page; return the seconds until the next answers, and until the page's next bar."""
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
