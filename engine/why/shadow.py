"""Shadow: what an `and` did not look at, found out without running anything of the strategy's.

Only expressions whose evaluation can change nothing are worked out: names, constants, arithmetic and comparisons of
numbers and columns, plain attributes, items of columns and tuples, and calls of crossover, cross, abs, min, max, len.
"""

from __future__ import annotations

import ast
import builtins
import operator
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import numpy as np

from engine import lib
from engine.series import Readable, Values
from engine.trades import Position, Trade

_CALLED: tuple[Any, ...] = (lib.crossover, lib.cross, abs, min, max, len, float, int, round)
_SAFE = (int, float, bool, str, type(None), np.integer, np.floating, np.bool_, Readable, Values, tuple, list)
_EXACT = frozenset((float, int, bool, str, type(None), np.float64, Position, Trade))  # most values are one of these
_DEEP = 5  # frames from here up to the strategy's: holds_after, and three of the tally's
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip

Names = tuple[Mapping[str, Any], ...]  # where a name is looked for, in order
Value = Callable[[Names], Any]


class Unknown(Exception):
    """Finding out might run code that is not ours."""


class Shadow:
    """The parts of an `and`, made ready once: a survey asks for them on every bar."""

    def __init__(self, source: ast.BoolOp):
        self._parts = [_ready(part) for part in source.values]

    def holds_after(self, stopped_at: int) -> bool | None:
        """Return whether all parts after one would have been true, None when that cannot be told."""
        frame = _caller()
        if frame is None:
            return None
        names = frame.f_locals, frame.f_globals, vars(builtins)
        try:
            return all(bool(part(names)) for part in self._parts[stopped_at + 1 :])
        except Exception:  # guarded by what came to a no: `self.trades and self.trades[0].pl > 0`
            return None


def _caller() -> FrameType | None:
    """Return the frame of the strategy's that the condition stands in."""
    frame: FrameType | None = sys._getframe(_DEEP)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("engine.why"):
        frame = frame.f_back
    return frame


def _ready(node: ast.expr) -> Value:
    """Return a function that works out an expression from the names in sight."""
    match node:
        case ast.Constant(value=value):
            return lambda names: value
        case ast.Name(id=name):
            return lambda names: _readable(_look_up(name, names))
        case ast.Attribute(value=owner, attr=name):
            return _attribute(_ready(owner), name)
        case ast.Subscript(value=owner, slice=ast.Constant() | ast.UnaryOp() | ast.Name() as place):
            return _item(_ready(owner), _ready(place))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _ready(operand)
            return lambda names: not inner(names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _ready(operand)
            return lambda names: -_checked(inner(names))
        case ast.BinOp() if type(node.op) in _BINARY:
            return _calculation(_BINARY[type(node.op)], _ready(node.left), _ready(node.right))
        case ast.BoolOp():
            parts, wanted = [_ready(part) for part in node.values], isinstance(node.op, ast.Or)
            return lambda names: any(bool(part(names)) == wanted for part in parts) == wanted
        case ast.Compare():
            return _comparison(node)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return _call(name, [_ready(arg) for arg in node.args])
    return _unknown


def _unknown(names: Names) -> Any:
    raise Unknown


def _item(owner: Value, place: Value) -> Value:
    def item(names: Names) -> Any:
        held = owner(names)
        if not isinstance(held, (Readable, Values, tuple, list)):
            raise Unknown
        return _checked(held[place(names)])

    return item


def _calculation(operation: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    return lambda names: operation(_checked(left(names)), _checked(right(names)))


def _comparison(node: ast.Compare) -> Value:
    first = _ready(node.left)
    links = [
        (_COMPARE.get(type(link)), isinstance(link, (ast.Is, ast.IsNot)), _ready(side))
        for link, side in zip(node.ops, node.comparators, strict=True)
    ]

    def compare(names: Names) -> bool:
        left = first(names)
        for operation, plain, side in links:
            right = side(names)
            if operation is None:
                raise Unknown
            if not plain:
                _checked(left), _checked(right)
            if not operation(left, right):
                return False
            left = right
        return True

    return compare


def _call(name: str, args: list[Value]) -> Value:
    def call(names: Names) -> Any:
        function = _look_up(name, names)
        if not any(function is called for called in _CALLED):
            raise Unknown
        return function(*[_checked(arg(names)) for arg in args])

    return call


def _look_up(name: str, names: Names) -> Any:
    for space in names:
        if name in space:
            return space[name]
    raise Unknown


def _attribute(owner: Value, name: str) -> Value:
    """Return what reads an attribute, unless a property of the user's would have to run for it."""
    plain: dict[type, bool] = {}

    def attribute(names: Names) -> Any:
        held = owner(names)
        kind = type(held)
        if kind not in plain:
            plain[kind] = _is_plain(kind, name)
        if not plain[kind]:
            raise Unknown
        return _readable(getattr(held, name))

    return attribute


def _is_plain(kind: type, name: str) -> bool:
    """Say whether reading an attribute runs no code of the user's."""
    if name.startswith("__"):
        return False
    for cls in kind.__mro__:
        if name in vars(cls):
            found = vars(cls)[name]
            ours = cls.__module__.startswith("engine.") and not cls.__module__.startswith("engine.strategies.")
            return ours or not hasattr(type(found), "__get__")
        if "__getattr__" in vars(cls) and not cls.__module__.startswith("engine."):
            return False
        if "__getattribute__" in vars(cls) and cls is not object:
            return False
    return True


def _checked(value: Any) -> Any:
    """Return a value that calculates without code of the user's."""
    if type(value) in _EXACT or isinstance(value, _SAFE):
        return value
    raise Unknown


def _readable(value: Any) -> Any:
    """Return such a value, or one whose attributes may be read."""
    if type(value) in _EXACT or isinstance(value, _SAFE) or not callable(value):
        return value
    raise Unknown
