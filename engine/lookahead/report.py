"""Report: what the look-ahead proof has found so far, in plain data and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

LOOKS_AHEAD = "looks ahead"
REPAINTS = "repaints"
OUTSIDE = "reads outside self.data"
WARM_UP = "warm-up too short"
CHANCE = "not deterministic"
ENDING = "knows where the data ends"

MOST_BARS = 1000  # of one finding that are kept for the chart
_MARKS = {LOOKS_AHEAD: "peeks", REPAINTS: "repaints", OUTSIDE: "outside", WARM_UP: "warm-up", ENDING: "end"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between what the run had on a bar and what could be known there.

    `severity` is "leak" (the result cannot be trusted) or "warning". `bar` is the first one affected, from 0, and
    `bars` are those known to be (at most MOST_BARS), `count` how many there are. `what` is "indicator", "order" or
    "run"; `had` is what the run had, `known` what it has without the later bars: numbers, or words for orders. `line`
    is where the indicator was declared or the order placed, `source` that line's text; `outside` names what was read
    besides `self.data`. `how` says what showed it: the later bars "removed", or "replaced" by others.
    """

    kind: str
    severity: str
    bar: int
    what: str
    name: str
    had: float | str | None = None
    known: float | str | None = None
    file: str | None = None
    line: int | None = None
    source: str | None = None
    outside: str | None = None
    bars: tuple[int, ...] = ()
    count: int = 1
    how: str = "replaced"

    @property
    def sentence(self) -> str:
        """Return the finding as a user reads it; bars count from 1 there."""
        place = f" (line {self.line})" if self.line else ""
        more = f" On {self.count:,} bars in all." if self.count > 1 else ""
        subject = f"{self.name}{place}"
        bar = f"bar {self.bar + 1}"
        had, known = shown(self.had), shown(self.known)
        if self.kind == CHANCE:
            return f"The same bars came out differently in a second run, first on {bar}: {had}, then {known}. {_SEED}"
        if self.kind == WARM_UP:
            return (
                f"{subject} is not settled when trading begins: on {bar} it is {had}, and {known} without the bars "
                "before. Begin later, for example with min_periods."
            )
        if self.kind == REPAINTS:
            return f"{subject} changes its past: on {bar} it was {known}, later bars made it {had}.{more}"
        if self.kind == ENDING:
            return f"{subject} depends on where the data ends: on {bar} {had}; if the data ended there, {known}.{more}"
        after = "with other bars after it" if self.how == "replaced" else "without the bars after it"
        via = f" It reads {self.outside} besides self.data." if self.outside else ""
        if self.what == "order":
            return f"On {bar}{place} the run had: {had}. {after[0].upper()}{after[1:]}: {known}.{via}{more}"
        return f"{subject} looks ahead: on {bar} the run had {had}; {after}, {known}.{via}{more}"


_SEED = "Seed what is random in init(), and do not read the clock."


@dataclass(frozen=True, slots=True)
class Report:
    """How far the proof is: `checked` of `total` bars, of `bars` in the run.

    `total` is below `bars` when a sample is checked; `sample` then says which. `unclear` bars could not be decided
    again, and `reason` says why; they are not among the `checked`.
    """

    bars: int
    total: int
    checked: int = 0
    findings: tuple[Finding, ...] = ()
    sample: str = ""
    unclear: int = 0
    reason: str = ""
    done: bool = False
    seconds: float = 0.0
    checked_bars: tuple[int, ...] = ()

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Return the findings that make the result worthless."""
        return tuple(finding for finding in self.findings if finding.severity == "leak")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Return the findings that a reader should know."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def clean(self) -> bool:
        """Return whether no look-ahead was found."""
        return not self.leaks

    @property
    def state(self) -> str:
        """Return the badge's colour: "red", "amber" (a warning), "green", or "checking" while nothing was found."""
        if self.leaks:
            return "red"
        if not self.done:
            return "checking"
        return "amber" if self.warnings or not self.checked else "green"

    @property
    def text(self) -> str:
        """Return the badge's words."""
        if self.leaks:
            first = min(self.leaks, key=lambda finding: finding.bar)
            return f"look-ahead found on bar {first.bar + 1:,}: {first.name}"
        if any(finding.kind == CHANCE for finding in self.findings):
            return "not deterministic: nothing can be proved"
        text = f"no look-ahead found: {self.checked:,} of {self.bars:,} bars checked"
        if self.done and self.warnings:
            text += f"; {self.warnings[0].kind}: {self.warnings[0].name}"
        return text

    @property
    def markers(self) -> list[dict[str, Any]]:
        """Return what to draw: `bar` (from 0), `kind`, a short `text`, and the number of its `finding`."""
        return [
            {"bar": bar, "kind": finding.kind, "text": _MARKS[finding.kind], "finding": number}
            for number, finding in enumerate(self.findings)
            if finding.kind in _MARKS
            for bar in finding.bars
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, JSON-able: the fields, and for the page `state`, `text` and each finding's `sentence`."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        told["checked_bars"] = _ranges(self.checked_bars)
        told["findings"] = [
            asdict(finding) | {"sentence": finding.sentence, "had": _plain(finding.had), "known": _plain(finding.known)}
            for finding in self.findings
        ]
        return told | {"state": self.state, "text": self.text, "markers": self.markers}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Report:
        """Return the report that `to_dict` described."""
        names = {field.name for field in fields(Finding)}
        findings = tuple(
            Finding(**{name: value for name, value in row.items() if name in names} | {"bars": tuple(row["bars"])})
            for row in told["findings"]
        )
        own = {field.name: told[field.name] for field in fields(cls) if field.name in told}
        bars = tuple(bar for first, last in told.get("checked_bars", ()) for bar in range(first, last + 1))
        return cls(**own | {"findings": findings, "checked_bars": bars})

    def __str__(self) -> str:
        lines = [self.text, *([self.sample] if self.sample else []), *(finding.sentence for finding in self.findings)]
        if self.unclear:
            lines.append(f"{self.unclear:,} bars could not be decided again: {self.reason}")
        return "\n".join(lines)


def widen(finding: Finding, bars: Iterable[int]) -> Finding:
    """Return the finding with more bars on which it shows."""
    known = sorted(set(finding.bars).union(bars))
    return replace(finding, bars=tuple(known[:MOST_BARS]), count=max(finding.count, len(known)))


def shown(value: Any) -> str:
    """Return a value as it is read: six digits are enough to see a difference."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value
    return "no value" if value != value else f"{value:.8g}"


def _plain(value: Any) -> float | str | None:
    """Return a value as JSON can say it: a number that is none becomes words."""
    if value is None or isinstance(value, str):
        return value
    return float(value) if abs(value) < float("inf") else shown(value)


def _ranges(bars: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return sorted bars as (first, last) pairs: all of a run is one pair."""
    found: list[tuple[int, int]] = []
    for bar in bars:
        if found and found[-1][1] == bar - 1:
            found[-1] = (found[-1][0], bar)
        else:
            found.append((bar, bar))
    return found
