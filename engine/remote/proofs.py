"""Proofs: the look-ahead proof of a run, made in a child and seen from here while it goes on."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

from engine.catalog import Entry
from engine.errors import StrategyError
from engine.lookahead import Finding, Report, prove
from engine.remote import wire
from engine.remote.session import Session

KIND = "Report"
_EVERY = 0.4  # s between two reports
_TURN = 0.1  # s of work between two breaths: shorter than a run's turn, which comes first
_NICE = 10  # further than any run
_LONGEST = 8 << 20  # bytes of a report
_MOST = 1_000  # findings
_WORDS = ("kind", "severity", "what", "name", "how", "file", "source", "outside")


def question() -> dict[str, Any]:
    """Return what a job asks for the proof."""
    return {"kind": KIND}


# In the child.


def answer(job: wire.Job, entry: Entry, breathe: Callable[[], None], tell: Callable[[bytes], None]) -> bytes:
    """Make the proof, telling how far it is; return the finished report as JSON."""
    assert entry.strategy is not None  # it was imported here
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICE)
    told = paused = monotonic()
    text = b""
    for report in prove(job.bars, entry.strategy, job.params, job.settings, source=entry.source):
        now = monotonic()
        if report.done or now - told >= _EVERY:
            told, text = now, json.dumps(report.to_dict(), default=str).encode()
            if not report.done:
                tell(text)
        if not report.done and monotonic() - paused >= _TURN:
            breathe()
            paused = monotonic()
    return text


# Here.


class Proving(Session):
    """A proof, between the thread that looks at it and the one that talks to its child."""

    background = True
    _read: tuple[bytes, Report] | None = None

    def put(self, kind: bytes, message: bytearray) -> None:
        """Take a report."""
        with self.changed:
            if self.over:
                return
            if kind == wire.ERROR:
                return self._end(wire.read_error(message)[0])
            if kind not in (wire.PROGRESS, wire.ANSWER) or len(message) > _LONGEST:
                raise wire.Damaged(f"an unexpected message {kind!r}")
            self.reply = bytes(message)
            if kind == wire.ANSWER:
                self._end(None)

    def again(self) -> bool:
        """Say no: a run has a tape to go on from, a proof begins anew when it is asked for again."""
        return False

    def report(self) -> Report | None:
        """Return how far it is, None while nothing is known.

        Raises:
            EngineError: what ended it.
        """
        with self.changed:
            text, error = self.reply, self.error
        if error is not None:
            raise error
        if text is None:
            return None
        if self._read is None or self._read[0] is not text:
            try:
                self._read = text, read(text, self.bars)
            except (ValueError, TypeError, KeyError, RecursionError) as problem:
                raise self.damage() from problem
        return self._read[1]

    def failure(self, what: str, trace: str = "", *, hung: bool = False) -> StrategyError:
        """Return the error that says how the proof ended early."""
        words = {"unit": "a step of the proof", "when": "during the proof"}
        return self._told(what, trace, words, None, hung)


def read(text: bytes, bars: int) -> Report:
    """Return a report on `bars` bars that came from a process which a strategy may have harmed.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    told = json.loads(text)
    rows = told["findings"]
    if not isinstance(rows, list) or len(rows) > _MOST:
        raise ValueError("no findings")
    for first, last in told["checked_bars"]:
        if not 0 <= _whole(first) <= _whole(last) < bars:
            raise ValueError("no such bars")
    report = Report.from_dict(told)
    numbers = [_whole(getattr(report, name)) for name in ("bars", "total", "checked", "unclear")]
    if max(numbers) > bars or min(numbers) < 0 or type(report.done) is not bool:
        raise ValueError("no such report")
    return replace(
        report,
        sample=_text(report.sample),
        reason=_text(report.reason),
        seconds=float(report.seconds),
        findings=tuple(_finding(finding, bars) for finding in report.findings),
    )


def _finding(finding: Finding, bars: int) -> Finding:
    places = (finding.bar, *finding.bars)
    if not all(0 <= _whole(bar) < bars for bar in places) or finding.severity not in ("leak", "warning"):
        raise ValueError("no finding")
    told: dict[str, Any] = {
        name: None if (word := getattr(finding, name)) is None else _text(word) for name in _WORDS
    } | {name: _value(getattr(finding, name)) for name in ("had", "known")}
    line = None if finding.line is None else _whole(finding.line)
    return replace(finding, **told, line=line, count=_whole(finding.count))


def _value(value: Any) -> float | str | None:
    if value is None or (isinstance(value, float | int) and not isinstance(value, bool)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is none")
    return wire.clean(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("a number is none")
    return value
