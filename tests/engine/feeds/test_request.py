"""Request: what is checked before any source is asked."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pytest

from engine.errors import ConfigError
from engine.feeds import INTERVALS, request
from engine.feeds.request import check_period, check_symbol, make, normalise_period


@pytest.mark.parametrize(
    "symbol", ["AAPL", "^GSPC", "EURUSD=X", "BTC-USD", "BRK-B", "0700.HK", "SYNTH", "SYNTH:1000000"]
)
def test_symbols_as_yahoo_writes_them_are_taken(symbol):
    assert check_symbol(f"  {symbol.lower()} ") == symbol


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "   ",
        "../AAPL",
        "AAPL/..",
        "A\\B",
        "A B",
        "A\0B",
        "ÄAPL",
        "A" * 16,
        "SYNTH:",
        "SYNTH:x",
        "SYNTH:-5",
        "AAPL:5",
        None,
    ],
)
def test_other_symbols_are_refused(symbol):
    with pytest.raises(ConfigError) as caught:
        check_symbol(symbol)
    assert caught.value.field == "symbol"


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("6mo", "6mo"),
        ("6 months", "6mo"),
        ("6months", "6mo"),
        ("6Month", "6mo"),
        ("6m", "6mo"),
        ("1year", "1y"),
        ("1 yr", "1y"),
        ("10 years", "10y"),
        ("2 weeks", "2wk"),
        ("5 days", "5d"),
        (" MAX ", "max"),
        ("ytd", "ytd"),
        ("7mo", "7mo"),
    ],
)
def test_periods_are_normalised(text, period):
    assert normalise_period(text) == period


@pytest.mark.parametrize("text", ["", "soon", "0mo", "0 months", "-1y", "1.5y", "mo", "6", "99999y", "1e3d"])
def test_other_periods_are_refused(text):
    with pytest.raises(ConfigError) as caught:
        normalise_period(text)
    assert caught.value.field == "period"


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_offered_period_is_possible(interval):
    for period in INTERVALS[interval]:
        assert check_period(interval, period) == period


@pytest.mark.parametrize(
    ("interval", "period"),
    [
        ("1m", "6mo"),
        ("1m", "8d"),
        ("1m", "max"),
        ("5m", "3mo"),
        ("90m", "61d"),
        ("1h", "5y"),
        ("1h", "ytd"),
        ("60m", "max"),
    ],
)
def test_a_period_beyond_the_reach_of_an_interval_names_those_allowed(interval, period):
    with pytest.raises(ConfigError) as caught:
        check_period(interval, period)
    assert caught.value.field == "period"
    assert ", ".join(INTERVALS[interval]) in caught.value.message


@pytest.mark.parametrize(
    ("interval", "period"), [("1m", "7d"), ("5m", "59d"), ("1h", "2y"), ("1d", "17y"), ("1wk", "7mo")]
)
def test_a_period_within_reach_is_possible_though_not_offered(interval, period):
    assert check_period(interval, period) == period


@pytest.mark.parametrize("interval", ["", "1x", "m", "0m", "1 d", "1.5h", "1000m", "../1d"])
def test_other_intervals_are_refused(interval):
    with pytest.raises(ConfigError) as caught:
        make("AAPL", interval, "6mo")
    assert caught.value.field == "interval"


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        pytest.param("2024-01-01", "2024-01-01", "end_date", id="nothing between"),
        pytest.param("2024-01-02", "2024-01-01", "end_date", id="backwards"),
        pytest.param("99999-01-01", None, "start_date", id="year 99999"),
        pytest.param("2024-13-01", None, "start_date", id="month 13"),
        pytest.param("2023-02-29", None, "start_date", id="no such day"),
        pytest.param("20240101", None, "start_date", id="without dashes"),
        pytest.param("2024-W01-1", None, "start_date", id="week date"),
        pytest.param("yesterday", None, "start_date", id="a word"),
        pytest.param("1899-12-31", None, "start_date", id="before 1900"),
        pytest.param("2024-01-01", "2300-01-01", "end_date", id="after 2200"),
        pytest.param(None, "soon", "end_date", id="end"),
    ],
)
def test_impossible_dates_are_refused(start, end, field):
    with pytest.raises(ConfigError) as caught:
        make("AAPL", "1d", None, start, end)
    assert caught.value.field == field


def test_dates_win_over_a_period_and_empty_texts_are_no_dates():
    asked = make("AAPL", "1d", "6mo", "2024-01-01", "")
    assert (asked.period, asked.start, asked.end) == (None, date(2024, 1, 1), None)
    assert make("AAPL", "1d", "6mo", "", None).period == "6mo"


def test_dates_may_be_python_dates():
    asked = make("AAPL", "1d", None, date(2024, 1, 1), datetime(2024, 6, 1, 12))
    assert (asked.start, asked.end) == (date(2024, 1, 1), date(2024, 6, 1))


@pytest.mark.parametrize(("interval", "period"), [("1d", "max"), ("1m", "5d"), ("1h", "1y")])
def test_without_a_range_the_longest_period_is_meant(interval, period):
    assert make("AAPL", interval).period == period


@pytest.mark.parametrize(
    ("last", "period", "first"),
    [
        ("2013-03-01", "6mo", "2012-09-01"),
        ("2024-03-31", "1mo", "2024-02-29"),
        ("2024-02-29", "1y", "2023-02-28"),
        ("2024-06-15", "ytd", "2024-01-01"),
        ("2024-06-15", "2wk", "2024-06-01"),
    ],
)
def test_a_period_reaches_back_by_the_calendar(last, period, first):
    assert request.back(pd.Timestamp(last), period) == pd.Timestamp(first)


@pytest.mark.parametrize("period", ["9999y", "9999mo", "200y"])
def test_a_period_longer_than_any_history_reaches_back_to_the_first_date(period):
    assert request.back(pd.Timestamp("2013-03-01"), period) == pd.Timestamp("1900-03-01")
