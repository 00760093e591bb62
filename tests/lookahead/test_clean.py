"""Strategies that know only the past stay green: no false alarm."""

from __future__ import annotations

from itertools import product

import pytest

from engine.catalog import Catalog
from engine.feeds import Feeds
from engine.lookahead import check
from tests.build import random_bars
from tests.lookahead import clean

SAMPLES = ("AAPL", "FB", "GOOG", "^GSPC", "IBM", "^IXIC", "MSFT")
VARIED = {
    "sma_cross": ({}, {"fast": 3, "slow": 7}, {"fast": 20, "slow": 50}),
    "rsi_reversion": ({}, {"window": 3, "oversold": 45.0, "recovered": 55.0}, {"window": 30}),
    "macd_trend": ({}, {"fast": 5, "slow": 12, "signal": 4, "trend": 10}, {"trend": 90}),
    "bollinger_reversion": ({}, {"window": 8, "width": 1.0, "short": True}, {"window": 60}),
    "donchian_breakout": ({}, {"window": 5, "atr_window": 30, "short": False}, {"risk": 0.1, "atr_stop": 1.0}),
    "buy_and_hold": ({},),
}


@pytest.fixture(scope="module")
def feeds():
    return Feeds("data", yahoo=False)


@pytest.mark.parametrize(("name", "symbol"), list(product(VARIED, SAMPLES)))
def test_a_bundled_strategy_is_clean(feeds, name, symbol):
    bars = feeds.load(symbol, "1d", "max")[-240:]
    for params in VARIED[name]:
        report = check(bars, Catalog().find(name).strategy, params)
        assert report.state == "green", f"{params}: {report}"
        assert report.checked == len(bars)


@pytest.mark.parametrize("name", sorted(VARIED))
def test_a_bundled_strategy_is_clean_on_a_longer_run(feeds, name):
    report = check(feeds.load("GOOG", "1d", "max")[:400], Catalog().find(name).strategy)
    assert report.state == "green", str(report)


@pytest.mark.parametrize("bars", [150, 320])
@pytest.mark.parametrize("strategy", clean.CLEAN, ids=lambda strategy: strategy.__name__)
def test_a_clean_strategy_is_clean(strategy, bars):
    report = check(random_bars(bars, seed=8), strategy)
    assert report.state == "green", str(report)
    assert report.checked == bars
