"""Leases: a run that somebody watches is told from one whose server died while somebody did."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import update

from engine.catalog import Catalog
from engine.config import BacktestConfig
from tests.build import random_bars
from tests.webapp.pages import get, start
from webapp import lease
from webapp.store import Store
from webapp.tables import owners, runs

PATIENCE = 30.0


@pytest.fixture
def store(url):
    """An empty store, in each kind of database."""
    store = Store(url)
    yield store
    store.database.close()


@pytest.fixture
def run(store):
    """The id of a stored run."""
    return store.create_run(BacktestConfig(), random_bars(5), Catalog().find("sma_cross")).id


def until(holds) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        threading.Event().wait(0.01)


def test_a_run_is_running_while_a_stream_of_it_is_held(store, run):
    store.lease.hold(run)
    store.lease.hold(run)
    until(lambda: store.run(run).status == "running")
    assert not store.lease.release(run)
    store.save_playhead(run, 2)
    assert store.run(run).status == "running"
    assert store.lease.release(run)
    store.save_playhead(run, 3, left=True)
    assert (store.run(run).status, store.run(run).playhead) == ("ready", 3)


def test_a_run_that_is_left_at_once_does_not_stay_running(store, run):
    for _ in range(50):
        store.lease.hold(run)
        assert store.lease.release(run)
        store.save_playhead(run, 0, left=True)
        assert store.run(run).status == "ready"


def test_a_run_that_completes_or_fails_while_it_is_held_stays_so(store, run):
    store.lease.hold(run)
    until(lambda: store.run(run).status == "running")
    store.complete(run, {"metrics": {}})
    store.lease.hold(run)
    store.lease.release(run)
    store.lease.release(run)
    store.save_playhead(run, 5, left=True)
    assert store.run(run).status == "completed"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a mark does not say when its process was started")
def test_a_run_whose_process_was_killed_is_interrupted_at_once_and_can_be_held_again(store, run, url):
    code = (
        "import os, sys\nfrom webapp.store import Store\n"
        f"store = Store({url!r})\n"
        f"store.lease.hold({run!r})\n"
        f"while store.run({run!r}).status != 'running': pass\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert store.run(run).status == "interrupted"
    assert [one.status for one in store.runs()] == ["interrupted"]
    store.lease.hold(run)
    until(lambda: store.run(run).status == "running")


def test_a_run_on_another_machine_lives_while_that_machine_says_so(store, run):
    store.lease.hold(run)
    until(lambda: store.run(run).status == "running")
    store.lease.stop()
    with store.database.write() as connection:
        connection.execute(update(runs).values(owner="another-1-2"))
    assert store.run(run).status == "interrupted"  # it has never said a word
    with store.database.write() as connection:
        now = lease.database_now(connection.dialect.name)
        connection.execute(owners.insert().values(id="another-1-2", seen=now))
    assert store.run(run).status == "running"
    with store.database.write() as connection:
        connection.execute(update(owners).values(seen=owners.c.seen - 2 * lease.EXPIRES))
    assert store.run(run).status == "interrupted"


def test_a_process_that_plays_keeps_saying_so(store, run, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.01)

    def seen() -> float:
        with store.database.read() as connection:
            return connection.scalar(owners.select().with_only_columns(owners.c.seen)) or 0.0

    store.lease.hold(run)
    until(lambda: seen() > 0)
    before = seen()
    until(lambda: seen() > before)


def test_a_database_that_is_away_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = Store(f"sqlite:///{tmp_path}/file/tapedeck.sqlite3")
    store.lease.hold("x" * 22)
    assert store.lease.release("x" * 22)
    store.database.close()


def test_the_list_of_runs_says_what_is_played_and_what_was_interrupted(client, services):
    interrupted, played = start(client), start(client)
    with services.store.database.write() as connection:
        lease.sign(connection, [interrupted, played])
        connection.execute(update(runs).where(runs.c.id == interrupted).values(owner="another-1-2"))
    chips = [chip.get_text() for chip in get(client, "/runs").all(".chip")]
    assert chips == ["Playing", "Interrupted"]
    assert get(client, f"/runs/{interrupted}").status == 200
