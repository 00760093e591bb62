"""Exports: trades, equity and the whole run as files."""

from __future__ import annotations

import csv
import io
import json

import pytest

from webapp import runs

EVIL = """
from engine import Strategy


class Evil(Strategy):
    def init(self):
        pass

    def next(self):
        if len(self.data) % 20 == 10:
            self.buy(size=1, tag='=HYPERLINK("http://evil.example")')
        if len(self.data) % 20 == 0:
            self.position.close()
"""


@pytest.fixture
def run(services, folders):
    (folders["strategies"] / "evil.py").write_text(EVIL)
    values = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "evil", "params": {}}
    stored = runs.create(services, values)
    services.store.save_playhead(stored.id, stored.total_bars)
    return stored


def rows(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_trades_are_one_a_line(client, run):
    trades = rows(client, f"/runs/{run.id}/trades.csv")
    assert len(trades) == 6
    assert trades[0]["entry_bar"] == "11" and trades[0]["exit_bar"] == "21"
    assert float(trades[0]["exit_price"]) > 0 and trades[0]["entry_time"].endswith("Z")


def test_no_cell_is_a_formula(client, run):
    for trade in rows(client, f"/runs/{run.id}/trades.csv"):
        assert trade["entry_tag"].startswith("'=HYPERLINK")
        assert float(trade["pnl"])  # a negative number stays a number


def test_equity_has_a_line_for_each_bar_played(client, run):
    equity = rows(client, f"/runs/{run.id}/equity.csv")
    assert [int(row["bar_number"]) for row in equity] == list(range(1, 123))
    assert float(equity[0]["equity"]) == 10_000


def test_only_what_was_played_is_exported(client, services, run):
    services.store.save_playhead(run.id, 30)
    assert len(rows(client, f"/runs/{run.id}/equity.csv")) == 30
    assert all(int(trade["entry_bar"]) <= 30 for trade in rows(client, f"/runs/{run.id}/trades.csv"))


def test_the_run_as_json_holds_what_it_was_a_function_of(client, run):
    whole = json.loads(client.get(f"/runs/{run.id}/run.json").text)
    assert whole["config"]["symbol"] == "AAPL"
    assert whole["bars"] | {"digest": None} == {
        "count": 122, "source": "bundled sample", "digest": None,
        "first": whole["bars"]["first"], "last": whole["bars"]["last"],
    }  # fmt: skip
    assert whole["statistics"]["total_trades"] == 6 and len(whole["trades"]) == 6


@pytest.mark.parametrize("name", ["trades.csv", "equity.csv", "run.json"])
def test_a_run_that_is_not_there_has_no_files(client, name):
    assert client.get(f"/runs/AAAAAAAAAAAAAAAAAAAAAA/{name}").status_code == 404
