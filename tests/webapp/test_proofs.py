"""The look-ahead proof on the page: found in the background, told only of bars that were played."""

from __future__ import annotations

import pytest

from engine.errors import StrategyError
from engine.lookahead import Finding, Report
from engine.lookahead.report import LOOKS_AHEAD
from tests.conftest import make_app
from webapp import proofs, runs

SETUP = {
    "symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "speed": "instant", "frames": True,
}  # fmt: skip
BARS = 122
PEEKS = """
import numpy as np
from engine import Strategy

def later(close):
    return np.append(close[:39], close[40:].tolist() + [np.nan] * (len(close) > 39))

class Peeks(Strategy):
    def init(self):
        self.later = self.I(later, self.data.Close, name="<later>")
    def next(self):
        if self.later[-1] > self.data.Close[-1] and not self.position:
            self.buy()
"""


@pytest.fixture
def peeking(folders):
    (folders["strategies"] / "peeks.py").write_text(PEEKS)
    return SETUP | {"strategy": "peeks"}


def finding(*bars: int) -> Finding:
    return Finding(LOOKS_AHEAD, "leak", bars[0], "indicator", "x", 1.0, 2.0, line=3, bars=bars, count=len(bars))


def report(*findings: Finding, done: bool = True) -> Report:
    return Report(100, 100, 100, findings, done=done, checked_bars=tuple(range(100)))


def test_nothing_is_told_before_the_first_bar():
    assert proofs.shown(report(finding(0)), 0).state == "waiting"


def test_a_finding_is_told_when_its_bar_was_played_and_not_before():
    found = report(finding(50, 60, 70))
    before, after, later = (proofs.shown(found, played) for played in (50, 51, 65))
    assert (before.state, before.text) == ("checking", "no look-ahead found: 50 of 100 bars checked")
    assert (after.state, after.text) == ("red", "look-ahead found on bar 51: x")
    assert [mark["bar"] for mark in after.marks] == [51]
    assert [mark["bar"] for mark in later.marks] == [51, 61]
    assert "On 2 bars" in later.report.findings[0].sentence


def test_it_is_green_only_when_every_bar_was_played():
    assert [proofs.shown(report(), played).state for played in (99, 100)] == ["checking", "green"]


def test_many_marks_are_thinned_to_what_a_chart_carries():
    assert len(proofs.shown(Report(5000, 5000, 1, (finding(*range(1000)),)), 5000).marks) <= proofs.MARKS


def stream(ws_connect, config):
    """Play a run to its end; return each state of the proof with the bar that the page stood at."""
    wire = ws_connect({"action": "start_backtest", "config": config})
    bar, told = 0, []
    while True:
        message = wire.receive()
        bar = message["bar_number"] if message["type"] == "frame" else bar
        if message["type"] == "proof":
            told.append((bar, message))
            if message["state"] in ("green", "red", "amber", "failed") and bar == BARS:
                return wire, told


def test_a_stream_tells_that_a_clean_strategy_is_clean(ws_connect):
    _, told = stream(ws_connect, SETUP)
    last = told[-1][1]
    assert last["text"] == f"no look-ahead found: {BARS} of {BARS} bars checked"
    assert last["text"] in last["html"]["proof"]
    assert last["marks"] == []


def test_a_stream_names_what_peeks_and_marks_it(ws_connect, peeking):
    _, told = stream(ws_connect, peeking)
    last = told[-1][1]
    assert last["state"] == "red"
    assert "&lt;later&gt; (line 10) looks ahead" in last["html"]["findings"]
    assert 'data-bar-number="40"' in last["html"]["findings"]
    assert {mark["bar"] for mark in last["marks"]} >= {40, 41}


def test_a_stream_tells_of_no_bar_beyond_those_played(ws_connect, peeking):
    wire = ws_connect({"action": "start_backtest", "config": peeking | {"paused": True}})
    wire.send({"action": "seek", "bar": 20})
    while (message := wire.receive())["type"] != "proof" or "20 of" not in message["text"]:
        assert message["type"] != "proof" or message["state"] in ("waiting", "checking")
    assert (message["state"], message["marks"]) == ("checking", [])
    wire.send({"action": "end"})
    while message["type"] != "proof" or message["state"] != "red":
        message = wire.receive()


def test_the_address_tells_the_same_as_the_stream(ws_connect, client, services, peeking):
    wire, told = stream(ws_connect, peeking)
    wire.send({"action": "stop"})
    wire.rest()
    (run,) = services.store.runs(1)
    fragment = client.get(f"/runs/{run.id}/proof", headers={"HX-Request": "true"}).text
    assert fragment == told[-1][1]["html"]["proof"] + told[-1][1]["html"]["findings"]
    page = client.get(f"/runs/{run.id}/proof").text
    assert told[-1][1]["html"]["findings"] in page


def test_the_address_of_a_run_that_was_not_played_tells_nothing(client, services):
    run = runs.create(services, SETUP)
    assert "not checked yet" in client.get(f"/runs/{run.id}/proof").text


def test_the_same_run_has_one_proof(services):
    first, second = (services.proofs.of(services, runs.create(services, SETUP)) for _ in range(2))
    assert first is second


def test_a_server_that_runs_strategies_in_itself_makes_proofs_too(folders):
    app = make_app(folders, ISOLATION="none")
    services = app.extensions["tapedeck"]
    proof = services.proofs.of(services, runs.create(services, SETUP))
    proof.join()
    assert proof.report().state == "green"
    services.store.database.close()


def test_a_proof_that_cannot_be_made_says_why():
    told = proofs.failed(StrategyError("Mine fails in init()."))
    assert (told.state, told.text) == ("failed", "look-ahead: not checked. Mine fails in init().")
