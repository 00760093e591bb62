"""Sockets: what a WebSocket needs around it in this stack: a checked start, whole writes, bounded reading, an end.

simple-websocket leaves these to its host: it writes without a lock and without looking at how much was taken, waits for
ever on a reader that takes nothing, keeps any number of messages, and wakes its handler before its Close is written.
Pings by its timer stay off: it takes a slow reader's silence for absence.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import logging
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from simple_websocket import ConnectionClosed
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException
from wsproto.utilities import LocalProtocolError

from webapp.line import Aside, Line
from webapp.listener import Ear, listener

MESSAGE = 65_536  # bytes in a message from a client
WAITING = 256  # messages from a client that may wait
RATE = 1000, 10.0  # messages from a client in so many seconds
FLOODED = f"Too many messages: at most {RATE[0]:,} in {RATE[1]:g} seconds, and {WAITING} that wait. Send fewer."
DEAF = 10.0  # s for a handler to end its stream when it was told to
FAREWELL = 1.0  # s for the other side to answer our Close

DONE, POLICY, BROKEN, RESTART, LATER = 1000, 1008, 1011, 1012, 1013
GONE = (ConnectionClosed, LocalProtocolError, OSError)  # LocalProtocolError: the peer's Close was answered meanwhile

_PING, _TEXT = 0x89, 0x81  # how frames begin
_KEYS = ("werkzeug.socket", "gunicorn.socket")

log = logging.getLogger(__name__)


class Ended(Exception):
    """A stream ends, with the close code and the reason to give."""

    def __init__(self, code: int, reason: str):
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Upgrade(HTTPException):
    """The WebSocket version asked for is not spoken here."""

    code = 426
    description = "This address speaks WebSocket version 13 only."

    def get_headers(self, *_: Any) -> list[tuple[str, str]]:
        """Name the version that is spoken."""
        return [("Content-Type", "text/html; charset=utf-8"), ("Sec-WebSocket-Version", "13")]


class Inbox(list[Any]):
    """Messages that wait to be read: not too many, not too large together, not too fast; then `flooded`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.flooded = False
        self._clock = clock
        self._times: deque[float] = deque(maxlen=RATE[0])

    def append(self, message: Any) -> None:
        """Take a message, or drop it and be flooded: what is dropped cannot be made up for."""
        now = self._clock()
        fast = len(self._times) == RATE[0] and now - self._times[0] < RATE[1]
        self._times.append(now)
        if self.flooded:
            return
        if fast or len(self) >= WAITING or sum(map(len, self)) + len(message) > 4 * MESSAGE:
            self.flooded = True
            if not self:
                self.wake()  # the reader, who has taken all others, is to look
        else:
            super().append(message)

    def wake(self) -> None:
        """Put in an empty message, which only wakes the reader."""
        super().append("")


def reader(target: Callable[[], None]) -> Ear | threading.Thread:
    """Return what reads for simple-websocket, whose `target` would be a thread's for each socket.

    Before anything can arrive, the socket is given its bounded inbox, and a way to answer pings that waits for nobody.
    """
    ws = target.__self__  # type: ignore[attr-defined]
    line: Line = ws.sock
    ws.input_buffer, ws.sock = Inbox(), Aside(line)
    return Ear(ws, line) if listener.suits(line) else threading.Thread(target=target, daemon=True)


# Each stream keeps a buffer for what may come, and clients say little.
OPTIONS = {"max_message_size": MESSAGE, "receive_bytes": 1024, "thread_class": reader}


class Channel:
    """An accepted WebSocket as its handler uses it."""

    def __init__(self, ws: Any):
        self._ws = ws
        self._line: Line = ws.sock.line
        self._inbox: Inbox = ws.input_buffer
        self.said = self.sent = time.monotonic()  # last message; last write of any kind
        self.waits = True  # whether `send` waits for the reader; if not, `behind` tells that some of it is left
        self.behind = False
        self._dismissed = 0.0
        self.dismissed: Ended | None = None  # how the stream is to end, when another thread wants it to

    @property
    def flooded(self) -> bool:
        """Whether the client sent more than it may."""
        return self._inbox.flooded

    def send(self, *texts: bytes) -> None:
        """Send text messages of UTF-8, in one go.

        Raises one of GONE.
        """
        # The library's own way costs twenty times as much, for extensions that were refused at the handshake.
        self._write(b"".join([_head(_TEXT, text) + text for text in texts]))
        self.said = self.sent

    def catch_up(self) -> None:
        """Send what is left, and wait for the reader from now on.

        Raises one of GONE.
        """
        self.waits = True
        if self.behind:
            self.behind = False
            self._line.flush()

    def ping(self) -> None:
        """Send a ping, for the kernel to notice a reader that is no longer there."""
        self._write(_head(_PING, b""))

    def receive(self, timeout: float | None) -> str | bytes | None:
        """Return the next message, None when there is none in `timeout` seconds (None = wait), "" when woken.

        Raises one of GONE.
        """
        if timeout == 0 and not self._inbox and self._ws.connected:
            return None
        return self._ws.receive(timeout=timeout)

    def wake(self) -> None:
        """Let `receive` return, from another thread."""
        self._inbox.wake()
        self._ws.event.set()

    def dismiss(self, reason: str) -> None:
        """Let the handler end the stream with POLICY, from another thread; one that does not listen is cut off."""
        if self.dismissed is None:
            self.dismissed, self._dismissed = Ended(POLICY, reason), time.monotonic()
            self.wake()
        elif time.monotonic() - self._dismissed > DEAF:
            self.end()

    def close(self, code: int = DONE, reason: str = "") -> None:
        """Say goodbye, let the other side answer, and end the connection."""
        try:
            with suppress(*GONE):
                self._ws.close(
                    code, reason[:120].encode("utf-8", "replace").decode()
                )  # a strategy's error may hold half a character
            with suppress(*GONE):
                self._line.flush()
        finally:  # or the ear would keep the number of a socket that is somebody else's next
            deadline = time.monotonic() + FAREWELL
            self._ws.thread.join(FAREWELL)
            self._line.finish(deadline - time.monotonic())

    def end(self) -> None:
        """End the connection without a word, from another thread."""
        self._line.end()

    def _write(self, frames: bytes) -> None:
        if not self._ws.connected:
            raise ConnectionClosed(self._ws.close_reason, self._ws.close_message)
        if self.waits:
            self._line.send(frames)
        elif not self._line.offer(frames):
            self.behind = True
        self.sent = time.monotonic()


def _head(opcode: int, data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        return struct.pack("!BB", opcode, size)
    if size < 65_536:
        return struct.pack("!BBH", opcode, 126, size)
    return struct.pack("!BBQ", opcode, 127, size)


class Switchboard:
    """The channels that are open in this process, so that it can stop in good order."""

    def __init__(self) -> None:
        self.draining = False
        self._open: dict[Channel, str] = {}  # and whose it is
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, channel: Channel, limit: int, address: str = "", each: int = 0) -> None:
        """Count `channel` in, unless there are `limit` already, or `each` (0: any number) of the same address.

        Raises:
            Ended: with LATER, and what to do.
        """
        with self._lock:
            if len(self._open) >= limit:
                raise Ended(LATER, f"This server plays at most {limit:,} streams at once. Try again in a while.")
            if each and sum(one == address for one in self._open.values()) >= each:
                raise Ended(LATER, f"An address may play at most {each:,} streams at once. Close one of yours.")
            self._open[channel] = address

    def remove(self, channel: Channel) -> None:
        """Count it out."""
        with self._lock:
            self._open.pop(channel, None)

    def drain(self, patience: float = 1.5) -> None:
        """Ask every handler to close with 1012; after `patience` seconds end what is still open."""
        self.draining = True
        for channel in self._listed():
            channel.wake()
        deadline = time.monotonic() + patience
        while self._open and time.monotonic() < deadline:
            time.sleep(0.02)
        for channel in self._listed():
            channel.end()

    def _listed(self) -> list[Channel]:
        with self._lock:
            return list(self._open)


switchboard = Switchboard()


def check_handshake(environ: dict[str, Any], origin_allowed: bool) -> None:
    """Refuse a handshake that the library would stumble over, or that came from elsewhere; then arm the socket.

    Raises:
        BadRequest, Forbidden, Upgrade: while an HTTP answer can still be given.
    """
    if environ.get("REQUEST_METHOD") != "GET" or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise BadRequest("A WebSocket starts with a GET request of HTTP/1.1.")
    if "," in environ.get("HTTP_HOST", ",") or not environ["HTTP_HOST"]:
        raise BadRequest("A WebSocket request names exactly one host.")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        raise Upgrade
    if not _good_key(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")):
        raise BadRequest("The request has no valid Sec-WebSocket-Key.")
    if not (environ.get("HTTP_CONNECTION", "") + environ.get("HTTP_UPGRADE", "")).isascii():
        raise BadRequest("The request's headers are not ASCII.")
    if not origin_allowed:
        raise Forbidden("This socket may only be opened by Tapedeck's own pages, or on this machine.")
    # Deflate would cost most of the streams that a server can hold, and open the door to bombs.
    environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    environ.pop("HTTP_SEC_WEBSOCKET_PROTOCOL", None)  # none is spoken; the library stumbles over one that is not ASCII
    for key in _KEYS:
        if key in environ:
            environ[key] = Line(environ[key])


def is_loopback(address: str | None) -> bool:
    """Say whether `address` is this machine."""
    try:
        ip = ipaddress.ip_address(address or "")
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
    except ValueError:
        return False


def _good_key(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
