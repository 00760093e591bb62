"""What watches the server: is it alive, is it ready, how is it doing."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import make_app
from tests.webapp.pages import send
from webapp import sockets

CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "speed": "instant"}


def numbers(text: str) -> dict[str, float]:
    """Return each sample's value under its name and labels, such as name{label=value}."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@pytest.fixture
def counted(client):
    """A function that returns how much a number has grown since the test began."""
    before = numbers(client.get("/metrics").text)
    return lambda name: numbers(client.get("/metrics").text)[name] - before.get(name, 0.0)


def test_a_server_that_can_work_says_so(client):
    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {"status": "ok", "database": "ok", "disk": "ok", "streams": "ok"}


def test_a_server_without_its_folder_lives_and_is_not_ready(folders, tmp_path):
    (tmp_path / "file").write_text("in the way")
    app = make_app(folders | {"home": tmp_path / "file" / "home"})
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "writable" in ready.json["database"] and "cannot be written" in ready.json["disk"]
    assert str(tmp_path) not in ready.text
    app.extensions["tapedeck"].store.database.close()


def test_a_full_disk_and_a_server_that_stops_are_not_ready(client, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 3 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert client.get("/readyz").json["disk"] == "Only 3 MB are free."
    monkeypatch.undo()
    monkeypatch.setattr(sockets.switchboard, "draining", True)
    assert (client.get("/readyz").status_code, client.get("/readyz").json["streams"]) == (503, "stopping")


def test_the_numbers_are_for_this_machine_or_behind_the_login(client):
    assert client.get("/metrics").content_type.startswith("text/plain")
    for address in ("/metrics", "/readyz"):
        assert client.get(address, environ_overrides={"REMOTE_ADDR": "10.0.0.9"}).status_code == 403


def test_a_stream_is_counted_with_its_bars_and_how_late_they_were(ws_connect, counted):
    wire = ws_connect(CONFIG | {"speed": 100, "frames": True})
    wire.until("frame")
    assert counted("tapedeck_streams") == 1
    assert counted("tapedeck_simulations_open") == 1
    wire.until("complete")
    wire.send({"action": "stop"})
    wire.rest()
    assert counted("tapedeck_streams_started_total") == 1
    assert counted("tapedeck_bars_total") == 122
    assert counted("tapedeck_runs_total") == 1
    assert counted("tapedeck_simulations_total{outcome=completed}") == 1
    assert counted("tapedeck_stream_lateness_seconds_count") > 0
    assert 0 <= counted("tapedeck_stream_lateness_seconds_sum") < 60


def test_refusals_bugs_and_requests_are_counted(client, ws_connect, counted, monkeypatch):
    ws_connect({"symbol": "NOPE!"}).rest()
    assert counted("tapedeck_errors_total{code=bad_config,where=stream}") == 1
    from webapp import forms

    def fail(*_):
        raise RuntimeError("x")

    monkeypatch.setattr(forms, "validate", fail)
    assert send(client).status_code == 500
    assert counted("tapedeck_errors_total{code=bug,where=page}") == 1
    assert counted("tapedeck_http_requests_total{status=500}") == 1


def test_asking_yahoo_is_counted(folders, counted, monkeypatch):
    monkeypatch.setattr("engine.feeds.yahoo.Yahoo._reach", lambda *_: None)
    monkeypatch.setattr("engine.feeds.loader.ADDRESS", "http://127.0.0.1:1")
    app = make_app(folders, YAHOO=True)
    assert send(app.test_client(), {"symbol": "ZZZZ"}).status_code in (422, 503)
    assert counted("tapedeck_yahoo_fetches_total{outcome=unreachable}") == 1
    app.extensions["tapedeck"].store.database.close()
