"""Who may open a stream, and how it ends: refused, sent away, by a bug, by a reader that takes nothing."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import threading
import time

import pytest
import simple_websocket

from engine.tape import Tape
from tests.handshake import GOOD, open_by_hand, shake
from tests.webapp.streaming import BARS, CONFIG, of, paused, start
from tests.wire import PATIENCE, Wire
from webapp import pacer, player, sockets, stream
from webapp.line import Line

# Who may come in


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 400),
        ({}, 101),
    ],
    ids=str,
)
def test_another_site_may_not_open_the_socket(live_url, headers, status):
    answer = shake(live_url + "/ws/backtest/stream/", headers)
    assert int(answer.split()[1]) == status


def test_a_client_that_names_no_origin_must_be_on_this_machine(client):
    headers = GOOD | {"Host": "localhost"}
    answer = client.get("/ws/backtest/stream/", headers=headers, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.status_code == 403


def test_our_own_page_may_open_the_socket(live_url):
    answer = shake(live_url + "/ws/backtest/stream/", {"Origin": live_url, "Sec-Fetch-Site": "same-origin"})
    assert int(answer.split()[1]) == 101


def test_more_streams_than_the_server_takes_are_sent_away(ws_connect, app):
    app.config["MAX_STREAMS"] = 1
    first = paused(ws_connect)
    second = ws_connect()
    assert second.rest() == []
    assert second.close_code == 1013
    first.send({"action": "stop"})
    first.rest()


# What must not happen to a socket


def test_a_bug_of_ours_closes_with_1011_and_writes_no_page_into_the_socket(ws_connect, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("a bug with /a/path in it")

    monkeypatch.setattr(player.Player, "run", fail)
    wire = ws_connect(start())
    (told,) = wire.rest()
    assert (told["type"], told["code"]) == ("error", "internal")
    assert "a bug" not in told["message"]
    assert wire.close_code == 1011
    assert "a bug" not in (wire.socket.close_message or "")
    assert any(record.exc_info for record in caplog.records)


def test_a_client_that_says_nothing_is_sent_away(ws_connect, monkeypatch):
    monkeypatch.setattr(stream, "PATIENCE", 0.1)
    wire = ws_connect()
    assert wire.rest() == []
    assert wire.close_code == 1008


def test_a_flood_of_good_messages_is_ended(ws_connect):
    wire = ws_connect(start() | {"paused": True})
    wire.receive()
    with contextlib.suppress(OSError, simple_websocket.ConnectionClosed):
        for _ in range(sockets.RATE[0] + 1):
            wire.send({"action": "ack", "bar": 0})
    wire.rest()
    assert wire.close_code == 1008


def test_the_library_sends_no_pings_by_itself():
    assert "ping_interval" not in sockets.OPTIONS  # it closes on readers that are only slow


def test_a_reader_that_takes_nothing_holds_up_no_other_stream(ws_connect, live_url, monkeypatch):
    behind = threading.Event()
    flush = Line.flush

    def note(line: Line) -> None:
        if line._left and threading.current_thread().name != "pacer":
            behind.set()
        flush(line)

    long = start(symbol="SYNTH:20000", interval="1m", period="max", speed=100)
    raw = open_by_hand(live_url + "/ws/backtest/stream/")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    text = json.dumps(long).encode()
    raw.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
    monkeypatch.setattr(Line, "flush", note)
    messages = ws_connect(start(speed=20)).rest()
    assert behind.wait(PATIENCE)  # its own thread waits for it
    assert [candle["bar_number"] for candle in of(messages, "candle")] == list(range(1, BARS + 1))
    messages = ws_connect(start(speed=20)).rest()  # and still none but its own
    assert messages[-1]["type"] == "complete"
    raw.close()


def test_an_instant_run_that_has_nothing_to_do_keeps_no_other_waiting(ws_connect, monkeypatch):
    monkeypatch.setattr(pacer, "WAY", 60.0)
    ws_connect(start() | {"hold": True}).until("complete")
    assert plays_at_once(ws_connect(start()))


def test_an_instant_run_whose_reader_takes_nothing_keeps_no_other_waiting(ws_connect, live_url, monkeypatch):
    monkeypatch.setattr(pacer, "WAY", 60.0)
    raw = open_by_hand(live_url + "/ws/backtest/stream/")
    text = json.dumps(start(symbol="SYNTH:100000", interval="1m", period="max")).encode()
    raw.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
    assert raw.recv(1)  # and no more
    assert plays_at_once(ws_connect(start()))
    raw.close()


def plays_at_once(wire: Wire) -> bool:
    """Say whether it plays to the end, and never stops for as long as one who keeps others waiting does."""
    while wire.receive(timeout=10)["type"] != "complete":
        pass
    return True


def test_a_client_that_leaves_frees_its_stream(ws_connect):
    before = len(sockets.switchboard)
    wire = paused(ws_connect)
    assert len(sockets.switchboard) == before + 1
    wire.close()
    freed = threading.Event()
    for _ in range(500):
        if len(sockets.switchboard) == before or freed.wait(0.02):
            break
    assert len(sockets.switchboard) == before


def test_a_run_that_is_over_leaves_nothing_behind(ws_connect, client):
    def tapes() -> int:
        gc.collect()
        return sum(isinstance(one, Tape) for one in gc.get_objects())

    before = tapes()
    for frames in (False, True, False):
        wire = ws_connect({"action": "start_backtest", "config": CONFIG | {"speed": "instant"}, "frames": frames})
        run = wire.until("complete")[-1]["run"]
        assert client.get(f"/runs/{run}/stats").status_code == 200
        wire.close()
    give_up = time.monotonic() + PATIENCE
    while tapes() > before and time.monotonic() < give_up:
        threading.Event().wait(0.05)  # for the server's side to end
    assert tapes() <= before
