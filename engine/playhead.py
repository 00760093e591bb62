"""Playhead: where playback stands, when the next bar is due, and the controls that move it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .errors import ConfigError, EngineError
from .tape import CLOSED, KINDS, OPENED, REDUCED, REJECTED, Tape

INSTANT = math.inf
SLOWEST, FASTEST = 0.25, 100.0
INTERVAL = 0.05  # s a bar at 1x
LATE = 1.0  # s: what is later than that is not caught up but moves the schedule, as after a stopped process
SINGLE = 60.0  # bars a second up to which every bar is a frame
BUNDLES = 30.0  # frames a second above that: a chart paints bundles at full rate, single bars not
NEAR = 100  # bars that a step may append; further is a jump

FORWARD, JUMP = "forward", "jump"
_TRADING = frozenset((OPENED, REDUCED, CLOSED))
_MEETS = {OPENED: "entry", REDUCED: "exit", CLOSED: "exit", REJECTED: "rejected"}  # kind of event: condition


@dataclass(slots=True)
class Conditions:
    """What pauses play: `drawdown` is a fraction above 0, None = off."""

    entry: bool = False
    exit: bool = False
    rejected: bool = False
    drawdown: float | None = None
    _peak: tuple[int, float] = field(default=(0, 0.0), init=False, repr=False, compare=False)

    def first(self, tape: Tape, start: int, stop: int) -> tuple[int, str | None]:
        """Return how far play may go within the bars `start` up to `stop`, and what ends it there (None = nothing)."""
        reason = None
        kinds = frozenset(kind for kind, name in _MEETS.items() if getattr(self, name))
        if event := next(tape.events.numbered(kinds, tape.events.between(start, stop)), None):
            stop, reason = event.bar + 1, _MEETS[KINDS.index(event.kind)]
        if self.drawdown is not None and (bar := self._fall(tape, start, stop, self.drawdown)) is not None:
            return bar + 1, "drawdown"
        return stop, reason

    def __bool__(self) -> bool:
        return self.entry or self.exit or self.rejected or self.drawdown is not None

    def _fall(self, tape: Tape, start: int, stop: int, depth: float) -> int | None:
        """Return the first bar that closes more than `depth` below the peak when the bar before did not."""
        if self._peak[0] != start:
            self._peak = (start, float(np.max(tape.equity(0, start), initial=0.0)))
        equity = tape.equity(start, stop)
        peaks = np.maximum.accumulate(np.maximum(equity, self._peak[1]))
        deep = equity < peaks * (1 - depth)
        before = bool(start) and tape.equity(start - 1, start)[0] < self._peak[1] * (1 - depth)
        crossed = np.flatnonzero(deep & ~np.concatenate(([before], deep[:-1])))
        bar = start + int(crossed[0]) if len(crossed) else None
        last = stop if bar is None else bar + 1
        self._peak = (last, float(peaks[last - start - 1]))
        return bar


class Playhead:
    """Where playback stands, and the controls that move it.

    Controls may be called before `play` and from inside its `sleep`; they only state what is wanted, the loop does it.
    A control overrides a journey still under way. `bar` counts the bars shown: 0 is before the first.

    `hold` keeps the loop waiting for controls at the end; `most` is the most bars that one move may carry.
    """

    def __init__(
        self,
        speed: float | str = 1.0,
        interval: float = INTERVAL,
        *,
        playing: bool = True,
        hold: bool = False,
        most: int | None = None,
    ):
        self.speed = check_speed(speed)
        self.interval = interval
        self.bar = self.played = 0
        self.playing = playing
        self.hold = hold
        self.most = most
        self.stopped = False
        self.failure: EngineError | None = None
        self.reason: str | None = None
        self.conditions = Conditions()
        self.end: float = math.inf
        self._clock: Callable[[], float] = time.monotonic
        self._goal: int | str | None = None  # a bar, "end", "next" or "previous" (trade event)
        self._stepping = False
        self._credit: int | None = None
        self._anchor = (0.0, 0.0)  # at this time the playhead was due at this bar

    # What it is told

    def play(self) -> None:
        """Go on; at the end, start again from the first bar."""
        if not self.playing and not self.travelling and self.bar >= self.end:
            self._go(0)
        elif not self.playing:
            self._anchor = (self._clock(), float(self.bar))
        self.playing, self.reason = True, None

    def pause(self) -> None:
        """Stay here, and give up a journey."""
        self.playing, self._goal, self.reason = False, None, None

    def stop(self) -> None:
        """End the loop."""
        self.stopped = True

    def step(self, bars: int) -> None:
        """Pause, then go `bars` forward, or back when negative."""
        origin = self._goal if isinstance(self._goal, int) else self.bar
        self.pause()
        self._go(origin + bars)
        self._stepping = True

    def seek(self, bar: int) -> None:
        """Go to just after `bar` bars (held within the run) and go on playing if it was."""
        self._go(bar)

    def end_at_once(self) -> None:
        """Run to the end."""
        self._go("end")

    def restart(self) -> None:
        """Go before the first bar and play."""
        self._go(0)
        self.playing, self.reason = True, None

    def next_event(self) -> None:
        """Pause, then go to the bar of the next trade event, or to the end when none is left."""
        self.pause()
        self._go("next")

    def previous_event(self) -> None:
        """Pause, then go to the bar of the last trade event before this bar, or to the first bar."""
        self.pause()
        self._go("previous")

    def set_speed(self, speed: float | str) -> None:
        """Change speed, keeping the part of the current bar that has passed."""
        now, value = self._clock(), check_speed(speed)
        passed = 0.0 if self.speed == INSTANT else self._exact(now) - self.bar
        self._anchor = (now, self.bar + min(max(passed, 0.0), 0.999))
        self.speed = value

    def pause_on(self, conditions: Conditions) -> None:
        """Pause at exactly the bar where one of these is met from now on."""
        self.conditions = conditions

    def acknowledge(self, bar: int) -> None:
        """Take credit: from now on stay within a second of bars of what the reader has acknowledged."""
        self._credit = bar

    # What can be asked

    @property
    def travelling(self) -> bool:
        """Whether it is on its way to somewhere else than the next bar."""
        return self._goal is not None

    def destination(self, tape: Tape, end: int) -> int | None:
        """Return the bar it is on its way to; None = a trade event that is not on the tape yet."""
        if self._goal == "next":
            return _next_event(tape, self.bar)
        if self._goal == "previous":
            return _previous_event(tape, self.bar)
        return end if self._goal == "end" else max(0, min(int(self._goal or 0), end))

    @property
    def status(self) -> str:
        """Return "playing", "paused", "finished" or "failed"."""
        if self.playing:
            return "playing"
        if self.travelling or self.bar < self.end:
            return "paused"
        return "finished" if self.failure is None else "failed"

    @property
    def rate(self) -> float:
        """Bars a second."""
        return self.speed / self.interval

    # Where it should be

    def begin(self, clock: Callable[[], float], end: float) -> None:
        """Take the clock; the next bar is due at once."""
        self._clock, self.end = clock, end
        self._anchor = (clock(), self.bar + 1.0)

    def wait(self, now: float) -> float | None:
        """Return the seconds until something is due, None = until a control comes."""
        if self.travelling:
            return 0.0
        if not self.playing or self._limit() <= self.bar:
            return None
        if self.speed == INSTANT:
            return 0.0
        goal = min(self.bar + self._bundle(), self._limit())
        since, bar = self._anchor
        return max(0.0, since + (goal - bar) / self.rate - now)

    def next_stop(self) -> float | None:
        """Return the bar where the next frame ends, None when nothing will be due by the clock."""
        if not self.playing or self.travelling or self.stopped or self.speed == INSTANT:
            return None
        stop = min(self.bar + self._bundle(), self._limit())
        return stop if stop > self.bar else None

    def due(self, now: float) -> int:
        """Return the bar where play should have come to by now."""
        if self.speed == INSTANT:
            return int(self._limit())
        if self._exact(now) - self.bar - self._bundle() > LATE * self.rate:
            self._anchor = (now, float(self.bar + self._bundle()))
        return int(min(math.floor(self._exact(now) + 1e-6), self._limit()))

    def late(self, now: float) -> float | None:
        """Return how many seconds ago this bar fell due, None when play keeps no time."""
        if self.speed == INSTANT or self.travelling:
            return None
        return max(0.0, (self._exact(now) - self.bar) / self.rate)

    def advance(self, bar: int, reason: str | None = None) -> None:
        """Play on to `bar`, pausing there when there is a `reason`."""
        self.bar, self.reason = bar, reason
        self.played = max(self.played, bar)
        self.playing = self.playing and bar < self.end and reason is None

    def arrive(self, bar: int) -> str:
        """End a journey at `bar` with a new schedule, and return the kind of move that it was."""
        near = self._stepping and 0 <= bar - self.bar <= NEAR
        self._goal, self._stepping = None, False
        self._anchor = (self._clock(), float(bar))
        self._credit = None if self._credit is None else bar
        self.advance(bar)
        return FORWARD if near else JUMP

    def _go(self, goal: int | str) -> None:
        self._goal, self._stepping, self.reason = goal, False, None

    def _exact(self, now: float) -> float:
        since, bar = self._anchor
        return bar + (now - since) * self.rate

    def _bundle(self) -> int:
        return 1 if self.rate <= SINGLE else math.ceil(self.rate / BUNDLES)

    def _limit(self) -> float:
        if self._credit is None or self.speed == INSTANT:
            return self.end
        return min(self.end, self._credit + max(4, math.ceil(self.rate)))


def check_speed(value: float | str) -> float:
    """Return the speed as a number, INSTANT for "instant".

    Raises:
        ConfigError: it is neither "instant" nor between 0.25 and 100.
    """
    if value == "instant" or value == INSTANT:
        return INSTANT
    if isinstance(value, (int, float)) and not isinstance(value, bool) and SLOWEST <= value <= FASTEST:
        return float(value)
    raise ConfigError(f'Speed {value!r} is not offered. Choose 0.25 to 100, or "instant".', field="speed")


def _next_event(tape: Tape, bar: int) -> int | None:
    """Return the bar (from 1) of the first trade event after the first `bar` bars, None = none is known."""
    event = next(tape.events.numbered(_TRADING, tape.events.between(bar, tape.bar)), None)
    return None if event is None else event.bar + 1


def _previous_event(tape: Tape, bar: int) -> int:
    """Return the bar (from 1) of the last trade event before bar `bar`, or the first bar."""
    event = next(tape.events.numbered(_TRADING, tape.events.between(0, bar - 1)[::-1]), None)
    return min(bar, 1) if event is None else event.bar + 1
