"""Pages: what a visitor sees and sends, read from the HTML."""

from __future__ import annotations

from typing import Any

from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

FRAGMENT = {"HX-Request": "true"}


class Page:
    """An answer's HTML."""

    def __init__(self, response: TestResponse):
        self.status = response.status_code
        self.soup = BeautifulSoup(response.text, "html.parser")

    def all(self, selector: str) -> list[Tag]:
        """Return the elements that a CSS selector finds."""
        return self.soup.select(selector)

    def one(self, selector: str) -> Tag:
        """Return the only element that a CSS selector finds."""
        found = self.all(selector)
        assert len(found) == 1, f"{selector}: {len(found)} found in {self.soup}"
        return found[0]

    def text(self, selector: str) -> str:
        """Return the words of the only element that a CSS selector finds."""
        return " ".join(self.one(selector).get_text(" ").split())

    def sent(self) -> dict[str, str]:
        """Return what the form would send, as a browser without scripts does; of a name the last value."""
        values: dict[str, str] = {}
        for control in self.all("#backtest-form [name]"):
            if control.name == "select":
                chosen = control.select("option[selected]") or control.select("option")[:1]
                values[control["name"]] = chosen[0]["value"] if chosen else ""
            elif control.get("type") != "checkbox" or control.has_attr("checked"):
                values[control["name"]] = control.get("value", "")
        return values

    def errors(self) -> dict[str, str]:
        """Return field -> message, following aria-describedby as a screen reader does."""
        found = {}
        for control in self.all("[aria-invalid=true]"):
            for id in control["aria-describedby"].split():
                if id.endswith("-error"):
                    found[control["name"]] = self.text(f"[id='{id}']")
        return found


def get(client: FlaskClient, address: str, **options: Any) -> Page:
    """Return the page at `address`."""
    return Page(client.get(address, **options))


def send(client: FlaskClient, changes: dict[str, str] | None = None, **options: Any) -> TestResponse:
    """Fill in the form of the start page, changed by `changes`, and press Run."""
    form = get(client, "/?strategy=sma_cross").sent()
    return client.post("/runs", data=form | (changes or {}), **options)


def start(client: FlaskClient, changes: dict[str, str] | None = None) -> str:
    """Start a run and return its id."""
    response = send(client, changes)
    assert response.status_code == 303, response.text
    return response.headers["Location"].rpartition("/")[2]
