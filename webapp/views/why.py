"""Why: what the strategy saw and decided at a bar, over a run, and at both ends of a trade."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from engine.errors import ConfigError, EngineError
from engine.why import Explanation, ListReasons, Survey, TradeReasons
from webapp import runs, services
from webapp.errors import wants_fragment
from webapp.store import Run

MOST = 100  # trades in one answer

bp = Blueprint("why", __name__, url_prefix="/runs/<id>/why")


@bp.app_template_filter("ticked")
def ticked(text: str) -> Markup:
    """Show as code what stands between backticks."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


@bp.get("")
def bar(id: str) -> ResponseReturnValue:
    """Return why the strategy traded at `?bar=` (the playhead's), or why not, as known at bar `?known=`."""
    run = _played(id)
    at = _number("bar", run.playhead or 1)
    if not 1 <= at <= run.played:
        raise ConfigError(_beyond(run, at), field="bar")
    told = runs.ask(services(), run, Explanation, bar=at - 1, until=max(at, _known(run)))
    return _answer(run, at, "why", f"Why at bar {at:,}", told=told)


@bp.get("/survey")
def survey(id: str) -> ResponseReturnValue:
    """Return how often each condition was true, and its nearest misses, as known at bar `?known=`."""
    run = _played(id)
    told = runs.ask(services(), run, Survey, until=_known(run))
    return _answer(run, told.last, "why_survey", "All conditions", told=told)


@bp.get("/trade/<int:trade>")
def trade(id: str, trade: int) -> ResponseReturnValue:
    """Return why a trade was entered and left, as known at bar `?known=`."""
    run = _played(id)
    told = runs.ask(services(), run, TradeReasons, trade=trade, until=_known(run))
    return _answer(run, told.entry.bar, "why_trade", f"Why trade {trade}", told=told)


@bp.get("/trades")
def trades(id: str) -> ResponseReturnValue:
    """Return why each of `?trades=1,2,3` was entered and left, a line for each, as known at bar `?known=`.

    The page asks for it unasked when it comes to rest, so an answer that cannot be had is an empty one.
    """
    run = services().store.run(id)
    asked = [int(text) for text in request.args.get("trades", "").split(",") if text.isascii() and text.isdigit()]
    told = ListReasons()
    if run.played and asked:
        with contextlib.suppress(EngineError):
            told = runs.ask(services(), run, ListReasons, trades=asked[:MOST], until=_known(run))
    return _answer(run, _known(run), "why_trades", "Why each trade", told=told)


def _played(id: str) -> Run:
    run = services().store.run(id)
    if not run.played:
        raise ConfigError("Nothing of this run was played yet. Open its player first.", field="bar")
    return run


def _known(run: Run) -> int:
    """Return the bar up to which the answer may tell: the playhead's on the page, never beyond what was played."""
    return max(1, min(_number("known", run.played), run.played))


def _number(name: str, otherwise: int) -> int:
    """Return a number of the address.

    Raises:
        ConfigError: it is none.
    """
    text = request.args.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ConfigError(f"{name} must be a bar's number, not {text[:40]!r}.", field=name)
    return int(text)


def _beyond(run: Run, at: int) -> str:
    if not 1 <= at <= run.total_bars:
        return f"There is no bar {at:,}: the run has {run.total_bars:,} bars."
    return f"Bar {at:,} was not played yet: nothing is told of it before. This run was played up to bar {run.played:,}."


def _answer(run: Run, at: int, name: str, title: str, **content: Any) -> ResponseReturnValue:
    html = render_template(f"fragments/{name}.html", run=run, known=_known(run), **content)
    vary = {"Vary": "HX-Request"}
    if wants_fragment():
        return html, 200, vary
    page = render_template("why.html", run=run, bar=at, title=title, html=Markup(html))  # noqa: S704 (our own template made it)
    return page, 200, vary
