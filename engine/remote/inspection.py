"""Inspection: what the server asks of a child about a strategy file, and the answer as plain data.

Like a tape, an answer may come from a hostile file: every part of it is checked before anything believes it.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from engine.catalog import Catalog
from engine.errors import EngineError
from engine.parameters import Parameter, check_together
from engine.remote import wire
from engine.strategy_files import Entry, import_text

LONGEST = 1 << 20  # bytes of an answer
_MOST = 200  # strategies in a file, parameters of one, choices of one
_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


class Inspection(NamedTuple):
    """What is inside a file (`params` is None), or whether these parameters of its strategy go together."""

    name: str
    source: str
    path: str | None
    params: dict[str, Any] | None
    memory: int
    output: int


def pack(asked: Inspection) -> list[bytes | memoryview]:
    """Return it as a message to the child."""
    return wire.pack(wire.ASK, pickle.dumps(tuple(asked), protocol=5))


def unpack(text: bytes | bytearray) -> Inspection:
    """Return it; in the child only."""
    return Inspection(*pickle.loads(text))  # noqa: S301 (from the server)


def answer(asked: Inspection) -> bytes:
    """Run the file and return the answer; in the child only."""
    encode = json.JSONEncoder(default=str).encode  # bound now: the file may put something else in its place
    if asked.params is None:
        path = None if asked.path is None else Path(asked.path)
        found = import_text(asked.source, asked.name, asked.path or f"{asked.name}.py", path)
        told: Any = [_tell(entry) for entry in found]
    else:
        told = _check(asked, asked.params)
    return encode(told).encode("utf-8", "replace")


def _tell(entry: Entry) -> dict[str, Any]:
    words = ("title", "description", "class_name", "checks", "error", "line")
    return {name: getattr(entry, name) for name in words} | {"parameters": [_tell_one(p) for p in entry.parameters]}


def _tell_one(parameter: Parameter) -> dict[str, Any]:
    plain = ("name", "default", "low", "high", "description", "choices", "optional")
    return {name: getattr(parameter, name) for name in plain} | {"type": parameter.type.__name__}


def _check(asked: Inspection, params: dict[str, Any]) -> dict[str, Any] | None:
    try:
        entry = Catalog.from_source(asked.source, asked.name, asked.path)
        check_together(entry.strategy, params, entry.title)
    except EngineError as error:
        return {"message": error.message[: wire.TEXT], "field": error.field}
    return None


def read_entries(text: bytes | bytearray, asked: Inspection, known: Mapping[str, Any]) -> list[Entry]:
    """Return what is inside the file; `known` is what each entry has in common.

    Raises:
        Damaged: no strategy file is like that.
    """
    told = _load(text)
    if not isinstance(told, list) or not 0 < len(told) <= _MOST:
        raise wire.Damaged("there is no strategy")
    return [_read(one, asked, known) for one in told]


def read_refusal(text: bytes | bytearray) -> tuple[str, str | None] | None:
    """Return the message and field of a refusal, None when there is none."""
    told = _load(text)
    if told is None:
        return None
    if not isinstance(told, dict):
        raise wire.Damaged("the refusal is none")
    field = told.get("field")
    return _words(told.get("message")), None if field is None else _words(field)


def _read(told: Any, asked: Inspection, known: Mapping[str, Any]) -> Entry:
    if not isinstance(told, dict) or not isinstance(told.get("parameters"), list) or len(told["parameters"]) > _MOST:
        raise wire.Damaged("the strategy is none")
    error, line = told.get("error"), told.get("line")
    return Entry(
        asked.name,
        _words(told.get("title")),
        _words(told.get("description"), LONGEST),
        parameters=tuple(_read_one(one) for one in told["parameters"]),
        error=None if error is None else _words(error),
        line=line if type(line) is int and 0 < line < 1 << 31 else None,
        class_name=_words(told.get("class_name")),
        checks=told.get("checks") is True,
        **known,
    )


def _read_one(told: Any) -> Parameter:
    if not isinstance(told, dict):
        raise wire.Damaged("the parameter is none")
    kind, choices = _TYPES.get(str(told.get("type"))), told.get("choices")
    if kind is None or not isinstance(choices, list) or len(choices) > _MOST:
        raise wire.Damaged("the parameter has no type")
    low, high = (_number(told.get(name)) for name in ("low", "high"))
    return Parameter(
        _words(told.get("name")),
        kind,
        _value(told.get("default")),
        low,
        high,
        _words(told.get("description")),
        tuple(_value(choice) for choice in choices),
        told.get("optional") is True,
    )


def _load(text: bytes | bytearray) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:  # bounds may be infinite
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise wire.Damaged("not JSON") from error


def _words(value: Any, longest: int = wire.TEXT) -> str:
    if not isinstance(value, str):
        raise wire.Damaged("a text is none")
    return value[:longest].encode("utf-8", "replace").decode()


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _words(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise wire.Damaged("a value is not plain")


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wire.Damaged("a bound is no number")
