"""Peer: a child, seen from the server."""

from __future__ import annotations

import contextlib
import logging
import selectors
import time
from collections import deque

from engine.remote import processes, wire
from engine.remote.session import Session

COMING = 60.0  # s for a child to come up
LAST_WORDS = 2.0  # s for its keeper to report
ROUND = 4 << 20  # bytes read at a time, for the others' sake

log = logging.getLogger("engine.remote")


class Peer:
    """The sockets of one child and what they have said. All of it belongs to the host's thread.

    `deadline` is when it is late. It is `gone` once its keeper has reported or closed; `hangs` once it was late.
    """

    def __init__(self, selector: selectors.BaseSelector, starter: processes.Starter):
        self.data, self._control, self._kill = starter.start()
        self.session: Session | None = None
        self.ready = False
        self.paused = False
        self.gone = False
        self.hangs = False
        self._damaged = False
        self._asked = False  # whether its keeper was asked to end it
        self._heard = False  # whether it has said anything of its run
        self.deadline: float | None = time.monotonic() + COMING
        self._selector = selector
        self._reader = wire.Reader()
        self._outbox: deque[memoryview] = deque()
        self._budget = 0.0
        self._pid = 0
        self._said = b""
        self._listening = True
        selector.register(self.data, selectors.EVENT_READ, self._on_data)
        if self._control is not None:
            selector.register(self._control, selectors.EVENT_READ, self._on_control)

    @property
    def free(self) -> bool:
        """Whether it waits for a run, as far as is known."""
        return self.ready and self._listening and not self.gone

    def begin(self, session: Session) -> None:
        """Send a run to a child that is ready."""
        self.session = session
        self._budget = session.limits.seconds_per_bar
        self._send(session.message())

    def go(self) -> None:
        """Let it compute for a turn."""
        self.paused = False
        self.deadline = time.monotonic() + self._budget
        self._send(wire.pack(wire.GO))

    def end(self, now: float) -> None:
        """End a child that is late: ask where it is, and later do not ask."""
        if self._control is None or self._asked or self._pid == 0:
            self.gone = True
        else:
            self._asked = True
            self.deadline = now + LAST_WORDS
            with contextlib.suppress(OSError):
                self._control.send(b"?")
        self.hangs = self.hangs or self._listening

    def conclude(self) -> bool:
        """Give what is left to the run, and end it if it has not ended itself; say whether to try it again."""
        session = self.session
        while self._listening and not (session is None or session.over):
            if not self._read():
                break
        code, trace = processes.read_report(self._said)
        again = session is not None and not session.over and (session.again() or self._killed(code, session))
        if session is not None and not session.over and not again:
            if self._damaged:
                error = session.damage()
            elif self.hangs:
                error = session.failure(
                    f"did not finish {{unit}} within {self._budget:g} s: it hung {{when}}{{at}}.",
                    trace,
                    hung=True,
                )
            else:
                error = session.failure(f"ended its process ({processes.describe_end(code)}) {{when}}{{at}}.", trace)
            session.fail(error)
        self.close()
        return again

    def _killed(self, code: int | None, session: Session) -> bool:
        """Say whether it was killed before it began: its run is not to blame, the first time."""
        early = (code is None or code < 0) and not (self._heard or self.hangs or self._damaged)
        first, session.killed = not session.killed, session.killed or early
        return early and first

    def close(self) -> None:
        """Hang up: the keeper ends the run and all that is left of it."""
        self._deafen()
        self.data.close()
        if self._control is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self._control)
            self._control.close()
        if self._pid and self.gone and processes.read_report(self._said)[0] is None:
            processes.kill_group(self._pid)  # the keeper was killed
        self._kill()

    def _send(self, pieces: list[bytes | memoryview]) -> None:
        self._outbox.extend(memoryview(piece).cast("B") for piece in pieces if len(piece))
        if self._listening:
            try:
                self._flush()
            except OSError:  # it has just ended; its keeper will say how
                self._lost()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._outbox:
                piece = self._outbox[0]
                sent = self.data.send(piece)
                if sent == len(piece):
                    self._outbox.popleft()
                else:
                    self._outbox[0] = piece[sent:]
        more = selectors.EVENT_WRITE if self._outbox else 0
        self._selector.modify(self.data, selectors.EVENT_READ | more, self._on_data)

    def _on_data(self, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush()
            if mask & selectors.EVENT_READ:
                self._read()
        except OSError:
            self._lost()

    def _read(self) -> bool:
        """Take what has come; say whether anything had."""
        got = 0

        def receive_into(view: memoryview) -> int:
            nonlocal got
            count = self.data.recv_into(view)
            got += count
            return count

        try:
            while got < ROUND and self._listening:
                if message := self._reader.feed(receive_into):
                    self._take(*message)
        except BlockingIOError:
            pass
        except (EOFError, OSError):
            self._lost()
        except wire.Damaged:
            self._deafen()
            self.gone = self._damaged = True
        return got > 0

    def _take(self, kind: bytes, message: bytearray) -> None:
        if self.session is None:
            self.ready = self.ready or kind == wire.READY
            self.deadline = None
            return
        self._heard = True
        if self.hangs:
            pass  # too late: a signal that asks where it is may have woken it
        elif kind == wire.PAUSE:
            self.paused, self.deadline = True, None
        elif kind == wire.OUTPUT:
            self.session.printed += len(message)
            if self.session.printed <= self.session.limits.output:
                text = bytes(message).decode("utf-8", "replace").rstrip("\n")
                if text:
                    log.info("%s prints: %r", self.session.name, text)
        else:
            self.session.put(kind, message)
            self.deadline = time.monotonic() + self._budget

    def _lost(self) -> None:
        """Note that the run has closed its socket: its end should follow."""
        self._deafen()
        self.deadline = time.monotonic() + LAST_WORDS if self._control is not None else 0.0

    def _deafen(self) -> None:
        if self._listening:
            self._listening = False
            self._selector.unregister(self.data)

    def _on_control(self, mask: int) -> None:
        assert self._control is not None
        try:
            said = self._control.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._selector.unregister(self._control)
            self.gone = True
        elif self._pid:
            self._said += said
        else:
            self._pid, self._said = processes.read_pid(said), said[8:]
