"""Runs over HTTP: starting, watching and finding them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.webapp.pages import FRAGMENT, Page, get, send, start
from webapp import runs

MINE = """
from engine import Strategy

class Mine(Strategy):
    n = 1
    def init(self): pass
    def next(self): pass
"""

FAILS_AT_50 = """
from engine import Strategy

class Late(Strategy):
    def init(self): self.count = 0
    def next(self):
        self.count += 1
        if self.count == 50:
            raise ValueError("enough")
"""


def test_run_leads_to_the_runs_own_address(client, services):
    response = send(client)
    assert response.status_code == 303
    run = services.store.run(response.headers["Location"].removeprefix("/runs/"))
    assert (run.status, run.total_bars, run.source) == ("ready", 122, "bundled sample")
    assert get(client, response.headers["Location"]).status == 200


def test_htmx_is_told_to_go_there(client):
    response = send(client, headers=FRAGMENT)
    assert response.status_code == 200
    assert response.headers["HX-Redirect"].startswith("/runs/")


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"symbol": "APPL"}, "symbol", "Did you mean AAPL?"),
        ({"initial_balance": "0"}, "initial_balance", "above 0"),
        ({"initial_balance": "1e309"}, "initial_balance", "too large"),
        ({"initial_balance": "ten"}, "initial_balance", "must be a number"),
        ({"params.fast": "40"}, "params.fast", "fewer bars"),
        ({"params.fast": "two"}, "params.fast", "whole number"),
        ({"strategy": "sma_crss"}, "strategy", "Did you mean sma_cross?"),
        ({"interval": "1m", "period": "5y"}, "period", "too long"),
        ({"period": "", "start_date": "1999-01-01", "end_date": "1999-02-01"}, "start_date", "No bars for 'AAPL'"),
        ({"period": ""}, "start_date", "Choose a start date"),
        ({"indicators": "{"}, "indicators", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("headers", [{}, FRAGMENT], ids=["page", "fragment"])
def test_an_error_stands_beside_its_field_and_the_input_is_kept(client, services, changes, field, told, headers):
    page = Page(send(client, changes, headers=headers))
    assert page.status == 422
    assert told in page.errors()[field]
    sent = page.sent()
    kept = {name: value for name, value in changes.items() if name != "strategy"}  # a list cannot show an unknown one
    assert {name: sent[name] for name in kept} == kept
    assert bool(page.all("html")) == (headers == {})
    assert services.store.runs() == []


def test_an_unknown_parameter_is_told_above_the_form(client):
    page = Page(send(client, {"params.fats": "5"}))
    assert "Did you mean fast?" in page.text("#backtest-form .notice")


def test_an_error_under_advanced_opens_it(client):
    assert not get(client, "/").one("details").has_attr("open")
    assert Page(send(client, {"margin": "7"})).one("details").has_attr("open")


def test_the_same_form_sent_again_is_the_same_run(client, services):
    form = get(client, "/").sent()
    first, second = (client.post("/runs", data=form).headers["Location"] for _ in range(2))
    assert first == second
    changed = client.post("/runs", data=form | {"params.fast": "9"}).headers["Location"]  # back, changed, Run
    assert changed != first
    assert len(services.store.runs()) == 2


def test_fifty_clicks_at_once_are_one_run(app, client, services):
    form, cookie = get(client, "/").sent(), client.get_cookie("tapedeck").value

    def click(_):
        other = app.test_client()
        other.set_cookie("tapedeck", cookie)
        return other.post("/runs", data=form).headers["Location"]

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(click, range(50)))) == 1
    assert len(services.store.runs()) == 1


def test_the_address_of_a_run_reproduces_its_setup(client, services):
    market = {"symbol": "GOOG", "interval": "1wk", "period": "", "start_date": "2010-01-01", "end_date": "2012-01-01"}
    money = {"initial_balance": "2500.5", "commission": "0", "hedging": "true", "speed": "instant"}
    changes = {"params.fast": "4", "params.short": "false", "indicators": '{"RSI": {"window": 9}}'} | market | money
    run = services.store.run(start(client, changes))
    again = get(client, f"/runs/{run.id}").one(".run-actions a[href^='/?']")["href"]
    second = services.store.run(send_form(client, get(client, again).sent()))
    assert second.config == run.config
    assert (second.bars_digest, second.strategy_digest) == (run.bars_digest, run.strategy_digest)


def send_form(client, form):
    return client.post("/runs", data=form).headers["Location"].rpartition("/")[2]


def test_an_unknown_run_is_not_found(client):
    for id in ("x", "a" * 22, "..%2f..%2fetc", "%00", "é" * 22):
        for part in ("", "/stats", "/trades"):
            assert client.get(f"/runs/{id}{part}").status_code == 404


def test_the_history_is_paged_newest_first(app, client):
    app.config["RUNS_PER_PAGE"] = 2
    assert "Start the first one" in get(client, "/runs").text("main")
    for fast in ("3", "4", "5"):
        start(client, {"params.fast": fast})
    first = get(client, "/runs")
    assert [row.get_text().split(",")[0] for row in first.all(".params")] == ["fast 5", "fast 4"]
    second = get(client, first.one("a[rel=next]")["href"])
    assert [row.get_text().split(",")[0] for row in second.all(".params")] == ["fast 3"]
    assert not second.all("a[rel=next]")
    assert "These were all" in get(client, "/runs?before=1").text("main")
    for odd in ("x", "-1", "9" * 30, "1e3"):
        assert get(client, f"/runs?before={odd}").status == 200


def test_the_history_shows_what_came_out(client, services):
    id = start(client)
    services.store.complete(id, {"metrics": {"return_pct": -2.5, "total_trades": 1234}})
    row = get(client, "/runs").text("tbody tr")
    assert "−2.50 %" in row and "1,234" in row and "Completed" in row


def test_statistics_and_trades_are_fragments_for_htmx_and_pages_for_people(client):
    id = start(client)
    for part in ("stats", "trades"):
        fragment = client.get(f"/runs/{id}/{part}?bar=122", headers=FRAGMENT)
        assert fragment.status_code == 200 and "<html" not in fragment.text
        assert "HX-Request" in fragment.headers["Vary"]
        page = get(client, f"/runs/{id}/{part}?bar=122")
        assert "bar 122 of 122" in page.text(".lead")
        assert page.one(f"#{part}").get_text(strip=True)


def test_without_a_bar_they_show_what_was_played_and_nothing_later(client, services):
    id = start(client)
    assert "bar 0 of 122" in get(client, f"/runs/{id}/stats").text(".lead")
    services.store.save_playhead(id, 60)
    assert "bar 60 of 122" in get(client, f"/runs/{id}/stats").text(".lead")
    assert "bar 122 of 122" in get(client, f"/runs/{id}/stats?bar=99999").text(".lead")
    assert "bar 0 of 122" in get(client, f"/runs/{id}/stats?bar=-5").text(".lead")


def test_a_run_that_fails_shows_what_was_played_before(folders, client):
    (folders["strategies"] / "late.py").write_text(FAILS_AT_50)
    id = start(client, {"strategy": "late"})
    page = get(client, f"/runs/{id}/stats?bar=122")
    assert page.status == 200
    assert "of 122" in page.text(".lead") and "bar 122" not in page.text(".lead")


def test_a_run_keeps_the_strategy_it_was_made_with(folders, client, services):
    file = folders["strategies"] / "mine.py"
    file.write_text(MINE)
    run = services.store.run(start(client, {"strategy": "mine"}))
    file.write_text("this is no Python")
    assert runs.strategy_of(services, run).parameters[0].name == "n"
    assert runs.open_simulation(services, run).total_bars == 122
    file.unlink()
    assert runs.open_simulation(services, run).total_bars == 122


def test_a_run_keeps_the_bars_it_was_made_with(folders, client, services):
    file = folders["data"] / "MINE-1d.csv"
    rows = [f"2024-01-{day:02},{day},{day},{day},{day},1" for day in range(1, 11)]
    file.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *rows]))
    run = services.store.run(start(client, {"symbol": "MINE"}))
    file.unlink()
    services.store._shared.clear()  # as in another process
    assert services.store.bars(run).close.tolist() == list(range(1, 11))
