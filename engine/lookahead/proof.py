"""Proof: decides bars again without their future, and names what comes out differently."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from engine.bars import Bars
from engine.errors import EngineError
from engine.lookahead import warmup
from engine.lookahead.compare import Column, Deeds, columns_of, told
from engine.lookahead.futures import REMOVED, REPLACED
from engine.lookahead.inputs import digest
from engine.lookahead.notes import Notes
from engine.lookahead.report import CHANCE, Finding, Report
from engine.lookahead.sample import ALL_UP_TO, Plan, plan
from engine.lookahead.world import Refused, World
from engine.simulation import Simulation
from engine.strategy import Strategy

SLICE = 0.025  # s of work between two reports
_ENOUGH = 300  # bars run up to, of a strategy that is known to peek


def prove(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    source: str | None = None,
    limit: int = ALL_UP_TO,
    slice_seconds: float = SLICE,
    resume: Report | None = None,
) -> Iterator[Report]:
    """Check that no bar's decision knows a later bar; yield a report every `slice_seconds`, the last one `done`.

    Leave off at any report by closing the iterator, and go on from it later with `resume`.

    Args:
        settings: the broker's, as for Simulation.
        source: the text of the strategy's file, when that is not on disk as it was imported.
        limit: runs of up to so many bars are checked on all of them, longer ones on a sample.
    Raises:
        EngineError: the run itself fails before its first decision.
    """
    proof = Proof(World(bars, strategy, params or {}, settings or {}, source), limit, resume)
    start = last = perf_counter()
    before = resume.seconds if resume else 0.0
    for _ in proof.steps():
        now = perf_counter()
        if now - last >= slice_seconds:
            yield replace(proof.report(), seconds=before + now - start)
            last = perf_counter()
    yield replace(proof.report(done=True), seconds=before + perf_counter() - start)


def check(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Report:
    """Return the finished report of `prove`."""
    *_, report = prove(bars, strategy, params, settings, slice_seconds=60.0, **options)
    return report


class Proof:
    """One strategy under proof.

    For a cut after bar k the strategy starts again on the first k bars alone, and on those with another future. Every
    value of every series that `init()` makes is compared with the run's, up to the cut, and on small runs the cut run
    is played up to the cut and all that it did compared.

    On longer runs most cuts are not played. What `next()` decides follows from the bars so far, the series, and what
    else `init()` left on the strategy; where all those are equal (and nothing outside can be reached, and the same
    run comes out the same twice), the decisions are. As soon as anything of that fails, every cut is played. Bars
    with orders and bars at random are played in any case.
    """

    def __init__(self, world: World, limit: int = ALL_UP_TO, resume: Report | None = None):
        self.world = world
        self.notes = Notes(world, resume.findings if resume else ())
        self._limit = limit
        self._checked: set[int] = set(resume.checked_bars) if resume else set()
        self._unclear: dict[int, str] = {}
        self._total = len(world.bars)
        self._sample = ""
        self._trusted = False
        self._played = 0

    def report(self, done: bool = False) -> Report:
        """Return how far the proof is."""
        return Report(
            len(self.world.bars), self._total, len(self._checked), self.notes.findings(done), self._sample,
            len(self._unclear), next(iter(self._unclear.values()), ""), done, 0.0, tuple(sorted(self._checked)),
        )  # fmt: skip

    def steps(self) -> Iterator[None]:
        """Do the work, stopping for breath after each small piece."""
        run = yield from self._run()
        self.notes.run = run
        again = yield from self._run()
        if self._differs_by_chance(run, again):
            return
        chosen = plan(self.world.bars, run.last, run.deeds.placing(), limit=self._limit)
        self._total, self._sample = len(chosen.bars), chosen.sample
        self._trusted = run.digest is not None and not self.world.leaves_data
        yield from self._go_through(run, chosen, [bar for bar in chosen.bars if bar not in self._checked])
        placing = run.deeds.placing()
        if placing:
            for finding in warmup.findings(self.world, run.columns, placing[0]):
                self.notes.add(finding)
        yield

    def _run(self) -> Generator[None, None, Run]:
        """Play the run itself, in pieces; return what it was."""
        simulation = self.world.whole()
        left = digest(simulation.strategy)  # before next() changes it
        failed = False
        while not simulation.done and not failed:
            try:
                self.world.advance(simulation, 2000)
            except EngineError:
                if simulation.bar <= simulation.tape.first_bar + 1:
                    raise
                failed = True
            yield
        last = simulation.bar - 1 if failed else simulation.bar
        return Run(simulation, columns_of(simulation), Deeds.of(simulation.tape.events), left, last)

    def _go_through(self, run: Run, chosen: Plan, waiting: list[int]) -> Iterator[None]:
        """Check bars; those that were not played are, once what `next()` can read is known to differ."""
        unplayed: list[int] = []
        for bar in waiting:
            if not self._trusted and chosen.sample:
                break
            play = bar in chosen.tried or not self._trusted
            equal = self._check(run, bar, play)
            if not play:
                unplayed.append(bar)
                self._trusted = self._trusted and equal
            yield
        if self._trusted:
            return
        again = unplayed
        if chosen.sample:
            # Every bar of a sample would have to be run up to: only some can be, and no others count.
            self._checked -= set(unplayed)
            again = [bar for bar in chosen.bars if bar in chosen.run and bar not in self._checked]
            self._total = len(chosen.run)
            sample = f"A sample of {self._total} of {run.last:,} bars"
            self._sample = f"{sample}, worst suspects first, each by a run up to it."
        for bar in again:
            self._check(run, bar, play=True)
            yield

    def _differs_by_chance(self, run: Run, again: Run) -> bool:
        """Note when the same run does not come out the same: then nothing follows from a difference."""
        for one, two in zip(run.columns, again.columns, strict=False):
            apart = one.differing(two.values, len(one.values))
            if len(apart):
                bar = int(apart[0])
                self.notes.add(
                    Finding(
                        CHANCE, "warning", bar, "indicator", one.name, _value(one.values, bar), _value(two.values, bar)
                    )
                )
                return True
        first = run.deeds.first_difference(again.deeds, run.last)
        if first is not None:
            had, now = told(run.deeds.on(first)), told(again.deeds.on(first))
            self.notes.add(Finding(CHANCE, "warning", first, "run", type(run.simulation.strategy).__name__, had, now))
        return first is not None

    def _check(self, run: Run, bar: int, play: bool) -> bool:
        """Check one bar both ways; return whether all that `next()` can read there was equal."""
        k, equal, clear = bar + 1, True, 0
        # Before its first decision a run decides nothing; a cut there would begin earlier, with empty indicators.
        play = play and bar >= run.simulation.tape.first_bar
        if play:
            # Once it is known that orders peek, more runs would only add to the marks on the chart.
            self._played += 1
            play = self._played <= _ENOUGH or not self.notes.orders_differ
        if k == len(self.world.bars):
            self._checked.add(bar)  # nothing comes after it
            return True
        for how in (REMOVED, REPLACED):
            try:
                cut = self.world.cut(k, how, play=play)
            except Refused as refused:
                if refused.bar is None or refused.simulation is None:
                    self._unclear[bar] = refused.reason
                    equal &= bar < run.simulation.tape.first_bar
                    continue
                self.notes.compare_failure(run, refused, k, how)
                clear += 1
                continue
            clear += 1
            same = self.notes.compare_columns(run, columns_of(cut), k, how)
            equal &= same or bar < run.simulation.tape.first_bar
            if play:
                self.notes.compare_deeds(run, Deeds.of(cut.tape.events), k, how)
            elif bar >= run.simulation.tape.first_bar:
                equal &= digest(cut.strategy) == run.digest
        if clear:
            # With too few bars an init() may fail alone; with another future after them it then decides.
            self._checked.add(bar)
            self._unclear.pop(bar, None)
        return equal


class Run:
    """The run itself: its series, what it did, what `init()` left, and how many bars were decided."""

    def __init__(self, simulation: Simulation, columns: list[Column], deeds: Deeds, left: bytes | None, last: int):
        self.simulation = simulation
        self.columns = columns
        self.deeds = deeds
        self.digest = left
        self.last = last


def _value(values: np.ndarray, bar: int) -> float | str | None:
    value = values[bar]
    return float(value) if values.dtype.kind in "fiub" else str(value)
