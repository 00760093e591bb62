"""One stream: how late its bars are, whether it drifts, what a bar weighs on the wire, and a million bars at once."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from websockets.sync.client import ClientConnection, connect

from bench.kit import served, table

CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "initial_balance": 10000}
INTERVAL = 0.05  # s a bar at 1x


def main(argv: list[str]) -> int:
    """Measure with the server as shipped and a client in another process."""
    parser = argparse.ArgumentParser(prog="dev.py bench stream")
    parser.add_argument("--seconds", type=int, default=30, help="how long to watch one stream at 1x")
    options = parser.parse_args(argv)
    with served(TAPEDECK_LOG_LEVEL="ERROR", WEB_CONCURRENCY="1") as url:
        lateness, drift = pace(url, options.seconds)
        table(
            f"One plain stream at 1x for {options.seconds} s",
            ("what", "measured", "goal"),
            [
                ("p50 lateness", f"{np.percentile(lateness, 50):.2f} ms", ""),
                ("p99 lateness", f"{np.percentile(lateness, 99):.2f} ms", "3 ms"),
                ("worst", f"{max(lateness):.2f} ms", ""),
                ("drift", f"{drift:+.3f} ms a minute", "none"),
            ],
        )
        table("Bytes a bar on the wire", ("client", "speed", "bars", "bytes a bar"), list(weights(url)))
        table("Time from start to complete, frames", ("bars", "first bar", "complete"), list(instant(url)))
    return 0


def pace(url: str, seconds: int) -> tuple[list[float], float]:
    """Return the lateness of each bar in ms, beside the earliest, and its drift in ms a minute."""
    bars = int(seconds / INTERVAL)
    arrivals = []
    with start(url, symbol=f"SYNTH:{bars}", interval="1m", period="max", speed=1) as socket:
        for message in socket:
            if '"candle"' in message[:20]:
                arrivals.append(time.perf_counter())
    due = np.arange(len(arrivals)) * INTERVAL
    offsets = (np.array(arrivals) - due) * 1000
    slope = np.polyfit(due, offsets, 1)[0] * 60
    return list(offsets - offsets.min()), float(slope)


def weights(url: str) -> Iterator[tuple[str, str, int, str]]:
    """Measure what is sent for a bar by kind of client and speed."""
    for frames, speed, symbol in ((False, 1, "SYNTH:200"), (True, 1, "SYNTH:200"), (True, "instant", "SYNTH:1000000")):
        size = {"candle": 0, "frame": 0, "signal": 0, "stats": 0}
        with start(url, symbol=symbol, interval="1m", period="max", speed=speed, frames=frames) as socket:
            bars = json.loads(socket.recv())["total_bars"]
            for text in until_complete(socket):
                kind = json.loads(text[: text.index(",")] + "}")["type"]
                size[kind] = size.get(kind, 0) + len(text)
        chart = (size["candle"] + size["frame"] + size["signal"]) / bars
        told = f"{chart:.2f} (and statistics {size['stats'] / bars:.2f})"
        yield "page" if frames else "plain", str(speed), bars, told


def instant(url: str) -> Iterator[tuple[str, str, str]]:
    """Time runs at instant speed, from the message that starts them; they have been stored before."""
    for symbol, more in (("AAPL", {}), ("SYNTH:1000000", {"interval": "1m", "period": "max"})):
        with start(url, symbol=symbol, speed="instant", frames=True, **more) as socket:
            run = json.loads(socket.recv())["run"]
            for _ in until_complete(socket):
                pass
        firsts, totals = [], []
        for _ in range(5):
            began = time.perf_counter()
            with connect(url.replace("http", "ws") + "/ws/backtest/stream/", max_size=None, compression=None) as socket:
                socket.send(json.dumps({"action": "start_backtest", "run": run, "frames": True, "speed": "instant"}))
                bars = json.loads(socket.recv())["total_bars"]
                first = None
                for _ in until_complete(socket):
                    first = first or time.perf_counter() - began
            firsts.append(first)
            totals.append(time.perf_counter() - began)
        yield f"{bars:,}", f"{statistics.median(firsts) * 1000:.0f} ms", f"{statistics.median(totals):.2f} s"


def until_complete(socket: ClientConnection) -> Iterator[str]:
    """Yield each message up to the last."""
    for text in socket:
        yield str(text)
        if str(text).startswith('{"type":"complete"'):
            return


def start(url: str, **changes: Any) -> ClientConnection:
    """Open a socket and start a run."""
    socket = connect(url.replace("http", "ws") + "/ws/backtest/stream/", max_size=None, compression=None)
    socket.send(json.dumps({"action": "start_backtest", "config": CONFIG | changes}))
    return socket
