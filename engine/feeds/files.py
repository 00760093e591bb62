"""Files: bars from CSV and Parquet files, the user's own and the samples that ship with the project."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from engine.bars import Bars
from engine.errors import BadBars
from engine.feeds.request import check_interval, check_symbol

ENDINGS = (".csv", ".csv.gz", ".parquet")
_MOST_BYTES = 500_000_000  # of a file, and of what a compressed one grows to
_MOST_ROWS = 10_000_000
_AT_HAND = 200_000  # bars of files that were read last and are kept for the next run
_PIECE = 1 << 20  # bytes
_MOST_COLUMNS = 1_000  # of a file, used or not
_MOST_GROUPS = 100_000  # of rows in Parquet: some write one for each day
_LONGEST_TEXT = 100  # bytes of a time that is written out
_SAMPLES = Path(__file__).parent.parent / "samples"
_INDICES = {"^GSPC": "GSPC", "^IXIC": "IXIC"}  # "^" is awkward in shells and archives, so these files go without
_TIMES = ("datetime", "date", "timestamp", "time")  # the first of these that a file has is the time
_WANTED = frozenset({*_TIMES, "open", "high", "low", "close", "volume", "adj close"})
_UNNAMED = frozenset({"", "unnamed: 0", "__index_level_0__", "index"})  # what pandas calls an index without a name


@dataclass(frozen=True, slots=True)
class Folder:
    """Files named SYMBOL-interval.csv, .csv.gz or .parquet in one folder."""

    path: Path
    label: str  # of the bars' source; {} stands for the file's name
    renamed: dict[str, str]
    _at_hand: dict[tuple[Path, str, str], tuple[tuple[int, ...], Bars]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def find(self, symbol: str, interval: str) -> Path | None:
        """Return the file of a symbol, whatever its case, or None; 60m and 1h are the same."""
        if symbol in self.renamed.values():
            return None  # GSPC is another symbol than ^GSPC, though not in this folder
        same = {"60m": "1h", "1h": "60m"}.get(interval, interval)
        files = self._files()
        for wanted in (interval, same):
            for ending in ENDINGS:
                found = files.get(f"{self.renamed.get(symbol, symbol)}-{wanted}{ending}".upper())
                if found is not None:
                    return found
        return None

    def load(self, symbol: str, interval: str) -> Bars | None:
        """Return all bars of the file, or None when there is none.

        Raises:
            BadBars: the file is too big, damaged, or breaks a rule; the message names the file and the line.
        """
        path = self.find(symbol, interval)
        return None if path is None else self._read(path, symbol, interval)

    def _read(self, path: Path, symbol: str, interval: str) -> Bars:
        """Return the bars of a file, without reading it again while it stays as it was."""
        key, state = (path, symbol, interval), _state(path)
        known = self._at_hand.get(key)
        if known is None or known[0] != state:
            known = state, read(path, symbol, interval, self.label.format(path.name))
        with self._turn:
            self._at_hand.pop(key, None)
            self._at_hand[key] = known  # used last
            while sum(len(bars) for _, bars in self._at_hand.values()) > _AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        return known[1]

    def symbols(self) -> dict[str, list[str]]:
        """Return symbol -> intervals of the files whose names make sense."""
        known: dict[str, list[str]] = {}
        names = {short: symbol for symbol, short in self.renamed.items()}
        for name in sorted(self._files()):
            stem = name.removesuffix(next(ending.upper() for ending in ENDINGS if name.endswith(ending.upper())))
            symbol, _, interval = stem.rpartition("-")
            try:
                symbol, interval = check_symbol(names.get(symbol, symbol)), check_interval(interval)
            except ValueError:
                continue
            if interval not in known.setdefault(symbol, []):
                known[symbol].append(interval)
        return known

    def _files(self) -> dict[str, Path]:
        """Return the names in capitals -> paths; looked up by name, so that no symbol can leave the folder."""
        try:
            entries = sorted(self.path.iterdir())
        except OSError:
            return {}
        return {e.name.upper(): e for e in entries if e.name.lower().endswith(ENDINGS) and e.is_file()}


def samples() -> Folder:
    """Return the bundled samples: real daily bars."""
    return Folder(_SAMPLES, "bundled sample", _INDICES)


def own(path: str | os.PathLike[str]) -> Folder:
    """Return the user's folder, which need not exist."""
    return Folder(Path(path), "your file {}", {})


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes with a file; nothing of one that cannot be asked, which `read` tells."""
    try:
        about = path.stat()
    except OSError:
        return ()
    return about.st_mtime_ns, about.st_size, about.st_ino


def read(path: Path, symbol: str, interval: str, source: str) -> Bars:
    """Return the bars of one file. Repeated lines and missing values are left out and told; newest first is turned."""
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise BadBars(
                f"{path.name} has {size / 1e6:,.0f} MB; {_MOST_BYTES / 1e6:,.0f} MB is the most.", field="symbol"
            )
        frame = _parquet(path) if path.name.lower().endswith(".parquet") else _csv(path)
        repair = {"missing", "duplicates"} | ({"order"} if _newest_first(frame) else set())
        return Bars.from_frame(frame, symbol=symbol, interval=interval, source=source, repair=repair)
    except BadBars as error:
        raise _named(error, path) from error
    except (OSError, EOFError, ValueError, pd.errors.ParserError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadBars:
    why = str(error).replace(str(path), path.name)  # where the folder is concerns nobody
    return BadBars(f"{path.name} cannot be read: {why}", field="symbol")


def _named(error: BadBars, path: Path) -> BadBars:
    """Say which file, and the line that an editor shows, header included."""
    if error.message.startswith(path.name):
        return error
    line = f" (line {error.row + 2})" if error.row is not None and not path.name.lower().endswith(".parquet") else ""
    return BadBars(f"{path.name}{line}: {error.message}", row=error.row, field="symbol")


def _csv(path: Path) -> pd.DataFrame:
    text: Any = path
    if path.name.lower().endswith(".gz"):
        text = io.BytesIO()
        for piece in _unpacked(path):  # to read so many bytes at once would ask the system for all of them first
            if text.tell() + len(piece) > _MOST_BYTES:
                raise BadBars(f"{path.name} unpacks to more than {_MOST_BYTES / 1e6:,.0f} MB.", field="symbol")
            text.write(piece)
        text.seek(0)
    _check_columns(text, path)
    frame = pd.read_csv(text, usecols=_is_wanted, skipinitialspace=True, encoding="utf-8-sig", nrows=_MOST_ROWS + 1)
    return _indexed(frame, path)


def _check_columns(text: Any, path: Path) -> None:
    """Refuse what pandas would take minutes over: it compares the name of each column with those of all others."""
    with contextlib.nullcontext(text) if isinstance(text, io.BytesIO) else open(text, "rb") as file:
        head = file.read(_PIECE)
        file.seek(0)
    lines = io.StringIO(head.decode("utf-8-sig", "replace"), newline="")
    rows = csv.reader(lines)
    try:
        # The names, and a row: it may have more cells than there are names.
        first = list(islice(filter(None, rows), 2))
    except csv.Error as error:
        raise _unreadable(path, error) from error
    if max(map(len, first), default=0) > _MOST_COLUMNS or (len(head) == _PIECE and not lines.read(1)):
        raise BadBars(
            f"{path.name} has lines that are too long, or more than {_MOST_COLUMNS:,} columns.", field="symbol"
        )


def _unpacked(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as packed:
        while piece := packed.read(_PIECE):
            yield piece


def _parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import parquet

    pa.array(pd.PeriodIndex([], freq="D"))  # from the first of these on, pandas' periods are known in files too
    try:
        with parquet.ParquetFile(path) as file:
            about = file.metadata
            if about.num_columns > _MOST_COLUMNS or about.num_row_groups > _MOST_GROUPS:
                most = f"{_MOST_COLUMNS:,} columns or {_MOST_GROUPS:,} row groups"
                raise BadBars(f"{path.name} has more than {most}.", field="symbol")
            unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if unpacked > _MOST_BYTES or about.num_rows > _MOST_ROWS:
                raise BadBars(f"{path.name} unpacks to {unpacked / 1e6:,.0f} MB and {about.num_rows:,} rows: too many.")
            columns = _columns(file.schema_arrow, path)
        texts = [name for name, kind in columns.items() if _is_text(kind, name, path)]
        # The file may hold one text for all rows; so does this table, until it is known how long that is.
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read(columns=list(columns))
    except pa.ArrowException as error:
        raise _unreadable(path, error) from error
    grows = len(table) * sum(_longest_text(table[name], name, path) + 8 for name in texts)
    if grows > _MOST_BYTES:
        raise BadBars(f"{path.name} unpacks to {grows / 1e6:,.0f} MB of texts: too many.", field="symbol")
    for name in texts:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.large_string()))
    return _indexed(table.replace_schema_metadata(None).to_pandas(), path)


def _columns(schema: Any, path: Path) -> dict[str, Any]:
    """Return the names and types of the columns to read."""
    found = [one for one in schema if _is_wanted(one.name)]
    if any(_plain(one.name) in _TIMES for one in found):  # an index without a name is not the time then
        found = [one for one in found if _plain(one.name) not in _UNNAMED]
    columns = {one.name: one.type for one in found}
    if len(columns) < len(found):
        raise BadBars(f"{path.name} has two columns of the same name. Take one of them out.", field="symbol")
    return columns


def _is_text(kind: Any, name: str, path: Path) -> bool:
    """Say whether a column holds texts; plain numbers and times are the other things that it may hold."""
    from pyarrow import types

    kind = getattr(kind, "storage_type", kind)  # a period of pandas is a number
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return True
    if types.is_primitive(kind) or types.is_decimal(kind) or types.is_null(kind):
        return False
    raise BadBars(f"{path.name}: the column {name} holds {kind}, not numbers or times.", field="symbol")


def _longest_text(column: Any, name: str, path: Path) -> int:
    """Return how many bytes the longest text of a column has; longer ones than any time or number are refused."""
    from pyarrow import compute

    longest: int = max(
        (compute.max(compute.binary_length(part.dictionary)).as_py() or 0 for part in column.chunks), default=0
    )
    if longest > _LONGEST_TEXT:
        raise BadBars(f"{path.name}: the column {name} has texts that are neither numbers nor times.", field="symbol")
    return longest


def _is_wanted(name: Any) -> bool:
    return _plain(name) in _WANTED | _UNNAMED


def _plain(name: Any) -> str:
    return str(name).strip().lower()


def _indexed(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Move the column of times into the index; what is left must be bars."""
    if len(frame) > _MOST_ROWS:
        raise BadBars(f"{path.name} has more than {_MOST_ROWS:,} rows.", field="symbol")
    named = {_plain(name): name for name in frame.columns}
    order = [*_TIMES, *sorted(_UNNAMED)]
    column = next((named[name] for name in order if name in named), None)
    if column is None:
        raise BadBars(f"{path.name} has no column Date, Datetime, Timestamp or Time.", field="symbol")
    frame = frame.set_index(column)
    return frame.drop(columns=[name for name in frame.columns if _plain(name) in _UNNAMED])


def _newest_first(frame: pd.DataFrame) -> bool:
    """Say whether the rows run strictly backwards, which is an order, and a usual one, not a fault."""
    index = frame.index
    return len(index) > 1 and bool(index.is_monotonic_decreasing) and bool(index.is_unique)
