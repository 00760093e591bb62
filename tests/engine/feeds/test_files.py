"""Files: the user's own bars, as they come."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tracemalloc

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.errors import BadBars, NoBars
from engine.feeds import files
from tests import build

HEADER = "Date,Open,High,Low,Close,Volume\n"
CLEAN = HEADER + "".join(f"2024-01-{day:02},10,12,9,11,{day}\n" for day in range(1, 31))


def edited(line: int, text: str) -> str:
    lines = CLEAN.splitlines(keepends=True)
    lines[line - 1] = text + "\n"
    return "".join(lines)


@pytest.mark.parametrize("name", ["MINE-1d.csv", "mine-1D.CSV", "MINE-1d.csv.gz", "MINE-1d.parquet"])
def test_a_users_file_is_found_whatever_its_kind_and_case(feeds, data, name):
    path = data / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(CLEAN.encode()))
    elif name.endswith("parquet"):
        pd.read_csv(io.StringIO(CLEAN), index_col="Date", parse_dates=True).to_parquet(path)
    else:
        path.write_text(CLEAN)
    bars = feeds.load("mine", "1d", "max")
    assert len(bars) == 30
    assert bars.source == f"your file {name}"
    assert bars.volume[-1] == 30


def test_a_users_file_comes_before_everything_else(feeds, data):
    (data / "AAPL-1d.csv").write_text(CLEAN)
    assert feeds.load("AAPL", "1d", "max").source == "your file AAPL-1d.csv"


def test_a_users_file_may_have_an_interval_that_nobody_else_has(feeds, data):
    rows = "".join(f"2024-01-01 {hour:02}:00,10,12,9,11,5\n" for hour in range(0, 24, 4))
    (data / "MINE-4h.csv").write_text(HEADER + rows)
    assert len(feeds.load("MINE", "4h")) == 6


def test_hours_are_found_under_both_names(feeds, data):
    rows = "".join(f"2024-01-01 {hour:02}:00,10,12,9,11,5\n" for hour in range(24))
    (data / "MINE-60m.csv").write_text(HEADER + rows)
    assert len(feeds.load("MINE", "1h", "max")) == 24


def test_weeks_are_made_from_a_users_days(feeds, data):
    (data / "MINE-1d.csv").write_text(CLEAN)
    assert feeds.load("MINE", "1wk", "max").source == "your file MINE-1d.csv, weeks made from its days"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CLEAN.replace("Date", "Datetime"), id="Datetime"),
        pytest.param(CLEAN.replace("Date", "timestamp").lower(), id="lower case"),
        pytest.param(CLEAN.replace("Date", ""), id="an index without a name"),
        pytest.param("\ufeff" + CLEAN, id="byte order mark"),
        pytest.param(CLEAN.replace(",", ", "), id="blanks after commas"),
        pytest.param(CLEAN.replace("\n", "\r\n"), id="Windows lines"),
        pytest.param(CLEAN.replace("\n", ",x\n").replace("Volume,x", "Volume,Remark"), id="further columns"),
    ],
)
def test_csv_files_of_every_make_are_read(feeds, data, content):
    (data / "MINE-1d.csv").write_text(content, encoding="utf-8", newline="")
    bars = feeds.load("MINE", "1d", "max")
    assert len(bars) == 30
    assert bars.extra == {}
    assert f"{bars.index[0]:%Y-%m-%d}" == "2024-01-01"


def test_repeated_and_empty_rows_are_left_out_and_told(feeds, data):
    (data / "MINE-1d.csv").write_text(edited(5, "2024-01-03,10,12,9,11,3") + "2024-01-31,,,,,\n")
    bars = feeds.load("MINE", "1d", "max")
    assert len(bars) == 29
    assert bars.notes == (
        "1 row with missing values left out (first: row 30).",
        "1 row repeating the row above left out.",
    )


def test_newest_first_is_turned_and_told(feeds, data):
    lines = CLEAN.splitlines(keepends=True)
    (data / "MINE-1d.csv").write_text(lines[0] + "".join(reversed(lines[1:])))
    bars = feeds.load("MINE", "1d", "max")
    assert bars.volume[0] == 1
    assert bars.notes == ("Rows were not in order of time: sorted.",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(edited(8, "2024-01-03,10,12,9,11,5"), r"\(line 8\): Row 6 .*before the row above", id="unsorted"),
        pytest.param(edited(5, "2024-01-03,10,12,9,11,4"), r"\(line 5\): Row 3 .*the same time", id="conflict"),
        pytest.param(edited(5, "2024-01-04,10,8,9,11,4"), r"\(line 5\): Row 3 .*High 8 is below Low 9", id="range"),
        pytest.param(edited(5, "2024-01-04,10,12,-9,11,4"), r"\(line 5\): .*Low is -9", id="negative"),
        pytest.param(edited(5, "2024-01-04,ten,12,9,11,4"), r"\(line 5\): .*Open is 'ten', not a number", id="text"),
        pytest.param(edited(5, "4 January,10,12,9,11,4"), r"\(line 5\): .*'4 January' is not a date", id="date"),
        pytest.param(HEADER + "2024-01-01,10,12,9,11,4\n", "At least two bars", id="one bar"),
        pytest.param(HEADER, "there are none", id="header only"),
        pytest.param("", "cannot be read", id="empty"),
        pytest.param(CLEAN.replace("Date", "Day"), "has no column Date", id="no times"),
        pytest.param(CLEAN.replace("Close", "Last"), "No column Close", id="no close"),
        pytest.param("\0\1\2" * 50, "MINE-1d.csv", id="binary"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(feeds, data, content, words):
    (data / "MINE-1d.csv").write_text(content)
    with pytest.raises(BadBars, match=words) as caught:
        feeds.load("MINE", "1d", "max")
    assert caught.value.message.startswith("MINE-1d.csv")
    assert caught.value.field == "symbol"


@pytest.mark.parametrize("name", ["MINE-1d.csv.gz", "MINE-1d.parquet"])
@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"PAR1garbagePAR1", gzip.compress(CLEAN.encode())[:40]],
    ids=["empty", "garbage", "half garbage", "cut"],
)
def test_a_damaged_file_is_named(feeds, data, name, content):
    (data / name).write_bytes(content)
    with pytest.raises(BadBars, match=name):
        feeds.load("MINE", "1d", "max")


def test_a_file_that_is_too_big_is_not_read(feeds, data, monkeypatch):
    (data / "MINE-1d.csv").write_text(CLEAN)
    monkeypatch.setattr(files, "_MOST_BYTES", 100)
    with pytest.raises(BadBars, match="is the most"):
        feeds.load("MINE", "1d", "max")


def test_a_file_that_unpacks_to_too_much_is_not_kept(feeds, data, monkeypatch):
    (data / "BOMB-1d.csv.gz").write_bytes(gzip.compress(b"0" * 1_000_000))
    frame = pa.table({"Date": ["2024-01-01"] * 100_000, "Open": [1.0] * 100_000})
    parquet.write_table(frame, data / "BOMB-1h.parquet")
    monkeypatch.setattr(files, "_MOST_BYTES", 20_000)
    with pytest.raises(BadBars, match="unpacks to more than"):
        feeds.load("BOMB", "1d", "max")
    monkeypatch.setattr(files, "_MOST_ROWS", 10_000)
    monkeypatch.setattr(files, "_MOST_BYTES", 2_000_000)
    with pytest.raises(BadBars, match="100,000 rows: too many"):
        feeds.load("BOMB", "1h", "max")


def test_a_file_is_read_again_when_it_has_changed_and_only_then(data, monkeypatch):
    folder, path = files.own(data), data / "MINE-1d.csv"
    path.write_text(CLEAN)
    bars = folder.load("MINE", "1d")
    assert folder.load("MINE", "1d") is bars
    path.write_text(CLEAN.replace("10,12,9,11,30", "10,12,9,12,30"))
    assert folder.load("MINE", "1d").close[-1] == 12
    path.unlink()
    assert folder.load("MINE", "1d") is None
    monkeypatch.setattr(files, "_AT_HAND", 29)
    path.write_text(CLEAN)
    assert folder.load("MINE", "1d") is not folder.load("MINE", "1d")  # too long to be kept


def test_a_small_packed_file_takes_little_memory(data):
    path = data / "MINE-1d.csv.gz"
    path.write_bytes(gzip.compress(CLEAN.encode()))
    files.own(data).load("MINE", "1d")  # what is loaded with the first one stays
    tracemalloc.start()
    try:
        files.own(data).load("MINE", "1d")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_rows_are_limited(feeds, data, monkeypatch):
    (data / "MINE-1d.csv").write_text(CLEAN)
    monkeypatch.setattr(files, "_MOST_ROWS", 10)
    with pytest.raises(BadBars, match="more than 10 rows"):
        feeds.load("MINE", "1d", "max")


def test_only_the_columns_of_bars_are_read_from_parquet(feeds, data):
    frame = build.random_bars(30).to_frame().assign(Secret="x", Weight=1.0)
    frame.rename_axis("Date").to_parquet(data / "MINE-1d.parquet")
    assert feeds.load("MINE", "1d", "max").extra == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("MINE-1d.csv", "a," * 2_000 + HEADER),
        ("MINE-1d.csv.gz", "a," * 2_000 + HEADER),
        ("MINE-1d.csv", HEADER + "1," * 2_000),
        ("MINE-1d.csv", '"a\nb",' + "a," * 2_000 + HEADER),
        ("MINE-1d.csv", '"' + "Date,\n" * 300_000),
    ],
    ids=["names", "packed", "cells", "a name of two lines", "a name without end"],
)
def test_lines_of_very_many_columns_are_refused_before_they_are_parsed(feeds, data, monkeypatch, name, content):
    (data / name).write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
    monkeypatch.delattr(pd, "read_csv")
    with pytest.raises(BadBars, match=f"{name} (has lines that are too long, or more than|cannot be read)"):
        feeds.load("MINE", "1d", "max")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"Date": ["x" * 1_000] * 20_000, "Open": [1.0] * 20_000}, "the column Date has texts"),
        ({"Date": ["2020-01-01"], "Open": [{"a": 1.0}]}, "the column Open holds struct"),
        ({"Date": [b"2020-01-01"], "Open": [1.0]}, "the column Date holds binary"),
        ({"Date": ["2020-01-01"], **{f"c{i}": [1.0] for i in range(1_000)}}, "more than 1,000 columns"),
    ],
    ids=["long texts", "nested", "bytes", "columns"],
)
def test_parquet_that_would_grow_in_memory_is_refused(feeds, data, columns, words):
    parquet.write_table(pa.table(columns), data / "MINE-1d.parquet")
    before = pa.total_allocated_bytes()
    with pytest.raises(BadBars, match=f"MINE-1d.parquet.*{words}"):
        feeds.load("MINE", "1d", "max")
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize("first", ["oldest", "newest"])
@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary", "date32", "period"])
def test_days_in_parquet_may_be_texts_dates_or_periods(feeds, data, kind, first):
    frame = pd.read_csv(io.StringIO(CLEAN))[:: 1 if first == "oldest" else -1]
    days = pa.array(frame["Date"].tolist())
    if kind == "dictionary":
        days = days.dictionary_encode()
    elif kind == "period":
        days = pa.array(pd.PeriodIndex(frame["Date"], freq="D"))
    else:
        days = days.cast(getattr(pa, kind)())
    table = pa.Table.from_pandas(frame.drop(columns="Date"), preserve_index=False).append_column("Date", days)
    parquet.write_table(table, data / "MINE-1d.parquet")
    assert feeds.load("MINE", "1d", "max").volume.tolist() == list(range(1, 31))


def test_periods_in_parquet_are_days_in_a_process_that_has_seen_none(feeds, data):
    days = pd.period_range("2024-01-01", periods=30, freq="D", name="Date")
    pd.read_csv(io.StringIO(CLEAN)).drop(columns="Date").set_index(days).to_parquet(data / "MINE-1d.parquet")
    program = "import sys; from engine.feeds import files; print(files.own(sys.argv[1]).load('MINE', '1d').time[0])"
    fresh = subprocess.run([sys.executable, "-c", program, str(data)], capture_output=True, text=True)
    assert fresh.stdout.strip() == str(feeds.load("MINE", "1d", "max").time[0]), fresh.stderr


def test_parquet_that_would_grow_in_memory_when_its_texts_are_written_out_is_refused(feeds, data):
    rows = 2_000_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["2024-01-01" + " " * 80])
    parquet.write_table(pa.table(dict.fromkeys(("Date", "Open", "High"), text)), data / "MINE-1d.parquet")
    with pytest.raises(BadBars, match=r"MINE-1d.parquet unpacks to 588 MB of texts"):
        feeds.load("MINE", "1d", "max")


def test_parquet_that_was_written_a_day_at_a_time_is_read(feeds, data):
    table = pa.Table.from_pandas(pd.read_csv(io.StringIO(CLEAN)), preserve_index=False)
    with parquet.ParquetWriter(data / "MINE-1d.parquet", table.schema) as writer:
        for row in range(30):
            writer.write_table(table.slice(row, 1))
        for _ in range(1_200):
            writer.write_table(table.slice(0, 0))
    assert len(feeds.load("MINE", "1d", "max")) == 30


def test_a_column_called_index_beside_the_dates_is_left_alone(feeds, data):
    frame = pd.read_csv(io.StringIO(CLEAN)).assign(Index=[["S&P"]] * 30)
    parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), data / "MINE-1d.parquet")
    assert len(feeds.load("MINE", "1d", "max")) == 30


def test_two_columns_of_one_name_in_parquet_are_told(feeds, data):
    columns = [pa.array(["2024-01-01"]), pa.array(["2024-01-01"]), pa.array([1.0])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["Date", "Date", "Open"]), data / "MINE-1d.parquet")
    with pytest.raises(BadBars, match="has two columns of the same name"):
        feeds.load("MINE", "1d", "max")


@pytest.mark.parametrize("name", ["MINE-1d.csv", "MINE-1d.csv.gz", "MINE-1d.parquet"])
def test_a_file_that_cannot_be_opened_is_named_without_its_folder(feeds, data, name, monkeypatch):
    def refuse(path, *args, **more):
        raise PermissionError(13, "Permission denied", str(path))

    (data / name).write_bytes(b"")
    monkeypatch.setattr(parquet, "ParquetFile", refuse)
    monkeypatch.setattr(gzip, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(BadBars, match=f"^{name} cannot be read: .*Permission denied") as caught:
        feeds.load("MINE", "1d", "max")
    assert str(data) not in caught.value.message


def test_a_symbol_cannot_leave_the_folder(feeds, data):
    (data.parent / "..-1d.csv").write_text(CLEAN)
    (data.parent / "OUT-1d.csv").write_text(CLEAN)
    for symbol in ("..", "OUT"):
        with pytest.raises(NoBars):
            feeds.load(symbol, "1d", "max")


def test_a_folder_named_like_a_file_is_no_file(feeds, data):
    (data / "MINE-1d.csv").mkdir()
    with pytest.raises(NoBars):
        feeds.load("MINE", "1d", "max")


def test_what_is_on_offer_is_listed(feeds, data):
    (data / "MINE-1d.csv").write_text(CLEAN)
    (data / "btc-usd-5m.csv").write_text(CLEAN)
    (data / "not a symbol-1d.csv").write_text(CLEAN)
    (data / "notes.csv").write_text("x")
    own = ["BTC-USD", "MINE"]
    assert feeds.symbols() == [*own, "AAPL", "FB", "GOOG", "^GSPC", "IBM", "^IXIC", "MSFT", "SYNTH"]


def test_bars_in_the_future_are_told(feeds, data):
    rows = "".join(f"2190-01-{day:02},10,12,9,11,5\n" for day in range(1, 11))
    (data / "MINE-1d.csv").write_text(HEADER + rows)
    assert feeds.load("MINE", "1d", "max").notes == ("10 of the bars lie in the future.",)
