"""Calendar: what is still being made, and when there will be more."""

from __future__ import annotations

import pandas as pd
import pytest

from engine.feeds.calendar import fresh_until, is_unfinished

NEW_YORK = "America/New_York"


def at(moment: str, zone: str = NEW_YORK) -> pd.Timestamp:
    return pd.Timestamp(moment, tz=zone)


def about(day: str, *, zone: str = NEW_YORK, hours: tuple[str, str] = ("09:30", "16:00"), kind: str = "EQUITY") -> dict:
    regular = {"start": at(f"{day} {hours[0]}", zone), "end": at(f"{day} {hours[1]}", zone)}
    return {"currentTradingPeriod": {"regular": regular}, "instrumentType": kind, "exchangeTimezoneName": zone}


STOCK = about("2024-05-24")  # a Friday
COIN = about("2024-05-24", zone="UTC", hours=("00:00", "23:59"), kind="CRYPTOCURRENCY")


@pytest.mark.parametrize(
    ("interval", "last", "now", "unfinished"),
    [
        pytest.param("1d", "2024-05-24", "2024-05-24 12:00", True, id="today, open"),
        pytest.param("1d", "2024-05-24", "2024-05-24 16:00", False, id="today, closed"),
        pytest.param("1d", "2024-05-23", "2024-05-24 08:00", False, id="yesterday"),
        pytest.param("1d", "2024-05-24", "2024-05-26 12:00", False, id="Friday on a Sunday"),
        pytest.param("1wk", "2024-05-20", "2024-05-24 12:00", True, id="this week"),
        pytest.param("1wk", "2024-05-20", "2024-05-25 12:00", False, id="this week, on Saturday"),
        pytest.param("1wk", "2024-05-20", "2024-05-27 12:00", False, id="last week"),
        pytest.param("1mo", "2024-05-01", "2024-05-31 23:00", True, id="this month"),
        pytest.param("1mo", "2024-05-01", "2024-06-01 00:00", False, id="last month"),
        pytest.param("1h", "2024-05-24 11:30", "2024-05-24 12:29", True, id="this hour"),
        pytest.param("1h", "2024-05-24 11:30", "2024-05-24 12:30", False, id="last hour"),
        pytest.param("1h", "2024-05-24 15:30", "2024-05-24 16:05", False, id="the close ends the last hour early"),
        pytest.param("5m", "2024-05-24 15:55", "2024-05-24 15:59", True, id="these five minutes"),
    ],
)
def test_a_bar_is_unfinished_until_its_end(interval, last, now, unfinished):
    assert is_unfinished(at(last), interval, STOCK, at(now).timestamp()) == unfinished


def test_a_coin_trades_through_the_weekend():
    assert is_unfinished(at("2024-05-20", "UTC"), "1wk", COIN, at("2024-05-25 12:00", "UTC").timestamp())
    assert is_unfinished(at("2024-05-24", "UTC"), "1d", COIN, at("2024-05-24 23:00", "UTC").timestamp())
    due = fresh_until("1d", COIN, at("2024-05-25 12:00", "UTC").timestamp())
    assert pd.Timestamp(due, unit="s", tz="UTC") == at("2024-05-26 00:14", "UTC")


def test_todays_bar_is_unfinished_where_nothing_is_known_of_the_session():
    assert is_unfinished(at("2024-05-24"), "1d", {}, at("2024-05-24 20:00").timestamp())
    assert not is_unfinished(at("2024-05-24"), "1d", {}, at("2024-05-25 00:00").timestamp())


@pytest.mark.parametrize(
    ("now", "due"),
    [
        pytest.param("2024-05-24 08:00", "2024-05-24 16:15", id="before the opening"),
        pytest.param("2024-05-24 12:00", "2024-05-24 16:15", id="open"),
        pytest.param("2024-05-24 16:20", "2024-05-27 16:15", id="after the close on Friday"),
        pytest.param("2024-05-26 12:00", "2024-05-27 16:15", id="Sunday"),
    ],
)
def test_daily_bars_are_fresh_until_after_the_next_close(now, due):
    assert fresh_until("1d", STOCK, at(now).timestamp()) == at(due).timestamp()


@pytest.mark.parametrize(("interval", "seconds"), [("1m", 60), ("5m", 300), ("1h", 900)])
def test_intraday_bars_are_fresh_for_minutes(interval, seconds):
    assert fresh_until(interval, STOCK, 1_000_000.0) == 1_000_000.0 + seconds


def test_daily_bars_of_an_unknown_session_are_fresh_for_some_hours():
    assert fresh_until("1d", {}, 0.0) == 6 * 3_600
