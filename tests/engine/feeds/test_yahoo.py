"""Yahoo: the real yfinance against a local server that answers as Yahoo does."""

from __future__ import annotations

import itertools
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from engine.errors import BadBars, ConfigError, FeedUnavailable, NoBars
from engine.feeds import Feeds
from tests.engine.feeds.yahoo_server import Reply, chart, openings, refused

_numbers = itertools.count()
DAYS = openings("2024-04-01", 40)  # up to Friday, 2024-05-24
CLOSES = np.arange(100.0, 140.0)


@pytest.fixture
def symbol() -> str:
    """A symbol of this test alone: yfinance remembers the time zones of symbols for the whole process."""
    return f"T{next(_numbers)}"


@pytest.fixture
def normal(yahoo, symbol) -> str:
    yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES)
    return symbol


def test_daily_bars_have_dates_and_the_zone_of_their_exchange(online, normal):
    bars = online().load(normal, "1d", "6mo")
    assert bars.close.tolist() == CLOSES.tolist()
    assert bars.time[0] == pd.Timestamp("2024-04-01", tz="UTC").timestamp()
    assert (bars.source, bars.timezone, bars.notes) == ("Yahoo", "America/New_York", ())
    assert str(bars.index[0]) == "2024-04-01 00:00:00"


def test_prices_are_adjusted(online, yahoo, symbol):
    yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, adjclose=CLOSES / 2)
    bars = online().load(symbol, "1d", "6mo")
    assert bars.close.tolist() == (CLOSES / 2).tolist()
    assert bars.open[1] == 50.0


def test_dates_are_asked_for_with_the_end_left_out(online, yahoo, symbol):
    asked = []

    def answer(query):
        asked.append(query)
        return chart(DAYS, CLOSES)

    yahoo.answers[symbol] = answer
    online().load(symbol, "1d", start="2024-04-01", end="2024-04-11")
    wanted = [pd.Timestamp(day, tz="America/New_York").timestamp() for day in ("2024-04-01", "2024-04-11")]
    assert [float(asked[-1]["period1"]), float(asked[-1]["period2"])] == wanted


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"])
def test_intraday_bars_have_true_times_and_a_zone(online, yahoo, symbol, zone, clock):
    first = int(pd.Timestamp("2024-05-28 09:30", tz=zone).timestamp())
    times = [first + 300 * i for i in range(60)]
    yahoo.answers[symbol] = lambda query: chart(times, range(100, 160), zone=zone, interval=query["interval"])
    bars = online().load(symbol, "5m", "5d")
    assert bars.time.tolist() == times
    assert bars.timezone == zone
    assert f"{bars.index[0]:%H:%M}" == "09:30"
    assert online().load(symbol, "5m", "5d").index.equals(bars.index)  # from the cache


def test_rows_without_prices_are_left_out_and_counted(online, yahoo, symbol):
    holes = CLOSES.copy()
    holes[[5, 9]] = np.nan
    yahoo.answers[symbol] = lambda query: chart(DAYS, holes, open=CLOSES, high=CLOSES + 1, low=CLOSES - 1)
    bars = online().load(symbol, "1d", "6mo")
    assert len(bars) == 38
    assert bars.notes == ("2 rows with missing values left out (first: row 5).",)


def test_an_index_whose_early_years_have_closes_only_begins_later(online, yahoo, symbol):
    opens, lows = CLOSES - 0.5, CLOSES - 1
    opens[:10], lows[:10] = 0, 0
    yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, open=opens, low=lows, high=CLOSES + 1)
    bars = online().load(symbol, "1d", "max")
    assert len(bars) == 30
    assert bars.notes == ("Bars before 2024-04-15 have no open, high or low: left out.",)


def test_a_close_just_above_the_high_widens_it_with_a_note(online, yahoo, symbol):
    high = np.maximum(CLOSES, np.roll(CLOSES, 1)) + 1
    high[7] = CLOSES[7] - 0.05
    yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, high=high)
    bars = online().load(symbol, "1d", "6mo")
    assert bars.high[7] == bars.close[7]
    assert bars.notes == ("High and Low widened to hold Open and Close in 1 row.",)


def test_faulty_bars_are_refused_with_their_row(online, yahoo, symbol):
    low = CLOSES - 2
    low[7] = -5
    yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, low=low)
    with pytest.raises(BadBars, match=r"Yahoo's bars are faulty: Row 7 \(2024-04-10 .*Low is -5") as caught:
        online().load(symbol, "1d", "6mo")
    assert caught.value.field == "symbol"


def test_the_last_bar_is_left_out_while_the_market_is_open(online, yahoo, symbol, clock):
    session = (DAYS[-1], DAYS[-1] + 23_400)
    yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, session=session)
    clock.now = session[1] - 60
    bars = online().load(symbol, "1d", "6mo")
    assert len(bars) == 39
    assert bars.notes == ("The last bar was not finished yet: left out.",)
    clock.now = session[1] + 901  # the saved bars are no longer fresh then
    assert len(online().load(symbol, "1d", "6mo")) == 40


def test_an_intraday_bar_that_is_still_open_is_left_out(online, yahoo, symbol, clock):
    times = [DAYS[-1] + 300 * i for i in range(20)]
    yahoo.answers[symbol] = lambda query: chart(
        times, range(100, 120), interval=query["interval"], session=(DAYS[-1], DAYS[-1] + 23_400)
    )
    clock.now = times[-1] + 120
    assert len(online().load(symbol, "5m", "1d")) == 19


@pytest.mark.parametrize("wish", [{"period": "1mo"}, {"period": "max"}, {"start": "2024-01-02"}])
def test_an_unknown_symbol_is_said_to_be_unknown(online, yahoo, symbol, wish):
    with pytest.raises(NoBars, match="Yahoo does not know this symbol") as caught:
        online().load(symbol, "1d", **wish)
    assert caught.value.field == "symbol"
    assert "delisted" not in caught.value.message


def test_an_unknown_symbol_does_not_count_as_an_outage(online, normal, symbol):
    feeds = online()
    with pytest.raises(NoBars):
        feeds.load("NEVERHEARDOF", "1d", "1mo")
    assert feeds.load(normal, "1d", "1mo").source == "Yahoo"


def test_a_misspelt_symbol_gets_a_suggestion(online):
    with pytest.raises(NoBars, match=r"No bars for 'APPL' from Yahoo \(6mo, 1d\). Did you mean AAPL\?"):
        online().load("APPL", "1d", "6mo")


def test_an_unknown_symbol_is_not_asked_for_again_for_five_minutes(online, yahoo, symbol, clock):
    for seconds, asked in ((0, True), (10, False), (280, False), (20, True)):
        clock.pass_seconds(seconds)
        before = len(yahoo.paths)
        with pytest.raises(NoBars):
            online().load(symbol, "1d", "1mo")
        assert any(symbol in path for path in yahoo.paths[before:]) == asked


def test_an_isin_is_refused_without_asking(online, yahoo):
    with pytest.raises(NoBars, match="not ISIN numbers"):
        online().load("US0378331005", "1d", "1mo")
    assert yahoo.paths == []


@pytest.mark.parametrize(("wish", "field"), [({"period": "1mo"}, "period"), ({"start": "2024-01-02"}, "start_date")])
def test_an_empty_answer_is_no_bars_in_this_range(online, yahoo, symbol, wish, field):
    yahoo.answers[symbol] = lambda query: chart([], [])
    with pytest.raises(NoBars, match="Yahoo has no bars in this range") as caught:
        online().load(symbol, "1d", **wish)
    assert caught.value.field == field
    assert "delisted" not in caught.value.message


def test_yahoos_own_reason_is_told_with_dates_that_can_be_read(online, yahoo, symbol):
    why = "Data doesn't exist for startDate = 1704171600, endDate = 1707541200"
    yahoo.answers[symbol] = lambda query: refused(why, 400) if "period1" in query else chart(DAYS, CLOSES)
    with pytest.raises(NoBars, match="startDate = 2024-01-02, endDate = 2024-02-10"):
        online().load(symbol, "1d", start="2024-01-02", end="2024-02-10")


def test_one_bar_is_not_enough(online, yahoo, symbol):
    yahoo.answers[symbol] = lambda query: chart(DAYS[:1], CLOSES[:1])
    with pytest.raises(NoBars, match="one finished bar in this range, and two are needed"):
        online().load(symbol, "1d", "1mo")


LIMITS = {
    "429": Reply(429, "Too Many Requests"),
    "HTML instead of JSON": Reply(200, "<html><body>Consent</body></html>"),
}


@pytest.mark.parametrize("kind", LIMITS)
class TestRateLimit:
    def test_it_is_said_with_the_minutes_to_wait(self, online, yahoo, symbol, kind):
        yahoo.answers[symbol] = lambda query: LIMITS[kind]
        with pytest.raises(FeedUnavailable, match="limits how often it is asked, try again in 1 minute,"):
            online().load(symbol, "1d", "1mo")

    def test_nobody_asks_until_it_is_over_and_pauses_grow(self, online, yahoo, symbol, clock, kind):
        yahoo.answers[symbol] = lambda query: LIMITS[kind]
        asked = []
        for _ in range(20):
            before = len(yahoo.paths)
            with pytest.raises(FeedUnavailable):
                online().load(f"{symbol}", "1d", "1mo")
            asked.append(len(yahoo.paths) > before)
            clock.pass_seconds(30)
        assert [i for i, yes in enumerate(asked) if yes] == [0, 2, 6, 14]  # after 1, 2 and 4 minutes

    def test_saved_bars_are_served_with_their_age(self, online, yahoo, normal, clock, kind):
        fetched = online().load(normal, "1d", "6mo")
        yahoo.answers[normal] = lambda query: LIMITS[kind]
        clock.at("2024-06-10 12:00")
        bars = online().load(normal, "1d", "6mo")
        assert bars.close.tolist() == fetched.close.tolist()
        assert bars.source == "Yahoo, saved 2024-06-01 12:00 UTC"
        assert "these bars were saved on 2024-06-01 12:00 UTC" in bars.notes[-1]

    def test_saved_bars_of_a_longer_range_serve_a_shorter_one(self, online, yahoo, normal, clock, kind):
        online().load(normal, "1d", start="2024-04-01", end="2024-05-25")
        yahoo.answers[normal] = lambda query: LIMITS[kind]
        clock.at("2024-06-10 12:00")
        bars = online().load(normal, "1d", start="2024-04-08", end="2024-05-01")
        assert [f"{bars.index[i]:%m-%d}" for i in (0, -1)] == ["04-08", "04-30"]

    def test_saved_bars_survive_it(self, online, yahoo, normal, clock, kind):
        fetched = online().load(normal, "1d", "6mo")
        yahoo.answers[normal] = lambda query: LIMITS[kind]
        clock.at("2024-06-10 12:00")
        online().load(normal, "1d", "6mo")
        clock.at("2024-06-11 12:00")
        yahoo.answers[normal] = lambda query: chart(DAYS, CLOSES)
        assert online().load(normal, "1d", "6mo") == fetched

    def test_a_sample_stands_in_where_there_is_one(self, online, yahoo, kind):
        yahoo.answers["MSFT"] = lambda query: LIMITS[kind]
        assert online().load("MSFT", "1d", "6mo").source.startswith("bundled sample (Yahoo limits how often")


@pytest.mark.parametrize("answer", ["faulty", "empty", "unknown"])
def test_bars_that_were_good_once_are_served_when_the_new_ones_are_not(online, yahoo, normal, clock, answer):
    online().load(normal, "1d", "6mo")
    clock.at("2024-06-10 12:00")
    worse = {"faulty": chart(DAYS, CLOSES, low=-CLOSES), "empty": chart([], []), "unknown": refused("Not found", 404)}
    yahoo.answers[normal] = lambda query: worse[answer]
    bars = online().load(normal, "1d", "6mo")
    assert bars.source == "Yahoo, saved 2024-06-01 12:00 UTC"
    assert bars.close.tolist() == CLOSES.tolist()


def test_a_limited_crumb_is_no_reason_to_stop(online, yahoo, normal):
    yahoo.crumb_status = 429
    assert len(online().load(normal, "1d", "6mo")) == 40


def test_a_page_that_says_yahoo_is_down_is_believed(online, yahoo, symbol):
    yahoo.answers[symbol] = lambda query: Reply(200, "<html>Will be right back...</html>")
    with pytest.raises(FeedUnavailable, match="Yahoo is down"):
        online().load(symbol, "1d", "1mo")


def test_a_server_error_is_no_bars_and_no_traceback(online, yahoo, symbol):
    yahoo.answers[symbol] = lambda query: Reply(500, '{"chart": {"result": null, "error": null}}')
    with pytest.raises((FeedUnavailable, NoBars, BadBars)):
        online().load(symbol, "1d", "1mo")


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"chart": null}', '{"chart": {"result": [{}], "error": null}}'])
def test_an_answer_that_makes_no_sense_is_an_error_of_ours(online, yahoo, symbol, text):
    yahoo.answers[symbol] = lambda query: Reply(200, text)
    with pytest.raises((FeedUnavailable, NoBars, BadBars)):
        online().load(symbol, "1d", "1mo")


def test_a_connection_that_is_reset_is_tried_again_and_then_given_up(online, yahoo, symbol):
    yahoo.answers[symbol] = lambda query: Reply(how="reset")
    with pytest.raises(FeedUnavailable, match="Yahoo could not be reached"):
        online().load(symbol, "1d", "1mo")
    assert sum(symbol in path for path in yahoo.paths) > 1


def test_an_answer_that_does_not_come_is_given_up(online, yahoo, symbol):
    yahoo.answers[symbol] = lambda query: Reply(how="slow")
    with pytest.raises(FeedUnavailable, match="Yahoo could not be reached"):
        online(yahoo_patience=0.5).load(symbol, "1d", "1mo")


class TestOffline:
    def test_the_sample_plays_and_says_why(self, online, refusing):
        bars = online(yahoo_url=refusing).load("AAPL", "1d", "6mo")
        assert len(bars) == 122
        assert bars.source == "bundled sample (Yahoo could not be reached)"

    def test_a_server_that_never_answers_is_asked_once_and_by_nobody_else(self, online, silent):
        feeds = online(yahoo_url=silent.url)
        with ThreadPoolExecutor(8) as pool:
            runs = [pool.submit(feeds.load, s, "1d", "6mo") for s in ("AAPL", "MSFT", "IBM", "GOOG") * 4]
            assert all(run.result().source == "bundled sample (Yahoo could not be reached)" for run in runs)
        assert silent.connections == 1
        assert len(online(yahoo_url=silent.url).load("AAPL", "1d", "1y")) > 200  # as another process would
        assert silent.connections == 1

    def test_it_is_asked_again_after_a_while(self, online, yahoo, refusing, clock):
        yahoo.answers["AAPL"] = lambda query: chart(DAYS, CLOSES)
        assert online(yahoo_url=refusing).load("AAPL", "1d", "6mo").source.startswith("bundled")
        assert online().load("AAPL", "1d", "6mo").source.startswith("bundled")
        clock.pass_seconds(301)
        assert online().load("AAPL", "1d", "6mo").source == "Yahoo"

    def test_saved_bars_come_before_the_sample(self, online, yahoo, refusing, clock):
        yahoo.answers["AAPL"] = lambda query: chart(DAYS, CLOSES)
        online().load("AAPL", "1d", "6mo")
        clock.at("2024-07-01 12:00")
        assert online(yahoo_url=refusing).load("AAPL", "1d", "6mo").source == "Yahoo, saved 2024-06-01 12:00 UTC"

    def test_a_symbol_without_a_sample_is_refused_with_the_way_out(self, online, refusing):
        with pytest.raises(
            FeedUnavailable, match=r"could not be reached.*Choose one of AAPL, .*TSLA-1d\.csv"
        ) as caught:
            online(yahoo_url=refusing).load("TSLA", "1d", "6mo")
        assert caught.value.field == "symbol"

    def test_an_interval_that_the_sample_has_not_is_refused(self, online, refusing):
        with pytest.raises(FeedUnavailable, match="has days only: choose 1d, 1wk or 1mo") as caught:
            online(yahoo_url=refusing).load("AAPL", "1h", "1mo")
        assert caught.value.field == "interval"

    def test_dates_that_the_sample_has_not_name_those_it_has(self, online, refusing):
        with pytest.raises(NoBars, match="2000-03-01 to 2013-03-01") as caught:
            online(yahoo_url=refusing).load("AAPL", "1d", start="2020-01-01")
        assert caught.value.field == "start_date"

    def test_yfinance_is_not_even_imported(self, tmp_path, refusing):
        script = (
            "import sys; from engine.feeds import Feeds\n"
            f"Feeds({str(tmp_path)!r}, {str(tmp_path / 'c')!r}, yahoo_url={refusing!r}).load('AAPL', '1d', '6mo')\n"
            "print('yfinance' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == "False"


class TestCaching:
    def test_fresh_bars_are_fetched_once(self, online, yahoo, normal):
        first = online().load(normal, "1d", "6mo")
        assert online().load(normal, "1d", "6mo") == first
        assert yahoo.price_requests[normal] == 1

    def test_daily_bars_are_fresh_until_after_the_next_close(self, online, yahoo, symbol, clock):
        session = (DAYS[-1], DAYS[-1] + 23_400)  # Friday
        yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, session=session)
        clock.now = session[1] + 3_600
        online().load(symbol, "1d", "6mo")
        clock.at("2024-05-27 19:00")  # Monday, before the close
        online().load(symbol, "1d", "6mo")
        assert yahoo.price_requests[symbol] == 1
        clock.at("2024-05-27 20:16")  # a quarter of an hour after it
        online().load(symbol, "1d", "6mo")
        assert yahoo.price_requests[symbol] == 2

    def test_intraday_bars_are_fresh_for_minutes(self, online, yahoo, symbol, clock):
        times = [DAYS[-1] + 300 * i for i in range(20)]
        yahoo.answers[symbol] = lambda query: chart(times, range(100, 120), interval=query["interval"])
        for seconds, requests in ((0, 1), (200, 1), (101, 2)):
            clock.pass_seconds(seconds)
            online().load(symbol, "5m", "5d")
            assert yahoo.price_requests[symbol] == requests

    def test_ranges_and_intervals_are_kept_apart(self, online, yahoo, symbol):
        yahoo.answers[symbol] = lambda query: chart(DAYS, CLOSES, interval=query["interval"])
        feeds = online()
        for interval, wish in (("1d", {"period": "6mo"}), ("1d", {"period": "1y"}), ("1wk", {"period": "1y"})):
            feeds.load(symbol, interval, **wish)
        assert yahoo.price_requests[symbol] == 3

    def test_a_damaged_file_is_fetched_again_with_a_note(self, online, yahoo, normal, tmp_path):
        first = online().load(normal, "1d", "6mo")
        (saved,) = (tmp_path / "cache" / "bars").glob("*.bars")
        content = saved.read_bytes()
        for damage in (content[:-10], b"", b"{}\n", content.replace(b"PAR1", b"RAP1"), content + b"x"):
            saved.write_bytes(damage)
            bars = online().load(normal, "1d", "6mo")
            assert bars.close.tolist() == first.close.tolist()
            assert bars.notes == ("The saved bars were damaged and have been fetched again.",)
            assert online().load(normal, "1d", "6mo") == first

    def test_restated_history_is_seen_after_the_next_close_and_changes_the_digest(self, online, yahoo, normal, clock):
        first = online().load(normal, "1d", start="2024-04-01", end="2024-05-25")
        yahoo.answers[normal] = lambda query: chart(DAYS, CLOSES, adjclose=CLOSES * 0.99)
        clock.at("2024-06-10 12:00")
        again = online().load(normal, "1d", start="2024-04-01", end="2024-05-25")
        assert again.close[0] == pytest.approx(99.0)
        assert again.digest != first.digest

    def test_a_folder_that_cannot_be_written_costs_only_the_memory(self, online, yahoo, normal, tmp_path):
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        assert len(online(cache_dir=blocked / "cache").load(normal, "1d", "6mo")) == 40

    def test_many_identical_loads_are_one_fetch(self, online, yahoo, normal):
        feeds = online()
        with ThreadPoolExecutor(50) as pool:
            bars = list(pool.map(lambda _: feeds.load(normal, "1d", "6mo"), range(50)))
        assert yahoo.price_requests[normal] == 1
        assert len({b.digest for b in bars}) == 1

    def test_identical_loads_of_several_processes_are_one_fetch(self, data, yahoo, normal, tmp_path):
        context = multiprocessing.get_context("spawn")
        with context.Pool(3) as pool:
            tasks = [(str(data), str(tmp_path / "cache"), yahoo.url, normal)] * 6
            digests = pool.starmap(_digest, tasks, chunksize=1)
        assert len(set(digests)) == 1
        assert yahoo.price_requests[normal] == 1


def _digest(data: str, cache: str, url: str, symbol: str) -> str:
    return Feeds(data, cache, yahoo_url=url, clock=lambda: DAYS[-1] + 90_000.0).load(symbol, "1d", "6mo").digest


class TestBeforeAsking:
    def test_an_impossible_period_is_refused(self, online, yahoo):
        with pytest.raises(ConfigError, match="Choose one of 1d, 5d") as caught:
            online().load("AAPL", "1m", "6mo")
        assert caught.value.field == "period"
        assert yahoo.paths == []

    def test_an_interval_that_yahoo_has_not_is_refused(self, online, yahoo):
        with pytest.raises(ConfigError, match="There are no bars of 4h") as caught:
            online().load("AAPL", "4h", "1mo")
        assert caught.value.field == "interval"
        assert yahoo.paths == []

    def test_a_start_beyond_the_reach_of_an_interval_names_the_earliest(self, online, yahoo):
        with pytest.raises(ConfigError, match="Start on 2024-05-25 or later") as caught:
            online().load("AAPL", "1m", start="2024-01-01")
        assert caught.value.field == "start_date"
        assert yahoo.paths == []

    def test_files_and_made_up_bars_need_no_yahoo(self, online, yahoo, data):
        rows = "".join(f"2024-01-{day:02},10,12,9,11,5\n" for day in range(1, 20))
        (data / "MINE-1d.csv").write_text("Date,Open,High,Low,Close,Volume\n" + rows)
        online().load("MINE", "1d", "max")
        online().load("SYNTH", "1m", "1d")
        assert yahoo.paths == []


def test_a_symbol_that_yahoo_has_forgotten_plays_from_its_sample(online, yahoo):
    bars = online().load("FB", "1d", "6mo")
    assert bars.source == "bundled sample (Yahoo does not know this symbol)"
