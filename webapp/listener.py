"""Listener: one thread that hears what all visitors of a process say.

simple-websocket would have a thread for each of them, which mostly waits: as much memory and as many wakes again as the
stream itself. It starts that thread from a class that it is given; an `Ear` looks like one.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
from contextlib import suppress
from typing import Any

from wsproto.utilities import LocalProtocolError

from webapp.line import Line

# These can be given another socket while they wait.
_SELECTORS = ("EpollSelector", "KqueueSelector")

log = logging.getLogger(__name__)


class Ear:
    """The reading thread of one WebSocket, as far as simple-websocket knows: it hears in the listener's."""

    name = "ear"

    def __init__(self, ws: Any, line: Line):
        self._ws = ws
        self._descriptor = line.fileno()
        self._over = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to hear."""
        listener.add(self._descriptor, self)

    def join(self, seconds: float) -> None:
        """Wait for the other side's last word, at most so long; when this returns, the socket is left alone."""
        self._over.wait(seconds)
        with self._lock:
            self._end()

    def hear(self) -> None:
        """Take what has come."""
        with self._lock:
            if self._over.is_set():
                return
            ws = self._ws
            try:
                data = os.read(self._descriptor, ws.receive_bytes)
                if not data:
                    raise EOFError
                ws.ws.receive_data(data)
                ws.connected = ws._handle_events()
            except BlockingIOError:
                return
            except (EOFError, OSError, LocalProtocolError):
                ws.connected = False
            except Exception:  # one visitor's trouble must not end the hearing of all
                log.exception("a client said what could not be read")
                ws.connected = False
            if not ws.connected:
                self._end()
                ws.event.set()

    def _end(self) -> None:
        if not self._over.is_set():
            listener.remove(self._descriptor, self)
            self._over.set()


class Listener:
    """The thread, started with the first ear."""

    @staticmethod
    def suits(line: Line) -> bool:
        """Say whether this system and this socket can be heard so."""
        return line.plain and selectors.DefaultSelector.__name__ in _SELECTORS

    def __init__(self) -> None:
        self._selector: selectors.BaseSelector | None = None
        self._starting = threading.Lock()

    def add(self, descriptor: int, ear: Ear) -> None:
        """Let `ear` hear whenever something comes."""
        with self._starting:
            if self._selector is None:
                selector = selectors.DefaultSelector()
                try:
                    threading.Thread(target=self._work, args=(selector,), name="listener", daemon=True).start()
                except BaseException:  # the system gives no more threads: the next ear tries again
                    selector.close()
                    raise
                self._selector = selector
        with suppress(KeyError):  # whoever had this number was closed before its ear had ended
            self._selector.unregister(descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ, ear)

    def remove(self, descriptor: int, ear: Ear) -> None:
        """Hear no more from there, unless the number is another's by now."""
        assert self._selector
        key = self._selector.get_map().get(descriptor)
        if key is not None and key.data is ear:
            self._selector.unregister(descriptor)

    def _work(self, selector: selectors.BaseSelector) -> None:
        while True:
            for key, _ in selector.select():
                key.data.hear()


listener = Listener()
