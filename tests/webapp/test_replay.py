"""Replay: a stored run plays as it was recorded, whatever became of its file and bars, and says when it does not."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from tests.build import random_bars
from tests.conftest import make_app, serving
from tests.webapp.pages import get, start
from tests.wire import Wire
from webapp import replay
from webapp.tables import results

MINE = """
from engine import Strategy

class Mine(Strategy):
    def next(self):
        if len(self.data) % 7 == 0:
            self.buy(size=1)
        elif len(self.data) % 7 == 3:
            self.position.close()
"""
CHANCE = MINE.replace("% 7 == 3", "% 7 == (3 if __import__('time').time_ns() % 2 else 4)")
BARS = 122


@pytest.fixture
def app(folders, url):
    """The app with each kind of database."""
    app = make_app(folders, DATABASE_URL=url)
    yield app
    app.extensions["tapedeck"].store.database.close()


@pytest.fixture
def mine(folders):
    """The file of a user's own strategy."""
    path = folders["strategies"] / "mine.py"
    path.write_text(MINE)
    return path


def play(ws_connect, first: dict) -> list[dict]:
    """Return what makes up the chart and the result."""
    told = ("candle", "signal", "complete", "error")
    return [message for message in ws_connect(first).rest() if message["type"] in told]


@pytest.fixture
def recorded(ws_connect, services, mine):
    """A run of that file that was played to its end: its id and its messages."""
    config = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "mine", "speed": "instant"}
    messages = play(ws_connect, {"action": "start_backtest", "config": config})
    assert sum(message["type"] == "signal" for message in messages) > 20
    return messages[-1]["run"], messages


def again(ws_connect, run: str, **more) -> list[dict]:
    return play(ws_connect, {"action": "start_backtest", "run": run, **more})


def test_a_replay_is_what_was_recorded(ws_connect, recorded):
    run, messages = recorded
    assert again(ws_connect, run) == messages


def test_a_changed_file_changes_no_stored_run_and_the_page_offers_both(client, ws_connect, mine, recorded):
    run, messages = recorded
    assert not get(client, f"/runs/{run}").all("[data-file]")
    mine.write_text(MINE.replace("% 7", "% 5"))
    assert again(ws_connect, run) == messages
    page = get(client, f"/runs/{run}")
    assert "has changed since this run was made. It plays as it was recorded." in page.text("[data-file=changed]")
    form = get(client, page.one("[data-file] a")["href"])
    assert form.sent()["strategy"] == "mine"
    new = start_again(client, form)
    assert not get(client, f"/runs/{new}").all("[data-file]")
    assert [m for m in again(ws_connect, new, speed="instant") if m["type"] == "signal"] != [
        m for m in messages if m["type"] == "signal"
    ]


def start_again(client, form) -> str:
    return client.post("/runs", data=form.sent()).headers["Location"].rpartition("/")[2]


def test_a_file_that_is_gone_or_broken_changes_no_stored_run(client, ws_connect, mine, recorded):
    run, messages = recorded
    mine.write_text("while True: pass")
    assert again(ws_connect, run) == messages
    assert get(client, f"/runs/{run}").all("[data-file=changed]")
    mine.unlink()
    assert again(ws_connect, run) == messages
    assert "The strategy's file is gone." in get(client, f"/runs/{run}").text("[data-file=gone]")


def test_restated_bars_change_no_stored_run(folders, client, ws_connect, url):
    path = folders["data"] / "OWN-1d.csv"
    random_bars(60, seed=1).to_frame().to_csv(path)
    run = start(client, {"symbol": "OWN", "period": "max", "speed": "instant"})
    messages = again(ws_connect, run)
    random_bars(60, seed=2).to_frame().to_csv(path)
    app = make_app(folders, DATABASE_URL=url)  # which has not seen the bars before
    with serving(app) as address:
        assert again(lambda first: open_wire(address, first), run) == messages
        path.unlink()
        assert again(lambda first: open_wire(address, first), run) == messages
    app.extensions["tapedeck"].store.database.close()


def open_wire(url: str, first: dict) -> Wire:
    wire = Wire(url)
    wire.send(first)
    return wire


def test_a_stored_run_is_the_same_without_isolation(folders, recorded, url):
    run, _ = recorded
    app = make_app(folders, ISOLATION="none", DATABASE_URL=url)
    with app.app_context():
        from webapp import runs

        here = app.extensions["tapedeck"]
        simulation = runs.open_simulation(here, here.store.run(run))
        simulation.advance(BARS)
        assert runs.digest(simulation) == here.store.run(run).results["tape"]
    here.store.database.close()


def change(services, **changes) -> None:
    """Change what was recorded of the only run."""
    with services.store.database.write() as connection:
        content = connection.execute(results.select()).one().content
        connection.execute(update(results).values(content=content | changes))


def test_a_replay_that_comes_to_something_else_says_so(ws_connect, services, recorded):
    run, messages = recorded
    metrics = services.store.run(run).results["metrics"]
    change(services, metrics=metrics | {"total_trades": metrics["total_trades"] + 1, "pnl": 12.5})
    complete = again(ws_connect, run)[-1]
    trades = metrics["total_trades"]
    assert complete["differs"].startswith(
        f"This replay differs from what was recorded: {trades} trades, and {trades + 1} then."
    )
    change(services, metrics=metrics | {"pnl": 12.5})
    assert "and +12.50 then" in again(ws_connect, run)[-1]["differs"]
    change(services, metrics=metrics, tape="2:" + "0" * 64)
    assert "by other orders or trades" in again(ws_connect, run)[-1]["differs"]
    change(services, metrics=metrics, tape="another scheme")
    assert again(ws_connect, run) == messages


def test_a_strategy_that_uses_the_clock_is_found_out(ws_connect, services, mine):
    mine.write_text(CHANCE)
    config = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "mine", "speed": "instant"}
    run = play(ws_connect, {"action": "start_backtest", "config": config})[-1]["run"]
    assert any("differs" in again(ws_connect, run)[-1] for _ in range(20))


def test_results_of_an_older_version_are_held_to_the_figures_they_have():
    now = {"metrics": {"pnl": 1.0, "new": 2.0}, "tape": "2:a"}
    assert replay.difference(None, now) is None
    assert replay.difference({"metrics": {"pnl": 1.0, "old": 3.0}}, now) is None
    assert replay.difference({"metrics": {"pnl": 2.0}}, now) is not None


def test_the_digest_is_the_same_however_the_run_was_cut(services):
    from engine.catalog import Catalog

    bars, entry = random_bars(700, seed=3), Catalog().find("rsi_reversion")
    digests = set()
    for step in (1, 37, 700):
        simulation = services.pool.simulation(bars, entry)
        while not simulation.done:
            simulation.advance(step)
        digests.add(simulation.digest())
    assert len(digests) == 1
    other = services.pool.simulation(bars, entry, {}, {"commission": 0.001})
    other.advance(700)
    assert other.digest() not in digests


def test_the_page_of_a_run_that_hangs_does_not_wait_for_it_again(folders, monkeypatch):
    hang = MINE + "        if len(self.data) == 50: __import__('time').sleep(1e6)\n"
    (folders["strategies"] / "mine.py").write_text(hang)
    app = make_app(folders, SECONDS_PER_BAR=1.0)
    services, client = app.extensions["tapedeck"], app.test_client()
    run = start(client, {"strategy": "mine", "speed": "instant"})
    with app.app_context():
        from webapp import runs

        simulation = runs.open_simulation(services, services.store.run(run))
        with pytest.raises(Exception, match="did not finish a bar") as failure:
            simulation.advance(BARS)
    services.store.save_playhead(run, simulation.bar)
    services.store.fail(run, failure.value)
    assert (simulation.bar, services.store.run(run).error["hung"]) == (50, True)
    with monkeypatch.context() as patched:  # whoever waits for bar 50 fails
        patched.setattr("engine.remote.session.Session.failure", lambda *_, **__: pytest.fail("it was waited for"))
        for address in ("stats", "trades", "trades.csv", "equity.csv", "run.json"):
            assert client.get(f"/runs/{run}/{address}").status_code == 200
        assert len(client.get(f"/runs/{run}/equity.csv").text.splitlines()) == 1 + 49
    services.store.database.close()


def test_a_run_that_hangs_before_its_first_bar_is_told_at_once(folders, client, services):
    run = start(client)
    from engine.errors import StrategyError

    services.store.fail(run, StrategyError("Mine hung in init().", hung=True))
    response = client.get(f"/runs/{run}/stats")
    assert response.status_code == 422 and "Mine hung in init()." in response.text
