"""Tally: what the probes count when every bar of a run is looked at."""

from __future__ import annotations

import threading
from array import array
from math import nan
from typing import Any

from engine import lib
from engine.series import Clock
from engine.why import words
from engine.why.probes import is_crossing
from engine.why.rewrite import LINES, Site
from engine.why.shadow import Shadow
from engine.why.tell import crossing_gap, gap_of

KEPT = 400_000  # misses of one condition that are kept


class Counter:
    """All tallies of a survey. What the broker calls while it meets a bar does not count, nor do other threads."""

    def __init__(self, clock: Clock, entry: list[tuple[int, int, int]]):
        self.clock = clock
        self.calls = 0
        self.begun = -1  # the bar in which next() has begun
        self.tallies: list[Tally] = []
        self._entry = entry
        self._thread = threading.get_ident()

    def probes(self, sites: list[Site], file: int = 0) -> dict[str, Any]:
        """Return the probes of a module by their marks."""
        tallies = [Tally(self, site, file) for site in sites]
        for tally in tallies:
            if tally.site.parent is not None:
                tally.parent = tallies[tally.site.parent]
                parts = tally.parent.site.parts
                tally.place = parts.index(tally.site.number) if tally.site.number in parts else -1
        for tally in tallies:
            tally.parts = [tallies[number] for number in tally.site.parts]
        self.tallies += tallies
        return {LINES: Start(self, file), **{tally.site.mark: tally for tally in tallies}}

    def reach(self, file: int, line: int) -> bool:
        """Note that the code at a line runs; say whether that counts."""
        if threading.get_ident() != self._thread:
            return False
        bar = self.clock.base + self.clock.at - 1
        if self.begun != bar:
            if not any(file == home and first <= line <= last for home, first, last in self._entry):
                return False
            self.begun = bar
            self.calls += 1
        return True


class Start:
    """The probe before the first statement of each function."""

    __slots__ = ("_counter", "_file")

    def __init__(self, counter: Counter, file: int):
        self._counter = counter
        self._file = file

    def line(self, number: int) -> None:
        """Note that a function begins."""
        self._counter.reach(self._file, number)


class Tally:
    """The probe of one condition, and what it has counted; of misses by a number each one is kept."""

    __slots__ = (
        "_constants",
        "_function",
        "_values",
        "alone",
        "bars",
        "counter",
        "evaluated",
        "file",
        "first_true",
        "gaps",
        "last_true",
        "lefts",
        "parent",
        "parts",
        "place",
        "reached",
        "rights",
        "shadow",
        "site",
        "stopped",
        "true",
    )  # fmt: skip

    def __init__(self, counter: Counter, site: Site, file: int):
        self.counter = counter
        self.site = site
        self.file = file
        self.parent: Tally | None = None
        self.parts: list[Tally] = []
        self.place = -1  # among the parent's parts
        self.evaluated = self.true = 0
        self.first_true = self.last_true = -1  # bars
        self.bars = array("q")  # those of the misses, and columns beside them
        self.gaps, self.lefts, self.rights = array("d"), array("d"), array("d")
        self.reached = -1  # the last part that was looked at
        self.stopped = [0] * max(len(site.parts), 0)
        self.alone = [0] * len(site.parts)
        self.shadow = Shadow(site.source) if site.kind == "all" and site.source is not None else None
        self._constants = {place: words.number(value) for place, value in site.constants.items()}
        self._values: dict[int, Any] = {}
        self._function: Any = None

    def begin(self) -> bool:
        """Note that the condition begins to be evaluated."""
        if not self.counter.reach(self.file, self.site.line):
            return False
        self.reached = -1
        self._values = {}
        if self.parent is not None:
            self.parent.reached = self.place
        return True

    def test(self, counts: bool, value: Any) -> bool:
        """Count the outcome."""
        truth = bool(value)
        if counts:
            self._count(truth, value)
        return truth

    def value(self, counts: bool, value: Any) -> Any:
        """Count a value whose truth nobody asks for here, if it has one."""
        if counts and (truth := words.truth(value)) is not None:
            self._count(truth, value)
        return value

    def at(self, place: int, value: Any) -> Any:
        """Note an operand."""
        self._values[place] = value
        return value

    def function(self, function: Any) -> Any:
        """Note what is called."""
        self._function = function
        return function

    def subject(self, value: Any) -> Any:
        """Count that a match statement looks at something."""
        if self.counter.reach(self.file, self.site.line):
            self._add(True)
            for part in self.parts:
                part._add(False)
        return value

    def hit(self) -> None:
        """Count that a case was taken."""
        if self.evaluated and self.counter.begun == self.counter.clock.bar - 1:
            self._held()

    def _count(self, truth: bool, value: Any) -> None:
        kind = self.site.kind
        if kind == "compare":
            self._compared(truth)
        elif kind == "call" and is_crossing(self._function, self.site):
            self._crossed(truth)
        else:
            if kind == "all" and not truth and self.reached >= 0:
                self.stopped[self.reached] += 1
                self._alone()
            self._add(truth)

    def _compared(self, truth: bool) -> None:
        values, constants = self._values, self._constants
        left = right = gap = nan
        for place, operator in enumerate(self.site.operators):
            a = constants[place] if place in constants else words.number(values.get(place))
            b = constants[place + 1] if place + 1 in constants else words.number(values.get(place + 1))
            found = gap_of(operator, a, b)
            if found is None or a is None or b is None:
                gap = nan
                break
            if gap != gap or abs(found) < abs(gap) or found < 0:
                left, right, gap = a, b, found
            if found < 0 or (found == 0 and operator in ("<", ">", "!=")):
                break
        self._add(truth, gap, left, right)

    def _crossed(self, truth: bool) -> None:
        try:
            pair = [self._values.get(place, self.site.constants.get(place)) for place in (0, 1)]
            a, b = (words.number(words.last(value)) for value in pair)
            a0, b0 = (words.number(words.last(value, 2)) for value in pair)
            if not truth and None not in (a, b, a0, b0):
                either = self._function is lib.cross or getattr(self._function, "__name__", "") == "cross"
                found = crossing_gap(a, b, a0, b0, either=either)  # type: ignore[arg-type]
                if found is not None:
                    return self._add(truth, -found, a, b)  # type: ignore[arg-type]
        except Exception:
            return self._add(truth)  # what the strategy compares is no column
        self._add(truth)

    def _add(self, truth: bool, gap: float = nan, left: float = nan, right: float = nan) -> None:
        self.evaluated += 1
        if truth:
            self._held()
        elif gap == gap and len(self.bars) < KEPT:
            self.bars.append(self.counter.begun)
            self.gaps.append(gap)
            self.lefts.append(left)
            self.rights.append(right)

    def _held(self) -> None:
        self.true += 1
        self.last_true = self.counter.begun
        if self.first_true < 0:
            self.first_true = self.last_true

    def _alone(self) -> None:
        """Find out whether the part at which an `and` stopped was the only no."""
        stopped_at = self.reached
        if stopped_at == len(self.site.parts) - 1:
            self.alone[stopped_at] += 1
            return
        if self.shadow is None:
            return
        rest = self.shadow.holds_after(stopped_at)
        if rest is None:
            self.shadow = None
        elif rest:
            self.alone[stopped_at] += 1
