"""The one gate: nothing answers without a login, and the ways in and out."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import make_app, serving
from tests.handshake import shake
from tests.webapp.pages import FRAGMENT, Page, get, start
from tests.wire import Wire
from webapp import access, logins
from webapp.attempts import Attempts

PASSWORD = "open sésame, 1e5"
BEARER = {"Authorization": f"Bearer {PASSWORD}".encode().decode("latin-1")}
AWAY = {"REMOTE_ADDR": "10.0.0.9"}
HTML = {"Accept": "text/html,*/*"}


@pytest.fixture
def locked(folders) -> Iterator[Flask]:
    """An app with a password, in which wrong guesses take no time."""
    app = make_app(folders, PASSWORD=PASSWORD)
    app.extensions["tapedeck.attempts"] = Attempts(sleep=lambda _: None)
    yield app
    app.extensions["tapedeck"].store.database.close()


@pytest.fixture
def visitor(locked) -> FlaskClient:
    """Somebody who is not logged in."""
    return locked.test_client()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_whoever_speaks_through_a_proxy_is_not_this_machine(client, live_url, header):
    assert client.get("/runs").status_code == 200
    answer = client.get("/runs", headers={header: "127.0.0.1"})
    assert answer.status_code == 403 and "TAPEDECK_PROXIES" in answer.text and "TAPEDECK_PASSWORD" in answer.text
    assert shake(f"{live_url}/ws/backtest/stream/", {header: "127.0.0.1"}).startswith(b"HTTP/1.1 403")
    assert client.get("/healthz", headers={header: "10.0.0.9"}).status_code == 200


def log_in(client: FlaskClient, password: str = PASSWORD, **fields: str) -> Any:
    token = Page(client.get("/login")).one("[name=csrf_token]")["value"]
    return client.post("/login", data={"csrf_token": token, "password": password, **fields})


def log_out(client: FlaskClient) -> Any:
    token = get(client, "/").one(".logout [name=csrf_token]")["value"]
    return client.post("/logout", data={"csrf_token": token})


def addresses(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Walk the URL map: endpoint, method and an address of each rule, with harmless arguments."""
    for rule in app.url_map.iter_rules():
        address = str(rule).replace("<id>", "a" * 22).replace("<path:filename>", "player.js")
        address = re.sub(r"<(int|float):\w+>", "1", address.replace("<path:name>", "bundle.js"))
        assert "<" not in address, f"say what stands for the arguments of {rule}"
        for method in sorted(rule.methods or ()):
            yield rule.endpoint, method, address


# What answers


def test_nothing_answers_without_a_login(locked, visitor):
    walked = 0
    for endpoint, method, address in addresses(locked):
        for headers in ({}, HTML, FRAGMENT, {"Authorization": "Bearer wrong"}, {"Cookie": "tapedeck=forged"}):
            with visitor.open(address, method=method, headers=headers) as response:
                if endpoint in access.PUBLIC:
                    assert response.status_code in (200, 400), (method, address)  # 400: a form without its token
                elif response.status_code == 303:
                    assert urlsplit(response.headers["Location"]).path == "/login", (method, address)
                else:
                    assert response.status_code == 401, (method, address, response.status_code)
                    assert headers == FRAGMENT or response.headers["WWW-Authenticate"].startswith("Bearer")
                walked += 1
    assert walked > 100
    assert visitor.get("/no/such/address").status_code == 401


def test_what_is_public_is_what_the_login_needs_and_no_more(locked, visitor):
    assert {"login.form", "login.enter", "probes.live"} == access.PUBLIC
    page = visitor.get("/login")
    (folder,) = set(re.findall(r"/static/(v-\w+/)[\w.]+", page.text))
    needed = set(re.findall(rf"/static/{folder}([\w.]+)", page.text)) | {
        "theme.js"
    }  # which app.js loads for the button
    assert needed == access.PUBLIC_FILES
    for name in needed:
        for address in (f"/static/{name}", f"/static/{folder}{name}"):
            with visitor.get(address) as response:
                assert response.status_code == 200
    for name in ("player.js", f"{folder}player.js", "../security.py", "app.js/../player.js", "%2e%2e/security.py"):
        with visitor.get(f"/static/{name}") as response:
            assert response.status_code == 401
    assert visitor.get("/healthz").json == {"status": "ok"}


def test_every_page_answers_after_a_login(locked, visitor):
    assert log_in(visitor).status_code == 303
    for endpoint, method, address in addresses(locked):
        if method == "GET" and "stream" not in endpoint:
            with visitor.open(address) as response:
                assert response.status_code in (200, 404) or endpoint.startswith("login."), address


def test_a_file_that_anybody_may_keep_comes_without_the_cookie(locked, visitor):
    log_in(visitor)
    page = visitor.get("/").text
    scripts = re.findall(r'"(/(?:static|charts)/[^"]+)"', page)
    for address in [*scripts, "/charts/setup.js?shape=ll"]:
        with visitor.get(address) as response:
            assert "public" in response.headers["Cache-Control"]
            assert "Set-Cookie" not in response.headers and "Cookie" not in response.headers.get("Vary", "")
    assert len(scripts) > 2


# Without a password


def test_without_a_password_only_this_machine_is_answered(client):
    assert client.get("/").status_code == 200
    assert not get(client, "/").all(".logout")
    refused = client.get("/", environ_overrides=AWAY)
    assert refused.status_code == 403 and "TAPEDECK_PASSWORD" in refused.text
    assert client.get("/runs", environ_overrides={"REMOTE_ADDR": ""}).status_code == 403
    assert client.get("/login").headers["Location"] == "/"


def test_behind_a_proxy_the_visitors_own_address_counts(folders):
    app = make_app(folders, PROXIES=1)
    client = app.test_client()
    assert client.get("/", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == 403
    assert client.get("/", headers={"X-Forwarded-For": "127.0.0.1, 203.0.113.7"}).status_code == 403
    app.extensions["tapedeck"].store.database.close()


@pytest.mark.parametrize("written", ["1e5", "true", "0012", '"quoted"', "[]"])
def test_a_password_is_what_was_written_not_what_it_would_be_in_json(monkeypatch, folders, written):
    from webapp import create_app

    monkeypatch.setenv("TAPEDECK_PASSWORD", written)
    app = create_app({"HOME": str(folders["home"]), "YAHOO": False})
    headers = {"Authorization": f"Bearer {written}"}
    assert app.test_client().get("/runs", headers=headers).status_code == 200
    app.extensions["tapedeck"].store.database.close()


# The password


def test_a_page_leads_to_the_login_and_the_login_back_to_the_page(visitor):
    asked = visitor.get("/runs?before=7", headers=HTML)
    assert (asked.status_code, asked.headers["Location"]) == (303, "/login?next=%2Fruns%3Fbefore%3D7")
    page = get(visitor, asked.headers["Location"])
    assert page.one("[name=next]")["value"] == "/runs?before=7"
    done = log_in(visitor, next="/runs?before=7")
    assert (done.status_code, done.headers["Location"]) == (303, "/runs?before=7")
    assert get(visitor, "/runs").text("h1") == "Runs"


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/a\nb",
        "/%5c\\evil",
        "",
        "x",
    ],
)
def test_the_login_leads_nowhere_else(visitor, wanted):
    assert log_in(visitor, next=wanted).headers["Location"] == "/"


def test_a_fragment_leads_the_whole_page_to_the_login(visitor):
    answer = visitor.get("/fragments/parameters?strategy=sma_cross", headers=FRAGMENT)
    assert (answer.status_code, answer.headers["HX-Redirect"], answer.text) == (401, "/login", "")


def test_a_wrong_password_is_told_and_logged_without_it(visitor, caplog):
    answer = log_in(visitor, "guess\nforged entry")
    assert answer.status_code == 403
    assert "not the password" in Page(answer).text("#password-error")
    assert any("a wrong password came from 127.0.0.1" in r.getMessage() for r in caplog.records)
    assert "forged" not in caplog.text
    assert visitor.get("/runs").status_code == 401


def test_guesses_are_slowed_and_the_right_password_still_gets_in(locked, visitor):
    naps: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    locked.extensions["tapedeck.attempts"] = Attempts(lambda: now[0], sleep)
    for _ in range(6):
        log_in(visitor, "guess")
    assert naps == [0.5, 1.0, 2.0]
    for _ in range(2):
        assert visitor.get("/runs", headers={"Authorization": "Bearer guess"}).status_code == 401
    assert naps == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert log_in(visitor).status_code == 303


def test_so_many_guesses_at_once_that_threads_would_run_out_are_sent_away(locked, visitor, monkeypatch):
    monkeypatch.setattr("webapp.attempts.WAITING", (0, 0))
    for _ in range(3):
        log_in(visitor, "guess")
    refused = log_in(visitor)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    assert "Try again in" in refused.text


def test_the_form_of_the_login_needs_its_token(visitor):
    assert visitor.post("/login", data={"password": PASSWORD}).status_code == 400
    crossed = visitor.post("/login", data={"password": PASSWORD}, headers={"Origin": "http://evil.example"})
    assert crossed.status_code == 403
    assert visitor.get("/runs").status_code == 401


def test_the_cookie_is_the_servers_only_and_changes_at_the_login(visitor):
    before = visitor.get("/login").headers["Set-Cookie"]
    after = log_in(visitor).headers["Set-Cookie"]
    for cookie in (before, after):
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie and "Domain" not in cookie
    assert before.split(";")[0] != after.split(";")[0]
    assert PASSWORD not in after


def test_behind_https_the_cookie_stays_there(folders):
    app = make_app(folders, PASSWORD=PASSWORD, PROXIES=1)
    client = app.test_client()
    secure = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    cookie = client.get("/login", headers=secure).headers["Set-Cookie"]
    assert cookie.startswith("__Host-tapedeck=") and "Secure" in cookie and "Path=/;" in cookie
    app.extensions["tapedeck"].store.database.close()


def test_a_script_sends_the_password_and_needs_no_token(locked, visitor):
    assert visitor.get("/runs", headers=BEARER).status_code == 200
    form = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross"}
    made = visitor.post("/runs", data=form, headers=BEARER)
    assert made.status_code == 303
    assert visitor.post("/runs", data=form, headers=BEARER | {"Origin": "http://evil.example"}).status_code == 403
    assert visitor.get("/runs").status_code == 401  # and got no cookie
    for wrong in (f"Basic {PASSWORD}", "Bearer", "Bearer ", "bearer x", PASSWORD, "Bearer \xff\xfe"):
        wrong = wrong.encode().decode("latin-1")
        assert visitor.get("/runs", headers={"Authorization": wrong}).status_code == 401


# Links


def link(app: Flask) -> str:
    """Return the path of a new one-time link, made as the command line makes it."""
    done = app.test_cli_runner().invoke(args=["login-link"])
    assert done.exit_code == 0
    parts = urlsplit(done.output.strip())
    assert (parts.scheme, parts.netloc) == ("http", "127.0.0.1:8000")
    return f"{parts.path}?{parts.query}"


def test_a_link_logs_in_once_and_leaves_the_address(locked, visitor):
    address = link(locked)
    assert visitor.head(address).status_code == 200  # whatever looks ahead does not use it up
    opened = visitor.get(address)
    assert (opened.status_code, opened.headers["Location"]) == (303, "/")
    assert visitor.get("/runs").status_code == 200
    other = locked.test_client()
    again = other.get(address)
    assert again.status_code == 403 and "has been used" in again.text
    assert other.get("/runs").status_code == 401


def test_a_link_is_only_good_for_a_while_and_only_from_here(locked, visitor, monkeypatch):
    address = link(locked)
    key = address.partition("key=")[2]
    other = "B" if key[-2] == "A" else "A"  # the last character has bits that mean nothing
    for forged in ("x", key[:-2] + other + key[-1], "", "a.b.c"):
        assert visitor.get("/login", query_string={"key": forged}).status_code == 403
    monkeypatch.setattr("webapp.logins.LINK", -1)
    assert visitor.get(address).status_code == 403
    assert visitor.get("/runs").status_code == 401


def test_where_there_is_no_password_there_is_no_link(app):
    done = app.test_cli_runner().invoke(args=["login-link"])
    assert done.exit_code == 1 and "nobody needs to log in" in done.output


# The end of a login


def test_a_logout_holds_for_every_copy_of_the_cookie(locked, visitor, monkeypatch):
    monkeypatch.setattr(logins, "BELIEVED", 0.0)  # as in another process, which has not read it lately
    log_in(visitor)
    with visitor.session_transaction() as kept:
        copy = dict(kept)
    assert log_out(visitor).headers["Location"] == "/login"
    assert visitor.get("/runs").status_code == 401
    with visitor.session_transaction() as stolen:
        stolen.update(copy)
    assert visitor.get("/runs").status_code == 401


def test_a_logout_cannot_be_sent_by_another_site(visitor):
    log_in(visitor)
    assert visitor.post("/logout").status_code == 400
    assert visitor.get("/logout").status_code == 405
    assert visitor.get("/runs").status_code == 200


def test_a_changed_password_ends_the_logins_made_with_the_old_one(folders, locked, visitor):
    log_in(visitor)
    with visitor.session_transaction() as kept:
        copy = dict(kept)
    changed = make_app(folders, PASSWORD="another")
    other = changed.test_client()
    with other.session_transaction() as session:
        session.update(copy)
    assert other.get("/runs").status_code == 401
    changed.extensions["tapedeck"].store.database.close()


def test_a_login_ends_after_its_days(folders):
    app = make_app(folders, PASSWORD=PASSWORD, LOGIN_DAYS=0)
    client = app.test_client()
    with client.session_transaction() as session:
        session["login"] = app.extensions["tapedeck.logins"].open()
    assert client.get("/runs").status_code == 401
    app.extensions["tapedeck"].store.database.close()


# The socket


@pytest.fixture
def url(locked) -> Iterator[str]:
    """The address of a server with a password."""
    with serving(locked) as url:
        yield url


def cookie(client: FlaskClient) -> str:
    found = client.get_cookie("tapedeck")
    assert found
    return f"tapedeck={found.value}"


@pytest.fixture
def connect(url) -> Iterator[Callable[..., Wire]]:
    """A function that opens a stream with headers."""
    opened: list[Wire] = []

    def open_stream(**headers: Any) -> Wire:
        opened.append(Wire(url, headers=headers))
        return opened[-1]

    yield open_stream
    for wire in opened:
        wire.close()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "tapedeck=forged"}])
def test_no_socket_opens_without_a_login(url, headers):
    assert shake(f"{url}/ws/backtest/stream/", headers).startswith(b"HTTP/1.1 401")


def test_a_socket_opens_with_the_cookie_or_the_password(visitor, connect):
    log_in(visitor)
    for headers in ({"Cookie": cookie(visitor)}, {"Authorization": f"Bearer {PASSWORD}".encode()}):
        wire = connect(**headers)
        wire.send({"symbol": "AAPL", "period": "5d", "speed": "instant"})
        assert wire.rest()[-1]["type"] == "complete"


def test_the_streams_of_a_login_end_with_it(locked, visitor, connect, monkeypatch):
    monkeypatch.setattr(logins, "ROUND", 0.05)
    other = locked.test_client()
    log_in(visitor)
    log_in(other)
    config = {"symbol": "AAPL", "period": "6mo", "speed": 0.25, "frames": True}
    ours, silent, others = (connect(Cookie=cookie(client)) for client in (visitor, visitor, other))
    for wire in (ours, others):
        wire.send(config)
        wire.until("frame")
    log_out(visitor)
    for wire in (ours, silent):
        wire.rest()
        assert wire.close_code == 1008 and "Log in again" in wire.socket.close_message
    others.send({"action": "pause"})
    assert others.until("state")[-1]["status"] == "paused"


def test_streams_go_on_while_the_database_cannot_say_who_is_logged_in(locked, visitor, connect, monkeypatch, caplog):
    from webapp.store import StoreError

    log_in(visitor)
    wire = connect(Cookie=cookie(visitor))
    wire.send({"symbol": "AAPL", "period": "6mo", "frames": True, "paused": True})
    wire.until("metadata")
    asked = threading.Event()

    def away(*_: object) -> set[str]:
        asked.set()
        raise StoreError("The database cannot be reached.")

    caplog.set_level(logging.ERROR)
    known = locked.extensions["tapedeck.logins"]
    monkeypatch.setattr(logins, "ROUND", 0.05)
    monkeypatch.setattr(known, "_open", away)
    monkeypatch.setattr(known, "_thread", None)  # the round under way has the old pace
    log_in(locked.test_client())
    known.watch(*next(iter(known._watched.items())))
    assert asked.wait(20)
    wire.send({"action": "step", "bars": 1})
    assert wire.until("frame")


def test_a_stored_run_is_shown_only_behind_the_gate(locked, visitor):
    log_in(visitor)
    run = start(visitor)
    assert visitor.get(f"/runs/{run}").status_code == 200
    assert locked.test_client().get(f"/runs/{run}").status_code == 401
