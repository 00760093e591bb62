"""Load: how many streams at 1x the server holds on time, beside a bare asyncio server that sends as much.

The clients run in a process of their own, on the same cores, and read at once. A bar is late by how much later it came
than on the stream's own schedule, which its earliest bar sets. Memory is that of the processes that serve.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from websockets.asyncio.server import serve

from bench import beside
from bench.clients import INTERVAL, Reader, watch
from bench.kit import ROOT, served, table
from bench.stream import pace

MESSAGE = "x" * 250
LEVELS = (1, 100, 200, 400, 800)
PATH = "/ws/backtest/stream/"
SETTINGS = {"TAPEDECK_LOG_LEVEL": "ERROR", "TAPEDECK_STREAMS_PER_ADDRESS": "0"}
RUN = {"interval": "1m", "period": "max", "strategy": "sma_cross"}
BESIDE = {
    "instant": "… beside 4 instant runs of 1,000,000 bars",
    "slow": "… beside 4 strategies that compute 5 ms a bar",
}
DAILY = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross", "speed": 0.25}


def main(argv: list[str]) -> int:
    """Measure each level with the server as shipped, then with the bare one."""
    if argv[:1] == ["clients"]:
        return _clients(argv[1], int(argv[2]), float(argv[3]), json.loads(argv[4]))
    if argv[:1] == ["bare"]:
        asyncio.run(_bare())
        return 0
    from bench import deaths  # not in the clients: objects of all that a browser needs would make them late

    parser = argparse.ArgumentParser(prog="dev.py bench load", epilog="An hour of it: dev.py bench soak")
    parser.add_argument("--streams", type=int, nargs="*", default=LEVELS, help="levels to measure")
    parser.add_argument("--seconds", type=float, default=10, help="how long each level is watched")
    parser.add_argument("--drift-minutes", type=float, default=0.5, help="how long one stream is watched for drift")
    options = parser.parse_args(argv)
    print(f"\n{shipped()}", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder, served(**SETTINGS, TAPEDECK_STRATEGIES_DIR=folder) as url:
        beside.write_slow(Path(folder))
        kept = weight(url)
        for streams in options.streams:
            rows.append(
                ("gunicorn as shipped", *level(url + PATH, streams, options.seconds, of(streams, options.seconds)))
            )
        for kind, what in BESIDE.items():
            with beside.busy(url, kind):
                rows.append((what, *level(url + PATH, 100, options.seconds, of(100, options.seconds))))
    with bare() as url:
        for streams in options.streams:
            rows.append(("bare websockets", *level(url, streams, options.seconds, None)))
    columns = ("server", "streams", "p50 late", "p99 late", "worst", "messages a second")
    table("Streams at 1x (20 bars a second each)", columns, rows)
    rows = [("memory of a stream of 122 daily bars", f"{kept / 1000:.0f} KB", "150 KB")]
    table("One server", ("what", "measured", "goal"), [*rows, *alone(options.drift_minutes), *deaths.rows(SETTINGS)])
    return 0


def of(streams: int, seconds: float) -> dict:
    """Return a run that is long enough for so many streams to be opened and watched."""
    return RUN | {"symbol": f"SYNTH:{int((seconds + streams / 20) / INTERVAL) + 200}"}


def alone(minutes: float) -> list[tuple[str, str, str]]:
    """Watch one stream for drift."""
    with served(**SETTINGS) as url:
        late, drift = pace(url, int(minutes * 60))
    return [
        (f"one stream for {minutes:g} minutes: p99 lateness", f"{np.percentile(late, 99):.2f} ms", "3 ms"),
        ("… its drift", f"{drift:+.3f} ms a minute", "none"),
    ]


def level(url: str, streams: int, seconds: float, config: dict | None) -> tuple[str, ...]:
    """Return what so many streams measured."""
    words = [sys.executable, "-m", "bench.load", "clients", url, str(streams), str(seconds), json.dumps(config)]
    told = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if told.returncode:
        return str(streams), "failed", "", "", ""
    p50, p99, worst, rate = json.loads(told.stdout.strip().splitlines()[-1])
    return str(streams), f"{p50:.1f} ms", f"{p99:.1f} ms", f"{worst:.0f} ms", f"{rate:,.0f}"


def weight(url: str, streams: int = 200) -> float:
    """Return the bytes that the server holds for a stream of 122 daily bars, once it is warm."""
    port = int(url.rsplit(":", 1)[1])
    first = [Reader(url + PATH, DAILY) for _ in range(60)]  # enough for each worker to have done everything once
    time.sleep(1)
    before = memory(port)
    more = [Reader(url + PATH, DAILY) for _ in range(streams)]
    time.sleep(1)
    held = memory(port) - before
    for reader in first + more:
        reader.socket.close()
    return held / streams


def memory(port: int) -> int:
    """Return the bytes that the processes listening on `port` hold."""
    found = 0
    for process in psutil.process_iter():
        try:
            if any(c.laddr and c.laddr.port == port and c.status == "LISTEN" for c in process.net_connections("tcp")):
                found += process.memory_info().rss
        except psutil.Error:
            continue
    return found


def shipped() -> str:
    """Return the settings of the workers, as gunicorn.conf.py has them."""
    names = ("worker_class", "workers", "threads")
    found = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    return "gunicorn.conf.py: " + ", ".join(f"{name} {found[name]}" for name in names)


def _clients(url: str, streams: int, seconds: float, config: dict | None) -> int:
    late, rate = watch(url, streams, seconds, config)
    print(json.dumps([*np.percentile(late, (50, 99)), late.max(), rate]))
    return 0


async def _bare() -> None:
    async def pace(socket) -> None:
        start, sent = time.perf_counter(), 0
        while True:
            await asyncio.sleep(max(0, start + sent * INTERVAL - time.perf_counter()))
            await socket.send(MESSAGE)
            sent += 1

    async with serve(pace, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().create_future()


@contextmanager
def bare() -> Iterator[str]:
    """Serve the bare server in a process of its own; give its address."""
    words = [sys.executable, "-m", "bench.load", "bare"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as server:
        assert server.stdout
        yield server.stdout.readline().strip()
        server.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
