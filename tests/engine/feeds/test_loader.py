"""Feeds: one door to all bars."""

from __future__ import annotations

import pytest

from engine.errors import ConfigError, NoBars
from engine.feeds import Feeds


def test_six_months_of_the_sample_are_122_bars(feeds):
    bars = feeds.load("AAPL", "1d", "6mo")
    assert len(bars) == 122
    assert [f"{bars.index[i]:%Y-%m-%d}" for i in (0, -1)] == ["2012-09-04", "2013-03-01"]
    assert (bars.symbol, bars.interval, bars.source, bars.notes) == ("AAPL", "1d", "bundled sample", ())


@pytest.mark.parametrize(
    ("symbol", "n"),
    [("AAPL", 3270), ("MSFT", 3270), ("IBM", 3270), ("GOOG", 2148), ("FB", 196), ("^GSPC", 5031), ("^IXIC", 5031)],
)
def test_every_sample_passes_the_gate_whole(feeds, symbol, n):
    bars = feeds.load(symbol, "1d", "max")
    assert len(bars) == n
    assert bars.notes == ()


def test_an_index_has_no_other_name(feeds):
    with pytest.raises(NoBars, match=r"Did you mean \^GSPC\?"):
        feeds.load("GSPC", "1d", "6mo")


def test_weeks_and_months_are_made_from_the_sample(feeds):
    weeks = feeds.load("AAPL", "1wk", "1y")
    assert weeks.source == "bundled sample, weeks made from its days"
    assert {day.weekday() for day in weeks.index} == {0}
    months = feeds.load("AAPL", "1mo", "max")
    assert len(months) == 156  # March 2013 has one day only
    assert months.notes == ("The last month was not complete: left out.",)


def test_period_and_symbol_are_taken_as_people_write_them(feeds):
    assert feeds.load(" aapl ", "1D", "6 months") == feeds.load("AAPL", "1d", "6mo")


def test_dates_cut_the_sample_with_the_end_left_out(feeds):
    bars = feeds.load("AAPL", "1d", "6mo", "2010-01-01", "2010-12-31")
    assert [f"{bars.index[i]:%Y-%m-%d}" for i in (0, -1)] == ["2010-01-04", "2010-12-30"]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"start": "2020-01-01"}, "start_date"),
        ({"start": "1990-01-01", "end": "1991-01-01"}, "start_date"),
        ({"period": "1d"}, "period"),
    ],
)
def test_a_range_without_bars_names_the_one_there_is(feeds, wish, field):
    with pytest.raises(NoBars, match="2000-03-01 to 2013-03-01") as caught:
        feeds.load("AAPL", "1d", **wish)
    assert caught.value.field == field


def test_an_unknown_symbol_gets_a_suggestion_or_the_list(feeds):
    with pytest.raises(NoBars, match=r"Did you mean AAPL\?"):
        feeds.load("APPL", "1d", "6mo")
    with pytest.raises(
        NoBars, match=r"Choose one of AAPL, .* SYNTH, or put QQQQQ-1d\.csv into the data folder"
    ) as caught:
        feeds.load("QQQQQ", "1d", "6mo")
    assert caught.value.field == "symbol"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("../x", "1d", "6mo"), "symbol"),
        (("AAPL", "1 day", "6mo"), "interval"),
        (("AAPL", "4h", "6mo"), "interval"),
        (("AAPL", "1d", "soon"), "period"),
        (("AAPL", "1m", "6mo"), "period"),
        (("AAPL", "1d", None, "2012-01-01", "2011-01-01"), "end_date"),
        (("AAPL", "1d", None, "99999-01-01"), "start_date"),
    ],
)
def test_impossible_wishes_name_their_field(feeds, arguments, field):
    with pytest.raises(ConfigError) as caught:
        feeds.load(*arguments)
    assert caught.value.field == field


def test_a_folder_that_does_not_exist_has_no_files(tmp_path):
    feeds = Feeds(tmp_path / "none", tmp_path / "cache", yahoo=False)
    assert len(feeds.load("AAPL", "1d", "6mo")) == 122
    assert feeds.symbols()[-1] == "SYNTH"
