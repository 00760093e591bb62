"""The log: ids that lead from a visitor's problem to its entries, and nobody's text that looks like one."""

from __future__ import annotations

import json
import logging

import pytest

from tests.conftest import make_app
from tests.webapp.pages import get, send
from webapp import forms, logs


@pytest.fixture
def said(capsys):
    """A function that returns the lines on standard error since it was last called."""
    return lambda: capsys.readouterr().err.splitlines()


@pytest.fixture
def json_app(folders):
    """An app that writes its log as JSON; the next one writes text again."""
    app = make_app(folders, LOG_FORMAT="json")
    yield app
    make_app(folders).extensions["tapedeck"].store.database.close()
    app.extensions["tapedeck"].store.database.close()


def test_a_stream_logs_under_its_request_and_its_run(ws_connect, said):
    wire = ws_connect({"symbol": "AAPL", "period": "5d", "speed": "instant"})
    run = wire.rest()[0]["run"]
    entries = [line for line in said() if f" {run}]" in line]
    assert any("stream started" in line for line in entries) and any("completed: 5 bars" in line for line in entries)
    assert len({line.split("[")[1].split()[0] for line in entries}) == 1  # one request


def test_json_entries_have_the_ids_and_the_traceback(json_app, said, monkeypatch):
    def fail(*_):
        raise RuntimeError('told "in" the\nlog')

    monkeypatch.setattr(forms, "validate", fail)
    said()
    answer = send(json_app.test_client())
    (entry,) = [json.loads(line) for line in said() if '"ERROR"' in line]
    assert entry["request"] == answer.headers["X-Request-Id"]
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "webapp.errors", "failed on POST /runs")
    assert entry["error"].startswith("Traceback") and 'told "in" the\nlog' in entry["error"]
    assert entry["time"].endswith("Z")


FORGED = "x\n2026-01-01 00:00:00,000 INFO webapp [0] forged\r\x1b[2K\x85\u2028\u202eend"


def test_a_message_stays_on_its_line_whatever_is_in_it(app, said):
    said()
    logging.getLogger("webapp.test").warning("a symbol named %s", FORGED)
    (line,) = said()
    assert "\\n2026" in line and "\\r\\x1b[2K\\x85\\u2028\\u202eend" in line


def test_a_traceback_is_set_in_whatever_is_in_it(app, said):
    said()
    try:
        raise RuntimeError(FORGED)
    except RuntimeError:
        logging.getLogger("webapp.test").exception("failed")
    first, *rest = said()
    assert "failed" in first
    assert all(line.startswith("    ") for line in rest)
    assert not any("\x1b" in line for line in rest)


def test_addresses_and_headers_cannot_forge_an_entry(client, said):
    said()
    client.get("/", headers={"Host": "evil\x85forged"})
    client.get("/%0a2026-01-01 INFO forged")
    client.post("/runs", headers={"Origin": "http://evil\x85forged"})
    get(client, "/?symbol=%0d%0aforged")
    for line in said():
        assert line.startswith("20") and "\x85" not in line


def test_text_is_shown_as_it_is_where_it_can_be():
    assert logs.visible("naïve “quotes” 株 1,5") == "naïve “quotes” 株 1,5"
