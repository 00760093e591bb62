"""Scripted: strategies that do what a test says on the bars that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import Simulation, Strategy
from engine.bars import Bars

Deed = Callable[[Strategy], Any]


def doing(deeds: dict[int, Deed]) -> type[Strategy]:
    """Return a strategy that calls `deeds[k]` with itself on bar k (from 0)."""

    class Doing(Strategy):
        def next(self) -> None:
            deed = deeds.get(len(self.data) - 1)
            if deed is not None:
                deed(self)

    return Doing


def played(bars: Bars, deeds: dict[int, Deed], **settings: Any) -> Simulation:
    """Return a run of `doing(deeds)` at its end."""
    simulation = Simulation(bars, doing(deeds), **settings)
    simulation.advance(len(bars))
    return simulation


def kinds(simulation: Simulation, *of: str) -> list[tuple[int, str]]:
    """Return (bar, kind) of the events, of some kinds or of all."""
    return [(event.bar, event.kind) for event in simulation.tape.events if not of or event.kind in of]


def reasons(simulation: Simulation, kind: str) -> list[str | None]:
    """Return the reasons of the events of a kind."""
    return [event.reason for event in simulation.tape.events if event.kind == kind]
