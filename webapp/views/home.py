"""Home: the configuration form."""

from __future__ import annotations

import json
import re

from flask import Blueprint, render_template, request, session
from flask.typing import ResponseReturnValue

from webapp import services
from webapp.backtest_form import Form, read
from webapp.store import StoreError

bp = Blueprint("home", __name__)

_REMEMBERED = "setup"
_MAX_REMEMBERED = 2_000  # characters; browsers drop a cookie of more than 4 KB, and the rest of the session with it


@bp.get("/")
def form() -> ResponseReturnValue:
    """Show the form: filled in from the address, else as it was last sent, else with the defaults."""
    setup = read(request.args.items(multi=True))
    return page(Form(services(), setup or recall()))


def page(form: Form) -> str:
    """Return the whole page around `form`."""
    try:
        recent = services().store.runs(6)
    except StoreError:
        recent = []  # the form works without; Run will say what is wrong
    return render_template("home.html", form=form, recent=recent)


def remember(setup: dict[str, str]) -> None:
    """Keep a setup that ran, for the visitor's next empty form."""
    if len(json.dumps(setup)) <= _MAX_REMEMBERED:
        session[_REMEMBERED] = setup
        session.permanent = True


def recall() -> dict[str, str]:
    """Return what `remember` kept."""
    kept = session.get(_REMEMBERED)
    return {str(name): str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def form_key(text: str | None) -> str | None:
    """Return the form's one-time key, None when what was sent is not one."""
    return text if text and re.fullmatch(r"[A-Za-z0-9_-]{16,64}", text) else None
