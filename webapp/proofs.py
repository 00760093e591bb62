"""Proofs: whether a run knows its future, as its page is told while it plays."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flask import current_app
from jinja2 import Template

from engine.bars import Bars
from engine.errors import EngineError
from engine.lookahead import Report, prove
from engine.remote import Busy
from engine.remote.proofs import Proving
from webapp import runs
from webapp.store import Run

if TYPE_CHECKING:
    from webapp import Services

EVERY = 0.5  # s between two looks at a proof
AFTER = 0.7  # s that a stream plays before its proof begins: the first bars come first, or a long run's last
ALONE = 20_000  # bars; the proof of a longer run begins when the run itself has been simulated
AT_ONCE = 4  # proofs under way in a process
KEPT = 64  # of those that are known
MARKS = 400  # on the chart


class Proofs:
    """The proofs of this process, by what they are about: the same run in two windows has one."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], Proving | _Here] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, services: Services, run: Run) -> Proving | _Here:
        """Return the proof of a run, begun if nobody has.

        Raises:
            Busy: too many runs wait.
            EngineError: the strategy as it was stored does not import any more.
        """
        config = run.config
        about = (config.strategy, repr(sorted(config.params.items())), repr(sorted(config.broker_settings().items())))
        key = (run.bars_digest, run.strategy_digest, *about)
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
            begun = self._known[key] = self._begin(services, run)
            self._forget()
            return begun

    def _begin(self, services: Services, run: Run) -> Proving | _Here:
        bars = services.store.bars(run)
        params, settings = run.config.params, run.config.broker_settings()
        if services.pool is not None:
            return services.pool.prove(bars, runs.entry_of(services, run), params, settings)
        entry = runs.strategy_of(services, run)
        assert entry.strategy is not None  # the catalog refuses entries without one
        return _Here(bars, prove(bars, entry.strategy, params, settings, source=entry.source))

    def _forget(self) -> None:
        going = [key for key, proof in self._known.items() if not proof.over]
        done = [key for key, proof in self._known.items() if proof.over]
        for key in [*going[: max(0, len(going) - AT_ONCE)], *done[: max(0, len(done) - KEPT)]]:
            self._known.pop(key).close()


class _Here(threading.Thread):
    """A proof in a thread of this process, for a server that runs strategies in itself."""

    def __init__(self, bars: Bars, reports: Iterator[Report]):
        super().__init__(name="proof", daemon=True)
        self.over = False
        self._reports = reports
        self._latest: Report | None = None
        self._error: EngineError | None = None
        self.start()

    def run(self) -> None:
        """Make the proof; between two pieces of it others may run."""
        try:
            for report in self._reports:
                self._latest = report
                if self.over:
                    break
        except EngineError as error:
            self._error = error
        finally:
            self.over = True

    def report(self) -> Report | None:
        """Return how far it is; raises what ended it."""
        if self._error is not None:
            raise self._error
        return self._latest

    def close(self) -> None:
        """Leave off."""
        self.over = True


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be told of a proof after `played` bars: nothing of a later bar.

    `state` is "waiting", "checking", "green", "amber", "red" or "failed".
    """

    state: str = "waiting"
    text: str = "look-ahead: not checked yet"
    short: str = "–"
    report: Report | None = None

    @property
    def marks(self) -> list[dict[str, Any]]:
        """Return what to draw on the chart; bars count from 1."""
        marks = self.report.markers if self.report else []
        thin = max(1, math.ceil(len(marks) / MARKS))
        return [{"bar": mark["bar"] + 1, "text": mark["text"]} for mark in marks[::thin]]


def shown(report: Report | None, played: int) -> Shown:
    """Return what may be told after `played` bars of what a proof has found on any."""
    if report is None or not played:
        return Shown()
    whole = played >= report.bars
    findings = report.findings
    if not whole:
        findings = tuple(
            replace(finding, bars=bars, count=len(bars))
            for finding in report.findings
            if finding.bar < played and (bars := tuple(bar for bar in finding.bars if bar < played))
        )
    checked = sum(bar < played for bar in report.checked_bars) if not whole else report.checked
    told = replace(report, findings=findings, checked=checked, done=report.done and whole)
    return Shown(told.state, told.text, f"{checked:,} / {report.total:,}", told)


def failed(error: EngineError) -> Shown:
    """Return what is told of a proof that cannot be made."""
    return Shown("failed", f"look-ahead: not checked. {error.message}", "not checked")


def render(told: Shown) -> dict[str, str]:
    """Return the HTML of the badge and of the findings, by the id of their element."""
    return {name: _template(name).render(proof=told) for name in ("proof", "findings")}


def _template(name: str) -> Template:
    return current_app.jinja_env.get_template(f"fragments/{name}.html")


class Badge:
    """The proof as one stream tells it."""

    def __init__(self, services: Services, run: Run, now: float):
        self.due = now + AFTER
        self._services = services
        self._run = run
        self._told: tuple[str, str, str, int] | None = None
        self._waited = False  # for the last bars of a long run to be shown

    def look(self, played: int, simulated: bool, now: float) -> dict[str, Any] | None:
        """Return a message when there is something new; `due` says when to look again, inf = never."""
        self.due = now + EVERY
        if not played or not (simulated or self._run.total_bars <= ALONE):
            return None
        if self._run.total_bars > ALONE and not self._waited:
            self._waited, self.due = True, now + AFTER
            return None
        report = None
        try:
            proof = self._services.proofs.of(self._services, self._run)
            report = proof.report()
            told = shown(report, played)
        except Busy:
            return None  # later
        except EngineError as error:
            told = failed(error)
        if told.state == "failed" or (report is not None and report.done and played >= report.bars):
            self.due = math.inf
        marks = told.marks
        key = (told.state, told.text, told.short, len(marks))
        if key == self._told or told.report is None is self._told:
            return None
        self._told = key
        return {"type": "proof", "state": told.state, "text": told.text, "marks": marks, "html": render(told)}
