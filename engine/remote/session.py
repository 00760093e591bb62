"""Session: one run between the thread that wants its tape and the one that talks to its child."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from engine.errors import EngineError, StrategyError
from engine.remote import wire
from engine.remote.limits import MB, Limits
from engine.tape import Indicator

AHEAD = 32 * MB  # bytes of tape that may wait here unread; then the child pauses


class Waiting(NamedTuple):
    """A block that nobody has read yet; `bar` is how far it reaches."""

    bar: int
    message: bytearray


class Session:
    """What has come of one run.

    Its fields are changed under `changed`, which tells both threads. `wanted` is the bar that somebody waits for, 0
    when nobody does. A failure ends the tape with the bar on which it happened, so `reached` counts that one.
    """

    background = False  # whether others come first

    def __init__(self, job: wire.Job, name: str, bars: int, limits: Limits, wake: Callable[[], None]):
        self.job = job
        self.name = name
        self.file = job.path or f"{job.name.partition('.')[0]}.py (as stored)"
        self.bars = bars
        self.limits = limits
        self.changed = threading.Condition()
        self.start: wire.Start | None = None
        self.indicators: list[Indicator] = []
        self.blocks: deque[Waiting] = deque()
        self.reached = 0  # bars
        self.error: EngineError | None = None
        self.over = False
        self.closed = False
        self.wanted = 0
        self.exact = False  # whether `reached` is where the child is, and not only what it has told
        self.printed = 0  # bytes
        self.killed = False  # whether a child was lost before it began with it
        self.reply: bytes | None = None  # to the job's `why`
        self._wake = wake
        self._unread = 0  # bytes
        self._tape = 0
        self._drawn = 0

    # The thread that wants the tape.

    def await_start(self) -> wire.Start:
        """Return what is known once `init` has run.

        Raises:
            EngineError: it failed, or the run did not get its turn.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.start or self.over)
            if self.start is None or (self.error is not None and self.closed):
                assert self.error is not None
                raise self.error
            return self.start

    def await_reply(self, seconds: float | None) -> bytes | None:
        """Return the answer to the job's `why`, None when it takes longer than `seconds`.

        Raises:
            EngineError: what ended the run instead.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.over, seconds)
            if self.reply is None and self.error is not None:
                raise self.error
            return self.reply

    def await_bar(self, bar: int, seconds: float | None) -> None:
        """Wait until `bar` bars are simulated, or there will not be so many, for at most `seconds`."""
        if self.reached >= bar or self.over:
            return
        with self.changed:
            self.wanted = bar
            self._wake()
            self.changed.wait_for(lambda: self.reached >= bar or self.over, seconds)
            self.wanted = 0

    def end(self) -> tuple[int, EngineError | None]:
        """Return how far the run has come, and what ended it there."""
        with self.changed:
            return self.reached, self.error

    def take(self) -> Waiting | None:
        """Return the next block."""
        with self.changed:
            if not self.blocks:
                return None
            block = self.blocks.popleft()
            paused = self._unread > AHEAD
            self._unread -= len(block.message)
            if paused and self._unread <= AHEAD:
                self._wake()
            return block

    def close(self) -> None:
        """Want no more of it."""
        with self.changed:
            self.closed = True
            self.blocks.clear()
            self._end(self.error or EngineError("The run was closed."))
        self._wake()

    # The thread that talks to the child.

    @property
    def full(self) -> bool:
        """Whether enough has come that nobody has read."""
        return self._unread > AHEAD

    def message(self) -> list[bytes | memoryview]:
        """Return what to send to a child that is ready."""
        return wire.pack_job(self.job)

    def put(self, kind: bytes, message: bytearray) -> None:
        """Take a message from the child.

        Raises:
            Damaged: no strategy's tape looks like that.
        """
        with self.changed:
            if self.over:
                return
            if kind in (wire.BLOCK, wire.STUCK) and self.start is not None:
                self._put_block(message)
                self.exact = kind == wire.STUCK or self.job.again is not None
            elif kind == wire.INDICATOR and self.start is None:
                self._drawn += len(message)
                if self._drawn > self.limits.indicators:
                    return self._end(self._too_much("indicators", self.limits.indicators))
                self.indicators.append(wire.read_indicator(message, self.bars))
            elif kind == wire.START and self.start is None:
                self.start = wire.read_start(message, self.bars)
            elif kind == wire.ANSWER and isinstance(self.job, wire.Job) and self.job.why is not None:
                self.reply = bytes(message)
                self._end(None)
            elif kind == wire.DONE and self.reached == self.bars:
                self._end(None)
            elif kind == wire.ERROR:
                error, reached = wire.read_error(message)
                if reached is not None and self.start is not None:
                    self.reached = max(self.reached, min(reached, self.bars))
                self._end(error)
            else:
                raise wire.Damaged(f"an unexpected message {kind!r}")
            self.changed.notify_all()

    def _put_block(self, message: bytearray) -> None:
        self._tape += len(message)
        if self._tape > self.limits.tape:
            return self._end(self._too_much("orders and trades", self.limits.tape))
        bar = wire.block_bar(message)
        if bar != -1 and not self.reached <= bar <= self.bars:
            raise wire.Damaged("bars are out of order")
        self.blocks.append(Waiting(bar, message))
        self._unread += len(message)
        self.reached = max(self.reached, bar)
        return None

    def again(self) -> bool:
        """Say whether another child should find out where this run crashed; the next one starts there."""
        if self.over or self.exact or self.start is None or self.job.again is not None or self.reached == self.bars:
            return False
        self.job = self.job._replace(again=self.reached)
        return True

    def fail(self, error: EngineError) -> None:
        """End the run with an error in the bar that is next, unless it has ended or there is none."""
        with self.changed:
            if self.over:
                return
            if self.start is not None and self.reached == self.bars:
                return self._end(None)
            if self.start is not None:
                self.reached += 1
            self._end(error)

    def _end(self, error: EngineError | None) -> None:
        if not self.over:
            self.over, self.error = True, error
        self.changed.notify_all()

    def _too_much(self, what: str, limit: int) -> StrategyError:
        return self.failure(
            f"recorded more than {limit // MB} MB of {what} {{when}}. Trade less often, or use fewer bars."
        )

    def damage(self) -> StrategyError:
        """Return the error of a child whose messages cannot be read."""
        return self.failure("sent a tape that cannot be read {when}: it has harmed its own process.")

    def failure(self, what: str, trace: str = "", *, hung: bool = False) -> StrategyError:
        """Return the error that says what the strategy did; `{when}`, `{unit}` and `{at}` in `what` are filled in.

        `trace` is faulthandler's, latest call first.
        """
        bar = self.reached if self.start else None
        words = {
            "when": "in init()" if bar is None else f"on bar {bar + 1}",
            "unit": "init()" if bar is None else "a bar",
        }
        return self._told(what, trace, words, bar, hung)

    def _told(self, what: str, trace: str, words: dict[str, str], bar: int | None, hung: bool) -> StrategyError:
        calls = re.findall(r'^  File "(.*)", line (\d+) in', trace, re.MULTILINE)
        own = [call for call in calls if call[0] == self.file]
        file, line = (own or calls or [(self.file, None)])[0]
        message = f"{self.name} {what.format(**words, at=f' (line {line})' if own else '')}"
        return StrategyError(message, file=file, line=int(line) if line else None, bar=bar, hung=hung)
