"""Load: how many streams at 1x the server holds on time, beside a bare asyncio server that sends as much.

The clients run in a process of their own, on the same cores, and read at once. A bar is late by how much later it came
than on the stream's own schedule, which its earliest bar sets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from bench.kit import ROOT, served, table

INTERVAL = 0.05  # s a bar
MESSAGE = "x" * 250
LEVELS = (100, 200, 400, 600, 800)
AT_ONCE = 20  # clients that connect at the same time


def main(argv: list[str]) -> int:
    """Measure each level with the server as shipped, then with the bare one."""
    if argv[:1] == ["clients"]:
        print(json.dumps(asyncio.run(_clients(argv[1], int(argv[2]), float(argv[3]), argv[4] == "ours"))))
        return 0
    if argv[:1] == ["bare"]:
        asyncio.run(_bare())
        return 0
    parser = argparse.ArgumentParser(prog="dev.py bench load")
    parser.add_argument("--streams", type=int, nargs="*", default=LEVELS, help="levels to measure")
    parser.add_argument("--seconds", type=float, default=10, help="how long each level is watched")
    options = parser.parse_args(argv)
    rows = []
    with served(TAPEDECK_LOG_LEVEL="ERROR") as url:
        for streams in options.streams:
            rows.append(("gunicorn as shipped", *level(url, streams, options.seconds, "ours")))
    with bare() as url:
        for streams in options.streams:
            rows.append(("bare websockets", *level(url, streams, options.seconds, "bare")))
    columns = ("server", "streams", "p50 late", "p99 late", "worst", "messages a second", "memory a stream")
    table("Streams at 1x (20 bars a second each)", columns, rows)
    return 0


def level(url: str, streams: int, seconds: float, kind: str) -> tuple[str, ...]:
    """Return what so many streams measured."""
    port = int(url.rsplit(":", 1)[1])
    before = memory(port)
    words = [sys.executable, "-m", "bench.load", "clients", url.replace("http", "ws"), str(streams), str(seconds), kind]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as clients:
        time.sleep(seconds / 2 + streams / 100)
        held = memory(port)
        out, _ = clients.communicate()
    if clients.returncode:
        return str(streams), "failed", "", "", "", ""
    told = json.loads(out.strip().splitlines()[-1])
    late = (f"{told['p50']:.1f} ms", f"{told['p99']:.1f} ms", f"{told['worst']:.0f} ms")
    return str(told["streams"]), *late, f"{told['rate']:,.0f}", f"{max(0, held - before) / streams / 1024:.0f} KiB"


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


async def _clients(url: str, streams: int, seconds: float, ours: bool) -> dict[str, float]:
    gate = asyncio.Semaphore(AT_ONCE)
    bars = int((seconds + streams / 40) / INTERVAL) + 40
    arrivals: list[list[float]] = []
    reading = asyncio.Event()

    async def one() -> None:
        times: list[float] = []
        async with gate:
            path = "/ws/backtest/stream/" if ours else "/"
            socket = await connect(url + path, compression=None, open_timeout=60, ping_interval=None)
            if ours:
                config = {"symbol": f"SYNTH:{bars}", "interval": "1m", "period": "max", "strategy": "sma_cross"}
                await socket.send(json.dumps({"action": "start_backtest", "config": config}))
                await socket.recv()
        arrivals.append(times)
        async for message in socket:
            if message[:16] == '{"type":"candle"' or not ours:
                times.append(time.perf_counter())
            if reading.is_set():
                break
        await socket.close()

    tasks = [asyncio.create_task(one()) for _ in range(streams)]
    while len(arrivals) < streams and not any(task.done() for task in tasks):
        await asyncio.sleep(0.05)
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    reading.set()
    failed = [result for result in await asyncio.gather(*tasks, return_exceptions=True) if result]
    if failed:
        raise SystemExit(f"{len(failed)} of {streams} streams failed: {failed[0]!r}")
    late = np.concatenate([_lateness(np.array(times), started) for times in arrivals])
    return {
        "streams": streams,
        "p50": float(np.percentile(late, 50)),
        "p99": float(np.percentile(late, 99)),
        "worst": float(late.max()),
        "rate": len(late) / seconds,
    }


def _lateness(times: np.ndarray, since: float) -> np.ndarray:
    """Return by how many ms each bar from `since` on was late."""
    offsets = (times - np.arange(len(times)) * INTERVAL) * 1000
    return (offsets - offsets.min())[times >= since]


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
