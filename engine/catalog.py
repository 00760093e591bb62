"""Catalog: the strategies that can be run, bundled ones and those in the user's folder."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import io
import pkgutil
import re
import sys
import threading
import time
import tokenize
import types
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

from engine import strategies
from engine.errors import ConfigError
from engine.parameters import Parameter, read_parameters, unknown
from engine.strategy import Strategy

_importing = threading.RLock()  # two threads must not fill one module
_RECENT = 2.0  # seconds; file systems may give two quick saves the same time, so younger files are compared by content


@dataclass(frozen=True, slots=True)
class Entry:
    """One strategy, or one file that should have held one.

    `strategy` is None exactly when `error` says why; `line` is where in the file, when that is known.
    `name` is how a configuration asks for it; it is a key of the catalog and never used as a path.
    """

    name: str
    title: str
    description: str = ""
    strategy: type[Strategy] | None = None
    parameters: tuple[Parameter, ...] = ()
    source: str = ""
    digest: str = ""
    path: Path | None = None
    error: str | None = None
    line: int | None = None
    bundled: bool = False


class Catalog:
    """Find strategies by name; the user's folder is looked at afresh on every call.

    Every file stands alone: it may import any installed package and `engine`, but not its neighbours in the folder. A
    stored run keeps the text of its one file, and could not be played again if half of it lay elsewhere. Files whose
    name begins with `_` or `.` are passed over. Importing a file runs it, so the folder must be the user's own.
    """

    def __init__(self, folder: Path | str | None = None):
        self.folder = Path(folder) if folder is not None else None
        self._lock = threading.Lock()
        self._loaded: dict[Path, tuple[_Stamp, list[Entry]]] = {}

    def all(self) -> list[Entry]:
        """Return every entry, the bundled ones first, then the user's by file name, broken ones included."""
        entries = {entry.name: entry for entry in _bundled()}
        for name, entry in _named(self._users(), taken=set(entries)):
            entries[name] = entry
        return list(entries.values())

    def find(self, name: str) -> Entry:
        """Return the entry called `name`, ready to run.

        Raises:
            ConfigError: with the field `strategy`, when there is none, or when its file does not import.
        """
        entries = {entry.name: entry for entry in self.all()}
        if name not in entries:
            usable = [known for known, entry in entries.items() if entry.error is None]
            raise unknown("strategy", name, usable, field="strategy")
        entry = entries[name]
        if entry.error is not None:
            where = f", line {entry.line}" if entry.line else ""
            raise ConfigError(f"{entry.title}{where}: {entry.error}", field="strategy")
        return entry

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
            same = [e for e in entries.values() if e.strategy and wanted in ("", e.strategy.__name__)]
            entry = same[0] if len(same) == 1 else next((e for e in entries.values() if e.error), None)
        if entry is None:
            raise ConfigError(f"The stored source holds no strategy {name!r}.", field="strategy")
        if entry.error is not None:
            raise ConfigError(f"The stored source of {name!r} does not import: {entry.error}", field="strategy")
        return replace(entry, name=name)

    def _users(self) -> list[Entry]:
        if self.folder is None:
            return []
        with self._lock:
            paths = _files(self.folder)
            self._loaded = {path: self._load(path) for path in paths}
            return [entry for path in paths for entry in self._loaded[path][1]]

    def _load(self, path: Path) -> tuple[_Stamp, list[Entry]]:
        """Return the entries of one file, importing it only when it is new or was changed."""
        known = self._loaded.get(path)
        try:
            _refuse_strange(path, self.folder)
            stat = path.stat()
            size_and_time = stat.st_mtime_ns, stat.st_size, stat.st_ino
            settled = time.time() - stat.st_mtime > _RECENT
            if known and settled and known[0].settled and known[0].file == size_and_time:
                return known
            raw = path.read_bytes()
            stamp = _Stamp(size_and_time, settled, hashlib.sha256(raw).hexdigest())
            if known and known[0].digest == stamp.digest:
                return stamp, known[1]
            return stamp, _import(_decode(raw), path.stem, str(path), path)
        except Exception as error:  # not readable, not text, not inside: the list shows it, the rest goes on
            line = getattr(error, "lineno", None)
            name = path.name if isinstance(error, _Refused) else path.stem
            return _Stamp(), [Entry(name, path.name, path=path, error=_sentence(error), line=line)]


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What a file was like when it was last looked at."""

    file: tuple[int, int, int] = (0, 0, 0)
    settled: bool = False
    digest: str = ""


class _Refused(Exception):
    """A file that is not taken, with the reason for the list."""


@cache
def _bundled() -> tuple[Entry, ...]:
    entries = []
    for found in pkgutil.iter_modules(strategies.__path__):
        module = importlib.import_module(f"{strategies.__name__}.{found.name}")
        path = Path(inspect.getfile(module))
        source = _decode(path.read_bytes())
        entries += [replace(entry, bundled=True) for entry in _entries(module, found.name, source, path)]
    return tuple(entries)


def _files(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith(("_", "."))]
    except OSError:
        return []  # no folder yet, which is how everybody begins
    return sorted(path for path in found if path.is_symlink() or path.is_file())


def _refuse_strange(path: Path, folder: Path | None) -> None:
    if "." in path.stem:
        raise _Refused("A dot in the name of a strategy file stands between file and class. Rename the file.")
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise _Refused("This link leads out of the strategies folder. Copy the file into the folder instead.")


def _decode(raw: bytes) -> str:
    """Return the text of a source file by the rules of Python: UTF-8 unless its first lines say otherwise."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    return io.IncrementalNewlineDecoder(None, translate=True).decode(raw.decode(encoding))


@lru_cache(maxsize=256)
def _stored(source: str, stem: str, path: str | None = None) -> tuple[Entry, ...]:
    return tuple(_import(source, stem, path or f"{stem}.py (as stored)", None if path is None else Path(path)))


def _import(source: str, stem: str, filename: str, path: Path | None) -> list[Entry]:
    """Run the text of a strategy file and return its entries, or one that holds the error."""
    with _importing:
        return _run(source, stem, filename, path)


def _run(source: str, stem: str, filename: str, path: Path | None) -> list[Entry]:
    digest = _digest(source)
    module = types.ModuleType(f"tapedeck_strategy_{digest[:16]}_{re.sub(r'[^0-9A-Za-z_]', '_', stem)}")
    module.__file__ = filename
    broken = Entry(stem, f"{stem}.py", source=source, digest=digest, path=path)
    # Annotations, dataclasses, pickles and tracebacks look a class's module up by its name. The name holds the digest,
    # so that it hides nothing and a changed file is another module.
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, filename, "exec", dont_inherit=True), vars(module))
        return _entries(module, stem, source, path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: a file must not end the server that lists it
        sys.modules.pop(module.__name__, None)
        return [replace(broken, error=_sentence(error, path), line=_line(error, filename))]


def _entries(module: types.ModuleType, stem: str, source: str, path: Path | None) -> list[Entry]:
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Strategy)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and name == value.__name__
        and not name.startswith("_")
    ]
    if not found:
        raise _Refused("There is no strategy inside. Write a class that subclasses engine.Strategy.")
    entries = []
    for strategy in found:
        title, description = _words(strategy, stem if len(found) == 1 else strategy.__name__)
        entries.append(
            Entry(stem, title, description, strategy, read_parameters(strategy), source, _digest(source), path)
        )
    return entries


def _named(entries: list[Entry], taken: set[str]) -> list[tuple[str, Entry]]:
    """Return (name, entry): the file's name, or `file.Class` where that names several or a bundled one."""
    stems = [entry.name for entry in entries]
    named = []
    for entry in entries:
        name = entry.name
        if name in taken or stems.count(name) > 1:
            name = f"{name}.{entry.strategy.__name__ if entry.strategy else 'py'}"
            entry = replace(entry, name=name, title=f"{entry.title} ({entry.path.name})" if entry.path else entry.title)
        named.append((name, entry))
    return named


def _words(strategy: type, fallback: str) -> tuple[str, str]:
    """Return title and description: a short first line of the docstring is the title, the rest describes."""
    text = inspect.cleandoc(strategy.__doc__ or "")
    first, _, rest = text.partition("\n")
    if first and len(first) <= 60 and not rest.partition("\n")[0].strip():
        return first.rstrip("."), " ".join(rest.split())
    return _label(fallback), " ".join(text.split())


def _label(name: str) -> str:
    """Return `MyIdea`, `my_idea` or `my-idea` as "My idea"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-_]+", " ", name).strip()
    return words[:1].upper() + words[1:].lower() if not words.isupper() else words


def _line(error: BaseException, filename: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == filename:
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _sentence(error: BaseException, path: Path | None = None) -> str:
    """Return what went wrong as one sentence that a user can act on."""
    if isinstance(error, (_Refused, ConfigError)):
        return str(error)
    if isinstance(error, SystemExit):
        return f"The file ends the program when it is imported (SystemExit: {error.code}). Take that out."
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    missing = error.name.partition(".")[0] if isinstance(error, ImportError) and error.name else ""
    if missing == "backtesting":
        return f"{text}. Import from engine instead: from engine import Strategy; from engine.lib import crossover."
    if missing and path is not None and path.with_name(f"{missing}.py").exists():
        return f"{text}. A strategy file stands alone: put what {missing}.py holds into this file, or install it."
    return text


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
