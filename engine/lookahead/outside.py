"""Outside: the data that a strategy can reach besides `self.data`, found so that it can be cut too."""

from __future__ import annotations

import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.bars import Bars
from engine.lookahead.cutting import Cutter
from engine.lookahead.futures import REMOVED, REPLACED
from engine.lookahead.readers import cutting_version

_DATA = (pd.DataFrame, pd.Series, pd.DatetimeIndex, np.ndarray, list, tuple, dict, Bars)
_DEEPEST = 6
_LIBRARIES = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib"))
_ENGINE = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place that holds data: how it is called, what is in it, and how to put something else there."""

    name: str
    value: Any
    put: Callable[[Any], None]


class Outside:
    """The data around a strategy class: its globals, closures, class attributes, its modules and helpers."""

    def __init__(self, strategy: type, bars: Bars):
        self.bars = bars
        self._offsets: dict[int, tuple[np.ndarray, int | None]] = {}
        self._seen: set[int] = set()
        self.readers: list[Slot] = []  # reader functions imported by name, and caches before them
        found: list[Slot] = []
        self._walk_class(strategy, found, 0)
        self.slots = [slot for slot in found if self._matters(slot.value)]

    @contextmanager
    def cut(self, k: int, how: str, names: Iterable[str] | None = None) -> Iterator[None]:
        """Put cut copies in the place of the data; `names` says of which, None means all."""
        cutter = Cutter(self.bars, k, how, self._offsets)
        wanted = None if names is None else set(names)
        slots = [slot for slot in self.slots if wanted is None or slot.name in wanted]
        try:
            for slot in slots:
                slot.put(cutter.cut(slot.value))
            for slot in self.readers:
                slot.put(getattr(slot.value, "__wrapped__", None) or cutting_version(slot.value))
            yield
        finally:
            for slot in (*slots, *self.readers):
                slot.put(slot.value)

    def _matters(self, value: Any) -> bool:
        """Return whether a cut in the middle of the bars changes it."""
        middle = len(self.bars) // 2
        return any(Cutter(self.bars, middle, how, self._offsets).cut(value) is not value for how in (REMOVED, REPLACED))

    def _walk_class(self, owner: type, found: list[Slot], depth: int) -> None:
        for base in owner.__mro__:
            if base is object or id(base) in self._seen or not _is_users(sys.modules.get(base.__module__), base):
                continue
            self._seen.add(id(base))
            for name, value in list(vars(base).items()):
                if name.startswith("__") and name != "__init__":
                    continue
                function = _function(value)
                if function is not None:
                    self._walk_function(function, found, depth)
                else:
                    self._take(f"{base.__name__}.{name}", value, partial(setattr, base, name), found, depth)

    def _walk_function(self, function: types.FunctionType, found: list[Slot], depth: int) -> None:
        if id(function) in self._seen or depth > _DEEPEST or _in_library(function.__code__.co_filename):
            return
        self._seen.add(id(function))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            self._take(name, value, partial(setattr, cell, "cell_contents"), found, depth + 1)
        names = _names(function.__code__)
        self._walk_names(function.__globals__, names, found, depth, "")
        for place, value in enumerate(function.__defaults__ or ()):
            self._take(f"a default of {function.__name__}", value, partial(_put_default, function, place), found, depth)

    def _walk_names(self, space: dict[str, Any], names: set[str], found: list[Slot], depth: int, prefix: str) -> None:
        for name in sorted(names & space.keys()):
            value = space[name]
            if isinstance(value, types.ModuleType):
                if id(value) not in self._seen and _is_users(value):
                    self._seen.add(id(value))
                    self._walk_names(vars(value), names, found, depth + 1, f"{name}.")
                continue
            self._take(prefix + name, value, partial(space.__setitem__, name), found, depth + 1)

    def _take(self, name: str, value: Any, put: Callable[[Any], None], found: list[Slot], depth: int) -> None:
        """Note a value that is data, and look into one that may lead to some."""
        if isinstance(value, _DATA):
            found.append(Slot(name, value, put))
        elif depth > _DEEPEST:
            return
        elif hasattr(value, "cache_clear") and isinstance(getattr(value, "__wrapped__", None), types.FunctionType):
            self.readers.append(Slot(name, value, put))
            self._walk_function(value.__wrapped__, found, depth + 1)
        elif isinstance(value, types.FunctionType):
            if cutting_version(value) is not None:
                self.readers.append(Slot(name, value, put))
            self._walk_function(value, found, depth + 1)
        elif isinstance(value, type):
            self._walk_class(value, found, depth + 1)
        elif isinstance(value, partial):
            for item in value.args:
                self._take(name, item, lambda other: None, found, depth + 1)
        elif _is_users(sys.modules.get(type(value).__module__), type(value)) and hasattr(value, "__dict__"):
            self._walk_instance(name, value, found, depth)

    def _walk_instance(self, name: str, value: Any, found: list[Slot], depth: int) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        for key, item in list(vars(value).items()):
            self._take(f"{name}.{key}", item, partial(_put_attribute, value, key), found, depth + 1)
        self._walk_class(type(value), found, depth + 1)


def _put_attribute(owner: Any, name: str, value: Any) -> None:
    vars(owner)[name] = value


def _put_default(function: types.FunctionType, place: int, value: Any) -> None:
    defaults = list(function.__defaults__ or ())
    defaults[place] = value
    function.__defaults__ = tuple(defaults)


def _function(value: Any) -> types.FunctionType | None:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    return value if isinstance(value, types.FunctionType) else None


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code refers to, the code inside it included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def _in_library(file: str) -> bool:
    """Return whether a file belongs to Python, to an installed package or to the engine."""
    if file.startswith("<frozen"):
        return True
    path = str(Path(file).resolve()) if not file.startswith("<") else file
    return path.startswith((*_LIBRARIES, _ENGINE))


def _is_users(module: types.ModuleType | None, owner: type | None = None) -> bool:
    """Return whether a module, or the class of a module, is the user's own code."""
    if module is None:
        return owner is not None and owner.__module__ not in sys.builtin_module_names
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ == "__main__"
    return not _in_library(file)
