"""Probes: what is heard, at each condition, of one bar."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from engine import lib
from engine.why import words
from engine.why.rewrite import CROSSINGS, LINES, Site

MOST = 1_500  # conditions kept for a bar; a loop may have millions


class Seen:
    """A condition that was evaluated once. `values` and `numbers` are by operand; `before` is one bar back."""

    __slots__ = ("before", "depth", "function", "numbers", "outcome", "parent", "result", "site", "values")

    def __init__(self, site: Site, parent: Seen | None, depth: int):
        self.site = site
        self.parent = parent
        self.depth = depth
        self.values: dict[int, str] = {}
        self.numbers: dict[int, float | None] = {}
        self.before: dict[int, float | None] = {}
        self.function: Any = None
        self.outcome: bool | None = None
        self.result: str = ""


class Recorder:
    """What happened in one call of next(), in order. Other threads that run the same code leave no trace in it.

    `entry` are the places, (file, first line, last line), of which a statement must run before anything counts: what
    the broker calls while it meets the bar, such as a commission function of the user's, is no decision.
    """

    def __init__(self, entry: list[tuple[int, int, int]]) -> None:
        self.seen: list[Seen] = []
        self.lines: Counter[tuple[int, int]] = Counter()
        self.left_out = 0
        self.stack: list[Seen] = []
        self._entry = entry
        self._begun = False
        self._thread = threading.get_ident()

    def probes(self, sites: list[Site], file: int = 0) -> dict[str, Any]:
        """Return the probes of a module by their marks."""
        return {LINES: Lines(self, file), **{site.mark: Probe(self, site, sites, file) for site in sites}}

    @property
    def here(self) -> bool:
        """Say whether the call comes from the thread that is listened to."""
        return self._begun and threading.get_ident() == self._thread

    def reach(self, file: int, line: int) -> bool:
        """Note that the code at a line runs; say whether that counts."""
        if threading.get_ident() != self._thread:
            return False
        if not self._begun:
            self._begun = any(file == home and first <= line <= last for home, first, last in self._entry)
        return self._begun


class Lines:
    """The probe before every statement."""

    __slots__ = ("_file", "_recorder")

    def __init__(self, recorder: Recorder, file: int):
        self._recorder = recorder
        self._file = file

    def line(self, number: int) -> None:
        """Note that a statement runs."""
        if self._recorder.reach(self._file, number):
            self._recorder.lines[self._file, number] += 1


class Probe:
    """The probe of one condition."""

    __slots__ = ("_file", "_recorder", "_site", "_sites")

    def __init__(self, recorder: Recorder, site: Site, sites: list[Site], file: int):
        self._recorder = recorder
        self._file = file
        self._site = site
        self._sites = sites

    def begin(self) -> Seen | None:
        """Note that the condition begins to be evaluated."""
        recorder = self._recorder
        if not recorder.reach(self._file, self._site.line):
            return None
        stack, site = recorder.stack, self._site
        if site.parent is not None:  # what an exception left open lies above its parent
            while stack and stack[-1].site.number != site.parent:
                stack.pop()
        parent = stack[-1] if stack and stack[-1].site.number == site.parent else None
        seen = Seen(site, parent, 0 if parent is None else parent.depth + 1)
        if len(recorder.seen) < MOST:
            recorder.seen.append(seen)
        else:
            recorder.left_out += 1
        stack.append(seen)
        return seen

    def test(self, seen: Seen | None, value: Any) -> bool:
        """Note the outcome; the only place where the value's truth is asked for."""
        truth = bool(value)
        if seen is not None:
            self._end(seen, value, truth)
        return truth

    def value(self, seen: Seen | None, value: Any) -> Any:
        """Note a value whose truth nobody asks for here."""
        if seen is not None:
            self._end(seen, value, words.truth(value))
        return value

    def at(self, place: int, value: Any) -> Any:
        """Note an operand."""
        if self._recorder.here and (seen := self._open()) is not None:
            seen.values[place] = words.show(value)
            seen.numbers[place] = words.number(value)
            if is_crossing(seen.function, self._site):
                seen.before[place] = _before(value)
        return value

    def function(self, function: Any) -> Any:
        """Note what is called."""
        if self._recorder.here and (seen := self._open()) is not None:
            seen.function = function
        return function

    def subject(self, value: Any) -> Any:
        """Note what a match statement looks at."""
        if (seen := self.begin()) is not None:
            seen.values[0] = words.show(value)
            for part in self._site.parts:
                case = Seen(self._sites[part], seen, 1)
                case.values[0] = seen.values[0]
                self._recorder.seen.append(case)
            self._recorder.stack.pop()
        return value

    def hit(self) -> None:
        """Note that a case of the last match statement was taken, and those before it were not."""
        if not self._recorder.here:
            return
        for seen in reversed(self._recorder.seen):
            if seen.site is self._site and seen.outcome is None:
                seen.outcome = True
                cases = [s for s in self._recorder.seen if s.parent is seen.parent and s.site.kind == "case"]
                for other in cases[: cases.index(seen)]:
                    other.outcome = False
                return

    def _open(self) -> Seen | None:
        return next((seen for seen in reversed(self._recorder.stack) if seen.site is self._site), None)

    def _end(self, seen: Seen, value: Any, truth: bool | None) -> None:
        stack = self._recorder.stack
        if seen in stack:
            del stack[stack.index(seen) :]
        seen.outcome = truth
        if seen.site.kind in ("value", "call"):
            seen.result = words.show(value)
        if seen.site.kind == "value":
            seen.numbers[0] = words.number(value)


def is_crossing(function: Any, site: Site) -> bool:
    """Say whether a call asks if one column crosses another."""
    if site.kind != "call" or len(site.operands) != 2:
        return False
    return function in (lib.crossover, lib.cross) or getattr(function, "__name__", "") in CROSSINGS


def _before(value: Any) -> float | None:
    try:
        return words.number(words.last(value, 2))
    except Exception:
        return None
