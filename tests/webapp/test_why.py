"""Why: the answers as pages and fragments, and what they may not tell."""

from __future__ import annotations

import pytest

from engine.errors import EngineError
from tests.webapp.pages import FRAGMENT, get, start
from webapp import runs

SLEEPY = """
from engine import Strategy


class Sleepy(Strategy):
    def next(self):
        if self.data.Close[-1] > 1e9 and "<b>&amp;</b>":
            self.buy()
"""


@pytest.fixture
def run(client, services):
    """The id of a run of 122 bars that was played up to bar 100."""
    id = start(client)
    services.store.save_playhead(id, 60, 100)
    return id


def make(services, **config):
    values = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross"} | config
    return runs.create(services, values)


def test_a_bar_is_explained(client, run):
    page = get(client, f"/runs/{run}/why?bar=90")
    assert page.status == 200
    assert page.text("h1") == "Why at bar 90"
    assert "crossover(self.fast_sma, self.slow_sma)" in page.text(".conditions")
    assert len(page.all(".source-lines tr.ran")) >= 2
    assert page.text(".values").startswith("Close ")


def test_without_a_bar_the_playheads_is_explained(client, run):
    assert get(client, f"/runs/{run}/why").text("h1") == "Why at bar 60"


def test_htmx_and_the_player_get_the_fragment_alone(client, run):
    page = get(client, f"/runs/{run}/why?bar=90", headers=FRAGMENT)
    assert not page.all("html") and page.one(".verdict")


def test_the_warm_up_is_explained(client, run):
    assert "Still warming up" in get(client, f"/runs/{run}/why?bar=3").text(".verdict")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("bar=101", "Bar 101 was not played yet"),
        ("bar=122", "Bar 122 was not played yet"),
        ("bar=123", "There is no bar 123: the run has 122 bars."),
        ("bar=0", "There is no bar 0"),
        ("bar=-1", "bar must be a bar's number, not '-1'"),
        ("bar=x%3Cscript%3E", "bar must be a bar's number"),
        ("bar=²", "bar must be a bar's number"),
        ("bar=9&known=1e3", "known must be a bar's number"),
    ],
)
def test_bars_that_were_not_played_are_refused(client, run, query, words):
    response = client.get(f"/runs/{run}/why?{query}")
    assert response.status_code == 422
    assert words in get(client, f"/runs/{run}/why?{query}").text("main")


@pytest.mark.parametrize("path", ["", "/survey", "/trade/1"])
def test_nothing_is_told_of_a_run_that_was_not_played(client, path):
    response = client.get(f"/runs/{start(client)}/why{path}")
    assert response.status_code == 422
    assert "Nothing of this run was played yet" in response.text


@pytest.mark.parametrize("path", ["", "/survey", "/trade/1"])
def test_an_unknown_run_is_not_found(client, path):
    assert client.get(f"/runs/{'x' * 22}/why{path}").status_code == 404


def test_a_fate_beyond_what_is_known_is_not_told(client, services):
    run = make(services, strategy="buy_and_hold")
    services.store.save_playhead(run.id, 50)

    def fate(known):
        return get(client, f"/runs/{run.id}/why?bar=2&known={known}").text(".orders-placed")

    assert "it first meets the market on the next bar" in fate(2)
    assert "on bar 3" in fate(3)
    assert "on bar 3" in fate(999_999)


def test_the_furthest_bar_ever_played_counts_and_not_where_the_playhead_is(services):
    run = make(services)
    services.store.save_playhead(run.id, 70, 90)
    services.store.save_playhead(run.id, 20)
    assert (services.store.run(run.id).playhead, services.store.run(run.id).played) == (20, 90)
    services.store.complete(run.id, {})
    assert services.store.run(run.id).played == 122


def test_a_pause_lets_the_bars_played_be_explained_at_once(client, services, ws_connect):
    run = make(services)
    wire = ws_connect({"action": "start_backtest", "run": run.id, "frames": True, "paused": True})
    wire.send({"action": "seek", "bar": 40})
    while (said := wire.until("state")[-1])["bar_number"] != 40:
        pass
    assert said["status"] == "paused"
    wire.send({"action": "pause"})
    wire.until("state")
    assert client.get(f"/runs/{run.id}/why?bar=40").status_code == 200
    assert client.get(f"/runs/{run.id}/why?bar=41").status_code == 422


def test_the_survey_counts_up_to_what_is_known(client, run):
    page = get(client, f"/runs/{run}/why/survey?known=80")
    assert page.text(".why h2") == "All conditions, bars 1 to 80"
    assert len(page.all(".survey tbody tr")) == 3
    bars = [int(link["data-why-bar"]) for link in page.all(".misses a")]
    assert bars and max(bars) <= 80
    assert get(client, f"/runs/{run}/why/survey?known=9999").text(".why h2") == "All conditions, bars 1 to 100"


def test_a_trades_reasons(client, run):
    page = get(client, f"/runs/{run}/why/trade/1")
    assert page.text("h1") == "Why trade 1"
    first = page.all(".why-columns section")[0]
    assert first.h3.text == "Why it was entered" and "crossover" in first.text


def test_a_trade_that_is_not_known_yet_is_refused(client, run):
    response = client.get(f"/runs/{run}/why/trade/99")
    assert response.status_code == 422 and "There is no trade 99" in response.text


def test_the_source_and_what_it_says_are_escaped(client, services, folders):
    (folders["strategies"] / "sleepy.py").write_text(SLEEPY)
    run = make(services, strategy="sleepy")
    services.store.save_playhead(run.id, 122)
    for path in ("?bar=9", "/survey"):
        response = client.get(f"/runs/{run.id}/why{path}")
        assert response.status_code == 200
        assert "<b>&amp;</b>" not in response.text
    assert "&lt;b&gt;&amp;amp;&lt;/b&gt;" in client.get(f"/runs/{run.id}/why?bar=9").text


def test_a_changed_strategy_is_explained_as_it_was_stored(client, services, folders):
    (folders["strategies"] / "sleepy.py").write_text(SLEEPY)
    run = make(services, strategy="sleepy")
    services.store.save_playhead(run.id, 122)
    (folders["strategies"] / "sleepy.py").write_text("nothing = 1\n")
    assert "self.data.Close[-1] &gt; 1e9" in client.get(f"/runs/{run.id}/why?bar=9").text


def test_a_strategy_that_fails_says_where(client, services, folders):
    (folders["strategies"] / "sleepy.py").write_text(
        SLEEPY.replace("self.buy()", "pass\n        1 / (len(self.data) - 20)")
    )
    run = make(services, strategy="sleepy")
    services.store.save_playhead(run.id, 122)
    assert "failed on bar 20 (line 9): ZeroDivisionError" in get(client, f"/runs/{run.id}/why?bar=20").text(".verdict")
    assert "The strategy had stopped" in get(client, f"/runs/{run.id}/why?bar=30").text(".verdict")


def test_each_trade_in_the_list_leads_to_its_reasons(client, run):
    page = get(client, f"/runs/{run}/trades?bar=100")
    assert page.all("[data-why-trade='1']")


def test_the_player_has_a_place_for_the_answer(client, run):
    page = get(client, f"/runs/{run}")
    assert page.one("#why")["data-address"] == f"/runs/{run}/why"
    assert "why here" in page.text("[data-dialog=keys]")


def test_trades_are_told_in_a_line_for_each_exit(client, run):
    page = get(client, f"/runs/{run}/why/trades?trades=1,2", headers=FRAGMENT)
    lines = page.all("[data-reason]")
    assert [line.get("data-reason").split(":")[0] for line in lines] == ["1", "2"]
    assert "crossover(self.fast_sma, self.slow_sma)" in lines[0].get_text()
    assert get(client, f"/runs/{run}/why/trades?trades=1").text("h1") == "Why each trade"


def test_a_trade_that_was_open_then_is_told_as_open(client, run):
    whole = get(client, f"/runs/{run}/why/trades?trades=1", headers=FRAGMENT).one("[data-reason]").get("data-reason")
    left = int(whole.split(":")[1])
    page = get(client, f"/runs/{run}/why/trades?trades=1&known={left - 1}", headers=FRAGMENT)
    assert page.one("[data-reason]").get("data-reason") == "1:"
    assert "still open" in page.text("[data-reason]")


@pytest.mark.parametrize("trades", ["", "x", "99", "-1", "²", "1e3", ",,"])
def test_trades_that_are_not_there_have_no_lines(client, run, trades):
    page = get(client, f"/runs/{run}/why/trades?trades={trades}", headers=FRAGMENT)
    assert page.status == 200 and not page.all("[data-reason]")


def test_a_run_that_was_not_played_has_no_lines(client):
    page = get(client, f"/runs/{start(client)}/why/trades?trades=1", headers=FRAGMENT)
    assert page.status == 200 and not page.all("[data-reason]")


def test_where_no_answer_can_be_had_the_lines_stay_away(client, services, run, monkeypatch):
    def busy(*args, **details):
        raise EngineError("The server is busy.")

    monkeypatch.setattr(runs, "ask", busy)
    page = get(client, f"/runs/{run}/why/trades?trades=1", headers=FRAGMENT)
    assert page.status == 200 and not page.all("[data-reason]")
