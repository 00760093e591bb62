"""Runs: starting one, watching one, and the history of all."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from engine.errors import ConfigError, DataError, EngineError
from webapp import panels, proofs, replay, runs, services
from webapp.backtest_form import Form, flat, nested, read
from webapp.errors import wants_fragment
from webapp.forms import Invalid
from webapp.store import Run
from webapp.views.home import form_key, page, remember

bp = Blueprint("runs", __name__, url_prefix="/runs")


@bp.post("")
def create() -> ResponseReturnValue:
    """Store a run of what the form says and lead to it; or show the form again, with each error beside its field."""
    setup = read(request.form.items(multi=True))
    try:
        run = runs.create(services(), nested(setup), key=form_key(request.form.get("key")))
    except (ConfigError, DataError) as error:
        return _refused(setup, error)
    remember(setup)
    address = url_for("runs.show", id=run.id)
    if wants_fragment():  # fetch would follow a 303 itself and swap the player into the form
        return "", 200, {"HX-Redirect": address}
    return redirect(address, 303)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show the player of one run."""
    run = services().store.run(id)
    file = replay.file_state(services(), run)
    return render_template("run.html", run=run, file=file, again_url=again_url(run), **panels.empty(run))


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the runs, newest first, a page at a time."""
    size = int(current_app.config["RUNS_PER_PAGE"])
    before = request.args.get("before", type=int)
    found = services().store.runs(size + 1, before)
    more = found[size - 1].number if len(found) > size else None
    return render_template("runs.html", runs=found[:size], more=more, first=before is None, again_url=again_url)


@bp.get("/<id>/stats")
def stats(id: str) -> ResponseReturnValue:
    """Return the statistics of a run as they stood at bar `?bar=`, else as far as it was played."""
    return _panel(id, "stats", "Statistics")


@bp.get("/<id>/trades")
def trades(id: str) -> ResponseReturnValue:
    """Return the trades of a run as they stood at bar `?bar=`, else as far as it was played, in the order `?sort=`."""
    return _panel(id, "trades", "Trades")


@bp.get("/<id>/proof")
def proof(id: str) -> ResponseReturnValue:
    """Return how far the look-ahead proof of a run is, and what it has found on the bars that were played."""
    run = services().store.run(id)
    try:
        told = proofs.shown(services().proofs.of(services(), run).report(), run.played)
    except EngineError as error:
        told = proofs.failed(error)
    parts = {name: Markup(html) for name, html in proofs.render(told).items()}  # noqa: S704 (our own templates made it)
    vary = {"Vary": "HX-Request"}
    if wants_fragment():
        return Markup("").join(parts.values()), 200, vary
    content = {"title": "Does it know its future?", "name": "findings", "html": parts["findings"]}
    return render_template("panel.html", run=run, bar=run.played, **content), 200, vary


def again_url(run: Run) -> str:
    """Return the address of the form that holds the setup of `run`."""
    return f"{url_for('home.form')}?{urlencode(flat(run.config))}"


def _panel(id: str, name: str, title: str) -> ResponseReturnValue:
    run = services().store.run(id)
    bar = runs.bar_asked(run, request.args.get("bar", type=int))
    tape, live = runs.statistics_at(services(), run, bar)
    bar = min(bar, tape.bar)
    html = Markup(panels.render(tape, live, bar, request.args.get("sort", "time"))[name])  # noqa: S704 (our own template made it)
    vary = {"Vary": "HX-Request"}
    if wants_fragment():
        return html, 200, vary
    return render_template("panel.html", run=run, bar=bar, title=title, name=name, html=html), 200, vary


def _refused(setup: dict[str, str], error: ConfigError | DataError) -> ResponseReturnValue:
    errors = error.errors if isinstance(error, Invalid) else {error.field or "symbol": error.message}
    form = Form(services(), setup, errors)
    html = render_template("fragments/form.html", form=form) if wants_fragment() else page(form)
    return html, 422, {"Vary": "HX-Request"}
