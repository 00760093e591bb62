"""Lines: where in the user's file an indicator was declared or an order placed."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from engine.declare import Declarations
from engine.simulation import Simulation

_ENGINE = Path(__file__).resolve().parent.parent
_BUNDLED = str(_ENGINE / "strategies")
_patching = threading.RLock()
Place = tuple[str, int, str | None]  # file, line from 1, and its text


def declared(make: Callable[[], Simulation]) -> list[Place | None]:
    """Return for each series of the simulation that `make` makes the line that declared it."""
    places: list[Place | None] = []
    original = Declarations.declare
    here = threading.get_ident()

    def declare(self: Declarations, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != here:
            return original(self, *args, **kwargs)
        place = users_line(sys._getframe(1))
        result = original(self, *args, **kwargs)
        places.extend([place] * (len(self.series) - len(places)))
        return result

    with _patching:
        Declarations.declare = declare  # type: ignore[method-assign]
        try:
            simulation = make()
        finally:
            Declarations.declare = original  # type: ignore[method-assign]
    return places + [None] * (len(simulation._declarations.series) - len(places))


def placed(simulation: Simulation, bar: int) -> Place | None:
    """Play a simulation through `bar` and return the line that first did something to an order there."""
    found: list[Place] = []
    broker = simulation.broker

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        def do(*args: Any, **kwargs: Any) -> Any:
            if broker.bar == bar and not found and (place := users_line(sys._getframe(1))):
                found.append(place)
            return original(*args, **kwargs)

        return do

    for name in ("place", "place_closing", "guard", "cancel"):
        setattr(broker, name, watched(getattr(broker, name)))
    with suppress(Exception):  # it may fail there, and whoever asks knows
        simulation.advance(bar + 1)
    return found[0] if found else None


def users_line(frame: FrameType | None) -> Place | None:
    """Return the nearest line that is not the engine's own."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(str(_ENGINE)) or file.startswith(_BUNDLED):
            text = linecache.getline(file, frame.f_lineno).strip()
            return file, frame.f_lineno, text or None
        frame = frame.f_back
    return None
