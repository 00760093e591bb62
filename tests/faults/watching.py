"""Watching: a client that keeps what it sees of a run, is cut off, and comes back."""

from __future__ import annotations

import ctypes
import json
import socket
import struct
from contextlib import suppress
from typing import Any

import simple_websocket

from tests.wire import Wire

SO_ATTACH_FILTER = 26  # Linux: the kernel hands the socket what a small program lets through
GONE = (simple_websocket.ConnectionClosed, OSError)


class Watcher:
    """A visitor of one run. `candles`, `signals` and `complete` are what there is in the end, whatever happened."""

    def __init__(self, config: dict[str, Any], *, frames: bool = False):
        self.first: dict[str, Any] = {"action": "start_backtest", "config": config, "frames": frames}
        self.run = ""
        self.bar = 0  # the last one seen
        self.candles: list[dict[str, Any]] = []
        self.signals: list[dict[str, Any]] = []
        self.complete: dict[str, Any] | None = None
        self.wire: Wire | None = None

    def connect(self, url: str, **more: Any) -> Watcher:
        """Start, or go on with the last bar that was seen, of which nothing is kept."""
        message = self.first | more
        if self.run:
            message = {"action": "start_backtest", "run": self.run, "frames": self.first["frames"], **more}
        if self.run and self.bar:
            message["from_bar"] = self.bar
            self.candles = [one for one in self.candles if one["bar_number"] < self.bar]
        self.signals = [one for one in self.signals if one["bar_number"] < max(self.bar, 1)]
        self.wire = Wire(url)
        self.wire.send(message)
        return self

    def watch(self, messages: int | None = None) -> Watcher:
        """Take so many messages, or all up to the end of the connection or the run."""
        assert self.wire is not None
        with suppress(*GONE):
            while messages is None or messages > 0:
                self.take(self.wire.receive())
                messages = None if messages is None else messages - 1
                if self.complete is not None:
                    if self.first["frames"]:  # a page's line stays open at the end
                        self.wire.close()
                    break
        return self

    def until_bar(self, bar: int) -> Watcher:
        """Take messages until this bar was seen."""
        assert self.wire is not None
        while self.bar < bar and self.complete is None:
            self.take(self.wire.receive())
        return self

    def pause(self) -> Watcher:
        """Have it stay at a bar until it is told to play: it cannot end before that, however slow the test is."""
        assert self.wire is not None
        self.wire.send({"action": "pause"})
        while True:
            message = self.wire.receive()
            self.take(message)
            if message["type"] == "state" and message["status"] == "paused":
                return self

    def take(self, message: dict[str, Any]) -> None:
        """Keep what a message says."""
        kind = message["type"]
        assert kind != "error", message
        if kind == "metadata":
            self.run = message["run"]
        elif kind == "candle":
            self._see(message)
        elif kind == "signal":
            self.signals.append(message)
        elif kind == "frame":
            self._see_frame(message)
        elif kind == "complete":
            self.complete = message

    def vanish(self) -> None:
        """Be gone without a FIN, as when the Wi-Fi is off: nothing that comes is answered any more. Linux."""
        assert self.wire is not None
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # one instruction: take 0 bytes
        program = struct.pack("HL", 1, ctypes.addressof(drop_all))
        self.wire.socket.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def cut(self, *, reset: bool = False) -> None:
        """Lose the line, without a word; with `reset` as when the machine is gone."""
        assert self.wire is not None
        raw = self.wire.socket.sock
        with suppress(OSError):  # it has ended by itself
            if reset:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.shutdown(socket.SHUT_RDWR)
        self.wire.socket.thread.join(10)
        raw.close()

    @property
    def seen(self) -> str:
        """All that there is to see in the end: nothing missing, nothing twice."""
        complete = {name: value for name, value in (self.complete or {}).items() if name != "run"}
        return json.dumps([self.candles, self.signals, complete])

    def _see(self, candle: dict[str, Any]) -> None:
        assert candle["bar_number"] == (self.candles[-1]["bar_number"] if self.candles else 0) + 1
        self.candles.append(candle)
        self.bar = candle["bar_number"]

    def _see_frame(self, frame: dict[str, Any]) -> None:
        assert not frame["reset"] and frame["bucket"] == 1
        names = ("time", "open", "high", "low", "close", "volume", "equity")
        columns = [frame[name] for name in names] + list(frame["indicators"].values())
        for number, row in enumerate(zip(*columns, strict=True), start=frame["from"]):
            self._see({"bar_number": number, "row": row})
        self.signals += frame["events"]
