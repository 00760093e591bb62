"""Strategies: what can be run, and which files cannot, with their error."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from webapp import services

bp = Blueprint("strategies", __name__)


@bp.get("/strategies")
def index() -> ResponseReturnValue:
    """Show every strategy, with a Test link that opens the form with it, and every broken file with its error."""
    entries = services().catalog.all()
    return render_template(
        "strategies.html",
        usable=[entry for entry in entries if entry.error is None],
        broken=[entry for entry in entries if entry.error is not None],
        folder=services().catalog.folder,
    )
