"""Survey: how often each condition of a run was true, and how near it came when it was not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.bars import Bars
from engine.errors import StrategyError
from engine.simulation import Simulation, strategy_error
from engine.strategy import Strategy
from engine.why import swap, words
from engine.why.answer import Counted, Miss, Survey
from engine.why.study import entry_of
from engine.why.tally import KEPT, Counter, Tally

MOST = 100_000  # bars of which every decision is looked at
SECONDS = 8.0  # and for how long at most
MISSES = 5
APART = 3  # bars between two misses that are told
_CHUNK = 2_000
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def survey(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    until: int | None = None,
    indicators: Mapping[str, Mapping[str, Any]] | None = None,
    texts: Mapping[str, str] | None = None,
    most: int = MOST,
    seconds: float = SECONDS,
    breathe: Callable[[], None] | None = None,
) -> Survey:
    """Return per condition how often it was true in the first `until` bars (all), and its nearest misses.

    Of more than `most` bars the last ones are looked at; after `seconds` it stops. The answer's notes say so.

    Raises:
        ConfigError: a setting is out of range.
        StrategyError: the strategy's `init` failed.
    """
    total = len(bars) if until is None else max(0, min(until, len(bars)))
    workshop = swap.prepare(strategy, texts, lines=False)
    simulation = Simulation(bars, strategy, params, indicators=indicators, **dict(settings or {}))
    told = Survey(1, total, missing=workshop.missing)
    begin = max(0, total - most)
    give_up = time.monotonic() + seconds
    counter = Counter(simulation.strategy.data._clock, entry_of(strategy, workshop))
    try:
        while simulation.bar < begin:
            simulation.advance(min(_CHUNK, begin - simulation.bar))
            if breathe is not None:
                breathe()
        with swap.alone(), swap.swapped(workshop.codes(counter.probes)):
            while simulation.bar < total and time.monotonic() < give_up:
                simulation.advance(min(_CHUNK, total - simulation.bar))
                if breathe is not None:
                    breathe()
    except StrategyError as error:
        told.notes.append(error.message)
    except SystemExit as error:
        told.notes.append(strategy_error(error, strategy, simulation.bar - 1).message)
    told.first, told.last, told.calls = begin + 1, max(simulation.bar, begin), counter.calls
    _note_limits(told, total, most)
    tallies = _worth_telling(counter.tallies, strategy)
    told.conditions = [_counted(tally) for tally in tallies]
    told.findings = _findings(told, tallies, simulation)
    return told


def _note_limits(told: Survey, total: int, most: int) -> None:
    if told.first > 1:
        told.notes.append(f"Only the last {most:,} bars were looked at.")
    if told.last < total and not told.notes:
        told.notes.append(f"Stopped after bar {told.last:,}: this strategy takes long.")


def _worth_telling(tallies: list[Tally], strategy: type[Strategy]) -> list[Tally]:
    """Return the conditions of next() and of what it called; init() and the file's other functions decide no bar."""
    own = {f"{cls.__qualname__}.next" for cls in strategy.__mro__}
    called = {tally.site.function for tally in tallies if tally.evaluated}
    return [tally for tally in tallies if tally.site.function in own | called]


def _counted(tally: Tally) -> Counted:
    site = tally.site
    first, last = (tally.first_true + 1, tally.last_true + 1) if tally.true else (None, None)
    unknown = tally.site.kind == "all" and tally.shadow is None
    alone = [-1 if unknown and place < len(tally.alone) - 1 else n for place, n in enumerate(tally.alone)]
    return Counted(
        site.number, site.text, site.line, site.function, site.role, site.kind, _depth(tally), tally.evaluated,
        tally.true, first, last, _misses(tally), tally.stopped if site.kind == "all" else [],
        alone if site.kind == "all" else [], _root(tally).site.orders and _root(tally).site.tested,
    )  # fmt: skip


def _root(tally: Tally) -> Tally:
    return tally if tally.parent is None else _root(tally.parent)


def _depth(tally: Tally) -> int:
    return 0 if tally.parent is None else 1 + _depth(tally.parent)


def _misses(tally: Tally) -> list[Miss]:
    """Return where it failed by least, each in a neighbourhood of its own."""
    gaps = np.abs(np.array(tally.gaps))
    told: list[Miss] = []
    for at in np.argsort(gaps, kind="stable")[: 50 * MISSES].tolist():
        bar = tally.bars[at] + 1
        if len(told) < MISSES and all(abs(bar - miss.bar) > APART for miss in told):
            sides = f"{words.figure(tally.lefts[at])} {_sign(tally)} {words.figure(tally.rights[at])}"
            told.append(Miss(bar, float(gaps[at]), sides))
    return told


def _sign(tally: Tally) -> str:
    return tally.site.operators[0] if len(tally.site.operators) == 1 else "/"


def _findings(told: Survey, tallies: list[Tally], simulation: Simulation) -> list[str]:
    """Return what stands out, in sentences."""
    if told.last <= simulation.tape.first_bar:
        return [f"next() was never called: the warm-up lasts until bar {simulation.tape.first_bar:,}."]
    found = []
    for counted, tally in zip(told.conditions, tallies, strict=True):
        if not tally.site.orders or counted.depth:
            continue
        if not counted.evaluated:
            found.append(f"Line {counted.line}, `{counted.text}`, was never reached.")
        elif counted.kind == "all":
            found += _of_parts(counted, tally)
        elif not counted.true:
            nearest = counted.misses[:1]
            near = "".join(f" Nearest: missed by {words.figure(m.distance)} on bar {m.bar:,}." for m in nearest)
            found.append(f"`{counted.text}` (line {counted.line}) was never true in {counted.evaluated:,} looks.{near}")
    if any(len(tally.bars) >= KEPT for tally in tallies):
        found.append(f"Nearest misses are among each condition's first {KEPT:,}.")
    return found[:8]


def _of_parts(counted: Counted, tally: Tally) -> list[str]:
    parts = [part for part in tally.parts if not part.site.orders]  # the order itself is no condition
    count = len(parts)
    said = []
    for place, part in enumerate(parts):
        name = _ORDINALS[place] if place < len(_ORDINALS) else f"{place + 1}th"
        if part.evaluated and not part.true:
            said.append(
                f"Line {counted.line} needs {count} conditions; the {name}, `{part.site.text}`, was never true "
                f"in {part.evaluated:,} looks."
            )
        elif not part.evaluated and not said:  # what follows one that was never true says nothing new
            said.append(
                f"Line {counted.line} needs {count} conditions; the {name}, `{part.site.text}`, was never looked at."
            )
    known = [(n, part) for n, part in zip(counted.alone, tally.parts, strict=True) if n > 0 and part in parts]
    if known and -1 not in counted.alone:
        most, part = max(known, key=lambda one: one[0])
        said.append(
            f"Line {counted.line}: `{part.site.text}` was the only one of {count} conditions "
            f"to fail {most:,} time{'s' if most > 1 else ''}."
        )
    return said
