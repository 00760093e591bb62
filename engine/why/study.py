"""Study: a run again, with some bars under the microscope.

The plain strategy runs up to the bar, at full speed; for that one call of next() its functions have rewritten code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from engine.bars import Bars
from engine.errors import StrategyError
from engine.simulation import Simulation, strategy_error
from engine.strategy import Strategy
from engine.trades import Trade
from engine.why import swap, tell
from engine.why.answer import Condition
from engine.why.probes import Recorder, Seen
from engine.why.rewrite import Chain, Site

CHUNK = 1_000  # bars between two breaths
HOOKED = ("place", "place_closing", "guard", "cancel")  # what a strategy asks of the broker


@dataclass(slots=True)
class Asked:
    """Something that the strategy asked of the broker: the tape's events `start` to `stop`, and from where."""

    start: int
    stop: int
    line: int | None
    chain: list[tuple[Site, bool]]


@dataclass(slots=True)
class Moment:
    """One bar, seen closely. `called`: next() ran. `held` are the open trades before it decided."""

    bar: int
    called: bool = False
    error: str = ""
    recorder: Recorder | None = None
    asked: list[Asked] = field(default_factory=list)
    held: list[Trade] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)
    first_event: int = 0
    last_event: int = 0

    def because(self, asked: Asked, sites: dict[int, list[Site]]) -> list[Condition]:
        """Return the conditions that led to what was asked, as they last came out before it."""
        if self.recorder is None:
            return []
        told: list[Condition] = []
        for site, _ in asked.chain:
            found = [seen for seen in self.recorder.seen if seen.site is site]
            if found:
                root = found[-1]
                if site.kind == "case" and root.parent is not None:  # what it was matched against belongs to it
                    root = root.parent
                told += tell.conditions(_family(root, self.recorder.seen), sites)
        return told


class Study:
    """A run that is made again; bars that are asked for must come in order."""

    def __init__(
        self,
        bars: Bars,
        strategy: type[Strategy],
        params: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        indicators: Mapping[str, Mapping[str, Any]] | None = None,
        texts: Mapping[str, str] | None = None,
        breathe: Callable[[], None] | None = None,
    ):
        """Take what `Simulation` does, sources by file name, and what to call now and then while it plays.

        Raises:
            StrategyError: the strategy's `init` failed.
            ConfigError: a setting or parameter is out of range.
        """
        self.strategy = strategy
        self._breathe = breathe
        self.workshop = swap.prepare(strategy, texts)
        self.simulation = Simulation(bars, strategy, params, indicators=indicators, **dict(settings or {}))
        self.tape = self.simulation.tape
        self.failure: StrategyError | None = None
        self.sites = {id(site): f.rewritten.sites for f in self.workshop.files for site in f.rewritten.sites}

    def advance_to(self, bar: int) -> None:
        """Play on until `bar` bars are revealed, or to where the strategy fails."""
        while self.failure is None and self.simulation.bar < min(bar, self.simulation.total_bars):
            self._take(min(CHUNK, bar - self.simulation.bar))
            if self._breathe is not None:
                self._breathe()

    def look_at(self, bar: int) -> Moment:
        """Play on to the close of bar `bar` (an index from 0), the strategy's decision there under the microscope."""
        self.advance_to(bar)
        broker = self.simulation.broker
        moment = Moment(bar)
        if self.failure is not None or self.simulation.bar != bar:
            return moment
        moment.first_event = len(self.tape.events)
        with swap.alone():
            recorder = moment.recorder = Recorder(entry_of(self.strategy, self.workshop))
            codes = self.workshop.codes(recorder.probes)
            hooks = self._hooks(moment)
            vars(broker).update(hooks)
            try:
                with swap.swapped(codes):
                    self._take(1)
            finally:
                for name in hooks:
                    del vars(broker)[name]
        moment.called = bar >= self.tape.first_bar and not broker.ruined
        moment.error = "" if self.failure is None else self.failure.message
        moment.last_event = len(self.tape.events)
        moment.held = list(broker.open_trades)
        moment.waiting = list(broker.orders)
        return moment

    def _take(self, bars: int) -> None:
        try:
            self.simulation.advance(bars)
        except StrategyError as error:
            self.failure = error
        except SystemExit as error:
            self.failure = strategy_error(error, self.strategy, self.simulation.bar - 1)

    def _hooks(self, moment: Moment) -> dict[str, Any]:
        """Return stand-ins for the broker's methods that note who calls."""
        broker, events = self.simulation.broker, self.tape.events

        def hook(method: Any) -> Any:
            def call(*args: Any, **options: Any) -> Any:
                start, frame = len(events), sys._getframe(1)
                try:
                    return method(*args, **options)
                finally:
                    if len(events) > start:
                        moment.asked.append(self._asked(start, len(events), frame))

            return call

        return {name: hook(getattr(broker, name)) for name in HOOKED}

    def _asked(self, start: int, stop: int, frame: FrameType | None) -> Asked:
        line: int | None = None
        chain: list[tuple[Site, bool]] = []
        while frame is not None and frame.f_code.co_name != "_play":
            home = self.workshop.file_of(frame.f_code)
            if home is not None:
                rewritten = home[1].rewritten
                at, column = _place(frame)
                steps: Chain = rewritten.chain_at(at, column)
                chain = [(rewritten.sites[number], outcome) for number, outcome in steps] + chain
                line = at if line is None else line
            frame = frame.f_back
        return Asked(start, stop, line, chain)


def entry_of(strategy: type[Strategy], workshop: swap.Workshop) -> list[tuple[int, int, int]]:
    """Return where the bodies of next() are: file, first line, last line."""
    decides = next((vars(cls)["next"] for cls in strategy.__mro__ if "next" in vars(cls)), None)
    own = {id(function) for function in swap.functions_in(decides)}
    entry = []
    for function, code, number, _ in workshop.swaps:
        if id(function) in own:
            ends = [end for _, end, _, _ in code.co_positions() if end is not None]
            entry.append((number, code.co_firstlineno, max(ends, default=code.co_firstlineno)))
    return entry


def _place(frame: FrameType) -> tuple[int, int]:
    positions = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    line, _, column, _ = positions
    return line or frame.f_lineno, column or 0


def _family(root: Seen, seen: Iterable[Seen]) -> list[Seen]:
    """Return a condition and its parts."""
    family: list[Seen] = [root]
    for one in seen:
        if one.parent is not None and one.parent in family:
            family.append(one)
    return family
