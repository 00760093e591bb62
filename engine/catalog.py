"""Catalog: the strategies that can be run, bundled ones and those in the user's folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

from engine import strategies
from engine.errors import ConfigError
from engine.parameters import unknown
from engine.strategy_files import Entry, Refused, decode, digest_of, entries_of, import_text, in_words

__all__ = ["Catalog", "Entry"]

_RECENT = 2.0  # seconds; file systems may give two quick saves the same time, so younger files are compared by content
_PATIENCE = 3.0  # seconds that a list waits for files that are being imported elsewhere


class Description(Protocol):
    """What another process is finding out about a strategy file."""

    lasting: bool  # whether the outcome is about the file, and not about the time at which it was asked for

    def entries(self, seconds: float | None) -> list[Entry] | None:
        """Return the file's strategies, or one entry that holds the error; None when that takes longer."""


Describe = Callable[[str, str, Path], Description]


class Catalog:
    """Find strategies by name; the user's folder is looked at afresh on every call.

    Every file stands alone: it may import any installed package and `engine`, but not its neighbours in the folder. A
    stored run keeps the text of its one file, and could not be played again if half of it lay elsewhere. Files whose
    name begins with `_` or `.` are passed over.

    Importing a file runs it, in this process unless `describe(source, stem, path)` has it done in another one; the
    user's entries then come without `strategy`.
    """

    def __init__(self, folder: Path | str | None = None, describe: Describe | None = None):
        self.folder = Path(folder) if folder is not None else None
        self._describe = describe
        self._lock = threading.Lock()
        self._files: dict[Path, _File] = {}

    def all(self) -> list[Entry]:
        """Return every entry, the bundled ones first, then the user's by file name, broken ones included."""
        entries = {entry.name: entry for entry in _bundled()}
        paths = _python_files(self.folder)
        with self._lock:
            self._files = {path: file for path, file in self._files.items() if path in paths}
        files = [self._look(path) for path in paths]
        for file in files:
            self._import(file)  # each begins before the first is waited for
        deadline = time.monotonic() + _PATIENCE
        found = [entry for file in files for entry in file.entries(max(0.0, deadline - time.monotonic()))]
        for name, entry in _named(found, taken=set(entries)):
            entries[name] = entry
        return list(entries.values())

    def find(self, name: str) -> Entry:
        """Return the entry called `name`, ready to run; no other file than its own is waited for.

        Raises:
            ConfigError: with the field `strategy`, when there is none, or when its file does not import.
        """
        bundled = {entry.name: entry for entry in _bundled()}
        if name in bundled:
            return bundled[name]
        file = self._file_of(name)
        found = dict(_named(self._import(file).entries(None), taken=set(bundled))) if file else {}
        if name not in found:
            usable = [entry.name for entry in self.all() if entry.error is None]
            raise unknown("strategy", name, usable, field="strategy")
        entry = found[name]
        if entry.error is not None:
            where = f", line {entry.line}" if entry.line else ""
            raise ConfigError(f"{entry.title}{where}: {entry.error}", field="strategy")
        return entry

    def unread(self, name: str) -> Entry | None:
        """Return what lies under `name` now, its source and digest, without importing it; None when nothing does.

        Whether the file holds the class that `name` may end with is not looked at.
        """
        for entry in _bundled():
            if entry.name == name:
                return entry
        file = self._file_of(name)
        if file is None or file.broken:
            return None
        return Entry(name, name, source=file.source, digest=file.digest, path=file.path)

    @staticmethod
    def from_source(source: str, name: str, path: str | None = None) -> Entry:
        """Return the entry that `source`, the text of a strategy file, held under `name` when it was stored.

        `path` is the file it is still in, if it is.

        Raises:
            ConfigError: with the field `strategy`, when the text does not import here or holds no such strategy.
        """
        entries = dict(_named(list(_stored(source, name.partition(".")[0], path)), taken=set()))
        entry = entries.get(name)
        if entry is None:  # the same file has other neighbours now: `file` may have been `file.Class`, and back
            _, _, wanted = name.partition(".")
            same = [e for e in entries.values() if e.strategy and wanted in ("", e.class_name)]
            entry = same[0] if len(same) == 1 else next((e for e in entries.values() if e.error), None)
        if entry is None:
            raise ConfigError(f"The stored source holds no strategy {name!r}.", field="strategy")
        if entry.error is not None:
            raise ConfigError(f"The stored source of {name!r} does not import: {entry.error}", field="strategy")
        return replace(entry, name=name)

    def _file_of(self, name: str) -> _File | None:
        stem = name.partition(".")[0]
        path = next((p for p in _python_files(self.folder) if name == p.name or stem == p.stem), None)
        return None if path is None else self._look(path)

    def _look(self, path: Path) -> _File:
        """Return the file as it is now: the one that is known, unless it was changed."""
        with self._lock:
            known = self._files.get(path)
            self._files[path] = file = _look_at(path, self.folder, known)
            return file

    def _import(self, file: _File) -> _File:
        """Have the file imported, unless it was."""
        with self._lock:
            if file.found is None and (file.description is None or not file.description.lasting):
                if self._describe is not None:
                    file.description = self._describe(file.source, file.path.stem, file.path)
                else:
                    file.found = import_text(file.source, file.path.stem, str(file.path), file.path)
        return file


@dataclass(slots=True)
class _File:
    """A strategy file as it was when it was last looked at, and what is known of its inside."""

    path: Path
    state: tuple[int, int, int] = (0, 0, 0)
    settled: bool = False  # whether `state` tells it from any later content
    source: str = ""
    digest: str = ""
    found: list[Entry] | None = None
    description: Description | None = None
    broken: bool = False  # whether it could not even be read

    def entries(self, seconds: float | None) -> list[Entry]:
        """Return the strategies inside, or one entry that holds an error."""
        if self.found is not None:
            return self.found
        assert self.description is not None  # the file is imported before it is asked
        found = self.description.entries(seconds)
        if found is None:
            error = "The file is still being imported. Look again in a few seconds."
            return [Entry(self.path.stem, self.path.name, "", None, (), self.source, self.digest, self.path, error)]
        if self.description.lasting:
            self.found = found
        return found


def _look_at(path: Path, folder: Path | None, known: _File | None) -> _File:
    try:
        _refuse_strange(path, folder)
        stat = path.stat()
        state = stat.st_mtime_ns, stat.st_size, stat.st_ino
        settled = time.time() - stat.st_mtime > _RECENT
        if known and settled and known.settled and known.state == state:
            return known
        source = decode(path.read_bytes())
        digest = digest_of(source)
        if known and known.digest == digest:
            known.state, known.settled = state, settled
            return known
        return _File(path, state, settled, source, digest)
    except Exception as error:  # not readable, not text, not inside: the list shows it, the rest goes on
        name = path.name if isinstance(error, Refused) else path.stem
        entry = Entry(name, path.name, path=path, error=in_words(error), line=getattr(error, "lineno", None))
        return _File(path, found=[entry], broken=True)


@cache
def _bundled() -> tuple[Entry, ...]:
    entries = []
    for found in pkgutil.iter_modules(strategies.__path__):
        module = importlib.import_module(f"{strategies.__name__}.{found.name}")
        path = Path(inspect.getfile(module))
        source = decode(path.read_bytes())
        entries += [replace(entry, bundled=True) for entry in entries_of(module, found.name, source, path)]
    return tuple(entries)


def _python_files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith(("_", "."))]
    except OSError:
        return []  # no folder yet, which is how everybody begins
    return sorted(path for path in found if path.is_symlink() or path.is_file())


def _refuse_strange(path: Path, folder: Path | None) -> None:
    if "." in path.stem:
        raise Refused("A dot in the name of a strategy file stands between file and class. Rename the file.")
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise Refused("This link leads out of the strategies folder. Copy the file into the folder instead.")


@lru_cache(maxsize=256)
def _stored(source: str, stem: str, path: str | None = None) -> tuple[Entry, ...]:
    return tuple(import_text(source, stem, path or f"{stem}.py (as stored)", None if path is None else Path(path)))


def _named(entries: list[Entry], taken: set[str]) -> list[tuple[str, Entry]]:
    """Return (name, entry): the file's name, or `file.Class` where that names several or a bundled one."""
    stems = [entry.name for entry in entries]
    named = []
    for entry in entries:
        name = entry.name
        if name in taken or stems.count(name) > 1:
            name = f"{name}.{entry.class_name or 'py'}"
            entry = replace(entry, name=name, title=f"{entry.title} ({entry.path.name})" if entry.path else entry.title)
        named.append((name, entry))
    return named
