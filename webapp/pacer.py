"""Pacer: one thread that plays to many visitors, each bar when it is due.

A thread for each stream collapses at some hundred of them: what limits a process is how often threads wake in it. So a
stream's own thread lends its turns to this one while they are short and never wait, and takes them back for the rest.

Streams that compute give way to it: Python would take its turn away after each half millisecond, and what got it might
itself be waiting for a core. Eighty bars that were due together were sent over 0.2 s beside two instant runs. And of
the streams that compute without a rest one does so at a time: they gain nothing from each other's company, and each
would stand before the pacer in the queue for Python.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import deque
from collections.abc import Callable

GRAIN = 0.001  # s: what falls due within so little is played together
WAY = 0.05  # s for which others give way at most, and wait for each other


class Lease:
    """One stream's turns, lent to the pacer.

    `turn()` plays what is due and returns the time of the next turn (of the pacer's clock), None when its owner has to
    go on; then `wake()` tells the owner, as it does when the turn failed.
    """

    __slots__ = ("_lock", "_over", "due", "error", "turn", "wake")

    def __init__(self, turn: Callable[[], float | None], wake: Callable[[], object], due: float):
        self.turn = turn
        self.wake = wake
        self.due = due
        self.error: BaseException | None = None
        self._over = False
        self._lock = threading.Lock()

    def __lt__(self, other: Lease) -> bool:
        return self.due < other.due

    def end(self) -> None:
        """Take the turns back; when this returns, none is being played.

        Raises what the last turn raised.
        """
        with self._lock:
            self._over = True
        if self.error is not None:
            raise self.error

    def play(self) -> bool:
        """Play a turn; say whether there is to be another."""
        with self._lock:
            if self._over:
                return False
            due = None
            try:
                due = self.turn()
            except BaseException as error:  # its owner's affair, not that of the other streams
                self.error = error
            if due is not None:
                self.due = due
                return True
            self._over = True
        self.wake()
        return False


class Pacer:
    """The thread, started with the first lease."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lent: deque[Lease] = deque()
        self._bell = threading.Event()
        self._idle = threading.Event()  # nothing is due
        self._idle.set()
        self._due = math.inf  # of the next turn
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def lend(self, turn: Callable[[], float | None], wake: Callable[[], object], due: float) -> Lease:
        """Let the thread play turns, the first one at `due`."""
        lease = Lease(turn, wake, due)
        self._lent.append(lease)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="pacer", daemon=True)
                    thread.start()
                    self._thread = thread
        self._bell.set()
        return lease

    def give_way(self) -> None:
        """Let what is due be played first, before a thread goes on to compute."""
        if self._clock() >= self._due:
            self._idle.clear()  # the thread has not even had its turn to say so
            if self._clock() < self._due:
                self._idle.set()  # or had it just now
        if not self._idle.is_set():
            self._idle.wait(WAY)

    def _work(self) -> None:
        leases: list[Lease] = []
        while True:
            wait = leases[0].due - self._clock() if leases else None
            if wait is None or wait > 0:
                # Not by the bell for what is nearly due: sleeping so little lets streams gather.
                self._bell.wait(None if wait is None else max(wait, GRAIN))
            self._bell.clear()
            while self._lent:
                heapq.heappush(leases, self._lent.popleft())
            now = self._clock()
            self._idle.clear()
            while leases and leases[0].due <= now:
                if leases[0].play():
                    heapq.heapreplace(leases, leases[0])
                else:
                    heapq.heappop(leases)
            self._due = leases[0].due if leases else math.inf
            self._idle.set()


class Floor:
    """What a stream takes before it computes without a rest, and leaves before it waits for anything."""

    def __init__(self, pacer: Pacer):
        self._pacer = pacer
        self._lock = threading.Lock()
        self._mine = threading.local()

    def take(self) -> None:
        """Let others go first: who has the floor, and what is due. After WAY seconds of each, go on all the same."""
        self.leave()
        self._pacer.give_way()
        self._mine.taken = self._lock.acquire(timeout=WAY)
        self._pacer.give_way()

    def leave(self) -> None:
        """Let the next one have the floor, if this thread has it."""
        if getattr(self._mine, "taken", False):
            self._mine.taken = False
            self._lock.release()


pacer = Pacer()
floor = Floor(pacer)
