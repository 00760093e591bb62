"""Pool: warm children, a queue of runs, and one thread that talks to all of them."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from engine.bars import Bars
from engine.catalog import Description, Entry
from engine.errors import ConfigError, EngineError
from engine.remote import inspection, inspector, proofs, whys, wire
from engine.remote.host import Busy, Host, Unavailable
from engine.remote.limits import Limits
from engine.remote.processes import FORK
from engine.remote.session import Session
from engine.remote.twin import RemoteSimulation
from engine.strategy_files import digest_of

__all__ = ["Busy", "Pool", "TooLong", "Unavailable", "shared"]


_CHECKED = 1_000  # verdicts on parameters that are kept


class TooLong(EngineError):
    """A question about a run was not answered in time."""

    code = "too_long"


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
        self._checked: dict[tuple[str, str, str], tuple[str, str | None] | None] = {}
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
        before_wait: Callable[[], object] | None = None,
    ) -> RemoteSimulation:
        """Return a simulation of `entry`, once its `init` has run; the arguments are those of Simulation.

        `patience` and `before_wait` are those of RemoteSimulation.

        Raises:
            StrategyError: the strategy's `init` failed, hung, or ended its process.
            ConfigError: a setting or parameter is out of range, or the source does not import.
            Busy: too many runs wait.
            Unavailable: no process can be started, or the pool is closed.
        """
        session = self._submit(self._job(bars, entry, params, settings, indicators), bars, entry)
        return RemoteSimulation(session, bars, dict(settings or {}), patience=patience, before_wait=before_wait)

    def ask(
        self,
        kind: type[whys.T],
        bars: Bars,
        entry: Entry,
        params: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        indicators: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        patience: float | None = None,
        **details: Any,
    ) -> whys.T:
        """Return what `engine.why` says of a run: an Explanation, a Survey or a trade's reasons.

        `details` are further arguments of the function that gives an answer of `kind`, such as `bar`.

        Raises:
            TooLong: it takes more than `patience` seconds.
            EngineError: as for `simulation`, or there is no such bar or trade.
        """
        job = self._job(bars, entry, params, settings, indicators)
        session = self._submit(job._replace(why=whys.question(kind, **details)), bars, entry)
        try:
            answer = session.await_reply(patience)
            if answer is None:
                raise TooLong(f"The strategy takes too long: there was no answer within {patience:g} s.")
            return whys.read_answer(kind, answer)
        except wire.Damaged as error:
            raise session.damage() from error
        finally:
            session.close()

    def prove(
        self,
        bars: Bars,
        entry: Entry,
        params: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> proofs.Proving:
        """Have the look-ahead proof of a run made, whenever no run wants the processor; return it as it begins.

        Raises:
            Busy: too many runs wait.
        """
        host = self._running()
        job = self._job(bars, entry, params, settings, None)._replace(why=proofs.question())
        session = proofs.Proving(job, entry.class_name or entry.title, len(bars), self.limits, host.wake)
        host.submit(session)
        return session

    def _job(
        self,
        bars: Bars,
        entry: Entry,
        params: Mapping[str, Any] | None,
        settings: Mapping[str, Any] | None,
        indicators: Mapping[str, Mapping[str, Any]] | None,
    ) -> wire.Job:
        columns, about = wire.describe(bars)
        return wire.Job(
            columns, about, entry.name, entry.source, None if entry.path is None else str(entry.path), entry.bundled,
            dict(params or {}), dict(settings or {}), dict(indicators or {}), self.limits.memory, self.limits.output,
        )  # fmt: skip

    def _submit(self, job: wire.Job, bars: Bars, entry: Entry) -> Session:
        host = self._running()
        name = entry.class_name or entry.title
        session = Session(job, name, len(bars), self.limits, host.wake)
        host.submit(session)
        return session

    def describe(self, source: str, stem: str, path: Path) -> Description:
        """Have a strategy file imported and described; a Catalog takes this method."""
        known = {"source": source, "digest": digest_of(source), "path": path}
        asked = inspection.Inspection(stem, source, str(path), None, self.limits.memory, self.limits.output)
        return inspector.Described(self._inspect(asked), known)

    def check(self, entry: Entry, params: Mapping[str, Any]) -> None:
        """Let a strategy check its parameters together; what it said of the same ones before still holds.

        Raises:
            ConfigError: it refuses them, or cannot check them.
            EngineError: it did not get its turn.
        """
        key = entry.digest, entry.name, repr(sorted(params.items()))
        if key not in self._checked:
            path = None if entry.path is None else str(entry.path)
            asked = inspection.Inspection(
                entry.name, entry.source, path, dict(params), self.limits.memory, self.limits.output
            )
            found = inspector.refusal(self._inspect(asked, entry.class_name or entry.title))
            if len(self._checked) >= _CHECKED:
                self._checked.clear()
            self._checked[key] = found
        if (refused := self._checked[key]) is not None:
            raise ConfigError(refused[0], field=refused[1])

    def _inspect(self, asked: inspection.Inspection, name: str = "The file") -> inspector.Inspector:
        host = self._running()
        session = inspector.Inspector(asked, self.limits, host.wake, name)
        try:
            host.submit(session)
        except Busy as error:
            session.fail(error)
        return session

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
