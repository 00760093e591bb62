"""Host: the thread that starts children, gives them their turns, and ends them."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
import weakref
from collections import deque

from engine.errors import EngineError
from engine.remote.peer import Peer
from engine.remote.processes import Starter
from engine.remote.session import Session

HUNG = 1.0  # s; a turn that lasts longer no longer keeps others from theirs
QUEUED = 60.0  # s that a run waits for a child
ATTEMPTS = 3  # children in a row that did not come up, then runs are refused
RETRY = 0.5  # s after one that did not

log = logging.getLogger("engine.remote")


class Busy(EngineError):
    """Too many runs wait for their turn."""

    code = "busy"


class Unavailable(EngineError):
    """No process can be started for a run."""

    code = "unavailable"


class Host:
    """All of a pool that lives in one process. Other threads call `submit`, `wake`, `load` and `close`."""

    def __init__(self, size: int, spares: int, queue: int, fork: bool):
        self._size = size
        self._spares = spares
        self._queue = queue
        self._most = max(16, 4 * size)  # children with a run
        self._starter = Starter(fork)
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._submitted: deque[tuple[Session, float]] = deque()
        self._queued: dict[Session, float] = {}  # without a child, and since when
        self._resting: dict[Session, tuple[Peer, float]] = {}  # between two turns, and since when
        self._turns: dict[Session, tuple[Peer, float]] = {}  # computing, and since when
        self._idle: list[Peer] = []  # without a run
        self._known: weakref.WeakSet[Session] = weakref.WeakSet()  # all of them
        self._failed = 0
        self._retry = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="simulations", daemon=True)
        self._thread.start()

    # Other threads.

    def submit(self, session: Session) -> None:
        """Queue a run.

        Raises:
            Busy: too many wait already.
        """
        if len(self._submitted) + len(self._queued) >= self._queue or self._stopping:
            raise Busy(f"{self._queue:,} runs wait to be simulated already. Try again in a minute.")
        self._submitted.append((session, time.monotonic()))
        self.wake()

    def wake(self) -> None:
        """Let the thread look at what has changed."""
        with contextlib.suppress(OSError):  # full: it is awake; closed: there is nothing to do
            self._rope.send(b"!")

    def load(self) -> dict[str, int]:
        """Return how many runs compute and wait, and how many children there are."""
        children = len(self._turns) + len(self._resting) + len(self._idle)
        return {
            "computing": len(self._turns),
            "waiting": len(self._submitted) + len(self._queued),
            "children": children,
        }

    def close(self) -> None:
        """End everything."""
        self._stopping = True
        self.wake()
        self._thread.join()

    # The thread.

    def _work(self) -> None:
        while not self._stopping:
            try:
                self._round()
            except Exception:
                log.exception("the pool of simulations stumbled")
                time.sleep(RETRY)
                self._find_lost()
        for peer in self._peers():
            peer.close()
        for session in [*self._turns, *self._resting, *self._queued, *(s for s, _ in self._submitted)]:
            session.fail(Unavailable("The server is stopping. Open the run again when it is back."))
        self._starter.close()
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _round(self) -> None:
        """Hear what there is, then do what is due."""
        for key, mask in self._selector.select(self._patience()):
            if key.data is not None:
                key.data(mask)
                continue
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(4096)
        while self._submitted:
            session, when = self._submitted.popleft()
            self._queued[session] = when
            self._known.add(session)
        now = time.monotonic()
        for session, (peer, _) in list(self._turns.items()):
            if peer.paused:
                del self._turns[session]
                self._resting[session] = peer, now
        self._let_go(now)
        self._fill(now)
        self._give_turns(now)

    def _find_lost(self) -> None:
        """End the runs that a fault of ours left without a place: nobody would ever end their wait."""
        placed = {*self._turns, *self._resting, *self._queued}
        for session in list(self._known):
            if session not in placed:
                session.fail(Unavailable("The server lost this run's process. Reload the page to play on."))

    def _patience(self) -> float | None:
        """Return the seconds until something is due, None when nothing is."""
        now = time.monotonic()
        due = [peer.deadline for peer in self._peers() if peer.deadline is not None]
        due += [began + HUNG for _, began in self._turns.values() if began + HUNG > now]
        due += [since + QUEUED for session, since in self._queued.items() if not session.background]
        if self._retry > now:
            due.append(self._retry)
        return max(0.0, min(due) - now) if due else None

    def _peers(self) -> list[Peer]:
        return [*(peer for peer, _ in (*self._turns.values(), *self._resting.values())), *self._idle]

    def _let_go(self, now: float) -> None:
        """End what is over, late or gone."""
        for session, since in list(self._queued.items()):
            if session.over or (now > since + QUEUED and not session.background):
                del self._queued[session]
                session.fail(Busy("This run did not get its turn within a minute. Try again later."))
        for peer in self._peers():
            if peer.session is not None and peer.session.over:
                peer.close()
            else:
                if not peer.gone and peer.deadline is not None and now >= peer.deadline:
                    peer.end(now)
                if not peer.gone:
                    continue
                if peer.conclude() and peer.session is not None:
                    self._queued[peer.session] = now
            if peer.session is None:
                self._idle.remove(peer)
                if not peer.ready:
                    self._did_not_come("it ended while starting", now)
            else:
                self._turns.pop(peer.session, None)
                self._resting.pop(peer.session, None)

    def _give_turns(self, now: float) -> None:
        """Give turns, first to the runs that somebody waits for; of these and new ones, to who has waited longest."""
        room = self._size - sum(now < began + HUNG for s, (_, began) in self._turns.items() if not s.background)
        if room <= 0:
            return
        rested = [session for session in self._resting if session.wanted or not session.full]
        ready = [peer for peer in self._idle if peer.free]
        if ready:
            self._failed = 0
        places = min(len(ready), self._most - len(self._turns) - len(self._resting))
        fresh = sorted(self._queued, key=_in_background)[: max(places, 0)]
        waits = {session: self._queued[session] for session in fresh}
        waits |= {session: self._resting[session][1] for session in rested if session.wanted}
        first = [*sorted(waits, key=waits.__getitem__), *(session for session in rested if not session.wanted)]
        last = [session for session in first if session.background]
        if any(session.background for session in self._turns):
            last = []  # one at a time
        for session in [*(session for session in first if not session.background), *last[:1]][:room]:
            peer, _ = self._resting.pop(session, (None, 0.0))
            if peer is None:
                peer = ready.pop()
                self._idle.remove(peer)
                del self._queued[session]
                peer.begin(session)
            self._turns[session] = peer, now
            peer.go()

    def _fill(self, now: float) -> None:
        """Start children: the spare ones, and some for the runs that have none."""
        needed = min(len(self._queued), self._size, self._most - len(self._turns) - len(self._resting))
        while len(self._idle) < self._spares + needed and now >= self._retry:
            try:
                self._idle.append(Peer(self._selector, self._starter))
            except OSError as error:
                self._did_not_come(str(error), now)

    def _did_not_come(self, why: str, now: float) -> None:
        if now >= self._retry:  # those that end together, with the process that forked them, have one reason
            self._failed += 1
        self._retry = now + RETRY
        log.error("no process for a simulation: %s", why)
        if self._failed >= ATTEMPTS:
            for session in self._queued:
                session.fail(Unavailable("No process could be started for this run. The server's log says why."))


def _in_background(session: Session) -> bool:
    return session.background
