"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import dev

README = (Path(dev.ROOT) / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(containing: str) -> str:
    """Return the one Python block that contains a text."""
    (found,) = [text for text in BLOCKS if containing in text]
    return found


def test_the_strategy_is_found_described_and_trades(services, folders):
    from engine import Backtest

    path = folders["strategies"] / "pullback.py"
    path.write_text(block("class Pullback"), encoding="utf-8")
    entry = services.catalog.find("pullback")
    assert (entry.title, entry.error) == ("Pullback", None)
    assert [parameter.name for parameter in entry.parameters] == ["trend", "low", "stop"]
    assert "up-trend" in entry.description or "long average" in entry.description
    stats = Backtest(services.feeds.load("AAPL", "1d", "10y"), runpy.run_path(str(path))["Pullback"], cash=10_000).run()
    assert stats["# Trades"] > 0


def test_the_engine_runs_and_streams_from_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(block("Feeds(").replace('Feeds("data")', 'Feeds("data", yahoo=False)'), {})
    said = capsys.readouterr().out
    assert "Return [%]" in said
    last = said.strip().splitlines()[-1].split()
    assert int(last[0]) > 1000


def test_a_run_explains_and_proves_itself_from_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    known: dict = {}
    exec(block("Feeds(").replace('Feeds("data")', 'Feeds("data", yahoo=False)').replace('"5y"', '"6mo"'), known)
    capsys.readouterr()
    exec(block("why.explain"), known)
    said = capsys.readouterr().out
    assert "crossover(self.fast_sma, self.slow_sma)" in said.splitlines()[0]
    assert len(said.splitlines()) > 1
    exec(block("check_lookahead"), known)
    assert capsys.readouterr().out.strip() == "no look-ahead found: 122 of 122 bars checked"


def test_the_socket_client_plays_to_the_end(live_url, capsys):
    client = block("Client.connect").replace("ws://127.0.0.1:8000", live_url.replace("http", "ws"))
    exec(client.replace('"symbol": "AAPL"', '"symbol": "AAPL", "speed": "instant"'), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("metadata")
    assert sum(line.startswith("candle") for line in said) == 122
    assert said[-1].startswith("complete")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_a_linked_file_is_there(path):
    assert (Path(dev.ROOT) / path).exists()
