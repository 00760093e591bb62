"""Sabotage: what clients, strategies and accidents do to a server, one fault after the other."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import psutil

from bench.visitors import Ledger, Over, Visitor, Wire, in_background, look

LET_GO = 30.0  # s within which the server must be rid of a client that reads nothing
HELL = {
    "fails": "raise ValueError('on purpose')",
    "exits": "os._exit(3)",
    "eats": "bytearray(64 << 30)",
    "crashes": "ctypes.string_at(0)",
    "hangs": "while True: pass",
    "naps": "time.sleep(0.05)",
}
FATAL = 30  # the bar on which they do so; `naps` does from then on, and tells its process on that bar


def master(url: str) -> psutil.Process:
    """Return gunicorn's master, below this process, which serves `url`."""
    bound = url.removeprefix("http://")
    return next(one for one in psutil.Process().children() if bound in one.cmdline())


def write_strategies(folder: Path) -> None:
    """Write the strategies that the faults need."""
    for name, body in HELL.items():
        lines = [
            "import ctypes, os, pathlib, time",
            "from engine import Strategy",
            "class Hell(Strategy):",
            "    def next(self):",
            f"        if len(self.data) == {FATAL} and {name == 'naps'}:",
            f"            pathlib.Path({str(folder / 'process')!r}).write_text(str(os.getpid()))",
            f"        if len(self.data) >= {FATAL}:",
            f"            {body}",
        ]
        (folder / f"{name}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Saboteur(threading.Thread):
    """Does something to the server every `every` seconds until `stop`; `done` counts what."""

    def __init__(self, url: str, folder: Path, visitors: list[Visitor], ledger: Ledger, every: float):
        super().__init__(name="saboteur", daemon=True)
        self.url = url
        self.done: Counter[str] = Counter()
        self.stop = threading.Event()
        self._folder = folder
        self._visitors = visitors
        self._ledger = ledger
        self._every = every
        self._chance = random.Random(1)

    def run(self) -> None:
        """Do one after the other."""
        faults = [getattr(self, name) for name in FAULTS]
        due = time.monotonic() + self._every
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            due += self._every
            fault = faults[sum(self.done.values()) % len(faults)]
            self.done[fault.__name__] += 1
            try:
                fault()
            except Exception as error:  # a thread that dies in silence would only be missed
                self._ledger.blame(f"{fault.__name__}: {error!r}")

    def cut_lines(self) -> None:
        """Five visitors lose their connection."""
        for visitor in self._chance.sample(self._visitors, 5):
            if visitor.wire:
                visitor.wire.cut()

    def silent_client(self) -> None:
        """A client asks for more than its line holds, and reads nothing."""

        def stay() -> None:
            wire = self._start("sma_cross", symbol="SYNTH:100000", interval="1m", period="max", speed="instant")
            wire.socket.settimeout(1)
            began = time.monotonic()
            with suppress(OSError):
                while time.monotonic() - began < 2 * LET_GO:
                    wire.socket.sendall(b"\x8a\x80" + bytes(4))  # a pong; fails once the server has let go
                    time.sleep(1)
            if time.monotonic() - began > LET_GO:
                self._ledger.blame("a client that reads nothing was not let go")
            wire.close()

        in_background(stay)

    def killed_child(self) -> None:
        """The process of a strategy is killed in mid-run; another one finds out where, or plays the run on."""
        told = self._folder / "process"
        told.unlink(missing_ok=True)
        wire = self._start("naps")
        give_up = time.monotonic() + LET_GO
        while not (told.exists() and told.read_text()):
            if time.monotonic() > give_up:
                raise TimeoutError("the strategy did not start")
            time.sleep(0.1)
        os.kill(int(told.read_text()), signal.SIGKILL)
        self._expect_end(wire, "complete", "error")

    def failing_strategy(self) -> None:
        """Strategies raise, leave, eat memory and crash."""
        for name in ("fails", "exits", "eats", "crashes"):
            self._expect_end(self._start(name), "error")

    def hanging_strategy(self) -> None:
        """A strategy computes for ever."""
        wire = self._start("hangs")
        in_background(lambda: self._expect_end(wire, "error"))

    def flood(self) -> None:
        """A client sends more messages than anybody may."""
        wire = self._start("sma_cross")
        with suppress(Over):
            for _ in range(3_000):
                wire.send({"action": "pause"})
        self._expect_end(wire)

    def garbage(self) -> None:
        """Frames and messages that are none."""
        for data in (
            b"\xff" * 40,
            b"\x81\x05hello",
            b"\x88\x80" + bytes(4),
            b"\x81\xff" + bytes(7) + b"\xff" + bytes(8),
        ):
            wire = self._start("sma_cross")
            with suppress(OSError):
                wire.socket.sendall(data)
            self._expect_end(wire)
        wire = Wire(self.url)
        wire.send({"action": "start_backtest", "config": {"symbol": "../../etc/passwd"}})
        self._expect_end(wire, "error")

    def half_requests(self) -> None:
        """Twenty clients send half a request, and wait."""
        parts = urlsplit(self.url)

        def stay() -> None:
            sockets = [socket.create_connection((parts.hostname, parts.port), 30) for _ in range(20)]
            for one in sockets:
                one.sendall(b"GET / HTTP/1.1\r\nHost: 127")
            for one in sockets:
                with suppress(OSError):
                    one.recv(1)
                one.close()

        in_background(stay)

    def start_and_leave(self) -> None:
        """Twenty clients start a run and are gone before anything comes, half of them without a word."""
        for number in range(20):
            wire = self._start("sma_cross")
            if number % 2:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()

    def many_pages(self) -> None:
        """Forty pages at once, some of which are not there."""
        runs = self._ledger.latest
        paths = ["/", "/runs", "/strategies", "/nowhere", *(f"/runs/{run}" for run in runs[-4:])]

        def get(path: str) -> None:
            with suppress(HTTPError):
                look(self.url + path)

        for thread in [in_background(lambda path=path: get(path)) for path in paths * 5]:
            thread.join()

    def _start(self, strategy: str, **changes: object) -> Wire:
        config = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": strategy, "speed": "instant"}
        wire = Wire(self.url)
        wire.send({"action": "start_backtest", "config": config | changes})
        return wire

    def _expect_end(self, wire: Wire, *kinds: str) -> None:
        """Read up to the end; one of these types must have come before it, and never is it a fault of ours."""
        found, text = not kinds, b""
        with suppress(Over):
            while True:
                text = wire.receive()
                found = found or text.startswith(tuple(b'{"type":"%s"' % kind.encode() for kind in kinds))
        if not found or wire.code == 1011:
            self._ledger.blame(f"expected {kinds}, got {text[:200]!r} and close {wire.code}")
        wire.close()


FAULTS = (
    "cut_lines", "silent_client", "killed_child", "failing_strategy", "cut_lines", "flood", "garbage", "half_requests",
    "start_and_leave", "hanging_strategy", "many_pages",
)  # fmt: skip
