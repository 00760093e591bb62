"""Playback: a playhead that travels along a tape, paced by an injected clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from .errors import EngineError
from .playhead import FORWARD, INSTANT, INTERVAL, JUMP, Conditions, Playhead, check_speed
from .tape import Frame, Tape

BUDGET = 0.005  # s of simulation between two looks at the controls
AHEAD = 0.008  # s of simulation ahead of the playhead, taken from each wait that is long enough to spare it
GLANCE = 0.25  # s between the frames of an instant run

FAILED = "failed"
__all__ = ["FAILED", "FORWARD", "INSTANT", "JUMP", "Conditions", "Deck", "Move", "Playhead", "check_speed", "play"]


class Simulated(Protocol):
    """What play needs of a simulation, whether it runs here or elsewhere."""

    @property
    def bar(self) -> int:
        """Bars simulated so far."""

    @property
    def done(self) -> bool:
        """Whether there is no bar left."""

    @property
    def tape(self) -> Tape:
        """The record of those bars."""

    def advance(self, n: int) -> None:
        """Simulate `n` more bars, or to the end."""


class Move(NamedTuple):
    """One move of the playhead.

    `kind` is FORWARD (append the frame's bars), JUMP (what was shown no longer holds; the frame ends at the playhead
    and may be empty) or FAILED (nothing moved: the run cannot go further, `Playhead.failure` says why).
    """

    frame: Frame
    kind: str


def _rest(seconds: float | None) -> None:
    """Sleep; without end means in short naps, for another thread may move the playhead."""
    time.sleep(INTERVAL if seconds is None else seconds)


def play(
    simulation: Simulated,
    playhead: Playhead,
    sleep: Callable[[float | None], object] = _rest,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Move]:
    """Yield a move for the bars that fell due since the last one: one bar at 1x, more when faster.

    `sleep(seconds)` may return early, after calling controls of the playhead; None asks it to wait until one comes.
    Ends at the last bar, unless the playhead holds.

    Raises:
        StrategyError: the strategy failed at the bar that is due; not raised when the playhead holds.
    """
    yield from Deck(simulation, playhead, clock).moves(sleep)


class Deck:
    """The simulation and the playhead together, one turn at a time, so that one thread may pace several."""

    def __init__(self, simulation: Simulated, playhead: Playhead, clock: Callable[[], float] = time.monotonic):
        self.simulation = simulation
        self.playhead = playhead
        self._clock = clock
        self._failure: EngineError | None = None
        self._told = False
        self._chunk = 32  # bars
        self._took = 0.0  # s for the last chunk
        self._shown = -math.inf
        playhead.begin(clock, self.end)

    def moves(self, sleep: Callable[[float | None], object]) -> Iterator[Move]:
        """Yield what `play` does."""
        head = self.playhead
        while not head.stopped:
            if (wait := self.wait()) is None and not head.hold and head.bar >= head.end:
                return
            sleep(wait)
            if move := self.turn():
                yield move

    @property
    def over(self) -> bool:
        """Whether the simulation can go no further."""
        return self._failure is not None or self.simulation.done

    @property
    def end(self) -> int:
        """The last bar, as far as is known: a failure ends the tape with the bar that failed."""
        return self.simulation.bar if self.over else len(self.simulation.tape.bars)

    def wait(self) -> float | None:
        """Return the seconds until the next turn, None = until a control; spare time goes into simulating ahead."""
        if self._failed_here():
            return 0.0
        wait = self.playhead.wait(self._clock())
        if not self.over and (wait is None or wait > 2 * max(AHEAD, self._took)):
            self._simulate(self.end, AHEAD)
            # Paused: look for controls, then simulate on.
            return 4 * AHEAD if wait is None else self.playhead.wait(self._clock())
        return wait

    def due(self) -> float | None:
        """Return when the next turn is due if the tape holds it already and play keeps time; None = it does not.

        Such turns are short and wait for nothing: any thread may take them, with a budget of 0.
        """
        goal = self.playhead.next_stop()
        if goal is None or goal > self.simulation.bar or self._failed_here():
            return None
        now = self._clock()
        wait = self.playhead.wait(now)
        return None if wait is None else now + wait

    def turn(self, budget: float = BUDGET) -> Move | None:
        """Move the playhead to where it should be, as far as `budget` seconds of simulation go.

        Raises:
            StrategyError: the bar that is due failed, and the playhead does not hold.
        """
        if self.playhead.stopped:
            return None
        if self._failed_here():
            return self._fail()
        if self.playhead.travelling:
            return self._travel(budget)
        return self._forward(budget) if self.playhead.playing else None

    def _travel(self, budget: float) -> Move | None:
        head, tape = self.playhead, self.simulation.tape
        goal = head.destination(tape, self.end)
        if goal is None or goal > self.simulation.bar:
            self._simulate(self.end if goal is None else goal, budget)
            goal = head.destination(tape, self.end)
        if self.over:
            goal = min(self.end, self.end if goal is None else goal)
        if goal is None or goal > self.simulation.bar:
            return None
        self._look()
        start, stop = head.bar, goal
        kind = head.arrive(stop)
        return Move(tape.frame(min(start, stop), stop), kind)

    def _forward(self, budget: float) -> Move | None:
        head, tape = self.playhead, self.simulation.tape
        now = self._clock()
        due = head.due(now)
        self._simulate(due, budget)
        self._look()
        start, stop = head.bar, min(due, self.simulation.bar)
        if head.most is not None:
            stop = min(stop, start + head.most)
        elif head.speed == INSTANT and stop < head.end and now - self._shown < GLANCE:
            return None
        if stop <= start:
            return None
        reason = None
        if head.conditions:
            stop, reason = head.conditions.first(tape, start, stop)
        head.advance(stop, reason)
        self._shown = now
        return Move(tape.frame(start, stop), FORWARD)

    def _look(self) -> None:
        """Let the playhead know where the run ends, and how."""
        self.playhead.end, self.playhead.failure = self.end, self._failure

    def _failed_here(self) -> bool:
        """Say whether the playhead stands at the bar that failed, and was not told."""
        return self._failure is not None and not self._told and self.playhead.bar >= self.simulation.bar

    def _fail(self) -> Move:
        head, tape = self.playhead, self.simulation.tape
        self._told = True
        self._look()
        head.advance(min(head.bar, self.end))
        if self._failure is not None and not head.hold:
            raise self._failure
        return Move(tape.frame(head.bar, head.bar), FAILED)

    def _simulate(self, bar: int, budget: float) -> None:
        """Advance towards `bar` in chunks until `budget` seconds have gone; a failure waits until it is due."""
        started = before = self._clock()
        while budget and not self.over and self.simulation.bar < bar:
            chunk = min(self._chunk, bar - self.simulation.bar)
            try:
                self.simulation.advance(chunk)
            except EngineError as error:
                self._failure = error
            now = self._clock()
            self._took = now - before
            if self._took > BUDGET / 4:
                self._chunk = max(1, chunk // 4)
            elif self._took < BUDGET / 8 and chunk == self._chunk:
                self._chunk = min(chunk * 2, 65_536)
            if now - started >= budget:
                return
            before = now
