"""The store: what it keeps, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, func, select, update

from engine.catalog import Catalog
from engine.config import BacktestConfig
from engine.errors import StrategyError
from tests import build
from tests.conftest import make_app
from webapp import settings
from webapp.database import migrate
from webapp.store import Store, StoreError, UnknownRun
from webapp.tables import metadata, runs

ROOT = Path(__file__).resolve().parents[2]
ROWS = {"bars": 2, "sources": 1, "runs": 4, "results": 0}
FIRST = ("bars", "sources", "runs")  # tables of the first version, as they depend on each other
CONFIG = BacktestConfig(params={"fast": 3, "slow": 9}, indicators={"RSI": {"window": 14}}, speed="instant")


@pytest.fixture
def store(url):
    """A store that is empty and does not wait long for others."""
    with closing(url) as store:
        yield store


@pytest.fixture
def sqlite(path):
    """A store in an SQLite file, for what only happens to files."""
    with closing(f"sqlite:///{path}") as store:
        yield store


class closing:
    """A store for a `with` block."""

    def __init__(self, url: str):
        self.store = Store(url, lock_timeout=0.05)

    def __enter__(self) -> Store:
        return self.store

    def __exit__(self, *error: object) -> None:
        self.store.database.close()


@pytest.fixture
def entry():
    """A strategy to store."""
    return Catalog().find("sma_cross")


def test_a_run_comes_back_as_it_was_stored(url, store, entry):
    bars = build.random_bars(50, symbol="X", interval="1d", source="your file X-1d.csv")
    run = store.create_run(CONFIG, bars, entry)
    assert len(run.id) == 22
    with closing(url) as other:
        assert other.run(run.id) == run
        assert other.bars(run) == bars
        assert other.strategy_text(run) == entry.source
    assert run.config == CONFIG
    assert (run.status, run.playhead, run.error, run.results) == ("ready", 0, None, None)
    assert (run.total_bars, run.first_time, run.last_time) == (50, bars.time[0], bars.time[-1])
    assert (run.title, run.source, run.synthetic) == ("SMA cross", "your file X-1d.csv", False)
    assert run.range == "2024-01-01 to 2024-02-19"


def test_the_range_is_told_where_the_bars_were_traded(store, entry):
    opens = build.random_bars(3, start="2024-01-01T23:00", step=3_600, timezone="Asia/Tokyo", interval="1h")
    intraday = store.create_run(BacktestConfig(interval="1h"), opens, entry)
    assert (intraday.timezone, intraday.range) == ("Asia/Tokyo", "2024-01-02 to 2024-01-02")
    days = build.random_bars(3, timezone="America/New_York", interval="1d")
    assert store.create_run(BacktestConfig(), days, entry).range == "2024-01-01 to 2024-01-03"


def test_equal_bars_and_sources_are_kept_once(store, entry):
    bars = build.random_bars(50)
    for fast in (1, 2, 3):
        store.create_run(BacktestConfig(params={"fast": fast}), bars, entry)
    store.create_run(CONFIG, build.random_bars(50, seed=1), entry)
    with store.database.read() as connection:
        counts = {name: connection.scalar(select(func.count()).select_from(metadata.tables[name])) for name in ROWS}
    assert counts == ROWS


def test_runs_are_listed_newest_first_a_page_at_a_time(store, entry):
    ids = [store.create_run(CONFIG, build.random_bars(5), entry).id for _ in range(5)]
    first = store.runs(2)
    second = store.runs(2, before=first[-1].number)
    last = store.runs(2, before=second[-1].number)
    assert [run.id for page in (first, second, last) for run in page] == ids[::-1]


def test_results_are_added_once_and_never_replaced(store, entry):
    run = store.create_run(CONFIG, build.random_bars(5), entry)
    store.save_playhead(run.id, 3)
    assert store.run(run.id).playhead == 3
    store.complete(run.id, {"metrics": {"pnl": 1.0}})
    store.complete(run.id, {"metrics": {"pnl": 2.0}})
    store.fail(run.id, StrategyError("late"))
    done = store.run(run.id)
    assert (done.status, done.playhead, done.error) == ("completed", 5, None)
    assert done.results == {"metrics": {"pnl": 1.0}}


def test_a_failure_keeps_what_it_was_and_where(store, entry):
    run = store.create_run(CONFIG, build.random_bars(5), entry)
    store.fail(run.id, StrategyError("boom", file="mine.py", line=7, bar=3))
    failed = store.run(run.id)
    assert failed.status == "failed"
    assert failed.error == {
        "code": "strategy_error",
        "message": "boom",
        "file": "mine.py",
        "line": 7,
        "bar": 3,
        "hung": False,
    }


def test_one_key_makes_one_run_of_one_setup(store, entry):
    bars = build.random_bars(5)
    first = store.create_run(CONFIG, bars, entry, key="k")
    assert store.create_run(CONFIG, bars, entry, key="k") == first
    assert store.create_run(CONFIG, bars, entry, key="other").id != first.id
    assert store.create_run(BacktestConfig(), bars, entry, key="k").id != first.id
    assert store.create_run(CONFIG, build.random_bars(6), entry, key="k").id != first.id


def test_an_id_tells_nothing_of_the_others(store, entry):
    bars = build.random_bars(5)
    ids = [store.create_run(CONFIG, bars, entry).id for _ in range(40)]
    assert len(set(ids)) == 40
    columns = list(zip(*ids, strict=True))[:21]  # of 6 bits each; the last holds 2
    assert all(len(set(column)) > 10 for column in columns)  # by chance one in 10**15 times


@pytest.mark.parametrize("id", ["", "x", "a" * 22, "a" * 23, "' OR 1=1 --", "\ud800" * 22, "\0" * 22])
def test_an_id_that_names_no_run_is_unknown(store, id):
    with pytest.raises(UnknownRun):
        store.run(id)


def test_writers_at_once_wait_for_each_other(url, entry):
    stores = [Store(url, lock_timeout=30) for _ in range(8)]

    def write(store):
        run = store.create_run(CONFIG, build.random_bars(5), entry)
        for bar in range(20):
            store.run(run.id)
            store.save_playhead(run.id, bar)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, stores))
    assert len(stores[0].runs(100)) == 8
    for store in stores:
        store.database.close()


def test_the_migrations_make_the_tables_that_the_code_uses(store):
    with store.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing(url, store, entry):
    run = store.create_run(CONFIG, build.random_bars(5), entry)
    with closing(url) as other:
        other.prepare()
        assert other.run(run.id) == run


def test_servers_that_start_together_share_one_database_and_one_key(tmp_path):
    code = "from webapp import create_app; print(create_app().config['SECRET_KEY'])"
    environ = os.environ | {"TAPEDECK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    done = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * 4, done
    assert len({out for out, _ in done}) == 1
    assert not any(b"ERROR" in err for _, err in done), done
    assert sorted(path.name for path in (tmp_path / "home").glob("*secret*")) == ["secret"]


def test_a_child_process_opens_connections_of_its_own(store, entry):
    run = store.create_run(CONFIG, build.random_bars(5), entry)
    before = store.database._connect()
    parents = before.pool
    store.database._owner = -1  # as a fork leaves it: another process's connections
    assert store.run(run.id) == run
    assert store.database._connect() is not before
    assert parents.checkedin() == 1  # theirs to close
    parents.dispose()


# what goes wrong


def test_a_locked_database_is_told_and_nothing_is_lost(path, sqlite, entry):
    store = sqlite
    run = store.create_run(CONFIG, build.random_bars(5), entry)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"busy.*Try again"):
        store.create_run(CONFIG, build.random_bars(5), entry)
    assert store.run(run.id) == run  # reading goes on
    holder.execute("ROLLBACK")
    holder.close()
    assert store.create_run(CONFIG, build.random_bars(5), entry).status == "ready"
    assert len(store.runs()) == 2


def test_a_database_whose_connections_are_all_in_use_is_told(sqlite, entry, monkeypatch):
    monkeypatch.setattr(sqlite.database._connect().pool, "_timeout", 0.01)
    with contextlib.ExitStack() as held, pytest.raises(StoreError, match=r"busy.*Try again"):
        for _ in range(100):
            held.enter_context(sqlite.database.read())
    assert sqlite.create_run(CONFIG, build.random_bars(5), entry).status == "ready"


def test_a_full_disk_is_told_and_no_half_run_stays(sqlite, entry):
    store = sqlite
    store.create_run(CONFIG, build.random_bars(5), entry)
    with store.database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StoreError, match="no space to store the run"):
        store.create_run(CONFIG, build.random_bars(20_000, seed=2), entry)
    assert len(store.runs()) == 1
    with store.database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert store.create_run(CONFIG, build.random_bars(20_000, seed=2), entry).total_bars == 20_000


def test_a_folder_that_cannot_be_made_is_told_without_its_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with closing(f"sqlite:///{tmp_path}/file/tapedeck.sqlite3") as store:
        store.prepare()  # a server starts all the same
        with pytest.raises(StoreError) as told:
            store.runs()
    assert "writable" in told.value.message and str(tmp_path) not in told.value.message


def test_a_damaged_file_is_told(path):
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 500)
    with closing(f"sqlite:///{path}") as store, pytest.raises(StoreError, match="damaged"):
        store.runs()


def test_a_database_server_that_is_away_is_told_without_its_address():
    store = Store("postgresql+psycopg://user:secret@127.0.0.1:1/none")
    with pytest.raises(StoreError) as told:
        store.runs()
    assert "cannot be reached" in told.value.message
    assert "secret" not in told.value.message and "127.0.0.1" not in told.value.message
    store.database.close()


def test_a_database_that_comes_back_is_used_again(path, entry):
    path.parent.parent.mkdir(exist_ok=True)
    path.parent.write_text("in the way")
    with closing(f"sqlite:///{path}") as store:
        with pytest.raises(StoreError):
            store.runs()
        path.parent.unlink()
        assert store.create_run(CONFIG, build.random_bars(5), entry).status == "ready"


def test_the_visitor_gets_a_page_that_says_to_come_back(folders, tmp_path):
    from tests.webapp.pages import Page, get, send

    (tmp_path / "file").write_text("in the way")
    app = make_app(folders | {"home": tmp_path / "file" / "home"})
    client = app.test_client()
    assert get(client, "/").status == 200  # the form needs no database
    refused = send(client)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "writable" in Page(refused).text(".lead") and str(tmp_path) not in refused.text
    assert client.get("/runs").status_code == 503
    assert client.get("/healthz").status_code == 200
    app.extensions["tapedeck"].store.database.close()


def test_a_stored_configuration_with_names_of_the_future_is_read(store, entry):
    run = store.create_run(CONFIG, build.random_bars(5), entry)
    with store.database.write() as connection:
        connection.execute(update(runs).values(config=CONFIG.to_dict() | {"new": 1}))
    assert store.run(run.id).config == CONFIG


def test_upgrading_from_the_first_version_keeps_every_run(url, tmp_path, entry):
    with closing(f"sqlite:///{tmp_path}/new") as new:
        run = new.create_run(CONFIG, build.random_bars(5), entry)
        with new.database.read() as connection:
            rows = {name: connection.execute(select(metadata.tables[name])).mappings().one() for name in FIRST}
    with closing(url) as store:
        with store.database._connect().begin() as connection:
            migrate(connection, "0001")
            old = MetaData()
            old.reflect(connection)
            for name, row in rows.items():
                table = old.tables[name]
                connection.execute(table.insert().values({column.name: row[column.name] for column in table.columns}))
        upgraded = store.run(run.id)
        assert (upgraded.id, upgraded.config, upgraded.created) == (run.id, run.config, run.created)
        assert store.bars(upgraded) == build.random_bars(5)
        with store.database.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_server_that_dies_and_comes_back_has_lost_nothing(postgres, entry):
    url = settings.database_url(settings.DEFAULTS | {"DATABASE_URL": postgres.make_database()})
    with closing(url) as store:
        run = store.create_run(CONFIG, build.random_bars(5), entry)
        store.complete(run.id, {"metrics": {"pnl": 1.0}})
        postgres.stop()
        try:
            with pytest.raises(StoreError, match="cannot be reached") as told:
                store.create_run(CONFIG, build.random_bars(6), entry)
            assert "127.0.0.1" not in told.value.message
        finally:
            postgres.start()
        assert store.run(run.id).results == {"metrics": {"pnl": 1.0}}
        assert len(store.runs()) == 1


def test_a_table_that_somebody_keeps_locked_is_told_in_time(postgres, entry):
    url = settings.database_url(settings.DEFAULTS | {"DATABASE_URL": postgres.make_database()})
    with closing(url) as store, closing(url) as holder:
        with holder.database.write() as connection:
            connection.exec_driver_sql("LOCK TABLE runs")
            with pytest.raises(StoreError, match=r"busy.*Try again"):
                store.create_run(CONFIG, build.random_bars(5), entry)
        assert store.create_run(CONFIG, build.random_bars(5), entry).status == "ready"
