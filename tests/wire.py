"""Wire: a plain client of the stream, for tests."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import simple_websocket

PATIENCE = 30  # seconds until a test that waits for a message gives up


class Client(simple_websocket.Client):
    """A client that misses nothing of a server which speaks, or closes, at once."""

    def handshake(self) -> None:
        """Read no further than the answer: the library forgets what came with it."""
        size, self.receive_bytes = self.receive_bytes, 1
        super().handshake()
        self.receive_bytes = size


class Wire:
    """An open socket to /ws/backtest/stream/ that speaks JSON."""

    def __init__(self, live_url: str, **options: Any):
        url = live_url.replace("http", "ws", 1) + "/ws/backtest/stream/"
        self.socket = Client(url, **options)

    def send(self, message: Any) -> None:
        """Send an object as JSON; text and bytes go as they are."""
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next message.

        Raises:
            AssertionError: none came in `timeout` seconds.
            simple_websocket.ConnectionClosed: the server closed; `.reason` is the close code.
        """
        text = self.socket.receive(timeout=timeout)
        assert text is not None, f"no message in {timeout} seconds"
        return json.loads(text)

    def until(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages up to and with the first of type `kind`."""
        messages = [self.receive()]
        while messages[-1]["type"] != kind:
            messages.append(self.receive())
        return messages

    def rest(self) -> list[dict[str, Any]]:
        """Return all messages up to the close by the server."""
        messages = []
        with contextlib.suppress(simple_websocket.ConnectionClosed):
            while True:
                messages.append(self.receive())
        return messages

    @property
    def close_code(self) -> int | None:
        """The code that the server closed with, None while open."""
        return None if self.socket.connected else self.socket.close_reason

    def close(self) -> None:
        """Leave; leaving twice is no fault."""
        with contextlib.suppress(simple_websocket.ConnectionClosed, OSError):
            self.socket.close()
