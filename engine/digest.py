"""Digest: what a tape's record comes to in one short text, by which a replay is held to what was recorded."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.tape import Tape

SCHEME = "2:"  # goes up when the same record is written differently, so that old digests are not taken for others
_PART = 2_000  # entries that are encoded at a time: others want the interpreter too
_LONGEST = 2_000  # characters of a tag that count


def plain(value: Any) -> Any:
    """Return a tag, a colour, a number of NumPy's as something that travels."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    try:
        return str(value)[:_LONGEST]
    except Exception:
        return type(value).__name__


def encoder() -> json.JSONEncoder:
    """Return what writes the rows of events, here and in a child, byte for byte the same."""
    return json.JSONEncoder(separators=(",", ":"), default=plain)


class Digest:
    """Takes the record of a run piece by piece, however it is cut."""

    def __init__(self) -> None:
        self._columns = [hashlib.sha256() for _ in range(7)]

    def add(self, kinds: bytes, bars: bytes, rows: bytes, ledger: Sequence[bytes]) -> None:
        """Take entries of events (their rows as a JSON list) and rows of the ledger (columns), in their order."""
        texts = (kinds, bars, rows[1:-1] + b"," if kinds else b"", *ledger)
        for column, text in zip(self._columns, texts, strict=True):
            column.update(text)

    def text(self) -> str:
        """Return the digest of what was taken so far."""
        return SCHEME + hashlib.sha256(b"".join(column.digest() for column in self._columns)).hexdigest()


def digest_of(tape: Tape) -> str:
    """Return the digest of a tape that was written in this process."""
    digest, encode = Digest(), encoder().encode
    kinds, bars, rows = tape.events.plain()
    for at in range(0, len(kinds), _PART):
        part = slice(at, at + _PART)
        digest.add(kinds[part], array("q", bars[part]).tobytes(), encode(rows[part]).encode(), [b""] * 4)
    ledger = tape.ledger
    columns = (ledger.bars, ledger.cashes, ledger.positions, ledger.costs)
    digest.add(b"", b"", b"", [column.tobytes() for column in columns])
    return digest.text()
