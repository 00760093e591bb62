"""The login in a browser: in by form and by link, out, and what an open page says when its login has ended."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.conftest import make_app
from webapp import logins

PASSWORD = "correct horse"


@pytest.fixture
def app(folders):
    """The app with a password."""
    app = make_app(folders, PASSWORD=PASSWORD)
    yield app
    app.extensions["tapedeck"].store.database.close()


def log_in(page) -> None:
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_a_visitor_logs_in_with_the_keyboard_and_out_again(page, forgive):
    forgive(page, "403")
    page.goto("/strategies")
    expect(page).to_have_title("Log in · Tapedeck")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="not the password")).to_be_visible()
    log_in(page)
    expect(page.get_by_role("heading", name="Strategies")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_title("Log in · Tapedeck")
    page.goto("/runs")
    expect(page).to_have_title("Log in · Tapedeck")


def test_a_link_logs_in_and_leaves_no_key_behind(page, app):
    page.goto(f"/login?key={app.extensions['tapedeck.logins'].link_key()}")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    assert "key" not in page.url


def test_a_run_plays_behind_the_login_until_it_ends(page, app, monkeypatch, forgive):
    monkeypatch.setattr(logins, "ROUND", 0.1)
    monkeypatch.setattr(logins, "BELIEVED", 0.0)
    forgive(page, "401")
    page.goto("/?strategy=sma_cross&speed=0.25")
    log_in(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("[data-chart] canvas").first).to_be_visible()
    elsewhere = page.context.new_page()
    elsewhere.goto("/runs")
    elsewhere.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out. Log in again to go on.")).to_be_visible()


def test_a_page_that_comes_back_without_its_login_says_so(page, app, forgive):
    forgive(page, "401")
    forgive(page, "WebSocket")
    page.goto("/?strategy=sma_cross&speed=0.25")
    log_in(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("[data-chart] canvas").first).to_be_visible()
    page.context.clear_cookies()
    asked = "{ url: '/ws/backtest/stream/', hello() {}, onMessage() {}, onOpen() {}, onLost() {}, onClosed }"
    page.evaluate(
        "import(document.querySelector('link[href$=\"/socket.js\"]').href).then(({ connect }) => {"
        f"  const onClosed = (code, reason) => (document.title = reason); connect({asked}); }})"
    )
    expect(page).to_have_title("You are logged out. Reload the page to log in again.")
    page.reload()
    expect(page).to_have_title("Log in · Tapedeck")
