"""Clients: many plain readers of streams in one process, as cheap as Python allows, so that the server is measured.

Each reads at once and notes when its bars came; nothing else is done with them.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import time
from typing import NamedTuple

import numpy as np

from tests.handshake import open_by_hand

INTERVAL = 0.05  # s a bar
PATIENCE = 10  # s
AT_ONCE = 10  # streams that wait for their first bar at a time
_CANDLE = b'{"type":"candle"'


class Measured(NamedTuple):
    """What clients saw: `late` in ms, one for each bar, and how many bars came a second."""

    late: np.ndarray
    rate: float


class Reader:
    """One stream; `times` says when its bars came. Without `config` every message counts as a bar."""

    def __init__(self, url: str, config: dict | None):
        self.times: list[float] = []
        self.closed = ""
        self._all = config is None
        self._rest = b""
        self.socket: socket.socket = open_by_hand(url)
        if config is not None:
            self.send({"action": "start_backtest", "config": config})
        self.socket.setblocking(False)

    def send(self, message: dict) -> None:
        """Send an object as one masked text frame."""
        text = json.dumps(message).encode()
        assert 125 < len(text) < 65_536 or len(text) < 126
        size = bytes([0x80 | len(text)]) if len(text) < 126 else struct.pack("!BH", 0x80 | 126, len(text))
        self.socket.sendall(b"\x81" + size + bytes(4) + text)  # a mask of zeros leaves the text as it is

    def read(self) -> None:
        """Take what has come."""
        try:
            data = self._rest + self.socket.recv(65_536)
        except BlockingIOError:
            return
        now, at = time.perf_counter(), 0
        while (end := _end(data, at)) is not None:
            start, stop = end
            if data[at] == 0x81 and (self._all or data.startswith(_CANDLE, start)):
                self.times.append(now)
            elif data[at] == 0x88:
                self.closed = data[start + 2 : stop].decode() or "no reason given"
            at = stop
        if not data[at:] and data == self._rest:
            self.closed = self.closed or "the connection ended"
        self._rest = data[at:]


def _end(data: bytes, at: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at `at` starts and stops, None while it is not whole."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size == 126:
        if len(data) < at + 4:
            return None
        size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    elif size == 127:
        if len(data) < at + 10:
            return None
        size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
    return (start, start + size) if len(data) >= start + size else None


def watch(url: str, streams: int, seconds: float, config: dict | None) -> Measured:
    """Open so many streams, then read them for `seconds`.

    Raises:
        SystemExit: one was closed meanwhile.
    """
    readers: list[Reader] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(streams):
            readers.append(Reader(url, config))
            selector.register(readers[-1].socket, selectors.EVENT_READ, readers[-1])
            give_up = time.perf_counter() + PATIENCE
            while sum(not reader.times for reader in readers[-AT_ONCE:]) == AT_ONCE and time.perf_counter() < give_up:
                _read(selector, time.perf_counter() + 0.01)
        settled = time.perf_counter() + 1
        _read(selector, settled)
        stop = settled + seconds
        _read(selector, stop)
    if closed := [reader.closed for reader in readers if reader.closed]:
        raise SystemExit(f"{len(closed)} of {streams} streams were closed: {closed[0]}")
    if silent := sum(not reader.times for reader in readers):
        raise SystemExit(f"{silent} of {streams} streams had no bar")
    late = np.concatenate([_lateness(np.array(reader.times), settled) for reader in readers])
    for reader in readers:
        reader.socket.close()
    return Measured(late, len(late) / seconds)


def _read(selector: selectors.BaseSelector, until: float) -> None:
    while True:
        wait = until - time.perf_counter()
        for key, _ in selector.select(max(wait, 0)):
            key.data.read()
        if wait <= 0:
            return


def _lateness(times: np.ndarray, since: float) -> np.ndarray:
    """Return by how many ms each bar from `since` on was late."""
    times = times[times >= since]
    offsets = (times - np.arange(len(times)) * INTERVAL) * 1000
    return offsets - offsets.min(initial=np.inf)
