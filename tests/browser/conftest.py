"""Fixtures for tests in a real browser. Whatever a page logs as an error fails its test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Route, expect, sync_playwright

import dev

CDN = "https://cdn.jsdelivr.net/**"
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # Chromium refuses to run as root, as which containers run tests, with it
]

expect.set_options(timeout=20_000)  # ms; a busy machine is slow, and only a failure takes so long


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium that dev.py finds; CHROMIUM in the environment names another, HEADED=1 shows it."""
    path = dev.find_chromium()
    assert path, "no Chromium, Chrome or Edge was found: `python dev.py test` installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, headless=not os.environ.get("HEADED"))
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser, live_url: str) -> Iterator[Callable[..., Page]]:
    """A function that opens a page in a browser profile of its own; at the end its errors fail the test.

    `cdn=False` blocks the CDN; other keywords are Playwright's (viewport, color_scheme, reduced_motion, ...).
    A test that provokes an error says so with `forgive`.
    """
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def open_page(*, cdn: bool = True, **options: Any) -> Page:
        options = {"base_url": live_url, "viewport": {"width": 1440, "height": 900}} | options
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.route(CDN, answer_from_npm if cdn else lambda route: route.abort())
        page = context.new_page()
        watches.append(Watch(page, cdn))
        return page

    yield open_page
    for context in contexts:
        context.close()
    errors = [error for watch in watches for error in watch.errors()]
    assert not errors, "the page logged errors:\n" + "\n".join(errors)


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page of 1440 x 900 on the live server, with htmx."""
    return new_page()


@pytest.fixture
def page_without_cdn(new_page: Callable[..., Page]) -> Page:
    """A page whose CDN cannot be reached, and so without htmx."""
    return new_page(cdn=False)


@pytest.fixture
def forgive() -> Callable[[Page, str], None]:
    """A function that excuses the errors of a page which contain a text, for a test that provokes them."""
    return lambda page, text: WATCHES[page].forgiven.append(text)


class Watch:
    """Collects what goes wrong on one page: errors logged, exceptions thrown, requests that failed or were refused."""

    def __init__(self, page: Page, cdn: bool):
        WATCHES[page] = self
        self.forgiven = [] if cdn else ["cdn.jsdelivr.net", "net::ERR_FAILED"]
        self._seen: list[str] = []
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self._seen.append(f"thrown: {error}"))
        page.on("requestfailed", self._request_failed)
        page.on("response", lambda r: self._seen.append(f"{r.status}: {r.url}") if r.status >= 500 else None)

    def errors(self) -> list[str]:
        """Return what went wrong and was not forgiven."""
        return [seen for seen in self._seen if not any(text in seen for text in self.forgiven)]

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._seen.append(f"logged: {message.text}  {message.location}")

    def _request_failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left while it loaded: no fault
            self._seen.append(f"failed: {request.url} {request.failure}")


WATCHES: WeakKeyDictionary[Page, Watch] = WeakKeyDictionary()


def answer_from_npm(route: Route) -> None:
    """Answer the CDN's address."""
    status, headers, body = from_npm(route.request.url)
    route.fulfill(status=status, headers=headers, body=body)


def from_npm(url: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a CDN's file from the npm package of that version.

    The integrity hash is then checked for real.
    """
    name, _, path = url.partition("/npm/")[2].partition("/")
    file = dev.npm_package(name) / path
    if name != dev.HTMX or not file.is_file():
        return 404, {}, b""
    return (
        200,
        {"access-control-allow-origin": "*", "content-type": "text/javascript; charset=utf-8"},
        file.read_bytes(),
    )
