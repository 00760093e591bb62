"""Line: the raw socket below a WebSocket, made safe for several writers and one reader."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

STALL = 20.0  # s in which a reader must take at least one byte of what is written
BUFFER = 262_144  # bytes the kernel may hold for a reader: small, so that back-pressure is felt early
VANISHED = 20_000  # ms until bytes that nobody acknowledges end the connection (Linux)
CHUNK = 65_536  # bytes a write
ANSWERS = 64  # writes that may be left before pings go unanswered

_CLOSE = b"\x88"  # how the last frame begins


def _sender() -> Callable[[int, bytes], int]:
    """Return what sends bytes to a descriptor as far as they go at once, and returns how many went.

    On POSIX without giving other threads their turn, as Python does around each write: with a thread that computes
    beside it, one that plays to 50 visitors then waits 50 times in a bar. Nothing here takes long: it never waits.
    """
    if os.name != "posix":
        return os.write
    call = ctypes.PyDLL(None, use_errno=True).send
    call.argtypes, call.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_ssize_t
    flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)  # macOS: Python ignores SIGPIPE

    def send(descriptor: int, data: bytes) -> int:
        taken = int(call(descriptor, data, len(data), flags))
        if taken < 0:
            number = ctypes.get_errno()
            if number == errno.EINTR:
                raise BlockingIOError
            raise OSError(number, os.strerror(number))
        return taken

    return send


_send_at_once = _sender()


class Line:
    """A server's raw socket, made safe for several writers and one reader.

    Writes stay whole and in order, and nothing follows a Close. The server that owns the socket closes it: closed here,
    its number might be another connection's by the time that the server does so.
    """

    def __init__(self, raw: socket.socket, stall: float = STALL):
        self._raw = raw
        # The descriptor can be used without Python, which asks whether a socket with a time limit is ready before each
        # write: half of what a short message costs.
        self.plain = type(raw) is socket.socket and os.name == "posix"
        self._lock = threading.Lock()
        self._left: deque[memoryview] = deque()  # to be written first
        self._dead = False
        self._closed = False
        raw.settimeout(stall)
        with suppress(OSError):  # not every socket has these
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED)

    @property
    def left(self) -> int:
        """Return how many writes are not, or not wholly, done."""
        return len(self._left)

    def send(self, data: bytes) -> int:
        """Write all of `data`, alone.

        Raises:
            OSError: the other side is gone, or took no byte in `stall` seconds; the line is dead from then on.
        """
        self._left.append(memoryview(data))
        self.flush()
        return len(data)

    def offer(self, data: bytes) -> bool:
        """Send `data` as far as it goes without waiting, and keep the rest; say whether that was all.

        Whoever is told False calls `flush` before more comes than should be kept.

        Raises:
            OSError: the other side is gone.
        """
        self._left.append(memoryview(data))
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._write(self._write_now)
        except BlockingIOError:
            return False
        finally:
            self._lock.release()
        return True

    def flush(self) -> None:
        """Write what is left, waiting for the reader; raises as `send` does."""
        with self._lock:
            self._write(self._write_waiting)

    def _write(self, write: Callable[[memoryview], int]) -> None:
        if self._dead or (self._closed and self._left):
            self._left.clear()
            raise BrokenPipeError("the socket is closed")
        try:
            while self._left and not self._closed:
                view = self._left[0]
                if taken := write(view):
                    self._left[0] = view[taken:]
                if taken == len(view):
                    self._left.popleft()
                    whole = view.obj  # what is left of a message may begin like a Close
                    self._closed = isinstance(whole, bytes) and whole.startswith(_CLOSE)
        except BlockingIOError:
            raise
        except OSError:
            self.end()
            raise

    def _write_waiting(self, view: memoryview) -> int:
        if self.plain:
            with suppress(BlockingIOError):
                return os.write(self._raw.fileno(), view)
        return self._raw.send(view[:CHUNK])

    def _write_now(self, view: memoryview) -> int:
        if self.plain:
            return _send_at_once(self._raw.fileno(), bytes(view))
        if not select.select([], [self._raw], [], 0)[1]:
            raise BlockingIOError
        return self._raw.send(view[:CHUNK])

    def recv(self, size: int) -> bytes:
        """Wait for bytes, however long they take to come."""
        while True:
            try:
                return self._raw.recv(size)
            except TimeoutError:
                if self._dead:
                    return b""

    def end(self) -> None:
        """End both directions at once; whoever reads or writes is woken."""
        self._dead = True
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Do nothing: simple-websocket's reader closes before what was written has been read."""

    def finish(self, seconds: float) -> None:
        """End this direction, and the other when the peer does or after `seconds`.

        Closing a socket that holds unread bytes, such as a ping that crossed our Close, resets the connection: the peer
        would lose what it has not read yet.
        """
        deadline = time.monotonic() + seconds
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_WR)
            while not self._dead and (left := deadline - time.monotonic()) > 0:
                self._raw.settimeout(left)
                if not self._raw.recv(CHUNK):
                    break
        self.end()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._raw.fileno()


class Aside:
    """A line for what simple-websocket answers by itself: that never waits for the other side to take it."""

    def __init__(self, line: Line):
        self.line = line
        self.recv, self.close = line.recv, line.close

    def send(self, data: bytes) -> int:
        """Write `data` as far as it goes, and the rest before what comes next; raises as `Line.offer` does.

        Nobody needs an answer to each of many pings, least of all a client that takes none of them.
        """
        if self.line.left < ANSWERS or data.startswith(_CLOSE):
            self.line.offer(data)
        return len(data)
