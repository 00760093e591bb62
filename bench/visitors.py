"""Visitors: clients that play run after run, come back when they are cut off, and check that they saw each bar once."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import struct
import threading
import time
import urllib.request
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.handshake import open_by_hand, read

INTERVAL = 0.05  # s a bar at 1x
PATIENCE = 60.0  # s for a message
CREDIT = 40  # bars, then a page tells that it has painted them
PATH = "/ws/backtest/stream/"


class Over(Exception):
    """The other side, or somebody here, ended the connection."""


class Wire:
    """A WebSocket that reads at once and knows when each message came."""

    def __init__(self, url: str):
        self.socket = open_by_hand(url + PATH)
        self.socket.settimeout(PATIENCE)
        self.at = 0.0
        self.code = 0  # of the server's Close

    def send(self, message: dict[str, Any]) -> None:
        """Send an object as one masked text frame."""
        text = json.dumps(message).encode()
        size = bytes([0x80 | len(text)]) if len(text) < 126 else struct.pack("!BH", 0x80 | 126, len(text))
        try:
            self.socket.sendall(b"\x81" + size + bytes(4) + text)  # a mask of zeros leaves the text as it is
        except OSError as error:
            raise Over(str(error)) from None

    def receive(self) -> bytes:
        """Return the next text.

        Raises:
            Over: there is none.
        """
        while True:
            try:
                head = read(self.socket, 2)
                self.at = time.perf_counter()
                size = head[1]
                if size == 126:
                    size = int.from_bytes(read(self.socket, 2), "big")
                elif size == 127:
                    size = int.from_bytes(read(self.socket, 8), "big")
                text = read(self.socket, size)
            except (OSError, AssertionError) as error:
                raise Over(str(error)) from None
            if head[0] == 0x81:
                return text
            if head[0] == 0x88:
                self.code = int.from_bytes(text[:2], "big")
                raise Over(text[2:].decode())

    def cut(self) -> None:
        """Lose the line without a word, from any thread."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return

    def close(self) -> None:
        """Leave."""
        self.socket.close()


class Ledger:
    """What all visitors saw, for the report; used by many threads."""

    def __init__(self) -> None:
        self.runs = 0
        self.resumed = 0
        self.wrong: list[str] = []
        self.latest: list[str] = []  # ids of runs
        self._times, self._late = array("d"), array("f")  # s on the clock, ms
        self._expected: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, run: str, kind: str, seen: str) -> None:
        """Count a run that was played to its end; the same `kind` of run always shows the same."""
        with self._lock:
            self.runs += 1
            self.latest = [*self.latest[-20:], run]
            if self._expected.setdefault(kind, seen) != seen:
                self.wrong.append(f"run {run} ({kind}) showed something else than the first of its kind")

    def blame(self, what: str) -> None:
        """Note what must not be."""
        with self._lock:
            self.wrong.append(what)

    def time(self, arrivals: list[float]) -> None:
        """Note when the bars of one connection at 1x came."""
        times = np.array(arrivals)
        offsets = (times - np.arange(len(times)) * INTERVAL) * 1000
        with self._lock:
            self._times.extend(times)
            self._late.extend(offsets - offsets.min(initial=np.inf))

    def late(self, since: float, until: float) -> np.ndarray:
        """Return by how many ms the bars of that time were late."""
        with self._lock:
            times, late = np.array(self._times), np.array(self._late)
        return late[(times >= since) & (times < until)]


class Visitor(threading.Thread):
    """Somebody who plays a run every `every` seconds until `stop`, the first one at `begin`."""

    def __init__(self, url: str, ledger: Ledger, number: int, begin: float, every: float, stop: float):
        super().__init__(name=f"visitor {number}", daemon=True)
        self.url = url
        self.ledger = ledger
        self.wire: Wire | None = None
        self._chance = random.Random(number)
        self._number = number
        self._times = begin, every, stop

    def run(self) -> None:
        """Play run after run."""
        begin, every, stop = self._times
        while begin < stop:
            if (wait := begin - time.perf_counter()) > 0:
                time.sleep(wait)
            try:
                self.play()
            except Exception as error:  # a thread that dies in silence would only be missed
                self.ledger.blame(f"{self.name}: {error!r}")
            begin = max(begin + every, time.perf_counter())

    def play(self) -> None:
        """Play one run to its end, whatever happens to the line."""
        strategy, symbol = self._chance.choice(STRATEGIES), self._chance.choice(SYMBOLS)
        config = {"symbol": symbol, "interval": "1d", "period": "6mo", "strategy": strategy, "speed": 1}
        seen: dict[int, list[bytes]] = {}  # what each bar showed
        run, bar, give_up = "", 0, time.perf_counter() + PATIENCE
        while True:
            message: dict[str, Any] = {"action": "start_backtest", "config": config}
            if run:
                self.ledger.resumed += 1
                message = {"action": "start_backtest", "run": run, "speed": 1} | ({"from_bar": bar} if bar else {})
                seen.pop(bar, None)
                seen.pop(bar + 1, None)  # signals whose candle did not come
            try:
                self.wire = Wire(self.url)
                self.wire.send(message)
                run, bar, done = self._follow(seen, run, bar)
            except (Over, OSError, AssertionError):
                done = False
            finally:
                if self.wire:
                    self.wire.close()
            if done:
                break
            if time.perf_counter() > give_up:
                raise TimeoutError(f"run {run} did not come to its end")
        if list(seen) != list(range(1, bar + 1)):
            self.ledger.blame(f"run {run} lost or doubled a bar")
        digest = hashlib.sha256(b"".join(text for texts in seen.values() for text in texts)).hexdigest()
        self.ledger.add(run, f"{strategy} on {symbol}", digest)

    def _follow(self, seen: dict[int, list[bytes]], run: str, bar: int) -> tuple[str, int, bool]:
        """Take what comes; return the run, its last bar and whether it is complete."""
        assert self.wire
        arrivals: list[float] = []
        signals: list[bytes] = []
        try:
            while True:
                text = self.wire.receive()
                if text.startswith(b'{"type":"candle"'):
                    arrivals.append(self.wire.at)
                    bar = int(text[text.index(b"bar_number") + 12 : text.index(b",", 18)])
                    if bar in seen:
                        self.ledger.blame(f"run {run} showed bar {bar} twice")
                    seen[bar] = [*signals, text]
                    signals = []
                elif text.startswith(b'{"type":"signal"'):
                    signals.append(text)
                elif text.startswith(b'{"type":"metadata"'):
                    run = json.loads(text)["run"]
                elif text.startswith(b'{"type":"complete"'):
                    if "differs" in json.loads(text):
                        self.ledger.blame(f"run {run} differs from what was recorded")
                    return run, bar, True
                elif text.startswith(b'{"type":"error"'):
                    self.ledger.blame(f"run {run}: {text.decode()}")
        except Over:
            return run, bar, False
        finally:
            self.ledger.time(arrivals)


class Page(Visitor):
    """Somebody at the page: frames with panels, controls, credit, and the pages around it."""

    def play(self) -> None:
        """Look at the pages, play a run with some controls, and see it to its end."""
        for path in ("/", "/runs"):
            look(self.url + path)
        chance = self._chance
        config = {"symbol": chance.choice(SYMBOLS), "interval": "1d", "period": "5y", "strategy": "sma_cross"}
        self.wire = Wire(self.url)
        try:
            self.wire.send({"action": "start_backtest", "config": config, "frames": True, "speed": 10})
            run = json.loads(self.wire.receive())["run"]
            frames, acked, give_up = 0, 0, time.perf_counter() + PATIENCE
            while True:
                message = json.loads(self.wire.receive())
                if message["type"] == "frame":
                    frames, bar = frames + 1, message["bar_number"]
                    if abs(bar - acked) >= CREDIT:
                        self.wire.send({"action": "ack", "bar": bar})
                        acked = bar
                    if frames % 30 == 0:
                        self.wire.send(chance.choice(CONTROLS))
                    if frames == 150:
                        self.wire.send({"action": "end"})
                elif message["type"] == "state" and message["status"] == "paused":
                    self.wire.send({"action": "play"})
                elif message["type"] == "error":
                    self.ledger.blame(f"run {run}: {message}")
                elif message["type"] == "complete":
                    break
                elif time.perf_counter() > give_up:
                    raise TimeoutError(f"run {run} did not come to its end: {message}")
            self.ledger.add(run, f"page, {config['symbol']}", json.dumps(message["metrics"]))
        except Over:  # the page would come back; here somebody else does
            return
        finally:
            self.wire.close()
        for path in (f"/runs/{run}", f"/runs/{run}/stats"):
            look(self.url + path)


def look(url: str) -> None:
    """Get a page."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        answer.read()


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Do something that takes a while beside everything else."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


STRATEGIES = ("sma_cross", "rsi_reversion", "macd_trend", "donchian_breakout", "bollinger_reversion", "buy_and_hold")
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
CONTROLS: tuple[dict[str, Any], ...] = (
    {"action": "pause"},
    {"action": "step", "bars": 5},
    {"action": "step", "bars": -20},
    {"action": "seek", "bar": 60},
    {"action": "speed", "value": 20},
    {"action": "next_event"},
    {"action": "window", "from": 1, "to": 30},
    {"action": "show", "list": "orders"},
)
