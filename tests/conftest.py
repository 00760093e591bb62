"""Fixtures for every test: an app on a folder of its own, and a real server on a free port."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import Postgres
from tests.wire import Wire

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from webapp import Services

# The machine that runs the tests may be slow or busy: no example fails for the time it took. The same examples come
# each time, so that a change is judged by what it changed; EXPLORE=1 in the environment looks for new ones.
settings.register_profile(
    "tapedeck",
    deadline=None,
    derandomize=not os.environ.get("EXPLORE"),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("tapedeck")


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The app's folders, empty: home, data and strategies."""
    made = {name: tmp_path / name for name in ("home", "data", "strategies")}
    for folder in made.values():
        folder.mkdir()
    return made


@pytest.fixture
def app(folders: dict[str, Path]) -> Iterator[Flask]:
    """The app with its own database, no strategies but the bundled ones, and no Yahoo."""
    app = make_app(folders)
    yield app
    app.extensions["tapedeck"].store.database.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Flask's test client: no server, no sockets."""
    return app.test_client()


@pytest.fixture
def services(app: Flask) -> Services:
    """What the views share: feeds, catalog and store."""
    return app.extensions["tapedeck"]


@pytest.fixture
def live_url(app: Flask) -> Iterator[str]:
    """The address of a real threaded server, such as http://127.0.0.1:40123."""
    with serving(app) as url:
        yield url


@pytest.fixture
def ws_connect(live_url: str) -> Iterator[Callable[..., Wire]]:
    """A function that opens a socket to the stream of `live_url`, and sends the messages that it is given."""
    opened: list[Wire] = []

    def connect(*messages: Any, **options: Any) -> Wire:
        wire = Wire(live_url, **options)
        opened.append(wire)
        for message in messages:
            wire.send(message)
        return wire

    yield connect
    for wire in opened:
        wire.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, started when the first test asks for it."""
    server = Postgres()
    yield server
    server.remove()


def make_app(folders: dict[str, Path], **overrides: Any) -> Flask:
    """Return an app that keeps everything in `folders`."""
    from webapp import create_app  # here, so that the engine's tests do without Flask

    return create_app(
        {
            "HOME": str(folders["home"]),
            "DATA_DIR": str(folders["data"]),
            "STRATEGIES_DIR": str(folders["strategies"]),
            "SECRET_KEY": "only for tests",
            "YAHOO": False,
            **overrides,
        }
    )


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve `app` in threads of this process on a free port of 127.0.0.1; give its address."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, _whole(app), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _whole(app: Flask) -> Callable[..., list[bytes]]:
    """Read each answer before it is written: Werkzeug's server forgets to close a file when the browser has left."""

    def call(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answer = app(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            if hasattr(answer, "close"):
                answer.close()

    return call
