"""Errors as a visitor meets them."""

from __future__ import annotations

import logging

import pytest

from engine.errors import FeedUnavailable, NoBars
from tests.webapp.pages import FRAGMENT, Page, get, send
from webapp import forms


@pytest.fixture
def broken(app, monkeypatch):
    """A function that makes validation raise."""

    def breaks(error):
        def fail(*_):
            raise error

        monkeypatch.setattr(forms, "validate", fail)

    return breaks


def test_a_bug_shows_no_traceback_and_is_logged_under_the_pages_id(client, broken, caplog):
    broken(RuntimeError("secret /path"))
    response = send(client)
    page = Page(response)
    assert page.status == 500
    assert "secret" not in response.text and "Traceback" not in response.text and "RuntimeError" not in response.text
    assert response.headers["X-Request-Id"] in response.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info[0] is RuntimeError


def test_the_log_has_the_id_of_the_request(client, broken, capsys):
    broken(RuntimeError("told in the log"))
    id = send(client).headers["X-Request-Id"]
    told = capsys.readouterr().err
    assert f"[{id}] failed on POST /runs" in told and "told in the log" in told


def test_a_bug_behind_htmx_goes_to_the_notice_and_leaves_the_page(client, broken):
    broken(RuntimeError("x"))
    response = send(client, headers=FRAGMENT)
    assert response.status_code == 500
    assert (response.headers["HX-Retarget"], response.headers["HX-Reswap"]) == ("#notice", "innerHTML")
    assert not Page(response).all("html")
    assert get(client, "/").one("#notice")


def test_a_page_restored_from_history_is_whole(client):
    headers = FRAGMENT | {"HX-History-Restore-Request": "true"}
    assert get(client, "/nope", headers=headers).all("html")


def test_what_the_engine_refuses_stands_at_its_field(client, broken):
    broken(NoBars("XY", "Yahoo"))
    assert "No bars for 'XY' from Yahoo" in Page(send(client)).errors()["symbol"]
    broken(FeedUnavailable("Yahoo does not answer. Try again later."))
    assert "Try again later" in Page(send(client)).errors()["symbol"]


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [("GET", "/nope", 404), ("PUT", "/runs", 405), ("POST", "/nope", 404), ("GET", "/static/nope.js", 404)],
)
def test_http_errors_have_our_page(client, method, address, status):
    response = client.open(address, method=method)
    assert response.status_code == status
    assert get(client, "/").one("nav") and Page(response).one("nav")
    assert ("Allow" in response.headers) == (status == 405)


def test_a_form_that_is_too_large_is_refused(client):
    response = send(client, {"indicators": "x" * 100_000})
    assert response.status_code == 413
    assert "larger than this server takes" in response.text


def test_no_address_answers_odd_input_with_a_bug(app, client):
    odd = ["%00", "%ff", "é" * 500, "../../etc/passwd", "a" * 5000, "<script>"]
    for rule in app.url_map.iter_rules():
        if "GET" in rule.methods:
            for text in odd:
                address = str(rule)
                for name in rule.arguments:
                    address = address.replace(f"<{name}>", text).replace(f"<path:{name}>", text)
                query = f"?bar={text}&before={text}&strategy={text}&interval={text}&period={text}&params.x={text}"
                with client.get(address + query) as response:
                    assert response.status_code < 500, address
