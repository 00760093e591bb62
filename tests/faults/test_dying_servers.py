"""Dying servers: a worker that is killed, a server that restarts under fifty streams, another one that takes over."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import simple_websocket

from tests.faults.watching import Watcher
from tests.servers import PATIENCE, Gunicorn, fetch, free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")

# A stream lasts 25 s: none is over before its fault has come, however busy the machine is.
CONFIG = {"symbol": "AAPL", "period": "2y", "interval": "1d", "strategy": "sma_cross", "speed": 1}
STREAMS = 50
STOPPED, RATE = 2.0, 40  # s that a worker stands still; bars a second


class Hosts:
    """Gunicorns that share a home; all are ended with the test."""

    def __init__(self, settings: dict[str, str]):
        self.settings = settings
        self.started: list[Gunicorn] = []

    def start(self, port: int = 0, **more: str) -> Gunicorn:
        self.started.append(Gunicorn(port=port, **(self.settings | more)))
        return self.started[-1]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path) -> str:
    """The URL of an empty database: every test that uses it runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.sqlite3"
    return request.getfixturevalue("postgres").make_database()


@pytest.fixture
def hosts(folders, database) -> Iterator[Hosts]:
    """Hosts whose home and database are those of the test."""
    names = {"TAPEDECK_HOME": "home", "TAPEDECK_DATA_DIR": "data", "TAPEDECK_STRATEGIES_DIR": "strategies"}
    made = Hosts({name: str(folders[folder]) for name, folder in names.items()} | {"TAPEDECK_DATABASE_URL": database})
    yield made
    for server in made.started:
        if not server.process.stderr.closed:
            server.stop()
    said = "\n".join(line for server in made.started for line in server.log)
    assert "Traceback" not in said, said


def come_back(watcher: Watcher, url: str, **more) -> Watcher:
    """Connect again as soon as somebody answers."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return watcher.connect(url, **more)
        except (OSError, simple_websocket.ConnectionError):
            assert time.monotonic() < give_up
            threading.Event().wait(0.05)


def workers(server: Gunicorn) -> list[int]:
    """Return the server's worker processes."""
    pid = server.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def state(pid: int) -> str:
    """Return the letter that the kernel has for what a process does: "T" is stopped."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the worker is found through /proc")
def test_a_killed_worker_costs_its_visitor_nothing(hosts):
    server = hosts.start()
    expected = Watcher(CONFIG | {"speed": "instant"}).connect(server.url).watch().seen
    watcher = Watcher(CONFIG).connect(server.url).until_bar(25)
    (worker,) = workers(server)
    os.kill(worker, signal.SIGKILL)
    watcher.watch()  # to the end of the connection
    assert watcher.complete is None and watcher.bar >= 25
    come_back(watcher, server.url, speed="instant").watch()
    assert watcher.seen == expected
    assert workers(server) != [worker]


@pytest.mark.skipif(sys.platform != "linux", reason="the worker is found through /proc")
def test_a_worker_that_stood_still_goes_on_in_order_and_makes_up_for_nothing(hosts):
    server = hosts.start()
    expected = Watcher(CONFIG | {"speed": "instant"}).connect(server.url).watch().seen
    watcher = Watcher(CONFIG | {"speed": RATE / 20}).connect(server.url).until_bar(10)
    (worker,) = workers(server)
    os.kill(worker, signal.SIGSTOP)
    wait_for(lambda: state(worker) == "T")
    assert watcher.wire is not None
    while (text := watcher.wire.socket.receive(timeout=STOPPED / 2)) is not None:  # what was on its way
        watcher.take(json.loads(text))
    threading.Event().wait(STOPPED)  # more than is made up for
    last, went_on = watcher.bar, time.monotonic()
    os.kill(worker, signal.SIGCONT)
    watcher.until_bar(last + int(2 * STOPPED * RATE))
    assert time.monotonic() - went_on > STOPPED  # at once there would have been half of them
    watcher.wire.send({"action": "speed", "value": "instant"})
    assert watcher.watch().seen == expected
    assert workers(server) == [worker]


def test_fifty_streams_are_told_of_a_restart_and_go_on_at_the_new_server(hosts):
    port = free_port()
    server = hosts.start(port)
    expected = Watcher(CONFIG | {"speed": "instant"}).connect(server.url).watch().seen
    with ThreadPoolExecutor(STREAMS) as threads:
        watchers = list(threads.map(lambda _: Watcher(CONFIG).connect(server.url), range(STREAMS)))
        list(threads.map(lambda watcher: watcher.until_bar(3), watchers))
        assert server.stop() == 0  # asked by SIGTERM
        list(threads.map(lambda watcher: watcher.watch(), watchers))
        codes = [watcher.wire.close_code for watcher in watchers]
        assert codes == [1012] * STREAMS
        assert all(watcher.complete is None for watcher in watchers)
        other = hosts.start(port)
        list(threads.map(lambda watcher: watcher.connect(other.url, speed="instant").watch(), watchers))
    assert [watcher.seen for watcher in watchers] == [expected] * STREAMS
    listed = fetch(f"{other.url}/runs")
    assert "Interrupted" not in listed and "Playing" not in listed


def test_another_server_that_shares_only_the_database_goes_on_with_a_stream(hosts, tmp_path):
    first, second = (hosts.start(TAPEDECK_HOME=str(tmp_path / name)) for name in ("first", "second"))
    expected = Watcher(CONFIG | {"speed": "instant"}).connect(first.url).watch().seen
    watcher = Watcher(CONFIG).connect(first.url).until_bar(20)
    frames = Watcher(CONFIG, frames=True).connect(first.url).until_bar(10)
    wait_for(lambda: fetch(f"{second.url}/runs").count("Playing") == 2)
    first.kill()
    if sys.platform == "linux":  # elsewhere it takes a minute to be sure
        assert fetch(f"{second.url}/runs").count("Interrupted") == 2
    assert watcher.watch().complete is None
    assert watcher.connect(second.url, speed="instant").watch().seen == expected
    frames.watch()
    assert [one["bar_number"] for one in frames.connect(second.url, speed=20).watch().candles] == [
        one["bar_number"] for one in watcher.candles
    ]
    assert "Interrupted" not in fetch(f"{second.url}/runs")


def wait_for(holds) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        threading.Event().wait(0.05)
