"""Inputs: what a strategy's `next()` can read besides its series, as a digest that two runs can compare."""

from __future__ import annotations

import hashlib
import io
import pickle
import types
from typing import Any

_OWN = frozenset(("_broker", "data", "_declarations", "_params", "_warm_up"))


def digest(strategy: Any) -> bytes | None:
    """Return a digest of what `init()` left on a strategy, None when some of it cannot be compared.

    Series, orders and the like are the engine's: they are compared as what they are, and count here only by their type.
    """
    kept = {name: value for name, value in vars(strategy).items() if name not in _OWN}
    target = io.BytesIO()
    try:
        _Pickler(target, protocol=5).dump(sorted(kept.items()))
    except Exception:  # pickling runs any user's class, and may raise anything
        return None
    return hashlib.blake2b(target.getbuffer()).digest()


class _Pickler(pickle.Pickler):
    """Pickles users' values; the engine's objects, functions and modules become names."""

    def persistent_id(self, item: Any) -> Any:
        if isinstance(item, types.ModuleType):
            return item.__name__
        if isinstance(item, types.FunctionType):
            cells = [cell.cell_contents for cell in item.__closure__ or ()]
            return "function", item.__qualname__, digest_of(cells), digest_of(item.__defaults__)
        kind = item if isinstance(item, type) else type(item)
        if any(base.__module__.partition(".")[0] == "engine" for base in kind.__mro__):
            return "engine", kind.__qualname__
        return None


def digest_of(value: Any) -> bytes:
    """Return a digest of one value.

    Raises:
        Exception: whatever pickling it raises.
    """
    target = io.BytesIO()
    _Pickler(target, protocol=5).dump(value)
    return hashlib.blake2b(target.getbuffer()).digest()
