"""The stream as a plain client meets it: a real server, a real socket."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from engine import Simulation
from engine.statistics import Live
from engine.strategies.sma_cross import SmaCross
from tests.webapp.streaming import BARS, CONFIG, of, start, told
from webapp import player

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
