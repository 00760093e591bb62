"""Synthetic bars: made up, but bars, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from engine.bars import Bars
from engine.errors import ConfigError, NoBars
from engine.feeds import INTERVALS

SPANS = [{"period": "6mo"}, {"period": "1y"}, {"start": "2020-01-01", "end": "2020-07-01"}, {"start": "2023-01-01"}, {}]


@pytest.mark.parametrize("interval", [*INTERVALS, "4h"])
def test_any_interval_gives_bars_that_pass_the_gate(feeds, interval):
    for wish in SPANS:
        bars = feeds.load("SYNTH", interval, **wish)
        Bars.from_columns(bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
        assert bars.source == "synthetic"
        assert bars.interval == interval


def test_a_million_bars_are_a_million_whatever_the_period(feeds):
    bars = feeds.load("SYNTH:1000000", "1m", "5d")
    assert len(bars) == 1_000_000
    Bars.from_columns(bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert 5 < bars.low.min() < bars.high.max() < 2_000


def test_the_same_request_gives_the_same_bars(feeds):
    assert feeds.load("SYNTH", "1d", "6mo") == feeds.load("SYNTH", "1d", "6mo")
    assert feeds.load("SYNTH", "1d", "6mo").close[:3].tolist() == [103.1549, 103.7007, 104.2102]


def test_daily_bars_are_on_weekdays_and_a_period_ends_at_a_fixed_date(feeds):
    bars = feeds.load("SYNTH", "1d", "6mo")
    assert {day.weekday() for day in bars.index} == {0, 1, 2, 3, 4}
    assert f"{bars.index[0]:%Y-%m-%d}" == "2024-07-01"
    assert f"{bars.index[-1]:%Y-%m-%d}" == "2024-12-31"


def test_intraday_bars_run_around_the_clock(feeds):
    assert set(np.diff(feeds.load("SYNTH", "5m", "5d").time)) == {300}


@pytest.mark.parametrize("interval", ["1m", "15m", "1h", "1d", "5d", "1wk", "1mo"])
@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"period": "2y"}, id="period"),
        pytest.param({"period": "max"}, id="all"),
        pytest.param({"start": "2021-03-06", "end": "2023-02-11"}, id="dates"),
        pytest.param({"start": "2021-03-06", "end": "2021-03-07"}, id="a day without trading"),
    ],
)
@pytest.mark.parametrize("symbol", ["SYNTH", "SYNTH:40", "SYNTH:6000000"])
def test_bars_are_counted_without_being_made(feeds, symbol, interval, wish):
    def outcome(ask):
        try:
            return ask()
        except (ConfigError, NoBars) as error:
            return error.message

    counted = outcome(lambda: feeds.count(symbol, interval, **wish))
    assert counted == outcome(lambda: len(feeds.load(symbol, interval, **wish)))


def test_dates_are_kept_and_the_end_left_out(feeds):
    bars = feeds.load("SYNTH", "1h", start="2030-01-01", end="2030-01-03")
    assert len(bars) == 48
    assert str(bars.index[0]) == "2030-01-01 00:00:00+00:00"


def test_moves_are_of_the_size_of_a_market(feeds):
    close = feeds.load("SYNTH:20000", "1d").close
    volatility = np.diff(np.log(close)).std() * np.sqrt(252)
    assert 0.1 < volatility < 0.4


@pytest.mark.parametrize(
    ("symbol", "interval", "wish", "field"),
    [
        pytest.param("SYNTH:1", "1d", {}, "symbol", id="one bar"),
        pytest.param("SYNTH:0", "1d", {}, "symbol", id="no bars"),
        pytest.param("SYNTH:5000001", "1m", {}, "symbol", id="too many"),
        pytest.param("SYNTH:1000000", "1mo", {}, "symbol", id="beyond the year 9000"),
        pytest.param("SYNTH", "1m", {"start": "1970-01-01"}, "interval", id="too long a range"),
    ],
)
def test_what_cannot_be_served_is_refused(feeds, symbol, interval, wish, field):
    with pytest.raises(ConfigError) as caught:
        feeds.load(symbol, interval, **wish)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        pytest.param({"period": "1d"}, "period", id="period"),
        pytest.param({"start": "2024-01-06", "end": "2024-01-08"}, "end_date", id="a weekend"),
        pytest.param({"start": "2190-01-01"}, "start_date", id="after the end"),
    ],
)
def test_a_range_without_bars_is_refused(feeds, wish, field):
    with pytest.raises(NoBars) as caught:
        feeds.load("SYNTH", "1d", **wish)
    assert caught.value.field == field
