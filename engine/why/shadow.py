"""Shadow: what an `and` did not look at, found out without running anything of the strategy's.

Only expressions whose evaluation can change nothing are worked out: names, constants, arithmetic and comparisons of
numbers and columns, plain attributes, items of columns and tuples, and calls of crossover, cross, abs, min, max, len.
"""

from __future__ import annotations

import ast
import builtins
import operator
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from engine import lib
from engine.series import Readable, Values
from engine.trades import Position, Trade

_CALLED: tuple[Any, ...] = (lib.crossover, lib.cross, abs, min, max, len, float, int, round)
_SAFE = (int, float, bool, str, type(None), np.integer, np.floating, np.bool_, Readable, Values, tuple, list)
_OURS = (Position, Trade, Readable, Values)
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


class Unknown(Exception):
    """Finding out might run code that is not ours."""


class Shadow:
    """The parts of an `and`."""

    def __init__(self, source: ast.BoolOp):
        self._parts = source.values

    def holds_after(self, stopped_at: int) -> bool | None:
        """Return whether all parts after one would have been true, None when that cannot be told."""
        frame = _caller()
        if frame is None:
            return None
        try:
            return all(bool(_value(part, frame)) for part in self._parts[stopped_at + 1 :])
        except Exception:  # guarded by what came to a no: `self.trades and self.trades[0].pl > 0`
            return None


def _caller() -> FrameType | None:
    """Return the frame of the strategy's that the condition stands in."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("engine.why"):
        frame = frame.f_back
    return frame


def _value(node: ast.expr, frame: FrameType) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return _checked(_look_up(node.id, frame), own=True)
        case ast.Attribute():
            return _checked(_attribute(_value(node.value, frame), node.attr), own=True)
        case ast.Subscript(slice=ast.Constant() | ast.UnaryOp() | ast.Name()):
            held = _value(node.value, frame)
            if not isinstance(held, (Readable, Values, tuple, list)):
                raise Unknown
            return _checked(held[_value(node.slice, frame)])
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, frame)
        case ast.UnaryOp(op=ast.USub()):
            return -_checked(_value(node.operand, frame))
        case ast.BinOp() if type(node.op) in _BINARY:
            sides = _checked(_value(node.left, frame)), _checked(_value(node.right, frame))
            return _BINARY[type(node.op)](*sides)
        case ast.BoolOp():
            wanted = isinstance(node.op, ast.Or)
            return next((True for part in node.values if bool(_value(part, frame)) == wanted), False) == wanted
        case ast.Compare():
            return _compare(node, frame)
        case ast.Call(keywords=[]):
            function: Any = _look_up(node.func.id, frame) if isinstance(node.func, ast.Name) else None
            if not any(function is called for called in _CALLED):
                raise Unknown
            return function(*[_checked(_value(arg, frame)) for arg in node.args])
    raise Unknown


def _compare(node: ast.Compare, frame: FrameType) -> bool:
    left = _value(node.left, frame)
    for operation, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node, frame)
        if type(operation) not in _COMPARE:
            raise Unknown
        if not isinstance(operation, (ast.Is, ast.IsNot)):
            _checked(left), _checked(right)
        if not _COMPARE[type(operation)](left, right):
            return False
        left = right
    return True


def _look_up(name: str, frame: FrameType) -> Any:
    for names in (frame.f_locals, frame.f_globals, vars(builtins)):
        if name in names:
            return names[name]
    raise Unknown


def _attribute(held: Any, name: str) -> Any:
    """Return an attribute, unless a property of the user's would have to run for it."""
    if name.startswith("__"):
        raise Unknown
    for cls in type(held).__mro__:
        if name in vars(cls):
            found = vars(cls)[name]
            ours = cls.__module__.startswith("engine.") and not cls.__module__.startswith("engine.strategies.")
            if hasattr(type(found), "__get__") and not ours:
                raise Unknown
            break
        if "__getattr__" in vars(cls) and not cls.__module__.startswith("engine."):
            raise Unknown
        if "__getattribute__" in vars(cls) and cls is not object:
            raise Unknown
    return getattr(held, name)


def _checked(value: Any, *, own: bool = False) -> Any:
    """Return a value that calculates without code of the user's; `own`: or one whose attributes may be read."""
    if isinstance(value, _SAFE) or type(value) in _OURS:
        return value
    if own and not callable(value):
        return value
    raise Unknown
