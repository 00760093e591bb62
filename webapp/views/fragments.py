"""Fragments: the parts of the form that htmx swaps while it is filled in."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from engine.errors import EngineError
from webapp import forms, services
from webapp.backtest_form import DATES, Form, nested, read
from webapp.estimate import estimate

bp = Blueprint("fragments", __name__, url_prefix="/fragments")


@bp.get("/parameters")
def parameters() -> ResponseReturnValue:
    """Return the parameter fields of the chosen strategy."""
    return render_template("fragments/parameters.html", form=_form())


@bp.get("/periods")
def periods() -> ResponseReturnValue:
    """Return the periods that bars of the chosen interval come in; the chosen period stays if it is among them."""
    form = _form()
    if form.setup.get("period") not in (DATES, *forms.periods(form.interval)):
        form.setup.pop("period", None)
    return render_template("fragments/periods.html", form=form)


@bp.get("/estimate")
def outlook() -> ResponseReturnValue:
    """Return what will happen on Run: how many bars and how long, without asking a server for them."""
    try:
        config = forms.validate(nested(read(request.args.items(multi=True))), services())
        line = estimate(config, services())
    except EngineError as error:
        return render_template("fragments/estimate.html", outlook=None, problem=error.message)
    return render_template("fragments/estimate.html", outlook=line, problem=None)


def _form() -> Form:
    return Form(services(), read(request.args.items(multi=True)))
