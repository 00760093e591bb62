"""What will happen on Run, as far as it can be said without asking anybody."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from engine.config import BacktestConfig
from webapp import estimate as module
from webapp.estimate import duration, estimate


@pytest.fixture
def online(services):
    """Services that would ask Yahoo; nothing here does."""
    return dataclasses.replace(services, feeds=None, yahoo=True)


@pytest.mark.parametrize(
    ("config", "bars"),
    [
        ({"symbol": "NVDA", "interval": "1d", "period": "6mo"}, 126),
        ({"symbol": "NVDA", "interval": "1wk", "period": "1y"}, 52),
        ({"symbol": "NVDA", "interval": "5m", "period": "5d"}, 390),
        ({"symbol": "BTC-USD", "interval": "1d", "period": "1mo"}, 30),
        ({"symbol": "BTC-USD", "interval": "1h", "period": "5d"}, 120),
        ({"symbol": "EURUSD=X", "interval": "1h", "period": "5d"}, 120),
        ({"symbol": "NVDA", "period": None, "start_date": "2020-01-01", "end_date": "2021-01-01"}, 253),
    ],
)
def test_what_only_yahoo_has_is_guessed_from_the_calendar(online, config, bars):
    line = estimate(BacktestConfig(**config), online)
    assert line.startswith("About ")
    assert int(line.split()[1].replace(",", "")) == pytest.approx(bars, abs=1)


def test_all_there_is_of_what_only_yahoo_has_cannot_be_guessed(online):
    assert estimate(BacktestConfig(symbol="NVDA", period="max"), online) == ""


def test_this_year_so_far_is_guessed_from_today(online):
    line = estimate(BacktestConfig(symbol="BTC-USD", period="ytd"), online)
    assert int(line.split()[1]) == pytest.approx(date.today().timetuple().tm_yday, abs=1)


def test_a_sample_may_be_replaced_by_yahoos_bars(online, services):
    assert estimate(BacktestConfig(), online) == "About 122 bars, about 6 s at 1x"
    assert estimate(BacktestConfig(), services) == "122 bars, about 6 s at 1x"


def test_a_big_file_is_not_read_for_it(online, monkeypatch):
    monkeypatch.setattr(module, "_BIG_FILE", 10)
    online.data_dir.mkdir(exist_ok=True)
    (online.data_dir / "big-1d.csv").write_text("x" * 100)  # reading it would be refused
    assert estimate(BacktestConfig(symbol="BIG"), online).startswith("About 126 bars")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (6.1, "6 s"), (89, "89 s"), (100, "2 min"), (5_399, "90 min"), (7_200, "2.0 h")]
)
def test_a_length_of_time_is_told_roughly(seconds, text):
    assert duration(seconds) == text
