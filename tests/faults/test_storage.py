"""Storage that fails: a full disk, a locked or damaged database, folders that cannot be written to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, update

from engine.feeds import loader
from tests.build import random_bars
from tests.conftest import make_app, serving
from tests.engine.feeds import yahoo_server
from tests.faults.watching import Watcher
from tests.webapp.pages import Page, get, send, start
from tests.wire import Wire
from webapp import database
from webapp.tables import bars, metadata

CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "speed": 5}
BARS = 122
NO_SPACE = "There is no space to store the run. Free some disk space on the server and try again."
BUSY = "The database is busy: another process is writing to it. Try again in a few seconds."


def can_mount() -> bool:
    """Say whether this process may make a file system: root may, unless a container forbids it."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
        return done.returncode == 0 and subprocess.run(["umount", "-l", folder], check=False).returncode == 0


@pytest.fixture
def app(folders):
    """An app that does not wait long for a database."""
    app = make_app(folders, LOCK_TIMEOUT=0.1)
    yield app
    app.extensions["tapedeck"].store.database.close()


@pytest.fixture
def path(folders) -> Path:
    """The file of the database."""
    return folders["home"] / "tapedeck.sqlite3"


def rows(path: Path) -> dict[str, int]:
    """Return how many rows each table has, of a database that is whole."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in metadata.tables}


def refusal(url: str, **config) -> dict:
    """Return the error with which a start is refused."""
    wire = Wire(url)
    wire.send({"action": "start_backtest", "config": CONFIG | config})
    (answer,) = wire.rest()
    assert answer["type"] == "error"
    return answer


@pytest.fixture
def pages() -> Iterator[list[int]]:
    """How many pages a database may have, whoever writes to it: as many as it likes until a test says otherwise."""
    most = [2**30]

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={most[0]}")

    event.listen(Engine, "begin", limit)
    yield most
    event.remove(Engine, "begin", limit)


@contextmanager
def full(path: Path, pages: list[int]) -> Iterator[None]:
    """Let the database grow no further, as on a full disk."""
    with closing(sqlite3.connect(path)) as connection:
        pages[0] = connection.execute("PRAGMA page_count").fetchone()[0]
    yield
    pages[0] = 2**30


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have another process hold the database for itself."""
    code = (
        "import sqlite3, sys\n"
        f"connection = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        "connection.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        yield
        holder.stdin.close()


def assert_refused_but_playing(app, url: str, path: Path, trouble, message: str) -> None:
    """Hold new runs to be refused and old streams to go on while there is `trouble`, and all to be well after it."""
    client = app.test_client()
    expected = Watcher(CONFIG | {"speed": "instant"}).connect(url).watch().seen
    playing = [Watcher(CONFIG, frames=frames).connect(url).until_bar(10).pause() for frames in (False, True)]
    before = rows(path)
    size = {"symbol": "SYNTH:50000", "period": "max", "interval": "1m"}  # more than fits into pages that are free
    with trouble:
        refused = send(client, size)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert message in Page(refused).text("main")
        assert refusal(url, **size)["message"] == message
        for watcher in playing:
            watcher.wire.send({"action": "speed", "value": "instant"})
            watcher.wire.send({"action": "play"})
            watcher.watch()
            assert len(watcher.candles) == BARS and watcher.complete is not None
        assert get(client, "/").one("#backtest-form")
    after = rows(path)
    assert [after[name] for name in ("bars", "sources", "runs")] == [
        before[name] for name in ("bars", "sources", "runs")
    ]
    assert start(client, size)
    again = Watcher(CONFIG)
    again.run = playing[0].run
    assert again.connect(url, speed="instant").watch().seen == expected == playing[0].seen
    assert app.extensions["tapedeck"].store.run(again.run).status == "completed"


def test_on_a_full_disk_streams_go_on_and_new_runs_are_refused(app, live_url, path, pages):
    assert_refused_but_playing(app, live_url, path, full(path, pages), NO_SPACE)


def test_while_another_process_holds_the_database_streams_go_on_and_new_runs_are_refused(app, live_url, path):
    assert_refused_but_playing(app, live_url, path, locked(path), BUSY)


@pytest.mark.skipif(not can_mount(), reason="only root may make a small file system")
def test_a_small_file_system_that_is_full_loses_nothing(folders, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(disk)], check=True)
    try:
        app = make_app(folders | {"home": disk / "home"}, LOCK_TIMEOUT=0.1)
        path = disk / "home" / "tapedeck.sqlite3"
        with serving(app) as url:
            assert_refused_but_playing(app, url, path, filled(disk), NO_SPACE)
        app.extensions["tapedeck"].store.database.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a file system to its last byte."""
    file = disk / "ballast"
    with file.open("wb", buffering=0) as ballast:
        size = 1 << 16
        while size:
            try:
                ballast.write(bytes(size))
            except OSError:
                size //= 2
    yield
    file.unlink()


def test_a_home_that_cannot_be_written_to_is_told_and_the_form_still_works(folders, caplog):
    shutil.rmtree(folders["home"])
    folders["home"].write_text("in the way")
    app = make_app(folders)
    client = app.test_client()
    assert get(client, "/").one("#backtest-form")
    refused = send(client)
    assert refused.status_code == 503
    assert "Make the folder of TAPEDECK_HOME writable and try again." in Page(refused).text("main")
    assert str(folders["home"]) not in refused.text
    with serving(app) as url:
        assert refusal(url)["code"] == "store_unavailable"
    folders["home"].unlink()
    assert send(client).status_code == 303  # without a restart
    app.extensions["tapedeck"].store.database.close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_database_on_a_network_disk_is_refused_with_what_to_do(folders, tmp_path, monkeypatch, kind):
    mounts = tmp_path / "mounts"
    place = str(folders["home"].resolve()).replace(" ", "\\040")
    mounts.write_text(f"none / ext4 rw 0 0\nserver:/share {place} {kind} rw 0 0\nnone /proc proc rw 0 0\n")
    monkeypatch.setattr(database, "MOUNTS", mounts)
    app = make_app(folders)
    refused = send(app.test_client())
    assert refused.status_code == 503
    told = Page(refused).text("main")
    assert f"network disk ({kind})" in told and "TAPEDECK_DATABASE_URL" in told and "TAPEDECK_HOME" in told
    mounts.write_text(f"none / ext4 rw 0 0\nserver:/share {place}-not {kind} rw 0 0\n")
    assert start(app.test_client())  # without a restart
    app.extensions["tapedeck"].store.database.close()


@pytest.mark.parametrize("name", ["data", "strategies"])
def test_a_folder_that_is_none_takes_nothing_from_the_rest(folders, name):
    shutil.rmtree(folders[name])
    folders[name].write_text("in the way")
    app = make_app(folders)
    client = app.test_client()
    assert get(client, "/strategies").all(".strategy")
    assert start(client)
    app.extensions["tapedeck"].store.database.close()


def test_a_cache_that_cannot_be_written_to_takes_nothing_from_a_run(folders):
    (folders["home"] / "cache").write_text("in the way")
    app = make_app(folders)
    assert start(app.test_client())
    app.extensions["tapedeck"].store.database.close()


def test_damaged_bars_in_the_cache_are_fetched_again_and_the_run_says_so(folders, monkeypatch):
    with yahoo_server.serving() as yahoo:
        monkeypatch.setattr(loader, "ADDRESS", yahoo.url)
        days = yahoo_server.openings("2024-04-01", 40)
        yahoo.answers["DAMAGED"] = lambda query: yahoo_server.chart(days, [100.0 + n for n in range(40)])
        app = make_app(folders, YAHOO=True)
        client, store = app.test_client(), app.extensions["tapedeck"].store
        dates = {"symbol": "DAMAGED", "period": "", "start_date": "2024-04-01", "end_date": "2024-05-25"}
        first = store.bars(store.run(start(client, dates)))
        (saved,) = (folders["home"] / "cache" / "bars").glob("*.bars")
        saved.write_bytes(saved.read_bytes()[:-10])
        again = store.bars(store.run(start(client, dates)))
        assert again.close.tolist() == first.close.tolist()
        assert "The saved bars were damaged and have been fetched again." in again.notes
        store.database.close()


@pytest.mark.parametrize("part", ["head", "middle"])
def test_a_damaged_database_is_told_on_every_page(folders, path, part):
    app = make_app(folders)
    run = start(app.test_client())
    app.extensions["tapedeck"].store.database.close()
    content = bytearray(path.read_bytes())
    at = 0 if part == "head" else 4096
    content[at : at + (512 if part == "head" else len(content))] = b"\xff" * (
        512 if part == "head" else len(content) - at
    )
    path.write_bytes(content)
    app = make_app(folders)
    client = app.test_client()
    for response in (client.get("/runs"), client.get(f"/runs/{run}"), send(client)):
        assert response.status_code == 503
        assert "The database file is damaged. Restore it from a backup" in Page(response).text("main")
        assert str(path) not in response.text
    app.extensions["tapedeck"].store.database.close()
    path.rename(path.with_suffix(".damaged"))
    app = make_app(folders)
    assert start(app.test_client())
    app.extensions["tapedeck"].store.database.close()


def test_damaged_bars_of_one_run_are_told_and_harm_no_other(folders, client, services):
    run = start(client)
    with services.store.database.write() as connection:
        connection.execute(update(bars).values(parquet=b"PAR1 and then nothing"))
    app = make_app(folders)  # which has not seen the bars before
    client = app.test_client()
    response = client.get(f"/runs/{run}/stats")
    assert response.status_code == 503 and "The bars of this run are damaged" in response.text
    with serving(app) as url:
        wire = Wire(url)
        wire.send({"action": "start_backtest", "run": run})
        assert [message["code"] for message in wire.rest()] == ["store_unavailable"]
    assert start(client, {"symbol": "GOOG"})
    app.extensions["tapedeck"].store.database.close()


def test_the_log_of_the_database_stays_small(services, path, client):
    store = services.store
    entry = services.catalog.find("sma_cross")
    run = store.run(start(client))
    big = random_bars(1_200_000)
    store.create_run(run.config, big, entry)  # one transaction of some 40 MB
    for bar in range(20):
        store.save_playhead(run.id, bar)
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size <= 16 * 1024**2
    for number in range(300):
        store.create_run(run.config, random_bars(2_000, seed=number), entry)
    assert log.stat().st_size <= 16 * 1024**2
