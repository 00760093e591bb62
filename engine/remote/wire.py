"""Wire: what server and child say to each other, as bytes.

Every message is a kind (one byte), a length (four bytes) and so many bytes. To the child go jobs, pickled, for the
server is trusted. From the child comes nothing but JSON and raw columns, each checked before anything believes it: a
hostile strategy can write what it likes down this socket.
"""

from __future__ import annotations

import json
import pickle
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import orjson

from engine.bars import Bars
from engine.digest import encoder, plain
from engine.errors import ConfigError, EngineError, StrategyError
from engine.events import (
    ACTIVE_ROW,
    CANCELLED,
    CHANGED,
    CLOSED,
    ENTERED,
    ENTRY,
    EXIT,
    EXPIRED,
    FILLED,
    LEFT,
    LEFT_PART,
    LOG,
    OPENED,
    PLACED,
    REDUCED,
    REJECTED,
    RUIN,
)
from engine.tape import Indicator, Tape

# To the child.
JOB, BUFFER, ASK, GO = b"J", b"U", b"Q", b"G"
# From the child.
READY, INDICATOR, START, PAUSE, OUTPUT, DONE, ERROR = b"R", b"I", b"S", b"P", b"O", b"D", b"E"
BLOCK, STUCK = b"B", b"W"  # STUCK: the next bar has been taking a while
ANSWER = b"A"
PROGRESS = b"N"  # an answer that is not the last

HEAD = struct.Struct("<cI")
LONGEST = 64 << 20  # bytes in a message from the child
TEXT = 2_000  # characters of an error or a name that are kept
ENTRIES = 2_000  # entries of events in one message: reading it must not keep others from their turn
_BLOCK = struct.Struct("<qII")  # bars simulated, entries, rows of the ledger
_PLAIN = (type(None), bool, int, float, str)


class Damaged(Exception):
    """The child sent what no strategy's tape looks like."""


class Job(NamedTuple):
    """A run, as it travels to the child."""

    columns: dict[str, Any]
    about: dict[str, Any]
    name: str
    source: str
    path: str | None
    bundled: bool
    params: dict[str, Any]
    settings: dict[str, Any]
    indicators: dict[str, Any]
    memory: int
    output: int
    again: int | None = None  # these bars were sent already by a child that crashed; tell each further one
    why: dict[str, Any] | None = None  # instead of the tape, the answer to this is wanted; see whys.py

    @property
    def bars(self) -> Bars:
        """Return the bars, made again."""
        return Bars(**self.columns, **self.about)


def describe(bars: Bars) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of `bars`, and what else is known of them."""
    columns = {name: getattr(bars, name) for name in ("time", "open", "high", "low", "close", "volume", "extra")}
    left_out = {*columns, "_digest"}
    return columns, {f.name: getattr(bars, f.name) for f in fields(bars) if f.name not in left_out and f.init}


def pack(kind: bytes, *parts: bytes | memoryview) -> list[bytes | memoryview]:
    """Return a message in pieces."""
    return [HEAD.pack(kind, sum(len(part) for part in parts)), *parts]


def pack_job(job: Job) -> list[bytes | memoryview]:
    """Return a job as messages: the arrays beside the pickle, so that a million bars are not copied for it."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(tuple(job), protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    pieces = [piece for raw in raws for piece in pack(BUFFER, raw)]
    return [*pieces, *pack(JOB, text)]


def unpack_job(text: bytes, buffers: Iterable[bytearray]) -> Job:
    """Return the job; in the child only."""
    return Job(*pickle.loads(text, buffers=buffers))  # noqa: S301 (from the server)


# From the child: how it is written there.


def pack_indicator(indicator: Indicator) -> list[bytes | memoryview]:
    """Return an indicator: what it is called and drawn like, and its values."""
    about = {name: plain(getattr(indicator, name)) for name in ("name", "pane", "color", "style", "group")}
    head = json.dumps(about | {"plot": bool(indicator.plot)}).encode()
    values = np.ascontiguousarray(indicator.values, dtype=np.float64)
    return pack(INDICATOR, struct.pack("<I", len(head)), head, values.tobytes())


def pack_start(tape: Tape) -> list[bytes | memoryview]:
    """Return what is known once `init` has run."""
    params = {str(name): value if isinstance(value, _PLAIN) else str(value) for name, value in tape.params.items()}
    return pack(
        START, json.dumps({"first_bar": int(tape.first_bar), "strategy": str(tape.strategy), "params": params}).encode()
    )


class Writer:
    """Writes what is new on a tape; one a run, in the child."""

    def __init__(self, tape: Tape):
        self._tape = tape
        self._entries = 0
        self._rows = 0
        # Bound now: a strategy may put something of its own in the place of json.dumps.
        self._encode = encoder().encode

    def blocks(self, bar: int, *, kind: bytes = BLOCK, broken: bool = False) -> list[bytes | memoryview]:
        """Return what was written since the last call about the first `bar` bars, or when `broken` about all."""
        kinds, bars, cells = self._tape.events.plain(self._entries)
        stop = len(kinds) if broken else bisect_left(bars, bar)
        last = max(stop - 1, 0) // ENTRIES * ENTRIES
        pieces: list[bytes | memoryview] = []
        for at in range(0, last + 1, ENTRIES):
            part = slice(at, min(at + ENTRIES, stop))
            # Each with the rows of its own bars: who reads up to a bar goes no further than the piece that has it.
            before = bars[part.stop] if at < last else None if broken else bar
            rows = self._new_rows(before)
            head = _BLOCK.pack(bar if at == last else -1, len(kinds[part]), len(rows[0]) // 8)
            events = array("q", bars[part]).tobytes(), *rows, self._encode(cells[part]).encode()
            pieces += pack(kind, head, kinds[part], *events)
        self._entries += stop
        return pieces

    def _new_rows(self, bar: int | None) -> list[bytes]:
        """Return the ledger's new rows about bars before `bar`, as columns."""
        ledger = self._tape.ledger
        start, self._rows = self._rows, len(ledger.bars) if bar is None else bisect_left(ledger.bars, bar)
        columns = (ledger.bars, ledger.cashes, ledger.positions, ledger.costs)
        return [column[start : self._rows].tobytes() for column in columns]


def pack_error(error: BaseException, bar: int | None) -> list[bytes | memoryview]:
    """Return an error that ends the run."""
    told = {
        "kind": "config" if isinstance(error, ConfigError) else "strategy",
        "message": str(getattr(error, "message", ""))[:TEXT],
        "field": getattr(error, "field", None),
        "file": getattr(error, "file", None),
        "line": getattr(error, "line", None),
        "bar": getattr(error, "bar", None),
        "reached": bar,
    }
    return pack(ERROR, json.dumps(told, default=plain).encode())


# From the child: how it is read here.


def clean(text: str) -> str:
    """Return `text` as it can be shown and sent: not endless, without half characters."""
    return text if text.isascii() and len(text) <= TEXT else text[:TEXT].encode("utf-8", "replace").decode()


@dataclass(slots=True)
class Start:
    """What is known of a run once `init` has run."""

    first_bar: int
    strategy: str
    params: dict[str, Any]


@dataclass(slots=True)
class Block:
    """What happened in some bars: entries of events as Events keeps them, and rows of the ledger in columns.

    `bar` is the number of bars that are whole now, -1 when more of the same bars follows.
    """

    bar: int
    kinds: bytes
    bars: list[int]
    rows: list[list[Any]]
    ledger: tuple[array[Any], array[Any], array[Any], array[Any]]
    parts: tuple[bytes, bytes, bytes, tuple[bytes, ...]]  # the same as it came, for a Digest


class Reader:
    """Cuts a stream of bytes into messages."""

    def __init__(self, longest: int | None = LONGEST):
        self._longest = longest
        self._head = bytearray(HEAD.size)
        self._body: bytearray | None = None
        self._filled = 0
        self._kind = b""

    def feed(self, receive_into: Callable[[memoryview], int]) -> tuple[bytes, bytearray] | None:
        """Take bytes by one call of `receive_into`; return a message when that completes one.

        Raises:
            EOFError: there will be no more.
            Damaged: the message is longer than any may be.
        """
        target = self._head if self._body is None else self._body
        if self._filled < len(target):
            with memoryview(target) as view, view[self._filled :] as rest:
                got = receive_into(rest)
            if not got:
                raise EOFError
            self._filled += got
        if self._filled < len(target):
            return None
        self._filled = 0
        if self._body is not None:
            message, self._body = (self._kind, self._body), None
            return message
        self._kind, length = HEAD.unpack(self._head)
        if self._longest is not None and length > self._longest:
            raise Damaged("a message is too long")
        if length:
            self._body = bytearray(length)
            return None
        return self._kind, bytearray()


def read_indicator(message: bytearray, bars: int) -> Indicator:
    """Return an indicator of a run of `bars` bars."""
    length = int.from_bytes(message[:4], "little")
    about = _json(message[4 : 4 + length])
    values = (
        np.frombuffer(message, np.float64, offset=4 + length).copy() if len(message) == 4 + length + 8 * bars else None
    )
    if values is None or not isinstance(about, dict):
        raise Damaged("an indicator is not as long as the bars")
    texts = {name: clean(str(about.get(name, ""))) for name in ("name", "pane", "style", "group")}
    color = about.get("color")
    return Indicator(
        values=values, color=None if color is None else clean(str(color)), plot=bool(about.get("plot")), **texts
    )


def read_start(message: bytearray, bars: int) -> Start:
    """Return what the child says of its run."""
    told = _json(message)
    told = told if isinstance(told, dict) else {}
    first, strategy, params = _whole(told.get("first_bar")), told.get("strategy"), told.get("params")
    if first is None or first > bars + 1 or not isinstance(strategy, str) or not isinstance(params, dict):
        raise Damaged("the start is not one")
    if not all(isinstance(value, _PLAIN) for value in params.values()):
        raise Damaged("a parameter is not plain")
    plain_params = {clean(name): clean(one) if isinstance(one, str) else one for name, one in params.items()}
    return Start(first, clean(strategy), plain_params)


def block_bar(message: bytearray) -> int:
    """Return how far a block reaches, without reading the rest."""
    if len(message) < _BLOCK.size:
        raise Damaged("a block is too short")
    return int(_BLOCK.unpack_from(message)[0])


def read_block(message: bytearray, bars: int) -> Block:
    """Return a block of a run of `bars` bars."""
    block_bar(message)
    bar, events, rows = _BLOCK.unpack_from(message)
    at = _BLOCK.size
    end = at + 9 * events + 32 * rows
    if not -1 <= bar <= bars or len(message) < end:
        raise Damaged("a block is too short")
    kinds = bytes(message[at : at + events])
    numbers = bytes(message[at + events : at + 9 * events])
    places = array("q", numbers)
    at += 9 * events
    raw = tuple(bytes(message[at + 8 * rows * i : at + 8 * rows * (i + 1)]) for i in range(4))
    columns = tuple(array(code, text) for code, text in zip("qddd", raw, strict=True))
    text = bytes(message[end:])
    cells = _json(text)
    if not isinstance(cells, list) or len(cells) != events or not all(map(_is_row, kinds, cells)):
        raise Damaged("an event is none")
    for named in (places, columns[0]):
        if len(named) and not (named[0] >= 0 and named[-1] < bars and np.all(np.diff(named) >= 0)):
            raise Damaged("bars are out of order")
    parts = (kinds, numbers, text, raw)
    return Block(bar, kinds, places.tolist(), cells, columns, parts)  # type: ignore[arg-type]


def read_error(message: bytearray) -> tuple[EngineError, int | None]:
    """Return what ended the run, and the bars that it had reached."""
    told = _json(message)
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        raise Damaged("the error is none")
    text, reached = clean(told["message"]), _whole(told.get("reached"))
    if told.get("kind") == "config":
        field = told.get("field")
        return ConfigError(text, field=clean(field) if isinstance(field, str) else None), reached
    file = told.get("file")
    error = StrategyError(
        text,
        file=clean(file) if isinstance(file, str) else None,
        line=_whole(told.get("line")),
        bar=_whole(told.get("bar")),
    )
    return error, reached


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def _json(text: bytes | bytearray) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:  # NaN and infinity are numbers to a strategy, and not to JSON
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Damaged("not JSON") from error


_SEEN: dict[tuple[Any, ...], tuple[int, ...]] = {}  # kinds with the types of their cells, and which cells are texts
_Types = frozenset[type]
_NUMBER: _Types = frozenset((int, float))
_MAYBE: _Types = frozenset((int, float, type(None)))
_WORD: _Types = frozenset((str, type(None)))
_ANY: _Types = frozenset(_PLAIN)
_ID: _Types = frozenset((int, type(None)))
_FLAG: _Types = frozenset((bool,))
_FILL = (_ID, _ID, _NUMBER, *[_MAYBE] * 5, _ANY, _WORD, _FLAG, _MAYBE, _ID)
_ORDER = (_ID, _ID, *[_MAYBE] * 5, _ANY, _WORD)
_SHAPES: dict[int, tuple[_Types, ...]] = {
    **dict.fromkeys((PLACED, CHANGED, CANCELLED, REJECTED, EXPIRED, ACTIVE_ROW), _ORDER),
    **dict.fromkeys((FILLED, OPENED, REDUCED, CLOSED, ENTRY, EXIT, ENTERED), _FILL),
    **dict.fromkeys((LEFT, LEFT_PART), (*_FILL, _MAYBE)),
    **dict.fromkeys((RUIN, LOG), (_WORD,)),
}


def _is_row(kind: int, row: Any) -> bool:
    """Say whether `row` is one that Events keeps for an entry of `kind`; give it one object for equal texts."""
    if type(row) is not list:
        return False
    types = (kind, *map(type, row))
    texts = _SEEN.get(types)
    if texts is None:
        shape = _SHAPES.get(kind, ())  # of none that says only where its row is: it could be anywhere
        if len(row) != len(shape) or not all(cell in allowed for cell, allowed in zip(types[1:], shape, strict=True)):
            return False
        texts = tuple(at for at, cell in enumerate(types[1:]) if cell is str)
        if len(_SEEN) < 4096:
            _SEEN[types] = texts
    for at in texts:  # a run has few of them, over and over
        row[at] = sys.intern(clean(row[at]))
    return True
