"""Strategy files: the text of one, run as a module of its own in this process, and the strategies inside."""

from __future__ import annotations

import hashlib
import inspect
import io
import re
import sys
import threading
import tokenize
import types
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import ConfigError
from engine.parameters import Parameter, read_parameters
from engine.strategy import Strategy

_importing = threading.RLock()  # two threads must not fill one module


@dataclass(frozen=True, slots=True)
class Entry:
    """One strategy, or one file that should have held one.

    `error` says why it cannot run; `line` is where in the file, when that is known. `strategy` is None then, and when
    the file was imported elsewhere. `checks` says whether the strategy checks its parameters together.
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
    class_name: str = ""
    checks: bool = False


class Refused(Exception):
    """A file that is not taken, with the reason for the list."""


def decode(raw: bytes) -> str:
    """Return the text of a source file by the rules of Python: UTF-8 unless its first lines say otherwise."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    return io.IncrementalNewlineDecoder(None, translate=True).decode(raw.decode(encoding))


def import_text(source: str, stem: str, filename: str, path: Path | None) -> list[Entry]:
    """Run the text of a strategy file and return its entries, or one that holds the error."""
    with _importing:
        return _run(source, stem, filename, path)


def _run(source: str, stem: str, filename: str, path: Path | None) -> list[Entry]:
    digest = digest_of(source)
    module = types.ModuleType(f"tapedeck_strategy_{digest[:16]}_{re.sub(r'[^0-9A-Za-z_]', '_', stem)}")
    module.__file__ = filename
    broken = Entry(stem, f"{stem}.py", source=source, digest=digest, path=path)
    # Annotations, dataclasses, pickles and tracebacks look a class's module up by its name. The name holds the digest,
    # so that it hides nothing and a changed file is another module.
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, filename, "exec", dont_inherit=True), vars(module))  # noqa: S102 (what it is for)
        return entries_of(module, stem, source, path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: a file must not end the server that lists it
        sys.modules.pop(module.__name__, None)
        return [replace(broken, error=in_words(error, path), line=_line(error, filename))]


def entries_of(module: types.ModuleType, stem: str, source: str, path: Path | None) -> list[Entry]:
    """Return an entry for each strategy of a module, in the order they were written.

    Raises:
        Refused: there is none.
        ConfigError: a parameter's default does not satisfy its own declaration.
    """
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
        raise Refused("There is no strategy inside. Write a class that subclasses engine.Strategy.")
    entries = []
    for strategy in found:
        title, description = _words(strategy, stem if len(found) == 1 else strategy.__name__)
        entry = Entry(stem, title, description, strategy, read_parameters(strategy), source, digest_of(source), path)
        entries.append(replace(entry, class_name=strategy.__name__, checks=hasattr(strategy, "check")))
    return entries


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


def in_words(error: BaseException, path: Path | None = None) -> str:
    """Return what went wrong as one sentence that a user can act on."""
    if isinstance(error, (Refused, ConfigError)):
        return str(error)
    if isinstance(error, SystemExit):
        return f"The file ends the program when it is imported (SystemExit: {str(error.code)[:100]}). Take that out."
    if isinstance(error, MemoryError):
        return "MemoryError: the file needs more memory for its import than a strategy may have."
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    said = _said(error, path)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    missing = error.name.partition(".")[0] if isinstance(error, ImportError) and error.name else ""
    if missing == "backtesting":
        return f"{text}. Import from engine instead: from engine import Strategy; from engine.lib import crossover."
    if missing and path is not None and path.with_name(f"{missing}.py").exists():
        return f"{text}. A strategy file stands alone: put what {missing}.py holds into this file, or install it."
    return text


def _said(error: BaseException, path: Path | None) -> str:
    """Return the error's own text: not all of an endless one, none of one that cannot be read, no folders in it."""
    try:
        text = str(error)[:1_000]
    except BaseException:
        return ""
    if isinstance(error, ImportError) and error.path:
        text = text.replace(f" ({error.path})", "")
    return text if path is None else text.replace(str(path), path.name)


def digest_of(source: str) -> str:
    """Return the SHA-256 of a text, by which a stored run knows its strategy again."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
