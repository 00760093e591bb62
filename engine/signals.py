"""SignalQueue: entries and exits for whoever acts on them, each reader in its own time."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

from engine.events import ENTRY, EXIT, Events


@dataclass(slots=True)
class Signal:
    """An entry or exit; `status` is "new" until a reader takes it, then "sent"."""

    number: int
    bar: int
    action: str
    side: str
    price: float
    size: float
    reason: str | None
    trade: int
    pnl: float | None
    tag: Any
    status: str = "new"


class SignalQueue:
    """The signals of a run in order; each reader has its own place, so readers do not steal from each other."""

    __slots__ = ("_events", "_numbers", "_places", "_seen")

    def __init__(self, events: Events):
        self._events = events
        self._numbers = array("q")
        self._seen = 0
        self._places: dict[str, int] = {}

    def take(self, reader: str = "default") -> list[Signal]:
        """Return what `reader` has not had, in order, exactly once; it is "sent" from now on."""
        self._catch_up()
        start = self._places.get(reader, 0)
        self._places[reader] = len(self._numbers)
        return [self._signal(number, "sent") for number in self._numbers[start:]]

    def all(self) -> list[Signal]:
        """Return every signal with its status, taking none."""
        self._catch_up()
        sent = max(self._places.values(), default=0)
        return [self._signal(number, "sent" if place < sent else "new") for place, number in enumerate(self._numbers)]

    def __len__(self) -> int:
        self._catch_up()
        return len(self._numbers)

    def _catch_up(self) -> None:
        codes = self._events.codes
        self._numbers.extend(n for n in range(self._seen, len(codes)) if codes[n] & 15 in (ENTRY, EXIT))
        self._seen = len(codes)

    def _signal(self, number: int, status: str) -> Signal:
        event = self._events[number]
        assert event.side and event.price is not None and event.size is not None and event.trade is not None
        return Signal(
            number, event.bar, event.kind, event.side, event.price, event.size, event.reason, event.trade, event.pnl,
            event.tag, status,
        )  # fmt: skip
