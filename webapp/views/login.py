"""Login: the way in when there is a password, and the way out."""

from __future__ import annotations

import click
from flask import Blueprint, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp import access, settings
from webapp.access import own_path

bp = Blueprint("login", __name__, cli_group=None)


@bp.get("/login")
def form() -> ResponseReturnValue:
    """Ask for the password; a one-time link (`?key=`) needs none and leads on at once."""
    known, wanted = access.logins(), own_path(request.args.get("next"))
    if known is None:
        return redirect(wanted, 303)
    key = request.args.get("key")
    if key is None or request.method == "HEAD":
        return page(wanted)
    if known.use_link(key):
        access.log_in(known.open())
        return redirect(wanted, 303)
    return page(wanted, "This link has been used, or is older than ten minutes. Log in with the password."), 403


@bp.post("/login")
def enter() -> ResponseReturnValue:
    """Log in with the password."""
    known, wanted = access.logins(), own_path(request.form.get("next"))
    if known is None:
        return redirect(wanted, 303)
    if access.try_password(known, request.form.get("password", "").encode("utf-8", "replace")):
        access.log_in(known.open())
        return redirect(wanted, 303)
    return page(wanted, "That is not the password. Look at TAPEDECK_PASSWORD where the server was started."), 403


@bp.post("/logout")
def leave() -> ResponseReturnValue:
    """Log out, on every server; open streams of this login end within a minute."""
    known = access.logins()
    if known is not None and g.login:
        known.close(g.login)
    session.clear()
    return redirect(url_for("login.form"), 303)


def page(wanted: str, problem: str = "") -> str:
    """Return the login page."""
    return render_template("login.html", wanted=wanted, problem=problem)


@bp.cli.command("login-link")
@click.option("--url", help="address of the server, when it is not the one it listens on")
def link(url: str | None) -> None:
    """Print a link that logs in whoever opens it first, within ten minutes."""
    known: access.Logins | None = current_app.extensions["tapedeck.logins"]
    if known is None:
        raise click.ClickException("There is no password (TAPEDECK_PASSWORD), so nobody needs to log in.")
    click.echo(f"{(url or settings.own_url(current_app.config)).rstrip('/')}/login?key={known.link_key()}")
