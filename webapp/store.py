"""Store: the runs, with everything that plays them again, and their results."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection, Row, Select, Table, case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from engine.bars import DATED, Bars
from engine.catalog import Entry
from engine.config import BacktestConfig
from engine.errors import EngineError
from webapp.database import Database, StoreError
from webapp.filters import day
from webapp.lease import READY, RUNNING, Lease, alive, mark, seen_now
from webapp.tables import bars as bars_table
from webapp.tables import results, runs, sources

__all__ = ["Run", "Store", "StoreError", "UnknownRun"]

log = logging.getLogger(__name__)

_LARGEST = 2**63 - 1  # that a database takes
ID = re.compile(r"[A-Za-z0-9_-]{22}")


class UnknownRun(EngineError):
    """No run has that id."""

    code = "unknown_run"


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run. `status` is ready, running (somebody watches it), interrupted (while somebody watched it, its
    server died), completed or failed; times are epoch seconds; `playhead` counts bars, `played` those ever shown.

    `title` is the strategy's, `source` says where the bars came from.
    `error` is what ended a failed run ({code, message, file, line, bar, hung}); `results` what a completed one came to.
    """

    id: str
    number: int
    created: float
    status: str
    config: BacktestConfig
    bars_digest: str
    strategy_digest: str
    total_bars: int
    first_time: int
    last_time: int
    timezone: str | None
    source: str
    title: str
    playhead: int
    played: int
    error: dict[str, Any] | None = None
    results: dict[str, Any] | None = None

    @property
    def range(self) -> str:
        """Return the dates of the first and last bar where they were traded, in words."""
        zone = None if self.config.interval in DATED else self.timezone
        return f"{day(self.first_time, zone)} to {day(self.last_time, zone)}"

    @property
    def synthetic(self) -> bool:
        """Say whether the bars are made up."""
        return self.source.startswith("synthetic")


class Store:
    """Runs in the database at `url`; every call is one short transaction.

    Raises:
        StoreError: from any method, when the database is locked, full, unwritable or away.
    """

    def __init__(self, url: str, *, lock_timeout: float = 5.0):
        self.database = Database(url, lock_timeout)
        self.lease = Lease(self.database)
        self._select = _selection(self.database.url.get_backend_name())
        self._shared: WeakValueDictionary[str, Bars] = WeakValueDictionary()  # by digest: those that are being played
        self._last: Bars | None = None  # a form's estimate, its run and its stream ask in a row

    def prepare(self) -> None:
        """Bring the tables up to date if that is possible now; if not, the first use tries again and tells."""
        try:
            self.database.migrate()
        except StoreError as error:
            log.error("the database cannot be prepared: %s (%s)", error.message, error.__cause__)

    def create_run(self, config: BacktestConfig, bars: Bars, entry: Entry, *, key: str | None = None) -> Run:
        """Store a run, whole, before its first frame.

        Args:
            key: the form's one-time key. The same key with the same run returns the run that is there already, so a
                double click, a reload or a retry makes one.
        """
        row = {
            "id": secrets.token_urlsafe(16),
            "key": key and _submission(key, config, bars.digest, entry.digest),
            "created": time.time(),
            "status": READY,
            "config": config.to_dict(),
            "bars_digest": bars.digest,
            "strategy_digest": entry.digest,
            "total_bars": len(bars),
            "first_time": int(bars.time[0]),
            "last_time": int(bars.time[-1]),
            "timezone": bars.timezone,
            "source": bars.source,
            "title": entry.title,
            "playhead": 0,
            "played": 0,
        }
        try:
            with self.database.write() as connection:
                _keep(connection, bars_table, {"digest": bars.digest}, lambda: {"parquet": bars.to_parquet()})
                _keep(connection, sources, {"digest": entry.digest}, lambda: {"text": entry.source})
                connection.execute(runs.insert().values(row))
        except IntegrityError:
            with self.database.read() as connection:
                found = connection.execute(self._select.where(runs.c.key == row["key"])).first()
            if row["key"] is None or found is None:
                raise
            return _run(found)
        self._last = self._shared.setdefault(bars.digest, bars)
        return self.run(str(row["id"]))

    def run(self, id: str) -> Run:
        """Return the run with this id.

        Raises:
            UnknownRun: there is none.
        """
        row = None
        if ID.fullmatch(id):
            with self.database.read() as connection:
                row = connection.execute(self._select.where(runs.c.id == id)).first()
        if row is None:
            told = "No run is stored under this address. Find it in the list of runs, or start a new one."
            raise UnknownRun(told, field="run")
        return _run(row)

    def runs(self, limit: int = 25, before: int | None = None) -> list[Run]:
        """Return up to `limit` runs, newest first; `before` is the number of the last one already seen."""
        query = self._select.order_by(runs.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(runs.c.number < min(before, _LARGEST))
        with self.database.read() as connection:
            return [_run(row) for row in connection.execute(query)]

    def bars(self, run: Run) -> Bars:
        """Return the very bars that `run` was made with, the same object to all who play them."""
        known = self._shared.get(run.bars_digest)
        if known is not None:
            return known
        with self.database.read() as connection:
            query = select(bars_table.c.parquet).where(bars_table.c.digest == run.bars_digest)
            content = connection.execute(query).scalar_one()
        try:
            bars = Bars.from_parquet(content)
        except Exception as error:  # whatever a reader makes of damaged bytes
            raise StoreError("The bars of this run are damaged in the database. Restore it from a backup.") from error
        self._last = self._shared.setdefault(run.bars_digest, bars)
        return self._last

    def strategy_text(self, run: Run) -> str:
        """Return the text of the strategy's file as it was when `run` was made."""
        with self.database.read() as connection:
            query = select(sources.c.text).where(sources.c.digest == run.strategy_digest)
            return connection.execute(query).scalar_one()

    def save_playhead(self, id: str, bar: int, played: int = 0, *, left: bool = False) -> None:
        """Remember where the run was left, and how far it was `played`, which is at least there.

        One that was not played at all (both are 0) stands where it stood. `left`: this process plays it no longer.
        """
        furthest = max(bar, played)
        ever = case((runs.c.played > furthest, runs.c.played), else_=furthest)
        with self.database.write() as connection:
            if furthest:
                connection.execute(update(runs).where(runs.c.id == id).values(playhead=bar, played=ever))
            if left:
                ours = update(runs).where(runs.c.id == id, runs.c.owner == mark())
                again = case((runs.c.status == RUNNING, READY), else_=runs.c.status)
                connection.execute(ours.values(owner=None, status=again))

    def complete(self, id: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Add a run's results, once: a replay of a completed run changes nothing. Return those that are kept."""
        with self.database.write() as connection:
            _keep(connection, results, {"run_id": id}, lambda: {"completed": time.time(), "content": dict(content)})
            done = update(runs).where(runs.c.id == id)
            ends = {"playhead": runs.c.total_bars, "played": runs.c.total_bars}
            connection.execute(done.values(status="completed", error=None, **ends))
            return connection.execute(select(results.c.content).where(results.c.run_id == id)).scalar_one()

    def fail(self, id: str, error: EngineError) -> None:
        """Keep what ended a run; one that has completed before stays completed."""
        told = {name: getattr(error, name, None) for name in ("code", "message", "file", "line", "bar", "hung")}
        with self.database.write() as connection:
            failed = update(runs).where(runs.c.id == id, runs.c.status != "completed")
            connection.execute(failed.values(status="failed", error=told))


def _selection(dialect: str) -> Select[Any]:
    together = runs.outerjoin(results, results.c.run_id == runs.c.id)
    return select(runs, results.c.content, *seen_now(dialect)).select_from(together)


def _run(row: Row) -> Run:
    values = dict(row._mapping)
    owner, seen, now = (values.pop(name) for name in ("owner", "seen", "now"))
    if values["status"] == RUNNING and not alive(owner, seen, now):
        values["status"] = "interrupted"
    values["results"] = values.pop("content")
    values["config"] = BacktestConfig.from_dict(values["config"])
    del values["key"]
    return Run(**values)


def _submission(key: str, config: BacktestConfig, *digests: str) -> str:
    """A changed form is another run, though the browser kept the key when its user went back."""
    parts = [key, config.to_dict(), *digests]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _keep(connection: Connection, table: Table, identity: dict[str, Any], content: Any) -> None:
    """Insert a row unless it is there; `content()` is asked only when it seems not to be."""
    column, value = next(iter(identity.items()))
    if connection.scalar(select(table.c[column]).where(table.c[column] == value)) is not None:
        return
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values({**identity, **content()}).on_conflict_do_nothing())
