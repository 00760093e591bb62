"""Fuzz: whatever is sent to the socket and the forms, there is an answer or a clean close, no bug, and a server."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import simple_websocket
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import make_app
from tests.handshake import frame, open_by_hand
from tests.webapp.pages import FRAGMENT, get
from tests.wire import Wire
from webapp import protocol
from webapp.attempts import Attempts
from webapp.backtest_form import NAMES

CONFIG = {"symbol": "SYNTH:300", "interval": "1d", "strategy": "sma_cross", "hold": True}
CLEAN = {1000, 1002, 1003, 1007, 1008, 1009, 1013}
CONNECTIONS, MESSAGES = 350, 30  # 10,500 messages
SERVED = settings(
    max_examples=CONNECTIONS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would send as many again
    suppress_health_check=list(HealthCheck),
)


class Bugs(logging.Handler):
    """Entries of the log that only a bug of ours makes."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


@pytest.fixture
def bugs() -> Iterator[list[str]]:
    """What was logged as an error, by anybody."""
    handler = Bugs()
    for name in ("webapp", "engine", "werkzeug"):
        logging.getLogger(name).addHandler(handler)
    yield handler.found
    for name in ("webapp", "engine", "werkzeug"):
        logging.getLogger(name).removeHandler(handler)


# What is sent

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "0", "-1", "1e999", "NaN", "../../etc/passwd", "<script>", "=1+1", "\x00", "\ud800", "a" * 5000]
    ),
    st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63, 10**400, -0.0, 1e308, 5e-324]),
)
values = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
fields = [
    "bars",
    "bar",
    "time",
    "value",
    "from",
    "to",
    "sort",
    "list",
    "entry",
    "exit",
    "rejected",
    "drawdown",
    "run",
    "config",
]
known = {
    "bars": st.integers(-400, 400),
    "bar": st.integers(-1, 301),
    "time": st.integers(0, 2_000_000_000),
    "value": st.sampled_from([0.25, 1, 2, 100, "instant", "2x"]),
    "from": st.integers(0, 301),
    "to": st.integers(0, 301),
    "drawdown": st.floats(0.1, 99),
    "entry": st.booleans(),
    "rejected": st.booleans(),
}
actions = st.sampled_from([name for name in protocol.ACTIONS if name != "stop"])
good = st.builds(lambda action, rest: {"action": action} | rest, actions, st.fixed_dictionaries({}, optional=known))
bent = st.builds(
    lambda action, rest: {"action": action} | rest,
    st.one_of(actions, odd),
    st.dictionaries(st.sampled_from(fields) | st.text(max_size=8), values, max_size=5),
)


def written(message: Any) -> str:
    """Return a message as JSON, or as what a careless client makes of it."""
    return json.dumps(message)


raw = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    st.sampled_from(
        ["[" * 50_000, "{" * 1000, '{"a":' * 5000, "[1e999]", '"\\ud800"', "nul", "{}", "[]", "\x00", "9" * 5000]
    ),
)
# Five refusals in a row close a stream, so that most messages are ones that can be followed.
messages = st.lists(
    st.one_of(good.map(written), good.map(written), good.map(written), bent.map(written), raw),
    min_size=MESSAGES,
    max_size=MESSAGES,
)
pairs = st.dictionaries(
    st.sampled_from([*NAMES, "frames", "hold", "paused", "params", "run", "from_bar", "window"]) | st.text(max_size=10),
    values,
    max_size=6,
)
starts = st.one_of(
    pairs.map(lambda rest: written({"action": "start_backtest", "config": CONFIG | rest})),
    pairs.map(lambda rest: written(CONFIG | {"symbol": "AAPL"} | rest)),
    pairs.map(lambda rest: written({"action": "start_backtest"} | rest)),
    bent.map(written),
    raw,
)

# How it is answered


def talk(wire: Wire, sent: list[str | bytes], numbers: Iterator[int]) -> int:
    """Send messages, and after each few ask for an answer; return how many were sent before the server closed."""
    done = 0
    try:
        for text in sent:
            wire.send(text)
            done += 1
            if done % 3 == 0:
                answered(wire, next(numbers))
        answered(wire, next(numbers))
    except simple_websocket.ConnectionClosed:
        pass
    return done


def answered(wire: Wire, number: int) -> None:
    """Return once the server has answered what is sent last: all before it was read."""
    depth = 1 + number % 9_000_000 / 100_000
    wire.send({"action": "pause_on", "drawdown": depth})
    while True:
        message = wire.receive()
        assert set(message) and message["type"] in (
            "metadata", "state", "stats", "frame", "window", "candle", "signal", "complete", "error", "heartbeat",
        )  # fmt: skip
        if message["type"] == "error":
            assert message["message"] and message["code"] and "Traceback" not in message["message"]
        if message["type"] == "state" and message["pause_on"]["drawdown"] == round(depth, 6):
            return


def still_serves(url: str) -> None:
    """Play a run from start to end."""
    wire = Wire(url)
    wire.send({"symbol": "AAPL", "period": "6mo", "speed": "instant"})
    received = wire.rest()
    wire.close()
    assert [m["bar_number"] for m in received if m["type"] == "candle"] == list(range(1, 123))
    assert received[-1]["type"] == "complete"


def test_messages_to_a_stream_are_answered_or_end_it_cleanly(live_url, bugs):
    sent, numbers = [0], count()

    @SERVED
    @given(messages, st.booleans())
    def play(texts: list[str | bytes], frames: bool) -> None:
        left = texts
        while left:  # a stream that was closed is opened again for what is left
            wire = Wire(live_url)
            wire.send({"action": "start_backtest", "config": CONFIG | {"frames": frames, "speed": 100}})
            done = talk(wire, left, numbers)
            assert wire.close_code in {None, *CLEAN}, left[:done]
            wire.close()
            sent[0] += done
            left = left[done:]

    play()
    assert sent[0] >= 10_000
    still_serves(live_url)
    assert bugs == []


def test_first_messages_start_a_run_or_end_the_stream_cleanly(live_url, bugs):
    @settings(SERVED, max_examples=300)
    @given(starts)
    def begin(text: str | bytes) -> None:
        wire = Wire(live_url)
        wire.send(text)
        try:
            first = wire.receive()
            assert first["type"] in ("metadata", "error")
            if first["type"] == "error":
                assert first["message"] and "Traceback" not in first["message"]
                wire.rest()
        except simple_websocket.ConnectionClosed:
            pass
        assert wire.close_code in {None, *CLEAN}
        wire.close()

    begin()
    still_serves(live_url)
    assert bugs == []


opcodes = st.integers(0, 255)
frames = st.builds(
    lambda first, second, more: bytes([first, second]) + more, opcodes, opcodes, st.binary(max_size=300)
) | st.builds(
    lambda opcode, text: bytes([0x80 | opcode, 0x80 | min(len(text), 125)]) + bytes(4) + text[:125],
    st.sampled_from([0, 1, 2, 8, 9, 10]),
    st.binary(max_size=125),
)


def test_bytes_that_are_no_messages_end_the_connection_and_nothing_else(live_url, bugs):
    @settings(SERVED, max_examples=300)
    @given(st.lists(frames, min_size=1, max_size=5))
    def send(pieces: list[bytes]) -> None:
        with open_by_hand(f"{live_url}/ws/backtest/stream/") as wire:
            try:
                for piece in pieces:
                    wire.sendall(piece)
                wire.shutdown(socket.SHUT_WR)
                while True:
                    opcode, payload = frame(wire)
                    if opcode == 8:
                        assert not payload or struct.unpack("!H", payload[:2])[0] in CLEAN
                        break
            except (ConnectionError, BrokenPipeError):
                return
            except AssertionError as error:
                assert "the connection ended" in str(error), pieces  # it was not HTTP, nor half a frame of ours

    send()
    still_serves(live_url)
    assert bugs == []


text = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            *("", "0", "-1", "1e400", "nan", "AAPL", "SYNTH:50", "SYNTH:9999999999", "../x", "a" * 3000, "\x00"),
            *("\r\nX: y", "=1+1", "2012-13-45", "9999-12-31", "0001-01-01", "6mo", "max", "{" * 3000, "<b>", "٣"),
            '{"RSI": {"window": -1}}',
        ]
    ),
)
names = st.sampled_from([*NAMES, "params.fast", "params.slow", "parameters_for", "key", "csrf_token"]) | st.text(
    max_size=12
)


def test_the_forms_of_a_run_are_answered_whatever_is_filled_in(client, bugs):
    full = get(client, "/?strategy=sma_cross").sent()

    @settings(SERVED, max_examples=400)
    @given(st.dictionaries(names, text, max_size=5), st.booleans())
    def fill_in(changes: dict[str, str], whole: bool) -> None:
        headers = {} if whole else FRAGMENT
        answer = client.post("/runs", data=full | changes, headers=headers)
        assert answer.status_code in (200, 303, 400, 413, 422)
        for address in ("/", "/fragments/parameters", "/fragments/periods", "/fragments/estimate"):
            assert client.get(address, query_string=full | changes, headers=headers).status_code in (200, 422)
        query = {name: changes.get(key, "1") for name, key in (("bar", "speed"), ("before", "margin"), ("sort", "key"))}
        assert client.get("/runs", query_string=query).status_code == 200

    fill_in()
    assert get(client, "/").status == 200
    assert bugs == []


def test_the_form_of_the_login_is_answered_whatever_is_filled_in(folders, bugs):
    app = make_app(folders, PASSWORD="x" * 40)
    app.extensions["tapedeck.attempts"] = Attempts(sleep=lambda _: None)
    client = app.test_client()
    token = get(client, "/login").one("[name=csrf_token]")["value"]

    @settings(SERVED, max_examples=300)
    @given(text, text, text, st.binary(max_size=50))
    def fill_in(password: str, wanted: str, key: str, bearer: bytes) -> None:
        form = {"csrf_token": token, "password": password, "next": wanted}
        assert client.post("/login", data=form).status_code in (403, 429)
        assert client.get("/login", query_string={"key": key, "next": wanted}).status_code == 403
        line = bearer.decode("latin-1").replace("\r", "").replace("\n", "")
        assert client.get("/runs", headers={"Authorization": f"Bearer {line}"}).status_code in (401, 429)

    fill_in()
    assert client.get("/runs").status_code == 401
    assert bugs == []
    app.extensions["tapedeck"].store.database.close()


def test_addresses_are_answered_whatever_they_say(app, client, bugs):
    @settings(SERVED, max_examples=300)
    @given(st.sampled_from(["/", "/runs/", "/static/", "/charts/", "/charts/setup.js?shape="]), text)
    def ask(start: str, rest: str) -> None:
        try:
            answer = client.get(start + rest)
        except UnicodeError:  # what no client can send
            return
        with answer:
            assert answer.status_code < 500

    ask()
    assert bugs == []
