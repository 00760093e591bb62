"""Views: one blueprint for each part of the site. A view parses, calls one thing and renders."""

from __future__ import annotations

from flask import Flask, request

THEMES = ("dark", "light")


def theme() -> str | None:
    """Return the theme that the visitor chose, None to follow the system; so the first paint is right already."""
    chosen = request.cookies.get("theme")
    return chosen if chosen in THEMES else None


def register(app: Flask) -> None:
    """Make what every page needs known to the templates."""
    app.context_processor(lambda: {"theme": theme()})
