"""The stream as a plain client meets it: a real server, a real socket."""

from __future__ import annotations

import contextlib
import gc
import json
import queue
import re
import socket
import threading
import time
from collections import Counter

import pytest
import simple_websocket

from engine import Simulation
from engine.statistics import Live
from engine.strategies.sma_cross import SmaCross
from engine.tape import Tape
from tests.handshake import GOOD, open_by_hand, shake
from tests.wire import PATIENCE, Wire
from webapp import player, sockets, stream
from webapp.line import Line

CONFIG = {
    "symbol": "AAPL",
    "period": "6mo",
    "interval": "1d",
    "initial_balance": 10000,
    "strategy": "sma_cross",
    "commission": 0,
    "speed": "instant",
}
BARS = 122


def start(**changes) -> dict:
    """Return the message that starts the usual run, with another config."""
    return {"action": "start_backtest", "config": CONFIG | changes}


def of(messages: list[dict], kind: str) -> list[dict]:
    """Return the messages of one type."""
    return [message for message in messages if message["type"] == kind]


@pytest.fixture
def bars(services):
    """The bars of the usual run."""
    return services.feeds.load("AAPL", "1d", period="6mo")


@pytest.fixture
def simulation(bars):
    """The usual run, played by itself."""
    simulation = Simulation(bars, SmaCross, {}, cash=10000, commission=0)
    simulation.advance(BARS)
    return simulation


# A run from start to end


@pytest.mark.parametrize("first", [start(), start(speed=100), CONFIG], ids=["instant", "100x", "a bare config"])
def test_a_plain_client_gets_every_candle_once_and_in_order_and_one_complete(ws_connect, bars, first):
    wire = ws_connect(first)
    messages = wire.rest()
    candles = of(messages, "candle")
    assert messages[0]["type"] == "metadata"
    assert messages[0]["total_bars"] == BARS
    assert [candle["bar_number"] for candle in candles] == list(range(1, BARS + 1))
    for column in ("open", "high", "low", "close", "volume"):
        assert [candle[column] for candle in candles] == getattr(bars, column).tolist()
    assert candles[-1]["progress"] == 100
    assert candles[0]["timestamp"] == "2012-09-04T00:00:00+00:00"
    assert messages[-1]["type"] == "complete"
    assert Counter(message["type"] for message in messages)["complete"] == 1
    assert wire.close_code == 1000


def test_every_indicator_has_a_colour_also_where_the_strategy_chose_none(ws_connect):
    told = ws_connect(start(indicators={"EMA": {"timeperiod": 5}})).rest()[0]["indicators"]
    colors = [indicator["color"] for indicator in told]
    assert len(colors) == 3 and len(set(colors)) == 3
    assert all(re.fullmatch(r"#[0-9A-F]{6}", color) for color in colors)


def test_signals_come_once_just_before_the_candle_of_their_bar(ws_connect, simulation):
    messages = ws_connect(start()).rest()
    signals = of(messages, "signal")
    expected = simulation.tape.signals()
    assert [(s["bar_number"], s["action"].lower(), s["price"], s["size"]) for s in signals] == [
        (event.bar + 1, event.kind, event.price, event.size) for event in expected
    ]
    assert len(signals) > 2
    for number, message in enumerate(messages):
        if message["type"] == "signal":
            following = next(m for m in messages[number:] if m["type"] == "candle")
            assert following["bar_number"] == message["bar_number"]
            assert ("pnl" in message) == (message["action"] == "EXIT")


def test_statistics_contain_nothing_from_after_their_bar(ws_connect, bars):
    messages = ws_connect(start(speed=4)).rest()
    shown = 0
    for message in messages:
        if message["type"] == "candle":
            shown = message["bar_number"]
        if message["type"] == "stats":
            assert message["bar_number"] == shown
    assert len(of(messages, "stats")) > 2
    for message in of(messages, "stats"):
        known = Simulation(bars[: message["bar_number"]], SmaCross, {}, cash=10000, commission=0)
        known.advance(message["bar_number"])
        alone = Live(known.tape).at(message["bar_number"])
        assert message["equity"] == pytest.approx(alone["equity"])
        assert message["total_trades"] == alone["total_trades"]
        assert message["max_drawdown"] == pytest.approx(alone["max_drawdown"])


def test_the_last_bar_has_its_statistics_and_complete_the_same(ws_connect, simulation):
    messages = ws_connect(start()).rest()
    last, complete = of(messages, "stats")[-1], messages[-1]
    assert last["bar_number"] == complete["total_bars"] == BARS
    assert last["equity"] == complete["metrics"]["equity"] == pytest.approx(simulation.tape.equity()[-1])


def test_a_number_that_is_not_defined_is_null(ws_connect):
    text = json.dumps(ws_connect(start(strategy="buy_and_hold")).rest())
    assert "NaN" not in text
    assert "Infinity" not in text
    assert '"profit_factor": null' in text


def test_the_log_says_when_a_stream_starts_and_when_it_is_complete(ws_connect, caplog):
    caplog.set_level("INFO", "webapp")
    ws_connect(start()).rest()
    said = [record.getMessage() for record in caplog.records if record.name == "webapp.stream"]
    assert any(text.startswith("stream started") for text in said)
    assert any("completed: 122 bars" in text for text in said)


def test_a_run_is_stored_before_it_starts_and_completed_at_its_end(ws_connect, services):
    wire = ws_connect(start())
    run = wire.receive()["run"]
    assert services.store.run(run).config.symbol == "AAPL"
    messages = wire.rest()
    stored = services.store.run(run)
    assert stored.status == "completed"
    assert stored.results["metrics"]["equity"] == messages[-1]["metrics"]["equity"]


# Stored runs


def test_a_stored_run_is_played_again_the_same(ws_connect):
    first = ws_connect(start()).rest()
    again = ws_connect({"action": "start_backtest", "run": first[0]["run"]}).rest()
    for kind in ("candle", "signal", "complete"):
        assert of(again, kind) == of(first, kind)


@pytest.mark.parametrize("bar", [1, 2, 57, BARS])
def test_a_resumed_run_begins_with_the_whole_of_the_bar_that_is_asked_for(ws_connect, bar):
    first = ws_connect(start()).rest()
    again = ws_connect({"action": "start_backtest", "run": first[0]["run"], "from_bar": bar}).rest()
    for kind in ("candle", "signal"):
        assert of(again, kind) == [message for message in of(first, kind) if message["bar_number"] >= bar]
    assert of(again, "complete") == of(first, "complete")


def test_settings_of_the_stream_may_stand_beside_the_run(ws_connect):
    run = ws_connect(start()).rest()[0]["run"]
    wire = ws_connect({"action": "start_backtest", "run": run, "speed": 5, "paused": True, "frames": True})
    assert (wire.receive().items()) >= {"status": "paused", "speed": 5}.items()


# Refusals


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ("hello", "bad_message", None),
        ("[1, 2]", "bad_message", None),
        ('{"action": "start_backtest", "config": {"initial_balance": NaN}}', "bad_message", None),
        (b"\x80binary", "bad_message", None),
        ("[" * 50_000, "bad_message", None),
        ({"action": "pause"}, "bad_message", "action"),
        ({"action": "start_backtest", "run": "no-such-run"}, "unknown_run", "run"),
        ({}, "bad_message", "action"),
        ({"acton": "start_backtest"}, "bad_message", "action"),
        ({"action": "start_backtest", "run": 7}, "bad_message", "run"),
        ({"action": "start_backtest", "config": 7}, "bad_config", "config"),
        (start(symbol="../../etc"), "bad_config", "symbol"),
        (start(symbol="NOSUCH"), "no_bars", "symbol"),
        (start(period="6mo", interval="7q"), "bad_config", "interval"),
        (start(initial_balance=0), "bad_config", "initial_balance"),
        (start(initial_balance=-5), "bad_config", "initial_balance"),
        (start(initial_balance="plenty"), "bad_config", "initial_balance"),
        (start(params={"fast": 30, "slow": 10}), "bad_config", "params.fast"),
        (start(params={"quick": 30}), "bad_config", "params.quick"),
        (start(strategy="os"), "bad_config", "strategy"),
        (start(speed=1000), "bad_config", "speed"),
        (start() | {"frames": "yes"}, "bad_message", "frames"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_start_that_is_refused_is_explained_and_closes_the_socket(ws_connect, message, code, field):
    wire = ws_connect(message)
    (answer,) = wire.rest()
    assert answer["type"] == "error"
    assert (answer["code"], answer["field"]) == (code, field)
    assert answer["message"]
    assert wire.close_code == 1008


@pytest.mark.parametrize("bar", [0, -1, 1.5, "3", True, BARS + 1])
def test_a_resume_from_a_bar_that_is_not_there_is_refused(ws_connect, bar):
    run = ws_connect(start()).rest()[0]["run"]
    (answer,) = ws_connect({"action": "start_backtest", "run": run, "from_bar": bar}).rest()
    assert (answer["type"], answer["field"]) == ("error", "from_bar")


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ("what?", "bad_message", None),
        ({"no": "action"}, "unknown_action", "action"),
        ({"action": "fly"}, "unknown_action", "action"),
        ({"action": ["play"]}, "unknown_action", "action"),
        ({"action": "__init__"}, "unknown_action", "action"),
        (start(), "bad_message", "action"),
        ({"action": "step"}, "bad_message", "bars"),
        ({"action": "step", "bars": "many"}, "bad_message", "bars"),
        ({"action": "seek", "bar": BARS + 1}, "bad_message", "bar"),
        ({"action": "seek", "bar": -1}, "bad_message", "bar"),
        ({"action": "seek", "bar": 1e300}, "bad_message", "bar"),
        ({"action": "speed", "value": 0}, "bad_config", "speed"),
        ({"action": "speed"}, "bad_config", "speed"),
        ({"action": "pause_on", "drawdown": -1}, "bad_message", "drawdown"),
        ({"action": "pause_on", "entry": 1}, "bad_message", "entry"),
        ({"action": "window", "from": 1, "to": 2}, "bad_message", "action"),
        ({"action": "ack", "bar": None}, "bad_message", "bar"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_control_that_is_refused_is_explained_and_changes_nothing(ws_connect, message, code, field):
    wire = ws_connect(start() | {"paused": True})
    wire.receive()
    wire.send(message)
    answer = wire.until("error")[-1]
    assert (answer["code"], answer["field"]) == (code, field)
    _, before = told(wire, action="step", bars=1)
    assert of(before, "candle")[0]["bar_number"] == 1


def test_refusals_in_a_row_close_the_socket(ws_connect):
    wire = ws_connect(start() | {"paused": True})
    for _ in range(player.REFUSALS):
        wire.send("garbage")
    messages = wire.rest()
    assert len(of(messages, "error")) == player.REFUSALS
    assert wire.close_code == 1008


def test_the_server_goes_on_serving_after_garbage(ws_connect, client):
    for garbage in ("\0" * 1000, b"\xff" * 1000, "{}" * 9999):
        ws_connect(garbage).rest()
    assert of(ws_connect(start()).rest(), "complete")


# Controls


def paused(ws_connect, **more) -> Wire:
    """Return a wire to the usual run, waiting before its first bar, that stays open at the end."""
    wire = ws_connect(start() | {"paused": True, "hold": True} | more)
    assert wire.receive()["status"] == "paused"
    return wire


def told(wire: Wire, **control) -> tuple[dict, list[dict]]:
    """Send a control; return the state that answers it and what came before."""
    wire.send(control)
    messages = wire.until("state")
    while "seeking" in messages[-1]:
        messages += wire.until("state")
    return messages[-1], messages[:-1]


def test_a_paused_run_sends_nothing_until_it_is_played(ws_connect):
    wire = paused(ws_connect)
    state, before = told(wire, action="pause")
    assert not of(before, "candle")
    assert (state["status"], state["bar_number"], state["speed"]) == ("paused", 0, "instant")
    wire.send({"action": "play"})
    assert len(of(wire.until("complete"), "candle")) == BARS


def test_step_sends_so_many_candles(ws_connect):
    wire = paused(ws_connect)
    state, before = told(wire, action="step", bars=5)
    assert [candle["bar_number"] for candle in of(before, "candle")] == [1, 2, 3, 4, 5]
    assert (state["status"], state["bar_number"]) == ("paused", 5)
    state, before = told(wire, action="step", bars=-2)
    assert (state["bar_number"], of(before, "candle")) == (3, [])
    state, before = told(wire, action="step", bars=1)
    assert [candle["bar_number"] for candle in of(before, "candle")] == [4]


def test_seek_goes_on_with_the_bar_after(ws_connect):
    wire = paused(ws_connect)
    state, before = told(wire, action="seek", bar=60)
    assert (state["bar_number"], state["status"], of(before, "candle")) == (60, "paused", [])
    stats = (of(before, "stats") or [{"bar_number": 0}])[-1]
    while stats["bar_number"] != 60:  # at most ten a second: they may come a little later
        stats = wire.until("stats")[-1]
    state, before = told(wire, action="step", bars=1)
    assert of(before, "candle")[0]["bar_number"] == 61


def test_a_rewound_run_played_again_is_the_same_and_completes_once(ws_connect):
    whole = ws_connect(start()).rest()
    wire = paused(ws_connect)
    told(wire, action="seek", bar=80)
    told(wire, action="seek", bar=0)
    wire.send({"action": "play"})
    messages = wire.until("complete")
    for kind in ("candle", "signal"):
        assert of(messages, kind) == of(whole, kind)
    told(wire, action="restart")
    wire.send({"action": "stop"})
    rest = wire.rest()
    assert not of(rest, "complete")
    assert wire.close_code == 1000


def test_a_state_tells_the_last_control_that_was_numbered(ws_connect):
    wire = paused(ws_connect)
    assert "id" not in told(wire, action="speed", value=2)[0]
    assert told(wire, action="speed", value=5, id=7)[0]["id"] == 7
    assert told(wire, action="step", bars=1)[0]["id"] == 7
    assert told(wire, action="pause", id="a text")[0]["id"] == 7  # a field of somebody else's


def test_every_control_is_answered_by_the_state(ws_connect):
    wire = paused(ws_connect)
    assert told(wire, action="speed", value=2)[0]["speed"] == 2
    assert told(wire, action="pause_on", entry=True, drawdown=5)[0]["pause_on"] == {
        "entry": True,
        "exit": False,
        "rejected": False,
        "drawdown": 5,
    }
    assert told(wire, action="end")[0]["status"] == "finished"
    assert told(wire, action="previous_event")[0]["status"] == "paused"
    assert told(wire, action="play")[0]["status"] == "playing"


def test_next_event_goes_from_trade_to_trade(ws_connect, simulation):
    wire = paused(ws_connect)
    bars = sorted({e.bar + 1 for e in simulation.tape.events if e.kind in ("opened", "closed")})
    assert [told(wire, action="next_event")[0]["bar_number"] for _ in bars] == bars
    assert told(wire, action="next_event")[0]["status"] == "finished"
    assert told(wire, action="previous_event")[0]["bar_number"] == bars[-1]


def test_a_condition_pauses_at_its_bar_and_says_so(ws_connect, simulation):
    wire = paused(ws_connect)
    told(wire, action="pause_on", entry=True)
    wire.send({"action": "play"})
    messages = wire.until("state")
    while "reason" not in messages[-1]:
        messages += wire.until("state")
    entry = next(event.bar + 1 for event in simulation.tape.events if event.kind == "opened")
    assert of(messages, "candle")[-1]["bar_number"] == entry
    assert messages[-1].items() >= {"status": "paused", "reason": "entry", "bar_number": entry}.items()


def test_a_pause_takes_effect_in_the_middle_of_an_instant_run(ws_connect):
    wire = ws_connect(start(symbol="SYNTH:200000", period="max", interval="1m") | {"frames": True})
    total = wire.receive()["total_bars"]
    state, _ = told(wire, action="pause")
    assert state["status"] == "paused"
    assert state["bar_number"] < total


def test_a_client_that_acknowledges_is_never_more_than_a_second_of_bars_behind(ws_connect):
    wire = paused(ws_connect)
    told(wire, action="speed", value=1)
    wire.send({"action": "ack", "bar": 0})
    told(wire, action="step", bars=1)
    wire.send({"action": "ack", "bar": 1})
    told(wire, action="speed", value=100)
    wire.send({"action": "play"})
    candles = of(wire.until("complete"), "candle")
    assert len(candles) == BARS - 1  # a second at 100x is 2000 bars


def test_the_playhead_is_kept_when_it_pauses_and_when_the_visitor_leaves(ws_connect, services, monkeypatch):
    kept: queue.Queue[str] = queue.Queue()
    save = services.store.save_playhead

    def note(id: str, *more, **options) -> None:
        save(id, *more, **options)
        kept.put(id)

    monkeypatch.setattr(services.store, "save_playhead", note)
    wire = paused(ws_connect)
    told(wire, action="step", bars=7)
    told(wire, action="pause")
    run = kept.get(timeout=PATIENCE)
    assert services.store.run(run).playhead == 7
    told(wire, action="seek", bar=50)
    wire.send({"action": "stop"})
    wire.rest()
    assert kept.get(timeout=PATIENCE) == run
    assert services.store.run(run).playhead == 50


def test_a_silent_stream_sends_a_heartbeat(ws_connect, monkeypatch):
    monkeypatch.setattr(player, "SILENCE", 0.1)
    monkeypatch.setattr(player, "QUIET", 0.05)
    wire = paused(ws_connect)
    assert wire.until("heartbeat")[-1] == {"type": "heartbeat", "bar_number": 0}


# Strategies that fail


FAILS = """
from engine import Strategy


class Fails(Strategy):
    \"\"\"Fails.\"\"\"

    def init(self):
        pass

    def next(self):
        if len(self.data) == 40:
            return 1 / 0
"""


@pytest.mark.parametrize("speed", [100, "instant"])
def test_a_strategy_that_fails_ends_its_run_at_that_bar(ws_connect, folders, services, speed):
    (folders["strategies"] / "fails.py").write_text(FAILS, encoding="utf-8")
    wire = ws_connect(start(strategy="fails", speed=speed))
    messages = wire.rest()
    candles, error = of(messages, "candle"), messages[-1]
    assert [candle["bar_number"] for candle in candles] == list(range(1, 41))
    assert (
        error.items() >= {"type": "error", "code": "strategy_error", "file": "fails.py", "line": 13, "bar": 40}.items()
    )
    assert "ZeroDivisionError" in error["message"]
    assert services.store.run(messages[0]["run"]).status == "failed"
    assert wire.close_code == 1000


def test_a_failed_run_can_still_be_rewound(ws_connect, folders):
    (folders["strategies"] / "fails.py").write_text(FAILS, encoding="utf-8")
    wire = ws_connect(start(strategy="fails") | {"hold": True})
    wire.until("error")
    state, _ = told(wire, action="seek", bar=10)
    assert (state["status"], state["bar_number"]) == ("paused", 10)


def test_a_strategy_that_fails_at_its_start_is_explained(ws_connect, folders, services):
    (folders["strategies"] / "fails.py").write_text(FAILS.replace("        pass", "        1 / 0"), encoding="utf-8")
    wire = ws_connect(start(strategy="fails"))
    (error,) = wire.rest()
    assert error.items() >= {"code": "strategy_error", "file": "fails.py", "line": 9, "bar": None}.items()
    assert services.store.runs(1)[0].status == "failed"


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


@pytest.mark.parametrize("speed", [1, 4, 100])
def test_a_control_is_obeyed_in_the_middle_of_paced_play(ws_connect, speed):
    wire = ws_connect(start(symbol="SYNTH:3000", interval="1m", period="max", speed=speed) | {"hold": True})
    before = wire.until("candle")
    state, more = told(wire, action="pause")
    shown = [candle["bar_number"] for candle in of(before + more, "candle")]
    assert (state["status"], state["bar_number"]) == ("paused", shown[-1])
    assert shown == list(range(1, shown[-1] + 1))
    wire.send({"action": "play"})
    assert wire.until("candle")[-1]["bar_number"] == shown[-1] + 1
    assert told(wire, action="speed", value="instant")[0]["speed"] == "instant"
    assert wire.until("complete")[-1]["total_bars"] == 3000


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
