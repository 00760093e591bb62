"""Fixtures for the feeds: folders, a clock that stands still, and a server that answers as Yahoo does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.feeds import Feeds
from tests.engine.feeds.yahoo_server import YahooServer, serving


class Clock:
    """A time of day that moves only when told to."""

    def __init__(self, moment: str):
        self.at(moment)

    def __call__(self) -> float:
        return self.now

    def at(self, moment: str) -> None:
        """Set the clock: "2024-06-01 12:00", UTC unless it says otherwise."""
        stamp = pd.Timestamp(moment)
        self.now = (stamp if stamp.tz else stamp.tz_localize("UTC")).timestamp()

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock("2024-06-01 12:00")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The user's folder, empty."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def feeds(data: Path, tmp_path: Path) -> Feeds:
    """Feeds that never ask Yahoo."""
    return Feeds(data, tmp_path / "cache", yahoo=False)


@pytest.fixture
def yahoo() -> Iterator[YahooServer]:
    with serving() as server:
        yield server


@pytest.fixture
def online(yahoo: YahooServer, data: Path, tmp_path: Path, clock: Clock) -> Callable[..., Feeds]:
    """Make feeds that ask the local server; all share one cache folder unless told otherwise."""

    def make(**settings: Any) -> Feeds:
        given = {"cache_dir": tmp_path / "cache", "yahoo_url": yahoo.url, "clock": clock} | settings
        return Feeds(data, given.pop("cache_dir"), **given)

    return make


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address where connections are refused: its port is bound, so that nobody else gets it, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


class Silent:
    """A server that takes connections and says nothing; `connections` counts them."""

    def __init__(self, listener: socket.socket):
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.connections = 0
        self.open: list[socket.socket] = []
        self._listener = listener

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            self.connections += 1
            self.open.append(connection)


@pytest.fixture
def silent() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Silent(listener)
        thread = threading.Thread(target=server.accept, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in server.open:
        connection.close()
