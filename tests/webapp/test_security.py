"""Who is let in, and what every answer forbids the browser."""

from __future__ import annotations

import os
import re
import stat

import pytest
from flask import url_for

from tests.conftest import make_app
from tests.webapp.pages import FRAGMENT, get
from webapp import security

OWN = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_loopback_names_are_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.nip.io",
        "127.0.0.1@evil.example",
        "localhost.evil.example",
        "localhost:8000:9000",
        "localhost,evil.example",
        "localhost/",
        "",
        "2130706433",
        "0.0.0.0",
        '"><script>',
    ],
)
@pytest.mark.parametrize("address", ["/", "/runs", "/static/app.js", "/nope", "/healthz", "/ws/backtest/stream/"])
def test_any_other_host_name_is_refused_without_an_echo(client, host, address):
    response = client.get(address, headers={"Host": host})
    assert response.status_code == 400
    assert "evil" not in response.text and "nip.io" not in response.text and "<script>" not in response.text


def test_a_request_without_a_host_is_refused(client):
    assert client.get("/", environ_overrides={"HTTP_HOST": ""}).status_code == 400


def test_more_host_names_can_be_allowed(folders):
    app = make_app(folders, HOSTS="tape.example, other.example", HOST="10.0.0.5")
    for host, status in (("tape.example", 200), ("OTHER.example:443", 200), ("10.0.0.5", 200), ("third.example", 400)):
        assert app.test_client().get("/healthz", headers={"Host": host}).status_code == status
    app.extensions["tapedeck"].store.database.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),  # not a browser: the token alone counts
        (OWN, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # another port of localhost
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://[bad"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, 403),
    ],
)
def test_a_form_is_taken_only_from_our_own_pages(client, services, headers, status):
    response = client.post("/runs", data=get(client, "/").sent(), headers=headers)
    assert response.status_code == status
    assert len(services.store.runs()) == (status == 303)


@pytest.mark.parametrize("headers", [OWN, OWN | FRAGMENT], ids=["page", "htmx"])
@pytest.mark.parametrize("token", [None, "", "wrong", "another session's"])
def test_a_form_without_its_sessions_token_is_refused_with_the_way_out(app, client, services, token, headers):
    form = get(client, "/").sent()
    form.pop("csrf_token")
    if token == "another session's":
        form["csrf_token"] = get(app.test_client(), "/").sent()["csrf_token"]
    elif token is not None:
        form["csrf_token"] = token
    response = client.post("/runs", data=form, headers=headers)
    assert response.status_code == 400
    assert "Reload it" in response.text
    assert services.store.runs() == []


def test_every_answer_carries_the_headers(app, client):
    """Walk the URL map, so that no address added later goes without."""
    addresses = {
        str(rule).replace("<id>", "a" * 22).replace("<path:filename>", "app.js") for rule in app.url_map.iter_rules()
    }
    addresses = {address.replace("<path:name>", "bundle.js") for address in addresses}
    assert "/" in addresses and "/static/app.js" in addresses
    for address in [*addresses, "/nope"]:
        for response in (client.get(address), client.post(address), client.get(address, headers={"Host": "evil"})):
            policy = response.headers["Content-Security-Policy"]
            assert "script-src 'self' https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/dist/htmx.min.js;" in policy
            assert "unsafe-eval" not in policy and "frame-ancestors 'none'" in policy
            assert policy.count("unsafe-inline") == 1 and "style-src-attr 'unsafe-inline'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "same-origin"
            assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "Strict-Transport-Security" not in response.headers
            assert response.headers["X-Request-Id"]
            response.close()


def test_sockets_of_the_page_may_go_to_its_own_host_only():
    assert "connect-src 'self' ws://tape.example:8000 wss://tape.example:8000;" in security.policy("tape.example:8000")


def test_pages_are_not_kept_and_static_files_are_checked_again(client):
    assert client.get("/").headers["Cache-Control"] == "no-store"
    with client.get("/static/app.js") as response:
        assert response.headers["Cache-Control"] == "no-cache" and response.headers["ETag"]


def test_a_file_is_kept_for_good_under_the_address_that_changes_with_it(app, client):
    with app.test_request_context():
        address = url_for("static", filename="player.js")
    assert address.startswith("/static/v-")
    with client.get(address) as kept, client.get("/static/player.js") as plain:
        assert set(kept.headers["Cache-Control"].split(", ")) == {"public", "immutable", "max-age=31536000"}
        assert kept.data == plain.data
    other = address.replace("/v-", "/v-0123456789ab/../v-")
    for wrong, status in (("/static/v-0123456789ab/player.js", 200), (address + "x", 404), (other, 404)):
        with client.get(wrong) as response:  # an address of another version's page gives what there is
            assert response.status_code == status
            assert "immutable" not in response.headers.get("Cache-Control", "")


def test_pages_name_only_files_of_the_present_version(client):
    page = client.get("/").text
    assert re.findall(r"/static/(?!v-\w{12}/)\S*", page) == [] and "/static/v-" in page


def test_the_session_cookie_is_for_the_server_only(client):
    cookie = client.get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Domain" not in cookie


def test_forwarded_headers_count_only_behind_a_proxy(folders, client):
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert client.get("/", headers=forwarded).status_code == 200  # ignored
    app = make_app(folders, PROXIES=1, HOSTS="tape.example")
    behind = app.test_client()
    assert behind.get("/healthz", headers=forwarded).status_code == 400
    honest = {"X-Forwarded-Host": "tape.example", "X-Forwarded-Proto": "https"}
    assert "Strict-Transport-Security" in behind.get("/healthz", headers=honest).headers
    app.extensions["tapedeck"].store.database.close()


def test_the_secret_key_is_made_once_and_is_the_owners(folders):
    keys = set()
    for _ in range(2):
        app = make_app(folders, SECRET_KEY="")
        keys.add(app.config["SECRET_KEY"])
        app.extensions["tapedeck"].store.database.close()
    assert len(keys) == 1 and len(keys.pop()) >= 32
    if os.name == "posix":
        assert stat.S_IMODE((folders["home"] / "secret").stat().st_mode) == 0o600


def test_a_home_that_cannot_keep_a_key_still_gives_a_random_one(folders, tmp_path):
    (tmp_path / "file").write_text("in the way")
    app = make_app(folders | {"home": tmp_path / "file"}, SECRET_KEY="")
    assert len(app.config["SECRET_KEY"]) >= 32
    app.extensions["tapedeck"].store.database.close()
