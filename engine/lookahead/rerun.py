"""Rerun: a strategy's module executed again, with the files it reads cut, to see what its globals are made of."""

from __future__ import annotations

import ast
import linecache
import re
import sys
import types
from itertools import count
from typing import Any

_READS = re.compile(r"read_\w+|\bopen\(|\bload|\bdownload|\bfetch|\bFeeds\b|fromfile|genfromtxt|_csv")
_CATALOGUED = "tapedeck_strategy_"
_numbers = count(1)


class Source:
    """The statements that make a strategy class: all of a catalogued file, or of any other module those it needs.

    Of a script, only what the class's names depend on is executed again; the rest of it may be the very run that is
    under proof. `make()` returns the class afresh, or None when there is nothing to execute again.
    """

    def __init__(self, strategy: type, text: str | None = None):
        self._strategy = strategy
        module = sys.modules.get(strategy.__module__)
        self._file = getattr(module, "__file__", None) or f"<{strategy.__module__}>"
        text = text if text is not None else "".join(linecache.getlines(self._file))
        self._code = self._compile(text) if _READS.search(text) and not _nested(strategy) else None

    def _compile(self, text: str) -> types.CodeType | None:
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return None
        if not self._strategy.__module__.startswith(_CATALOGUED):
            tree.body = needed(tree.body, self._strategy.__name__)
        return compile(tree, self._file, "exec", dont_inherit=True)

    def make(self) -> type | None:
        """Return the class as its module makes it now."""
        if self._code is None:
            return None
        module = types.ModuleType(f"{_CATALOGUED}again_{next(_numbers)}")
        module.__file__ = self._file
        sys.modules[module.__name__] = module  # annotations and pickles look it up
        try:
            exec(self._code, vars(module))  # noqa: S102 (a strategy, in its child)
            return vars(module).get(self._strategy.__name__)
        except Exception:  # whatever the user's module does when its files are cut short
            return None
        finally:
            del sys.modules[module.__name__]


def needed(body: list[ast.stmt], name: str) -> list[ast.stmt]:
    """Return the statements on which the top-level `name` depends, in their order."""
    wanted, taken = {name}, set[int]()
    while True:
        before = len(taken)
        for place, statement in enumerate(body):
            if place not in taken and not _is_main(statement) and (_bound(statement) & wanted or _is_future(statement)):
                taken.add(place)
                wanted |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if len(taken) == before:
            return [statement for place, statement in enumerate(body) if place in taken]


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value, or changes the content of by assignment."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            base: Any = node
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name):
                names.add(base.id)
    return names


def _is_main(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _nested(strategy: type) -> bool:
    return "<locals>" in strategy.__qualname__
