"""Lease: which runs this process plays, told to the database, so that one whose server has died can be told apart.

A run that is played has the mark of its process. On the same machine (Linux) the mark says at once whether the process
lives; elsewhere it counts as alive while it keeps telling the database so.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import weakref
from collections import Counter
from contextlib import suppress
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection, Float, delete, literal_column, select, update

from webapp.database import Database, StoreError
from webapp.tables import owners, runs

BEAT = 15.0  # s between two signs of life
EXPIRES = 60.0  # s without one, after which a process counts as dead
READY, RUNNING = "ready", "running"

log = logging.getLogger(__name__)


class Lease:
    """The runs that this process plays. Playing never waits for it: a thread does the writing."""

    def __init__(self, database: Database):
        self._database = weakref.proxy(database)
        self._held: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        database.on_close(self.stop)

    def hold(self, id: str) -> None:
        """Say that a stream of this run has begun here."""
        with self._changed:
            if self._pid != os.getpid():
                self._thread, self._pid, self._writing = None, os.getpid(), threading.Lock()
            self._held[id] += 1
            if self._thread is None:
                thread = threading.Thread(target=self._beat, name="lease", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify_all()

    def release(self, id: str) -> bool:
        """Say that a stream of this run has ended here; return whether it was the last one."""
        with self._changed:
            self._held -= Counter((id,))
            last = id not in self._held
            if not self._held:
                self._changed.notify_all()
        with self._writing:  # what is being written may say that it is still played: let that come first
            return last

    def stop(self) -> None:
        """End the thread; the next `hold` starts it again."""
        with self._changed:
            thread = self._thread if self._pid == os.getpid() else None
            self._held.clear()
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _beat(self) -> None:
        while True:
            with self._changed:
                if not self._held:
                    self._thread = None
                    return
            known = self._write()
            with self._changed:
                self._changed.wait_for(partial(self._is_news, known), BEAT)

    def _is_news(self, known: set[str]) -> bool:
        return not self._held or not known.issuperset(self._held)

    def _write(self) -> set[str]:
        """Tell the database what is played, and return it."""
        with self._writing:
            with self._changed:
                held = list(self._held)
            try:
                with self._database.write() as connection:
                    sign(connection, held)
            except (StoreError, ReferenceError) as error:
                log.warning("it could not be told that %d runs are played: %s", len(held), error)
            return set(held)


def sign(connection: Connection, ids: list[str]) -> None:
    """Mark runs as played by this process, and this process as alive; forget those that died long ago."""
    now = database_now(connection.dialect.name)
    if not connection.execute(update(owners).where(owners.c.id == mark()).values(seen=now)).rowcount:
        connection.execute(owners.insert().values(id=mark(), seen=now))
        connection.execute(delete(owners).where(owners.c.seen < now - 1000 * EXPIRES))
    mine = update(runs).where(runs.c.id.in_(ids), runs.c.status.in_((READY, RUNNING)))
    connection.execute(mine.values(status=RUNNING, owner=mark()))


def alive(owner: str | None, seen: float | None, now: float) -> bool:
    """Say whether the process behind a mark still plays."""
    if owner is None:
        return False
    machine, pid, started = owner.split("-")
    if machine == _machine() and started != "0":
        return _started(int(pid)) == started
    return seen is not None and now - seen < EXPIRES


def mark() -> str:
    """Return the mark of this process."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


def database_now(dialect: str) -> Any:
    """Return the database's own time in epoch seconds: the clocks of several machines differ."""
    if dialect == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
    return literal_column("extract(epoch from clock_timestamp())::float8", Float)


def seen_now(dialect: str) -> Any:
    """Return the query columns `seen` and `now` that `alive` needs."""
    seen = select(owners.c.seen).where(owners.c.id == runs.c.owner).scalar_subquery()
    return seen.label("seen"), database_now(dialect).label("now")


@cache
def _machine() -> str:
    """Return what tells this machine, since it was started, and this container from others."""
    about = [socket.gethostname()]
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        about.append(file.read())
    with suppress(OSError):
        about.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:16]


def _started(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; "0" when there is none, or that is not known."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat") as file:
        state, *rest = file.read().rpartition(")")[2].split()
        if state not in "ZX":  # dead, and not yet buried
            return rest[18]
    return "0"
