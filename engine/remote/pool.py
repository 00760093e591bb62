"""Pool: warm children, a queue of runs, and one thread that talks to all of them."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Mapping
from functools import cache
from typing import Any

from engine.bars import Bars
from engine.catalog import Entry
from engine.remote import wire
from engine.remote.host import Busy, Host, Unavailable
from engine.remote.limits import Limits
from engine.remote.processes import FORK
from engine.remote.session import Session
from engine.remote.twin import RemoteSimulation

__all__ = ["Busy", "Pool", "Unavailable", "shared"]


class Pool:
    """Runs strategies in children of their own.

    At most `size` of them (the cores, at least 2) compute at a time, in turns; one that hangs gives its place to
    others. At most `queue` more runs wait. `spares` children are kept ready, so that a run starts within milliseconds.
    Nothing is started before the first run, and a process that forks starts a pool of its own.
    """

    def __init__(
        self,
        size: int | None = None,
        limits: Limits | None = None,
        *,
        spares: int = 2,
        queue: int = 1_000,
        fork: bool = FORK,
    ):
        self.size = size or max(2, os.cpu_count() or 1)
        self.limits = limits or Limits()
        self.spares = spares
        self.queue = queue
        self.fork = fork
        self._host: Host | None = None
        self._pid = 0
        self._lock = threading.Lock()
        _pools.add(self)

    def simulation(
        self,
        bars: Bars,
        entry: Entry,
        params: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        indicators: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        patience: float | None = None,
    ) -> RemoteSimulation:
        """Return a simulation of `entry`, once its `init` has run; the arguments are those of Simulation.

        Raises:
            StrategyError: the strategy's `init` failed, hung, or ended its process.
            ConfigError: a setting or parameter is out of range, or the source does not import.
            Busy: too many runs wait.
            Unavailable: no process can be started, or the pool is closed.
        """
        columns, about = wire.describe(bars)
        job = wire.Job(
            columns, about, entry.name, entry.source, None if entry.path is None else str(entry.path), entry.bundled,
            dict(params or {}), dict(settings or {}), dict(indicators or {}), self.limits.memory, self.limits.output,
        )  # fmt: skip
        host = self._running()
        name = entry.strategy.__name__ if entry.strategy else entry.title
        session = Session(job, name, len(bars), self.limits, host.wake)
        host.submit(session)
        return RemoteSimulation(session, bars, dict(settings or {}), patience=patience)

    def warm(self) -> None:
        """Start the spare children now, rather than with the first run."""
        self._running()

    def load(self) -> dict[str, int]:
        """Return how many runs compute, how many wait, and how many children there are."""
        host = self._host if self._pid == os.getpid() else None
        return host.load() if host else {"computing": 0, "waiting": 0, "children": 0}

    def close(self) -> None:
        """End all children; their runs fail. The next run starts the pool again."""
        with self._lock:
            host, self._host = self._host, None
        if host is not None and self._pid == os.getpid():
            host.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> Host:
        with self._lock:
            if self._host is None or self._pid != os.getpid():
                self._host, self._pid = Host(self.size, self.spares, self.queue, self.fork), os.getpid()
            return self._host


@cache
def shared(limits: Limits, queue: int = 1_000) -> Pool:
    """Return the pool of this program for runs with these limits, of which so many may wait."""
    return Pool(limits=limits, queue=queue)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for pool in list(_pools):
        pool.close()


def _forget_locks() -> None:
    # Another thread of the parent may hold one for ever, as far as this process is concerned.
    for pool in list(_pools):
        pool._lock = threading.Lock()
        pool._host = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
