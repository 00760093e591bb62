"""Limits: what is too much, what is said about it, and that others go on."""

from __future__ import annotations

from contextlib import suppress

import pytest
from simple_websocket import ConnectionClosed

from engine.feeds import synthetic
from tests.conftest import make_app, serving
from tests.webapp.pages import Page, send, start
from tests.wire import Wire
from webapp import sockets

CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "frames": True, "paused": True}


@pytest.fixture
def opened():
    """Where a test puts the streams that it opens; they are closed afterwards."""
    wires: list[Wire] = []
    yield wires
    for wire in wires:
        wire.close()


@pytest.fixture
def limited(folders, opened):
    """A function that serves an app with settings, and returns one that opens its streams from addresses."""
    stack = []

    def serve(**settings):
        app = make_app(folders, PROXIES=1, PASSWORD="x", **settings)
        server = serving(app)
        stack.append((app, server))
        url = server.__enter__()

        def connect(address="203.0.113.1", message=CONFIG):
            opened.append(Wire(url, headers={"X-Forwarded-For": address, "Authorization": "Bearer x"}))
            if message is not None:
                opened[-1].send(message)
            return opened[-1]

        return connect

    yield serve
    for wire in opened:
        wire.close()
    for app, server in stack:
        server.__exit__(None, None, None)
        app.extensions["tapedeck"].store.database.close()


def refused(wire: Wire) -> str:
    """Return why a stream was sent away: to come back later."""
    wire.rest()
    assert wire.close_code == sockets.LATER
    return wire.socket.close_message


def test_a_stream_too_many_for_the_server_is_told_to_come_back(limited):
    connect = limited(MAX_STREAMS=2)
    first, second = connect("203.0.113.1"), connect("203.0.113.2")
    for wire in (first, second):
        wire.until("metadata")
    assert refused(connect("203.0.113.3", None)) == "This server plays at most 2 streams at once. Try again in a while."
    first.send({"action": "stop"})
    first.rest()
    assert connect("203.0.113.3").until("metadata")
    second.send({"action": "step", "bars": 1})
    assert second.until("frame")  # who was there noticed nothing


def test_a_stream_too_many_for_an_address_leaves_the_others_theirs(limited):
    connect = limited(STREAMS_PER_ADDRESS=1)
    first = connect("203.0.113.1")
    first.until("metadata")
    assert refused(connect("203.0.113.1", None)) == "An address may play at most 1 streams at once. Close one of yours."
    assert connect("203.0.113.2").until("metadata")


def test_simulations_that_would_wait_too_long_are_told_to_come_back(limited):
    connect = limited(MAX_QUEUE=0)
    assert "0 runs wait" in refused(connect())


def test_a_page_that_needs_a_simulation_is_told_when_to_come_back(folders):
    app = make_app(folders)
    run = start(app.test_client())
    app.extensions["tapedeck"].store.database.close()
    busy = make_app(folders, MAX_QUEUE=0)
    answer = busy.test_client().get(f"/runs/{run}/trades.csv?bar=5")
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    assert "Try again" in Page(answer).text(".lead")
    busy.extensions["tapedeck"].store.database.close()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"symbol": "SYNTH:101"}, "symbol"),
        ({"period": "6mo"}, "period"),
        ({"period": "", "start_date": "2012-01-01", "end_date": "2012-12-31"}, "start_date"),
    ],
)
def test_a_run_of_too_many_bars_is_refused_at_the_field_to_change(folders, changes, field):
    app = make_app(folders, MAX_BARS=100)
    client = app.test_client()
    answer = send(client, changes)
    assert answer.status_code == 422
    told = Page(answer).errors()[field]
    assert "more than this server plays in a run (100)" in told and "Choose a shorter period" in told
    assert send(client, {"symbol": "SYNTH:100"}).status_code == 303
    app.extensions["tapedeck"].store.database.close()


def test_bars_that_would_be_too_many_are_not_made_up(client, monkeypatch):
    monkeypatch.delattr(synthetic, "_walk")
    years = {"symbol": "SYNTH", "interval": "1m", "period": "", "start_date": "2010-01-01", "end_date": "2018-01-01"}
    assert client.get("/fragments/estimate", query_string=years).text.count("4,207,680 bars") == 1
    assert "more than this server plays in a run" in Page(send(client, years)).errors()["start_date"]


def test_a_form_too_large_is_told_what_to_do_and_one_that_fits_runs(folders):
    app = make_app(folders, MAX_CONTENT_LENGTH=2_000)
    client = app.test_client()
    answer = send(client, {"indicators": " " * 3_000})
    assert answer.status_code == 413 and "Shorten the parameters" in answer.text
    assert send(client).status_code == 303
    app.extensions["tapedeck"].store.database.close()


def test_messages_too_fast_end_the_stream_with_what_is_allowed(limited):
    wire = limited()()
    wire.until("metadata")
    with suppress(ConnectionClosed, OSError):  # it ends meanwhile
        for _ in range(sockets.RATE[0] + 50):
            wire.send('{"action": "pause"}')
    wire.rest()
    assert wire.close_code == sockets.POLICY
    assert wire.socket.close_message == sockets.FLOODED
    assert "at most 1,000 in 10 seconds" in sockets.FLOODED
