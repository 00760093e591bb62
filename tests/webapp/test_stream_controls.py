"""The stream under a plain client's controls."""

from __future__ import annotations

import json
import queue

import pytest
from wsproto.events import TextMessage

from tests.webapp.streaming import BARS, CONFIG, of, paused, start, told
from tests.wire import PATIENCE
from webapp import player


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


def together(wire, *messages) -> None:
    """Send controls in one piece, as they arrive when the server was busy meanwhile."""
    client = wire.socket
    client.sock.send(b"".join(client.ws.send(TextMessage(json.dumps(message))) for message in messages))


def test_a_pause_right_behind_a_seek_does_not_call_it_off(ws_connect):
    wire = paused(ws_connect)
    told(wire, action="step", bars=80)
    together(wire, {"action": "seek", "bar": 50}, {"action": "pause", "id": 3})
    state = wire.until("state")[-1]
    while state.get("id") != 3:
        state = wire.until("state")[-1]
    assert (state["bar_number"], state["status"]) == (50, "paused")


def test_a_jump_to_a_trade_right_behind_a_seek_sets_out_from_there(ws_connect, simulation):
    events = [event.bar + 1 for event in simulation.tape.events if event.kind in ("opened", "closed")]
    first, second = sorted(set(events))[:2]
    wire = paused(ws_connect)
    told(wire, action="step", bars=BARS - 1)
    together(wire, {"action": "seek", "bar": first}, {"action": "next_event", "id": 4})
    state = wire.until("state")[-1]
    while state.get("id") != 4:
        state = wire.until("state")[-1]
    assert state["bar_number"] == second


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


SLOW = "import time\nfrom engine import Strategy\nclass Slow(Strategy):\n  def next(self):\n    time.sleep(0.02)\n"


@pytest.mark.parametrize("way", ["a seek", "a resumption"])
def test_a_long_journey_is_no_silence(ws_connect, folders, monkeypatch, way):
    monkeypatch.setattr(player, "SILENCE", 0.2)
    (folders["strategies"] / "slow.py").write_text(SLOW)
    wire = ws_connect(start(strategy="slow") | {"paused": True, "hold": True})
    run = wire.until("metadata")[-1]["run"]
    if way == "a seek":
        messages = told(wire, action="seek", bar=100)[1]
    else:
        wire.close()
        messages = ws_connect({"action": "start_backtest", "run": run, "from_bar": 100}).until("candle")
    assert len(of(messages, "heartbeat")) >= 3


def test_a_page_is_told_how_far_a_long_journey_has_come(ws_connect, folders, monkeypatch):
    monkeypatch.setattr(player, "SLOW", 0.2)
    (folders["strategies"] / "slow.py").write_text(SLOW)
    wire = paused(ws_connect, frames=True, config=CONFIG | {"strategy": "slow"})
    wire.send({"action": "seek", "bar": 100})
    told = [message for message in of(wire.until("frame"), "state") if "waiting" in message]
    bars = [message["waiting"]["bar"] for message in told]
    assert len(bars) >= 3 and bars == sorted(set(bars)) and bars[-1] <= 100
    assert {message["seeking"] for message in told} == {100}
    assert told[-1]["waiting"]["seconds"] > told[0]["waiting"]["seconds"]


def test_a_page_that_comes_back_is_told_of_a_wait_only_when_there_is_one(ws_connect, folders, monkeypatch):
    (folders["strategies"] / "slow.py").write_text(SLOW)
    wire = ws_connect(start(strategy="slow") | {"frames": True, "paused": True})
    run = wire.until("metadata")[-1]["run"]
    again = {"action": "start_backtest", "run": run, "from_bar": 100, "window": True, "frames": True, "paused": True}
    wire.close()
    for slow, waits in ((60.0, False), (0.2, True)):
        monkeypatch.setattr(player, "SLOW", slow)
        wire = ws_connect(again)
        states = of(wire.until("frame"), "state")
        assert any("waiting" in state for state in states) is waits
        if waits:
            assert all(state["waiting"]["seconds"] < 60 for state in states if "waiting" in state)
            assert "seeking" not in wire.until("state")[-1]  # or the page would go on waiting
        wire.close()


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
