"""Cache: bars, refusals and pauses of a remote source, kept on disk and shared by all processes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.bars import Bars
from engine.errors import BadBars
from engine.feeds import span
from engine.feeds.locks import Locks
from engine.feeds.request import Request

_MOST_FILES = 1_000
_SLACK = 4 * 86_400  # a range may begin or end on a long weekend
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saved:
    """Bars as they were fetched. Times are epoch seconds."""

    bars: Bars
    fetched: float
    fresh_until: float


class Damaged(Exception):
    """A file of the cache is not what was written; it has been removed."""


class Cache:
    """A folder of bars. What cannot be written is only not remembered: a full disk stops no run."""

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self.locks = Locks(self.folder / "locks")
        self._notes: dict[str, dict[str, Any]] = {}  # the notes of this process, for when the disk takes none

    def load(self, request: Request) -> Saved | None:
        """Return what was saved for exactly this request.

        Raises:
            Damaged: there was something, and it cannot be used.
        """
        return self._read(self._path(request))

    def covering(self, request: Request) -> Saved | None:
        """Return the newest bars of the same symbol and interval that hold the range asked for, cut to it."""
        found = []
        for path in self._files(f"{request.symbol}-{request.interval}-"):
            try:
                saved = self._read(path)
            except Damaged:
                continue
            if saved is not None and path == self._path(request):
                found.append(saved)
            elif saved is not None and _covers(saved.bars, request):
                found.append(replace(saved, bars=span.cut(saved.bars, request)))
        return max(found, key=lambda saved: saved.fetched, default=None)

    def save(self, request: Request, saved: Saved) -> None:
        """Keep bars in place of what there was, whole or not at all."""
        content = saved.bars.to_parquet()
        digest = hashlib.sha256(content).hexdigest()
        header = {"sha256": digest, "fetched": saved.fetched, "fresh_until": saved.fresh_until}
        self._write(self._path(request), json.dumps(header).encode() + b"\n" + content)
        self._prune()

    def remember(self, name: str, note: dict[str, Any]) -> None:
        """Keep a small note, such as that a source is not to be asked before some time."""
        self._notes[name] = note
        self._write(self._note(name), json.dumps(note).encode())

    def recall(self, name: str) -> dict[str, Any] | None:
        """Return a note of this or another process, or None."""
        try:
            note = json.loads(self._note(name).read_bytes())
        except (OSError, ValueError):
            return self._notes.get(name)
        return note if isinstance(note, dict) else None

    def forget(self, name: str) -> None:
        """Remove a note."""
        self._notes.pop(name, None)
        try:
            self._note(name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("Could not remove a note of the cache: %s", error)

    def key(self, request: Request) -> str:
        """Return the name that a request has here: symbol, interval, and a hash of range and adjustment."""
        wish = [request.period, str(request.start), str(request.end), "adjusted"]
        digest = hashlib.sha256(json.dumps(wish).encode()).hexdigest()[:16]
        return f"{request.symbol}-{request.interval}-{digest}"

    def _path(self, request: Request) -> Path:
        return self.folder / "bars" / f"{self.key(request)}.bars"

    def _note(self, name: str) -> Path:
        return self.folder / "notes" / f"{name}.json"

    def _files(self, prefix: str = "") -> list[Path]:
        try:
            return [p for p in (self.folder / "bars").iterdir() if p.name.startswith(prefix) and p.suffix == ".bars"]
        except OSError:
            return []

    def _read(self, path: Path) -> Saved | None:
        try:
            first, _, content = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        try:
            header = json.loads(first)
            if hashlib.sha256(content).hexdigest() != header["sha256"]:
                raise ValueError("the checksum differs")
            return Saved(Bars.from_parquet(content), float(header["fetched"]), float(header["fresh_until"]))
        except (ValueError, KeyError, TypeError, BadBars) as error:
            log.warning("The saved bars %s are damaged: %s", path.name, error)
            _remove(path)
            raise Damaged(path.name) from error

    def _write(self, path: Path, content: bytes) -> None:
        handle, temporary = -1, ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError as error:
            log.warning("Could not write to the cache: %s", error)
            if temporary:
                _remove(Path(temporary))

    def _prune(self) -> None:
        """Remove the oldest files beyond the limit."""
        files = self._files()
        if len(files) <= _MOST_FILES:
            return
        for path in sorted(files, key=_modified)[: len(files) - _MOST_FILES]:
            _remove(path)


def _covers(bars: Bars, request: Request) -> bool:
    """Say whether bars hold all of a request's dates; a period counts from the last bar, so it needs its own."""
    if request.start is None:
        return False
    if request.end is None:
        return False
    start, end = span.instant(request.start, bars), span.instant(request.end, bars)
    inside = np.count_nonzero((bars.time >= start) & (bars.time < end))
    return bool(inside >= 2 and start >= bars.time[0] - _SLACK and end <= bars.time[-1] + _SLACK)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process was faster
        return 0.0


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("Could not remove %s: %s", path.name, error)
