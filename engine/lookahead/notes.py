"""Notes: the differences that a proof has met, and the findings that they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.lookahead import lines
from engine.lookahead.compare import TOLERANCE, Column, Deeds, columns_of, told
from engine.lookahead.futures import REMOVED, REPLACED
from engine.lookahead.report import ENDING, LOOKS_AHEAD, MOST_BARS, OUTSIDE, REPAINTS, Finding, widen
from engine.lookahead.world import Refused, World

if TYPE_CHECKING:
    from engine.lookahead.proof import Run

_MOST_TRACED = 8  # differences in orders whose line is looked up: each costs a run


@dataclass(slots=True)
class _Difference:
    """What is known of one thing that differs: an indicator, or the orders of one line."""

    finding: Finding
    bars: set[int] = field(default_factory=set)
    ways: set[str] = field(default_factory=set)  # how the future was changed when it showed


class Notes:
    """Collects differences, and explains each once: where it was declared, and what it read."""

    run: Run

    def __init__(self, world: World, earlier: Iterable[Finding] = ()):
        self._world = world
        self._known: list[Finding] = list(earlier)
        self._columns: dict[int, _Difference] = {}
        self._repaints: dict[int, _Difference] = {}
        self._orders: dict[Any, _Difference] = {}
        self._traced = 0
        self._first_seen: dict[int, np.ndarray] = {}
        self._places: list[lines.Place | None] | None = None

    def add(self, finding: Finding) -> None:
        """Note a finding that needs no more explaining."""
        self._known.append(finding)

    @property
    def orders_differ(self) -> bool:
        """Return whether orders came out differently with another future."""
        return any(REPLACED in found.ways for found in self._orders.values())

    def findings(self, done: bool) -> tuple[Finding, ...]:
        """Return what is known; a difference that shows only when bars are missing counts once all is done."""
        leaks = any(REPLACED in found.ways for found in (*self._columns.values(), *self._orders.values()))
        told: list[Finding] = list(self._known)
        for found in self._columns.values():
            told += self._judged(found, REPLACED in found.ways, done)
        for found in self._repaints.values():
            told += self._judged(found, True, done)
        for found in self._orders.values():
            told += self._judged(found, leaks, done)
        unique: dict[Any, Finding] = {}
        for finding in told:
            key = finding.kind, finding.what, finding.name, finding.line
            unique[key] = widen(unique[key], finding.bars) if key in unique else finding
        return tuple(sorted(unique.values(), key=lambda finding: (finding.severity != "leak", finding.bar)))

    def _judged(self, found: _Difference, leak: bool, done: bool) -> list[Finding]:
        bars = tuple(sorted(found.bars)[:MOST_BARS])
        finding = replace(found.finding, bars=bars, count=len(found.bars))
        if not leak:
            return [replace(finding, kind=ENDING, severity="warning")] if done else []
        first = self.run.simulation.tape.first_bar
        if finding.what == "indicator" and max(found.bars) < first:
            return [replace(finding, severity="warning")]  # nothing was decided there
        return [finding]

    # Indicators.

    def compare_columns(self, run: Run, other: list[Column], k: int, how: str) -> bool:
        """Compare the series of a cut run with the run's own; return whether they are equal up to the cut."""
        equal = len(run.columns) == len(other)
        for number, (column, cut) in enumerate(zip(run.columns, other, strict=False)):
            apart = column.differing(cut.values, min(k, len(cut.values)))
            if len(apart):
                equal = False
                at = k - 1 if apart[-1] == k - 1 else int(apart[-1])
                self._note_column(number, column, cut, at, k, how)
            if how == REMOVED:
                self._watch(number, column, cut, k)
        return equal

    def _note_column(self, number: int, column: Column, cut: Column, at: int, k: int, how: str) -> None:
        found = self._columns.get(number)
        first = self.run.simulation.tape.first_bar
        if found is None or (at >= first > found.finding.bar):
            finding = self._explained(number, LOOKS_AHEAD, at, column.values[at], cut.values[at], how)
            if outside := self._outside_column(number, column, k, how):
                finding = replace(finding, kind=OUTSIDE, outside=outside)
            if found is None:
                found = self._columns[number] = _Difference(finding)
            found.finding = finding
        found.bars.add(at)
        found.ways.add(how)

    def _watch(self, number: int, column: Column, cut: Column, k: int) -> None:
        """Note a value that later bars change after it was there: cuts come in order on runs that are checked whole."""
        if column.values.dtype.kind != "f" or cut.values.dtype.kind != "f" or len(cut.values) < k:
            return
        seen = self._first_seen.setdefault(number, np.full(len(column.values), np.nan))
        before, now = seen[: k - 1], cut.values[: k - 1]
        with np.errstate(invalid="ignore"):
            moved = np.flatnonzero(np.abs(before - now) > TOLERANCE * np.maximum(np.abs(before), column.scale))
        seen[k - 1] = cut.values[k - 1]
        if not len(moved):
            return
        if number not in self._repaints:
            at = int(moved[0])
            finding = self._explained(number, REPAINTS, at, now[at], before[at], REMOVED)
            self._repaints[number] = _Difference(finding)
        self._repaints[number].bars.update(moved.tolist())

    def _explained(self, number: int, kind: str, bar: int, had: Any, known: Any, how: str) -> Finding:
        if self._places is None:
            self._places = lines.declared(self._world.whole)
        place = self._places[number] if number < len(self._places) else None
        file, line, source = place or (None, None, None)
        name = self.run.columns[number].name
        return Finding(kind, "leak", bar, "indicator", name, _plain(had), _plain(known), file, line, source, how=how)

    def _outside_column(self, number: int, column: Column, k: int, how: str) -> str | None:
        def differs(outside: Iterable[str] | bool) -> bool | None:
            try:
                cut = columns_of(self._world.cut(k, how, play=False, outside=outside))
            except Refused:
                return None
            return number < len(cut) and len(column.differing(cut[number].values, k)) > 0

        return self._culprit(differs)

    # Orders.

    def compare_deeds(self, run: Run, other: Deeds, k: int, how: str) -> None:
        """Compare what a cut run did up to the cut with what the run did."""
        at = run.deeds.first_difference(other, min(k, run.last))
        if at is not None:
            self._note_order(at, told(run.deeds.on(at)), told(other.on(at)), k, how)

    def compare_failure(self, run: Run, refused: Refused, k: int, how: str) -> None:
        """Compare a cut run that failed: until then it may have differed, and the failure is a difference itself."""
        assert refused.simulation is not None and refused.bar is not None
        self.compare_columns(run, columns_of(refused.simulation), k, how)
        other = Deeds.of(refused.simulation.tape.events)
        at = run.deeds.first_difference(other, min(refused.bar, run.last))
        if at is not None:
            self._note_order(at, told(run.deeds.on(at)), told(other.on(at)), k, how)
        elif refused.bar < run.last:
            known = f"next() fails with {refused.reason}"
            self._note_order(refused.bar, told(run.deeds.on(refused.bar)), known, k, how)

    def _note_order(self, at: int, had: str, known: str, k: int, how: str) -> None:
        place = next((key for key, found in self._orders.items() if at in found.bars), None)
        if place is None:
            place = self._place_of(at, k, how)
        found = self._orders.get(place)
        if found is None or (how == REPLACED and REPLACED not in found.ways):
            file, line, source = place or (None, None, None)
            name = "an order" if line is None else "the order"
            finding = Finding(LOOKS_AHEAD, "leak", at, "order", name, had, known, file, line, source, how=how)
            if outside := self._outside_order(at, k, how):
                finding = replace(finding, kind=OUTSIDE, outside=outside)
            earlier = found
            found = self._orders[place] = _Difference(finding)
            if earlier is not None:
                found.bars, found.ways = earlier.bars, earlier.ways
        found.bars.add(at)
        found.ways.add(how)

    def _place_of(self, at: int, k: int, how: str) -> lines.Place | None:
        """Return the line that placed what differs; of later differences only as long as there are few."""
        if self._traced >= _MOST_TRACED and self._orders:
            return next(iter(self._orders))
        self._traced += 1
        everything = len(self._world.bars)
        return self._world.trace(everything, REMOVED, at) or self._world.trace(k, how, at)

    def _outside_order(self, at: int, k: int, how: str) -> str | None:
        def differs(outside: Iterable[str] | bool) -> bool | None:
            try:
                cut = self._world.cut(k, how, play=True, outside=outside)
            except Refused as refused:
                return None if refused.bar is None else refused.bar < self.run.last
            other = Deeds.of(cut.tape.events)
            return self.run.deeds.first_difference(other, min(k, self.run.last)) is not None

        return self._culprit(differs)

    def _culprit(self, differs: Any) -> str | None:
        """Return what outside a difference comes from, None when it stays with only `self.data` cut."""
        world = self._world
        if not world.leaves_data or differs(False) is not False:
            return None
        for slot in world.outside.slots:
            if differs([slot.name]):
                return slot.name
        return ", ".join(sorted(world.reads)) or "data"


def _plain(value: Any) -> float | str:
    return float(value) if isinstance(value, (int, float, np.number, np.bool_)) else str(value)
