"""Span: the part that was asked for, and weeks and months from days."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.bars import Bars
from engine.errors import NoBars
from engine.feeds import request, span
from tests import build


def weekdays(first: str, n: int, **about) -> Bars:
    """Return bars on `n` weekdays from a date."""
    frame = build.random_bars(n).to_frame().set_index(pd.bdate_range(first, periods=n))
    return Bars.from_frame(frame, symbol="TEST", interval="1d", source="a test").told(**about)


def asked(period=None, start=None, end=None, interval="1d"):
    return request.make("TEST", interval, period, start, end)


def first_and_last(bars: Bars) -> tuple[str, str]:
    return f"{bars.index[0]:%Y-%m-%d}", f"{bars.index[-1]:%Y-%m-%d}"


@pytest.mark.parametrize(
    ("wish", "first", "last"),
    [
        pytest.param({"period": "1mo"}, "2023-11-29", "2023-12-29", id="period"),
        pytest.param({"period": "5d"}, "2023-12-25", "2023-12-29", id="days with bars"),
        pytest.param({"period": "2wk"}, "2023-12-15", "2023-12-29", id="weeks"),
        pytest.param({"period": "ytd"}, "2023-01-02", "2023-12-29", id="this year, of the bars"),
        pytest.param({"period": "max"}, "2022-01-03", "2023-12-29", id="all"),
        pytest.param({"period": "10y"}, "2022-01-03", "2023-12-29", id="longer than all"),
        pytest.param({"start": "2023-03-01"}, "2023-03-01", "2023-12-29", id="from a date"),
        pytest.param(
            {"start": "2023-03-01", "end": "2023-04-03"}, "2023-03-01", "2023-03-31", id="the end is left out"
        ),
        pytest.param({"period": "1mo", "end": "2023-04-01"}, "2023-02-28", "2023-03-31", id="back from an end"),
    ],
)
def test_the_range_asked_for_is_cut(wish, first, last):
    bars = weekdays("2022-01-03", 520)
    assert first_and_last(span.cut(bars, asked(**wish))) == (first, last)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        pytest.param({"start": "2024-01-01"}, "start_date", id="after"),
        pytest.param({"start": "2020-01-01", "end": "2021-01-01"}, "start_date", id="before"),
        pytest.param({"start": "2023-12-29"}, "start_date", id="one bar"),
        pytest.param({"period": "1d"}, "period", id="a day"),
    ],
)
def test_a_range_without_bars_names_the_one_there_is(wish, field):
    with pytest.raises(NoBars, match="it has 2022-01-03 to 2023-12-29") as caught:
        span.cut(weekdays("2022-01-03", 520), asked(**wish))
    assert caught.value.field == field


def test_dates_of_intraday_bars_begin_at_midnight_of_their_zone():
    index = pd.date_range("2024-03-08", periods=24 * 5, freq="h", tz="America/New_York")
    bars = Bars.from_frame(build.random_bars(len(index)).to_frame().set_index(index), interval="1h")
    part = span.cut(bars, asked(start="2024-03-10", end="2024-03-11", interval="1h"))
    assert len(part) == 23  # clocks went forward that day
    assert str(part.index[0]) == "2024-03-10 00:00:00-05:00"


def test_a_day_of_intraday_bars_is_the_last_one_of_their_zone():
    index = pd.date_range("2024-03-08 18:00", periods=10, freq="h", tz="Asia/Tokyo")
    bars = Bars.from_frame(build.random_bars(10).to_frame().set_index(index), interval="1h")
    assert str(span.cut(bars, asked("1d", interval="1h")).index[0]) == "2024-03-09 00:00:00+09:00"


def test_weeks_are_made_from_their_days():
    days = weekdays("2024-01-01", 10)  # two whole weeks, Monday to Friday
    weeks = span.resample(days, "1wk")
    assert [f"{day:%Y-%m-%d}" for day in weeks.index] == ["2024-01-01", "2024-01-08"]
    assert weeks.open.tolist() == days.open[[0, 5]].tolist()
    assert weeks.close.tolist() == days.close[[4, 9]].tolist()
    assert weeks.high.tolist() == [days.high[:5].max(), days.high[5:].max()]
    assert weeks.low.tolist() == [days.low[:5].min(), days.low[5:].min()]
    assert weeks.volume.tolist() == [days.volume[:5].sum(), days.volume[5:].sum()]
    assert (weeks.interval, weeks.source, weeks.notes) == ("1wk", "a test, weeks made from its days", ())


@pytest.mark.parametrize(("interval", "n", "name"), [("1wk", 9, "week"), ("1mo", 30, "month")])
def test_a_last_week_or_month_that_is_not_over_is_left_out_and_told(interval, n, name):
    days = weekdays("2024-01-01", n)
    made = span.resample(days, interval)
    assert len(made) == 1
    assert made.notes == (f"The last {name} was not complete: left out.",)


def test_months_agree_with_pandas():
    days = weekdays("2020-01-01", 900)
    months = span.resample(days, "1mo")
    wanted = days.to_frame().resample("MS").agg({"Open": "first", "High": "max", "Low": "min", "Close": "last"})
    got = months.to_frame()[["Open", "High", "Low", "Close"]]
    assert np.array_equal(got.to_numpy(), wanted.to_numpy()[: len(got)])
    assert got.index.tolist() == wanted.index.tolist()[: len(got)]
