"""Bars: the gate, the columns behind it, and the way to disk and back."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bars import Bars
from engine.errors import BadBars
from tests import build

PRICES = ["Open", "High", "Low", "Close"]


@pytest.fixture
def frame() -> pd.DataFrame:
    return build.random_bars(60, seed=1).to_frame()


def test_bars_hold_the_columns_of_the_frame(frame):
    bars = Bars.from_frame(frame, symbol="AAPL", interval="1d", source="a test")
    assert len(bars) == 60
    assert bars.time[0] == 1_704_067_200
    assert bars.high.tolist() == frame["High"].tolist()
    assert (bars.symbol, bars.interval, bars.source, bars.timezone, bars.notes) == ("AAPL", "1d", "a test", None, ())
    assert bars.index.equals(frame.index)


def test_columns_cannot_be_written_to_and_do_not_follow_the_frame(frame):
    bars = Bars.from_frame(frame)
    first = bars.close[0]
    frame.iloc[0, 3] = 1e6
    assert bars.close[0] == first
    for column in (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda df: df.rename(columns=str.lower), id="lower-case names"),
        pytest.param(lambda df: df.rename(columns=lambda c: f" {c.upper()} "), id="upper-case names with blanks"),
        pytest.param(lambda df: df[["Volume", "Close", "Low", "High", "Open"]], id="another order of columns"),
        pytest.param(lambda df: df.astype("Float64"), id="nullable numbers"),
        pytest.param(lambda df: df.astype(str), id="numbers as text"),
        pytest.param(lambda df: df.astype(object), id="numbers as objects"),
        pytest.param(lambda df: df.set_index(df.index.as_unit("s").asi8), id="epoch seconds"),
        pytest.param(lambda df: df.set_index(df.index.as_unit("ms").asi8), id="epoch milliseconds"),
        pytest.param(lambda df: df.set_index(df.index.as_unit("us").asi8), id="epoch microseconds"),
        pytest.param(lambda df: df.set_index(df.index.as_unit("ns").asi8), id="epoch nanoseconds"),
        pytest.param(lambda df: df.set_index(df.index.as_unit("s").asi8.astype(float)), id="epoch seconds as floats"),
        pytest.param(lambda df: df.set_index(df.index.strftime("%Y-%m-%d")), id="dates as text"),
        pytest.param(lambda df: df.set_index(df.index.strftime("%Y-%m-%d %H:%M:%S+00:00")), id="texts with an offset"),
        pytest.param(
            lambda df: df.set_index(pd.Index([t.to_pydatetime() for t in df.index], dtype=object)), id="datetimes"
        ),
        pytest.param(lambda df: df.set_index(df.index.to_period("D")), id="periods"),
        pytest.param(lambda df: df.rename_axis("Date").reset_index(), id="a Date column"),
        pytest.param(lambda df: pd.concat({"AAPL": df}, axis=1), id="one symbol above the columns"),
        pytest.param(lambda df: pd.concat({"AAPL": df}, axis=1).swaplevel(axis=1), id="one symbol below the columns"),
    ],
)
def test_frames_of_every_make_give_the_same_bars(frame, change):
    changed, plain = Bars.from_frame(change(frame)), Bars.from_frame(frame)
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert getattr(changed, name).tolist() == getattr(plain, name).tolist()


def test_further_columns_are_kept_beside_the_bars(frame):
    bars = Bars.from_frame(frame.assign(Signal=range(60), sector="tech"))
    assert bars.extra["Signal"].tolist() == list(range(60))
    assert bars[10:12].extra["sector"].tolist() == ["tech", "tech"]
    assert bars.to_frame()["Signal"].tolist() == list(range(60))


def test_a_frame_without_volume_has_unknown_volume(frame):
    bars = Bars.from_frame(frame.drop(columns="Volume"))
    assert np.isnan(bars.volume).all()


def test_a_range_index_gives_bars_without_dates(frame):
    bars = Bars.from_frame(frame.reset_index(drop=True))
    assert not bars.dated
    assert bars.time.tolist() == list(range(60))
    assert bars[5:7].index.tolist() == [5, 6]
    assert Bars.from_frame(frame).dated


def damaged(row: int, column: str, value: object):
    def change(df: pd.DataFrame) -> pd.DataFrame:
        df = df.astype({column: object}) if isinstance(value, str) else df
        df.iloc[row, df.columns.get_loc(column)] = value
        return df

    return change


def texts(df: pd.DataFrame, row: int, text: str | None) -> pd.Index:
    dates: list[str | None] = [f"{day:%Y-%m-%d}" for day in df.index]
    dates[row] = text
    return pd.Index(dates)


@pytest.mark.parametrize(
    ("change", "row", "words"),
    [
        pytest.param(damaged(7, "Open", np.nan), 7, "Open is missing", id="NaN"),
        pytest.param(damaged(7, "High", np.inf), 7, "High is inf", id="infinity"),
        pytest.param(damaged(7, "Low", -np.inf), 7, "Low is -inf", id="minus infinity"),
        pytest.param(damaged(7, "Close", 0.0), 7, "Close is 0; it must be above 0", id="zero"),
        pytest.param(damaged(7, "Low", -3.5), 7, "Low is -3.5", id="negative"),
        pytest.param(damaged(7, "High", 0.01), 7, "High 0.01 is below Low", id="high below low"),
        pytest.param(damaged(7, "Open", 1e6), 7, "is below Open 1000000", id="high below open"),
        pytest.param(damaged(7, "Close", 0.01), 7, "is above Close 0.01", id="low above close"),
        pytest.param(damaged(7, "Volume", -1.0), 7, "Volume is -1; it must be 0 or more", id="negative volume"),
        pytest.param(damaged(7, "Volume", np.nan), 7, "Volume is missing", id="volume missing here and there"),
        pytest.param(damaged(7, "Open", "n/a"), 7, "Open is 'n/a', not a number", id="text"),
        pytest.param(lambda df: df.iloc[[*range(5), 4, *range(5, 60)]], 5, "the same time", id="duplicate"),
        pytest.param(lambda df: df.iloc[[*range(5), 9, *range(5, 60)]], 6, "before the row above", id="unsorted"),
        pytest.param(lambda df: df.set_index(texts(df, 3, None)), 3, "the time is missing", id="no time"),
        pytest.param(lambda df: df.set_index(texts(df, 4, "soon")), 4, "'soon' is not a date", id="not a date"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(frame, change, row, words):
    with pytest.raises(BadBars, match=f"^Row {row}\\b") as caught:
        Bars.from_frame(change(frame))
    assert words in caught.value.message
    assert caught.value.row == row


def test_the_message_names_the_time_of_the_row(frame):
    frame.iloc[7, 2] = -1
    with pytest.raises(BadBars, match=r"Row 7 \(2024-01-08 00:00:00\): Low is -1"):
        Bars.from_frame(frame)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda df: df.iloc[:1], "At least two bars are needed, and there is 1", id="one bar"),
        pytest.param(lambda df: df.iloc[:0], "and there are none", id="no bars"),
        pytest.param(lambda df: df.drop(columns=["Low", "Close"]), "No column Low, Close", id="columns missing"),
        pytest.param(lambda df: df.iloc[:, :0], "no columns", id="no columns"),
        pytest.param(
            lambda df: df.rename(columns={"Volume": "open", "Open": "OPEN"}), "2 columns named Open", id="twice"
        ),
        pytest.param(lambda df: pd.concat({"A": df, "B": df}, axis=1), "Choose one symbol", id="two symbols"),
        pytest.param(lambda df: pd.concat({"A": df, "B": df}), "Choose one symbol", id="two symbols in the index"),
        pytest.param(lambda df: df.set_index(np.linspace(0, 1, 60)), "neither times nor row numbers", id="fractions"),
    ],
)
def test_a_frame_that_is_not_bars_is_refused(frame, change, words):
    with pytest.raises(BadBars, match=words):
        Bars.from_frame(change(frame))


def test_only_frames_are_read(frame):
    with pytest.raises(TypeError, match="not from ndarray"):
        Bars.from_frame(frame.to_numpy())


def test_a_close_that_is_the_high_but_for_rounding_is_no_fault():
    made = Bars.from_columns([0, 60], [0.25, 0.25], [0.3, 0.3], [0.2, 0.2], [0.3, 3 * 0.1])
    assert made.close[1] > made.high[1]


class TestRepair:
    def test_nothing_is_repaired_unless_asked(self, frame):
        with pytest.raises(BadBars):
            Bars.from_frame(frame.iloc[::-1])

    def test_the_order_is_restored_and_told(self, frame):
        bars = Bars.from_frame(frame.sample(frac=1, random_state=1), repair=True)
        assert bars.close.tolist() == frame["Close"].tolist()
        assert bars.notes == ("Rows were not in order of time: sorted.",)

    def test_identical_duplicates_are_dropped_and_counted(self, frame):
        bars = Bars.from_frame(frame.iloc[[0, 0, 0, *range(1, 60)]], repair=True)
        assert bars.time.tolist() == Bars.from_frame(frame).time.tolist()
        assert bars.notes == ("2 rows repeating the row above left out.",)

    def test_conflicting_duplicates_are_refused(self, frame):
        twice = frame.iloc[[*range(10), 9, *range(10, 60)]].copy()
        twice.iloc[10, 4] += 1
        with pytest.raises(BadBars, match="the same time") as caught:
            Bars.from_frame(twice, repair=True)
        assert caught.value.row == 10

    def test_rows_with_missing_prices_are_dropped_and_counted(self, frame):
        frame.iloc[[5, 9], 0] = np.nan
        bars = Bars.from_frame(frame, repair=True)
        assert len(bars) == 58
        assert bars.notes == ("2 rows with missing values left out (first: row 5).",)

    def test_many_missing_rows_are_no_slip(self, frame):
        frame.iloc[10:14, 0] = np.nan
        with pytest.raises(BadBars, match="4 of 60 rows have missing values"):
            Bars.from_frame(frame, repair=True)

    def test_missing_volume_here_and_there_becomes_zero(self, frame):
        frame.iloc[4, 4] = np.nan
        bars = Bars.from_frame(frame, repair=True)
        assert bars.volume[4] == 0
        assert bars.notes == ("Missing volume taken as 0 in 1 row.",)

    def test_only_the_repairs_asked_for_are_made(self, frame):
        frame.iloc[5, 0] = np.nan
        with pytest.raises(BadBars, match="Open is missing"):
            Bars.from_frame(frame, repair={"order"})

    def test_prices_that_make_no_sense_are_never_repaired(self, frame):
        frame.iloc[5, 2] = -1
        with pytest.raises(BadBars, match="Low is -1"):
            Bars.from_frame(frame, repair=True)

    def test_clean_bars_need_no_note(self, frame):
        assert Bars.from_frame(frame, repair=True).notes == ()


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["duplicate", "move", "blank", "conflict", "cell"]),
        st.integers(0, 199),
        st.integers(0, 199),
        st.integers(0, 4),
        st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e9]),
    ),
    max_size=6,
)


@given(seed=st.integers(0, 50), edits=EDITS)
def test_damaged_bars_become_the_clean_ones_or_one_error_that_names_a_row(seed, edits):
    clean = build.random_bars(200, seed=seed)
    rows = [tuple(row) for row in clean.to_frame().reset_index().itertuples(index=False, name=None)]
    for kind, at, to, column, value in edits:
        at, to = at % len(rows), to % len(rows)
        if kind == "duplicate":
            rows.insert(to, rows[at])
        elif kind == "move":
            rows.insert(to, rows.pop(at))
        elif kind == "blank":
            rows.insert(at, (rows[at][0], *[np.nan] * 5))
        else:
            row = list(rows[at])
            row[column + 1] = value if kind == "cell" else row[column + 1] * 1.0001
            rows.insert(at, tuple(row))
            if kind == "cell":
                rows.pop(at + 1)
    damaged = pd.DataFrame(rows, columns=["Date", *PRICES, "Volume"]).set_index("Date")
    try:
        repaired = Bars.from_frame(damaged, repair=True)
    except BadBars as error:
        assert error.row is not None
        assert f"Row {error.row} " in error.message
        return
    wanted = clean.to_frame()
    lost = set(wanted.index) - set(repaired.index)
    same = repaired.to_frame().compare(wanted.drop(index=list(lost))) if lost or len(repaired) == 200 else None
    touched = {"cell", "conflict"} & {edit[0] for edit in edits}
    assert same is not None
    if not touched:
        assert not lost
        assert same.empty
        assert bool(repaired.notes) == (not damaged.index.equals(wanted.index))
    assert len(lost) <= sum(edit[0] == "cell" for edit in edits)


class TestTime:
    def test_a_zone_gives_true_times_and_its_name(self):
        index = pd.date_range("2024-03-08 09:30", periods=5, freq="h", tz="America/New_York")
        bars = Bars.from_frame(build.bars(range(10, 15)).to_frame().set_index(index), interval="1h")
        assert bars.time[0] == pd.Timestamp("2024-03-08 14:30", tz="UTC").timestamp()
        assert bars.timezone == "America/New_York"
        assert bars.index.equals(index)

    @pytest.mark.parametrize(
        ("zone", "start"),
        [
            pytest.param("America/New_York", "2024-03-09", id="New York, an hour is skipped"),
            pytest.param("America/New_York", "2024-11-02", id="New York, an hour comes twice"),
            pytest.param("Australia/Lord_Howe", "2024-04-06", id="Lord Howe, half an hour comes twice"),
            pytest.param("Australia/Lord_Howe", "2024-10-05", id="Lord Howe, half an hour is skipped"),
            pytest.param("Asia/Kathmandu", "2024-05-01", id="Kathmandu, a quarter past"),
            pytest.param("UTC", "2024-05-01", id="around the clock"),
        ],
    )
    @pytest.mark.parametrize("interval", ["15m", "1h"])
    def test_bars_around_the_clock_stay_evenly_spaced(self, zone, start, interval):
        step = {"15m": 900, "1h": 3_600}[interval]
        first = pd.Timestamp(start, tz=zone)
        index = pd.date_range(first.tz_convert("UTC"), periods=72 * 3_600 // step, freq=f"{step}s").tz_convert(zone)
        frame = build.random_bars(len(index)).to_frame().set_index(index)
        bars = Bars.from_frame(frame, interval=interval)
        assert (np.diff(bars.time) == step).all()
        assert bars.timezone == zone
        again = Bars.from_parquet(bars.to_parquet())
        assert again.index.equals(index)
        assert str(again.index.tz) == zone

    @pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Tokyo", "UTC"])
    @pytest.mark.parametrize("interval", ["1d", ""])
    def test_daily_bars_have_the_date_of_their_zone(self, zone, interval):
        index = pd.date_range("2024-03-01", periods=300, freq="D", tz=zone)
        bars = Bars.from_frame(build.random_bars(300).to_frame().set_index(index), interval=interval)
        assert bars.time[0] == pd.Timestamp("2024-03-01", tz="UTC").timestamp()
        assert (np.diff(bars.time) == 86_400).all()

    def test_texts_with_the_offsets_of_summer_and_winter_are_one_time_line(self):
        texts = ["2024-11-03 01:30:00-04:00", "2024-11-03 01:30:00-05:00", "2024-11-03 02:30:00-05:00"]
        bars = Bars.from_frame(build.bars([1, 2, 3]).to_frame().set_index(pd.Index(texts)))
        assert np.diff(bars.time).tolist() == [3_600, 3_600]

    def test_an_hour_that_comes_twice_without_a_zone_is_refused(self):
        texts = ["2024-11-03 01:30:00", "2024-11-03 01:30:00", "2024-11-03 02:30:00"]
        with pytest.raises(BadBars, match="the same time"):
            Bars.from_frame(build.bars([1, 2, 3]).to_frame().set_index(pd.Index(texts)))

    def test_years_that_nanoseconds_do_not_reach_are_read(self):
        index = pd.DatetimeIndex(np.array(["1650-01-01", "2500-01-01", "3000-01-01"], dtype="datetime64[s]"))
        bars = Bars.from_frame(build.bars([1, 2, 3]).to_frame().set_index(index))
        assert Bars.from_parquet(bars.to_parquet()).index[-1].year == 3000


class TestParts:
    def test_a_slice_is_bars_again(self):
        bars = build.random_bars(50, symbol="AAPL")
        part = bars[10:20]
        assert len(part) == 10
        assert part.symbol == "AAPL"
        assert part.time.tolist() == bars.time[10:20].tolist()
        assert part.index.equals(bars.index[10:20])
        assert part != bars and part == bars[10:20]

    @pytest.mark.parametrize("part", [3, slice(0, 10, 2), slice(None, None, -1)])
    def test_only_plain_slices_cut(self, part):
        with pytest.raises(TypeError, match="plain slice"):
            build.random_bars(50)[part]

    def test_buckets_are_honest(self):
        bars = build.ohlc(
            (10, 12, 9, 11, 5), (11, 15, 10, 14, 6), (14, 14, 7, 8, 7), (8, 9, 8, 9, 8), (9, 10, 9, 10, 9)
        )
        bucket = bars.aggregate(0, 5, 2)
        assert bucket.bar.tolist() == [0, 2, 4]
        assert bucket.time.tolist() == bars.time[[0, 2, 4]].tolist()
        assert bucket.open.tolist() == [10, 14, 9]
        assert bucket.high.tolist() == [15, 14, 10]
        assert bucket.low.tolist() == [9, 7, 9]
        assert bucket.close.tolist() == [14, 9, 10]
        assert bucket.volume.tolist() == [11, 15, 9]

    @given(st.integers(2, 80), st.integers(-5, 90), st.integers(-5, 90), st.integers(1, 20))
    def test_buckets_agree_with_a_loop(self, n, start, stop, size):
        bars = build.random_bars(n, seed=n)
        bucket = bars.aggregate(start, stop, size)
        wanted = [
            range(first, min(first + size, stop, n))
            for first in range(max(start, 0) // size * size, min(stop, n), size)
        ]
        assert bucket.bar.tolist() == [part[0] for part in wanted]
        for i, part in enumerate(wanted):
            rows = slice(part[0], part[-1] + 1)
            assert bucket.open[i] == bars.open[rows][0]
            assert bucket.high[i] == bars.high[rows].max()
            assert bucket.low[i] == bars.low[rows].min()
            assert bucket.close[i] == bars.close[rows][-1]
            assert bucket.volume[i] == pytest.approx(bars.volume[rows].sum())

    def test_a_bar_is_in_the_same_bucket_whatever_the_window(self):
        bars = build.random_bars(100)
        assert bars.aggregate(37, 80, 10).open.tolist() == bars.aggregate(0, 80, 10).open[3:].tolist()


class TestStorage:
    def test_parquet_keeps_everything(self):
        frame = build.random_bars(40).to_frame().assign(signal=range(40), note=["a", None] * 20)
        index = pd.date_range("2024-01-02 09:30", periods=40, freq="5min", tz="America/New_York")
        bars = Bars.from_frame(frame.set_index(index), symbol="AAPL", interval="5m", source="Yahoo").told("A note.")
        again = Bars.from_parquet(bars.to_parquet())
        assert again == bars
        assert again.digest == bars.digest
        assert (again.symbol, again.interval, again.source, again.timezone) == (
            "AAPL",
            "5m",
            "Yahoo",
            "America/New_York",
        )
        assert again.notes == ("A note.",)
        assert again.extra["note"].tolist() == ["a", None] * 20
        assert again.index.equals(bars.index)
        with pytest.raises(ValueError, match="read-only"):
            again.close[0] = 1

    def test_bars_without_dates_survive(self):
        bars = Bars.from_frame(build.bars([1, 2, 3]).to_frame().reset_index(drop=True))
        again = Bars.from_parquet(bars.to_parquet())
        assert not again.dated
        assert again == bars

    def test_the_digest_follows_every_number_and_label(self):
        bars = build.random_bars(40)
        assert bars.digest == build.random_bars(40).digest
        others = [
            build.random_bars(40, seed=1),
            bars[:39],
            bars.told("A note."),
            bars.told(symbol="OTHER"),
            Bars.from_frame(bars.to_frame().assign(x=1), symbol="TEST", interval="1d", source="test"),
        ]
        assert len({bars.digest, *(other.digest for other in others)}) == 6

    def test_the_digest_is_the_same_on_every_machine(self):
        bars = build.bars([10, 11, 12.5], symbol="AAPL")
        assert bars.digest == "898181caefbaded243b1321f5acbdab298653c905c6cf21023b0dec7b8bf7752"

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"garbage" * 100], ids=["empty", "cut", "garbage"])
    def test_damaged_bytes_are_refused(self, content):
        with pytest.raises(BadBars, match="cannot be read"):
            Bars.from_parquet(content)

    def test_a_cut_file_is_refused(self):
        content = build.random_bars(40).to_parquet()
        with pytest.raises(BadBars, match="cannot be read"):
            Bars.from_parquet(content[: len(content) // 2])


class TestCompatible:
    """What backtesting.py 0.6.6 does with a frame, as it was seen to."""

    def read(self, df) -> Bars:
        return Bars.from_frame(df, compat=True)

    def test_unsorted_rows_are_sorted_with_a_warning(self, frame):
        with pytest.warns(UserWarning, match="sort"):
            bars = self.read(frame.iloc[::-1])
        assert bars.close.tolist() == frame["Close"].tolist()

    def test_duplicates_and_impossible_prices_are_taken(self, frame):
        frame.iloc[3, 0] = -1
        frame.iloc[4, 1] = np.inf
        bars = self.read(frame.iloc[[*range(10), 9, *range(10, 60)]])
        assert len(bars) == 61
        assert bars.time[9] == bars.time[10]

    def test_one_bar_is_enough(self, frame):
        assert len(self.read(frame.iloc[:1])) == 1

    def test_volume_may_be_missing_in_part_or_whole(self, frame):
        assert np.isnan(self.read(frame.drop(columns="Volume")).volume).all()
        frame.iloc[3, 4] = np.nan
        assert np.isnan(self.read(frame).volume[3])

    def test_a_range_index_warns(self, frame):
        with pytest.warns(UserWarning, match="not made of dates"):
            bars = self.read(frame.reset_index(drop=True))
        assert not bars.dated
        assert bars.index.tolist() == list(range(60))

    def test_the_users_index_is_kept(self, frame):
        zoned = frame.tz_localize("America/New_York")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert self.read(zoned).index.equals(zoned.index)

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            pytest.param(lambda df: df.iloc[:0], ValueError, id="empty"),
            pytest.param(lambda df: df.rename(columns=str.lower), ValueError, id="lower-case names"),
            pytest.param(lambda df: df.drop(columns="Low"), ValueError, id="no Low"),
            pytest.param(damaged(3, "Open", np.nan), ValueError, id="NaN price"),
            pytest.param(lambda df: df.to_numpy(), TypeError, id="not a frame"),
            pytest.param(lambda df: df["Close"], TypeError, id="a series"),
        ],
    )
    def test_errors_are_the_builtin_ones(self, frame, change, error):
        with pytest.raises(error):
            self.read(change(frame))
