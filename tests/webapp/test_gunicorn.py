"""The shipped gunicorn.conf.py: real workers, a real socket, a real SIGTERM."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.handshake import shake
from tests.wire import Wire

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds
CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "initial_balance": 10000, "strategy": "sma_cross"}


class Gunicorn:
    """A master with one worker on a free port; `log` holds the lines that it has written."""

    def __init__(self, folders: dict[str, Path], *options: str, cwd: Path = ROOT):
        names = {"home": "TAPEDECK_HOME", "data": "TAPEDECK_DATA_DIR", "strategies": "TAPEDECK_STRATEGIES_DIR"}
        env = os.environ | {names[name]: str(path) for name, path in folders.items()} | {"TAPEDECK_YAHOO": "false"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", "127.0.0.1:0", "--workers", "1", *options],
            cwd=cwd, env=env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.log: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE), "\n".join(self.log)
        found = re.search(r"Listening at: http://[\d.]+:(\d+)", "\n".join(self.log))
        assert found, "\n".join(self.log)
        self.url = f"http://127.0.0.1:{found[1]}"
        with urlopen(self.url + "/healthz", timeout=PATIENCE) as answer:
            assert answer.status == 200

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            if "Booting worker" in line:
                self._ready.set()
        self._ready.set()

    def stop(self) -> int:
        """Let it end by SIGTERM, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr
        self.process.stderr.close()
        return code


@pytest.fixture
def gunicorn(folders) -> Iterator[Gunicorn]:
    """The shipped configuration, serving."""
    server = Gunicorn(folders)
    yield server
    server.stop()
    assert "Traceback" not in "\n".join(server.log)


@pytest.fixture
def connect(gunicorn) -> Iterator:
    """A function that opens a stream and sends it a message."""
    opened: list[Wire] = []

    def start(message: dict) -> Wire:
        opened.append(Wire(gunicorn.url))
        opened[-1].send(message)
        return opened[-1]

    yield start
    for wire in opened:
        wire.close()


def test_a_run_is_streamed_whole_and_in_order(gunicorn, connect):
    wire = connect({"action": "start_backtest", "config": CONFIG})
    messages = wire.rest()
    kinds = [message["type"] for message in messages]
    candles = [message["bar_number"] for message in messages if message["type"] == "candle"]
    assert messages[0]["type"] == "metadata"
    assert messages[0]["total_bars"] == len(candles) == 122
    assert candles == list(range(1, 123))
    assert "signal" in kinds
    assert kinds.count("complete") == 1
    assert kinds[-1] == "complete"
    assert wire.close_code == 1000
    gunicorn.stop()  # then the log has been read to its end
    assert any("completed: 122 bars" in line for line in gunicorn.log)
    assert any("Using worker: gthread" in line for line in gunicorn.log)  # on gevent, one long sum would stop all


def test_sigterm_tells_every_stream_to_come_back(gunicorn, connect):
    playing = [connect({"action": "start_backtest", "config": CONFIG | {"speed": 0.25}}) for _ in range(3)]
    waiting = [connect({"action": "start_backtest", "config": CONFIG | {"frames": True, "paused": True}})]
    silent = Wire(gunicorn.url)  # has not said what it wants
    for wire in playing + waiting:
        wire.until("metadata")
    gunicorn.process.send_signal(signal.SIGTERM)
    for wire in [*playing, *waiting, silent]:
        wire.rest()
        assert wire.close_code == 1012
    silent.close()
    assert gunicorn.stop() == 0


def test_sigterm_ends_fifty_streams_within_the_time_that_a_deployment_has(gunicorn, connect):
    wires = [connect({"action": "start_backtest", "config": CONFIG | {"speed": 0.25}}) for _ in range(50)]
    for wire in wires:
        wire.until("candle")  # the pacer has them
    gunicorn.process.send_signal(signal.SIGTERM)
    for wire in wires:
        wire.rest()
    assert {wire.close_code for wire in wires} == {1012}
    assert gunicorn.stop() == 0
    assert not any("timeout" in line.lower() for line in gunicorn.log)  # it left by itself


def test_clients_that_linger_after_their_answer_hold_up_nobody(gunicorn):
    host, port = gunicorn.url.removeprefix("http://").split(":")
    lingering = []
    for _ in range(15):  # each took up to 2 s of the accept loop: half a minute in all
        raw = socket.create_connection((host, int(port)))
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        lingering.append(raw)
    for raw in reversed(lingering):  # the last one waits no longer than the first
        raw.settimeout(PATIENCE / 3)
        assert raw.recv(15) == b"HTTP/1.1 200 OK"
    with urlopen(gunicorn.url + "/healthz", timeout=10) as answer:
        assert answer.status == 200
    for raw in lingering:
        raw.close()


def test_a_handshake_that_is_refused_is_a_plain_answer(gunicorn):
    answer = shake(gunicorn.url + "/ws/backtest/stream/", {"Sec-WebSocket-Key": None})
    assert answer.startswith(b"HTTP/1.1 400")


def test_half_a_request_holds_its_thread_for_seconds_only(folders):
    server = Gunicorn(folders, "--threads", "2")
    host, port = server.url.removeprefix("http://").split(":")
    halves = []
    for _ in range(2):
        raw = socket.create_connection((host, int(port)))
        raw.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        halves.append(raw)
    with urlopen(server.url + "/healthz", timeout=PATIENCE) as answer:
        assert answer.status == 200
    for raw in halves:
        raw.close()
    server.stop()
    assert any("in the middle of a request" in line for line in server.log)
    assert "Traceback" not in "\n".join(server.log)


def test_a_request_in_drops_and_an_answer_that_nobody_takes_hold_no_thread_for_ever(folders):
    server = Gunicorn(folders, "--threads", "2")
    host, port = server.url.removeprefix("http://").split(":")
    drops, deaf = (socket.create_connection((host, int(port))) for _ in range(2))
    deaf.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000)
    drops.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    drops.settimeout(2)
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 2 * PATIENCE:
            drops.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                if not drops.recv(1):
                    break
    assert time.monotonic() - began < PATIENCE
    for _ in range(3):  # with no more threads than there were clients
        with urlopen(server.url + "/healthz", timeout=PATIENCE) as answer:
            assert answer.status == 200
    drops.close()
    deaf.close()
    server.stop()
    assert "Traceback" not in "\n".join(server.log)


def test_streams_leave_threads_for_pages_however_many_there_are(folders):
    server = Gunicorn(folders, "--threads", "18")
    wires = [Wire(server.url) for _ in range(3)]
    try:
        for wire in wires[:2]:
            wire.send({"action": "start_backtest", "config": CONFIG | {"paused": True, "frames": True}})
            wire.until("metadata")
        wires[2].rest()
        assert wires[2].close_code == 1013 and "at most 2 streams" in wires[2].socket.close_message
        with urlopen(server.url + "/runs", timeout=PATIENCE) as answer:
            assert answer.status == 200
    finally:
        for wire in wires:
            wire.close()
        server.stop()


def test_more_threads_are_more_connections(folders, monkeypatch):
    monkeypatch.setenv("TAPEDECK_THREADS", "2")
    server = Gunicorn(folders, "--threads", "8")
    host, port = server.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(7)]  # one thread is left
    for raw in silent:
        raw.sendall(b"G")
    with urlopen(server.url + "/healthz", timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert not any("in the middle of a request" in line for line in server.log)  # it waited for none of them
    for raw in silent:
        raw.close()
    server.stop()


def test_the_command_may_name_another_folder_and_a_file_for_the_process_id(folders, tmp_path):
    pid = tmp_path / "pid"
    (tmp_path / "there").symlink_to(ROOT)
    options = ("--config", "there/gunicorn.conf.py", "--chdir", "there", "--pid", str(pid))
    server = Gunicorn(folders, *options, cwd=tmp_path)
    assert int(pid.read_text()) == server.process.pid
    assert server.stop() == 0
    assert not pid.exists()


def test_a_worker_of_one_thread_is_told_and_plays_nothing(folders, tmp_path):
    (tmp_path / "other.py").write_text("control_socket_disable = True\n")
    server = Gunicorn(folders, "--config", str(tmp_path / "other.py"))
    wire = Wire(server.url)
    (error,) = wire.rest()
    assert error["type"] == "error" and "start it with --config gunicorn.conf.py" in error["message"]
    assert wire.close_code == 1008
    with urlopen(server.url + "/runs", timeout=PATIENCE) as answer:
        assert answer.status == 200
    wire.close()
    server.stop()


def test_what_a_visitor_says_of_a_proxy_is_not_believed(gunicorn):
    request = Request(gunicorn.url + "/login", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on"})
    with urlopen(request, timeout=PATIENCE) as answer:
        assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(gunicorn, headers):
    host, port = gunicorn.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as raw:
        second = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        raw.sendall(f"POST /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n0\r\n\r\n{second}".encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # it is closed with bytes unread
            while data := raw.recv(4096):
                answer += data
    assert answer.count(b"HTTP/1.1 ") <= 1 and b"200 OK" not in answer
    assert not answer or answer.split()[1] in (b"400", b"501")


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_a_worker_that_cannot_serve_streams_is_refused_at_the_start(worker):
    words = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", "127.0.0.1:0", "--threads", "1", "-k", worker]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode not in (0, None)
    assert "gthread worker" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_others_are_not_served_without_a_password(address):
    environ = {name: value for name, value in os.environ.items() if name != "TAPEDECK_PASSWORD"}
    words = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", address]
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode not in (0, None)
    assert "without a password" in done.stderr and "Set TAPEDECK_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


def test_others_are_served_with_a_password_and_only_with_it(folders, monkeypatch):
    monkeypatch.setenv("TAPEDECK_PASSWORD", "for others")
    server = Gunicorn(folders, "--bind", "0.0.0.0:0")
    with pytest.raises(HTTPError, match="401"):
        urlopen(server.url + "/runs", timeout=PATIENCE)
    bearer = {"Authorization": "Bearer for others"}
    with urlopen(Request(server.url + "/runs", headers=bearer), timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert server.stop() == 0


def test_the_numbers_of_all_workers_are_added_up(folders):
    server = Gunicorn(folders, "--workers", "2")
    wires = [Wire(server.url) for _ in range(6)]
    for wire in wires:
        wire.send({"action": "start_backtest", "config": CONFIG | {"frames": True, "paused": True}})
        wire.until("metadata")
    for _ in range(4):  # whichever worker answers
        with urlopen(server.url + "/metrics", timeout=PATIENCE) as answer:
            assert "\ntapedeck_streams 6.0\n" in answer.read().decode()
    for wire in wires:
        wire.close()
    server.stop()
