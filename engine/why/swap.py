"""Swap: put rewritten code into a strategy's functions for a while, and take it out again."""

from __future__ import annotations

import gc
import inspect
import linecache
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial, partialmethod
from types import CodeType, FunctionType
from typing import Any

from engine.strategy import Strategy
from engine.why.rewrite import Rewritten, Site, plant, rewrite

# Functions belong to everybody in the process; two who swapped the same ones would leave each other's code behind.
_alone = threading.RLock()


@dataclass(slots=True)
class File:
    """A source file that the strategy's own code is in."""

    name: str
    text: str
    rewritten: Rewritten


@dataclass(slots=True)
class Workshop:
    """A strategy's own functions, and what each is to become.

    `missing` says why there is no source, "" when there is.
    """

    files: list[File] = field(default_factory=list)
    swaps: list[tuple[FunctionType, CodeType, int, CodeType]] = field(default_factory=list)
    missing: str = ""

    def codes(self, probes: Callable[[list[Site], int], Mapping[str, Any]]) -> list[tuple[FunctionType, CodeType]]:
        """Return each function with the code that has `probes`; they are made once for each file."""
        made = [probes(file.rewritten.sites, number) for number, file in enumerate(self.files)]
        return [(function, plant(code, made[number])) for function, _, number, code in self.swaps]

    def file_of(self, code: CodeType) -> tuple[int, File] | None:
        """Return the number and file that a running code object belongs to."""
        found = ((n, f) for n, f in enumerate(self.files) if f.name == code.co_filename)
        return next(found, None)


@contextmanager
def alone() -> Iterator[None]:
    """Keep other threads of this process from swapping code meanwhile."""
    with _alone:
        yield


@contextmanager
def swapped(codes: list[tuple[FunctionType, CodeType]]) -> Iterator[None]:
    """Let functions have other code while this lasts."""
    before = [(function, function.__code__) for function, _ in codes]
    try:
        for function, code in codes:
            function.__code__ = code
        yield
    finally:
        for function, code in before:
            function.__code__ = code


def prepare(strategy: type[Strategy], texts: Mapping[str, str] | None = None, *, lines: bool = True) -> Workshop:
    """Return the functions of a strategy and of its own modules, ready to be swapped.

    `texts` are sources by file name, for files that are not where they say, such as stored ones.
    """
    workshop = Workshop()
    for place in _homes(strategy).values():
        _add(workshop, place, strategy, texts or {}, lines)
    decides = next((vars(cls)["next"] for cls in strategy.__mro__ if "next" in vars(cls)), None)
    known = {id(function) for function, *_ in workshop.swaps}
    found = list(functions_in(decides))
    if not any(id(function) in known for function in found):
        workshop.missing = workshop.missing or _why_not(strategy, found)
    else:
        workshop.missing = ""
    return workshop


def functions_in(value: Any) -> Iterator[FunctionType]:
    """Yield the functions that an attribute of a class stands for, decorated ones included."""
    waiting, met = [value], set()
    while waiting:
        item = waiting.pop()
        if item is None or id(item) in met:
            continue
        met.add(id(item))
        if isinstance(item, FunctionType):
            yield item
            waiting += [_content(cell) for cell in item.__closure__ or ()]
        elif isinstance(item, property):
            waiting += [item.fget, item.fset]
        elif isinstance(item, (staticmethod, classmethod)):
            waiting.append(item.__func__)
        elif isinstance(item, (partial, partialmethod, cached_property)):
            waiting.append(item.func)
        if not isinstance(item, type):
            waiting.append(inspect.getattr_static(item, "__wrapped__", None))


def _content(cell: Any) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:  # not filled yet
        return None
    return content if callable(content) and not isinstance(content, type) else None


def _homes(strategy: type[Strategy]) -> dict[int, tuple[dict[str, Any], set[str] | None]]:
    """Return the globals of the modules that the strategy's classes are from.

    Of the engine's own modules only the classes named are the strategy's; of others every function is.
    """
    homes: dict[int, tuple[dict[str, Any], set[str] | None]] = {}
    for cls in strategy.__mro__:
        if cls in (Strategy, object):
            continue
        ours = _is_ours(cls.__module__)
        for attribute in vars(cls).values():
            for function in functions_in(attribute):
                place = function.__globals__
                if not ours and _is_ours(place.get("__name__", "")):
                    continue  # a helper of the engine's that was put into a class
                names = homes.setdefault(id(place), (place, set() if ours else None))[1]
                if ours and names is not None:
                    names.add(f"{cls.__qualname__}.")
    return homes


def _is_ours(module: str) -> bool:
    return module.startswith("engine.") and not module.startswith("engine.strategies.")


def _add(workshop: Workshop, place: Any, strategy: type[Strategy], texts: Mapping[str, str], lines: bool) -> None:
    globals_, names = place
    held: dict[str, list[FunctionType]] = {}
    for function in _living(globals_, strategy):
        qualname = function.__code__.co_qualname
        if names is None or any(qualname.startswith(name) for name in names):
            held.setdefault(function.__code__.co_filename, []).append(function)
    for filename, functions in held.items():
        file = _read(filename, globals_, texts, lines, workshop)
        if file is None:
            continue
        number = len(workshop.files)
        swaps = [(f, f.__code__, number, code) for f in functions if (code := _counterpart(f, file.rewritten))]
        if swaps:
            workshop.files.append(file)
            workshop.swaps += swaps
        else:
            workshop.missing = f"The file {filename} has changed since it was loaded."


def _living(globals_: dict[str, Any], strategy: type[Strategy]) -> list[FunctionType]:
    """Return the functions of a module: those its names and classes lead to, and those that only values hold.

    The collector does not tell of what was frozen before a process forked, so it is not enough to ask it.
    """
    classes = [cls for cls in strategy.__mro__ if cls not in (Strategy, object)]
    classes += [v for v in globals_.values() if isinstance(v, type) and v.__module__ == globals_.get("__name__")]
    values = [*globals_.values(), *(value for cls in classes for value in vars(cls).values())]
    found = [function for value in values for function in functions_in(value)]
    found += [item for item in gc.get_referrers(globals_) if isinstance(item, FunctionType)]
    own = {id(function): function for function in found if function.__globals__ is globals_}
    return list(own.values())


def _read(filename: str, globals_: Any, texts: Mapping[str, str], lines: bool, workshop: Workshop) -> File | None:
    text = texts.get(filename)
    if text is None:
        text = "".join(linecache.getlines(filename, globals_))
    if not text:
        return None
    try:
        return File(filename, text, rewrite(text, filename, lines=lines))
    except (SyntaxError, ValueError, RecursionError) as error:
        workshop.missing = f"The source in {filename} cannot be read: {error}."
        return None


def _counterpart(function: FunctionType, rewritten: Rewritten) -> CodeType | None:
    """Return the rewritten code of a function, None when the source is not what it was made from."""
    code = function.__code__
    key = (code.co_qualname, code.co_firstlineno)
    plain, probed = rewritten.plain.get(key, []), rewritten.functions.get(key, [])
    if len(plain) != len(probed):
        return None
    for one, other in zip(plain, probed, strict=True):
        same = one.co_code == code.co_code and one.co_names == code.co_names
        if same and _positions(one) == _positions(code) and other.co_freevars == code.co_freevars:
            return other
    return None


def _positions(code: CodeType) -> list[Any]:
    return list(code.co_positions())


def _why_not(strategy: type[Strategy], found: list[FunctionType]) -> str:
    own = [function for function in found if function.__globals__.get("__name__") != "engine.strategy"]
    if not own:
        return f"{strategy.__name__} has no next() of its own: it decides nothing bar by bar."
    file = own[0].__code__.co_filename
    where = "" if file.startswith("<") else f" ({file})"
    module = sys.modules.get(strategy.__module__)
    typed = file.startswith("<") or module is None
    how = "it was made by exec() or typed in" if typed else "it is not readable, or changed since it was loaded"
    return f"The source of {own[0].__qualname__}() is not available: {how}{where}."
