"""Readers: what a strategy reads from files while it is under proof, cut at the bar that is decided."""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any

import numpy as np
import pandas as pd

from engine.lookahead.cutting import Cutter

_FRAMES = ("csv", "table", "parquet", "feather", "pickle", "json", "excel", "hdf", "fwf", "orc", "html", "xml", "sql")
_ARRAYS = ("load", "loadtxt", "genfromtxt", "fromfile")
_TEXTS = (".csv", ".txt", ".tsv", ".dat", ".json", "")
_FOREVER = 1 << 30  # characters; longer files are passed on unread


class _State(threading.local):
    """What the readers do in this thread: nothing unless a strategy is under proof here."""

    cutter: Cutter | None = None
    watching = False
    inside = False

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.kept: dict[Any, Any] = {}  # what was read since the cut began: next() may read it on every bar


_state = _State()
_installing = threading.RLock()


@contextmanager
def reading(cutter: Cutter | None, reads: set[str]) -> Iterator[None]:
    """Within this context, files read in this thread are noted in `reads` and cut by `cutter`, unless it is None."""
    with _installing:
        originals = [(owner, name, getattr(owner, name)) for owner, name in _places()]
        before = _state.cutter, _state.watching, _state.reads, _state.kept
        for owner, name, original in originals:
            setattr(owner, name, _wrapper(original, name))
        _state.cutter, _state.watching, _state.reads, _state.kept = cutter, True, reads, {}
        try:
            yield
        finally:
            _state.cutter, _state.watching, _state.reads, _state.kept = before
            for owner, name, original in originals:
                setattr(owner, name, original)


def cutting_version(function: Any) -> Any:
    """Return a reader that was imported by its own name as one that cuts, None for any other function."""
    if any(function is getattr(owner, name) for owner, name in _places()):
        return _wrapper(function, function.__name__)
    return None


def _places() -> list[tuple[Any, str]]:
    from engine.feeds import Feeds

    places: list[tuple[Any, str]] = [(pd, f"read_{kind}") for kind in _FRAMES if hasattr(pd, f"read_{kind}")]
    places += [(np, name) for name in _ARRAYS]
    places += [(builtins, "open"), (io, "open"), (Feeds, "load")]
    if "yfinance" in sys.modules:
        places.append((sys.modules["yfinance"], "download"))
    return places


@lru_cache(maxsize=256)
def _wrapper(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    if name == "open":
        return _opener(original)

    @wraps(original)
    def read(*args: Any, **kwargs: Any) -> Any:
        if not _state.watching or _state.inside:
            return original(*args, **kwargs)
        key = name, repr(args), repr(kwargs)
        if key in _state.kept:
            return _state.kept[key].copy()
        _state.inside = True  # what it opens in turn is cut as a whole, here
        try:
            result = original(*args, **kwargs)
        finally:
            _state.inside = False
        source = (
            args[1] if name == "load" and len(args) > 1 and not isinstance(args[0], (str, os.PathLike)) else args[:1]
        )
        _state.reads.add(_called(name, source))
        if _state.cutter is not None:
            result = _state.cutter.cut(result)
        if isinstance(result, (pd.DataFrame, pd.Series, np.ndarray)):
            _state.kept[key] = result.copy()
        return result

    return read


def _opener(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def open_(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        opened = original(file, mode, *args, **kwargs)
        told = isinstance(file, (str, os.PathLike)) and isinstance(mode, str)
        if not told or not _state.watching or _state.inside or "b" in mode or mode.strip("rt"):
            return opened
        path = os.fspath(file)
        if not isinstance(path, str) or os.path.splitext(path)[1].lower() not in _TEXTS or not _regular(path):
            return opened
        _state.reads.add(f"the file {os.path.basename(path)}")
        if _state.cutter is None:
            return opened
        with opened:
            content = opened.read()
        if _state.kept.get(path, ("", ""))[0] != content:
            _state.kept[path] = content, _state.cutter.text(content)
        return io.StringIO(_state.kept[path][1])

    return open_


def _regular(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) < _FOREVER


def _called(name: str, source: Any) -> str:
    first = source[0] if isinstance(source, tuple) and source else source
    if isinstance(first, (str, os.PathLike)):
        return f"the file {os.path.basename(os.fspath(first))}" if name != "load" else f"{os.fspath(first)}"
    return f"what {name}() gives"
