"""Access: one gate in front of every address, the socket's included.

Without a password only this machine is answered. With one, a visitor logs in (a form, or a one-time link) and holds a
signed cookie, and a script sends `Authorization: Bearer <password>`.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import urlencode

from flask import Flask, Request, Response, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from webapp import errors, metrics, settings
from webapp.attempts import Attempts, TooMany
from webapp.database import Database
from webapp.logins import Logins
from webapp.sockets import is_loopback

# All that answers anybody: what the login page needs, and that the server lives.
PUBLIC = frozenset({"login.form", "login.enter", "probes.live"})
PUBLIC_FILES = frozenset({"app.js", "icon.svg", "style.css", "theme.js"})
TOKEN = "login"  # the name in the session
ALONE = (
    "Tapedeck answers only on its own machine as long as it has no password. "
    "Start it with a password in TAPEDECK_PASSWORD to use it from elsewhere."
)


PROXIED = (
    "This request came through a proxy, so that Tapedeck cannot tell who sent it. "
    "Start it with the number of proxies in TAPEDECK_PROXIES, and with a password in TAPEDECK_PASSWORD."
)
_FROM = ("X-Forwarded-For", "Forwarded", "X-Real-IP")  # how proxies tell whom they speak for

log = logging.getLogger(__name__)


class Cookies(SecureCookieSessionInterface):
    """The session's cookie: behind https no other port or subdomain of this host can read or plant it."""

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name, which makes browsers insist on https once it was used."""
        name = super().get_cookie_name(app)
        return f"__Host-{name}" if request.is_secure else name

    def get_cookie_secure(self, app: Flask) -> bool:
        """Say whether the cookie may travel over https only."""
        return request.is_secure

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie, but not with a file that whoever stands between may keep for others."""
        if not response.cache_control.public:
            super().save_session(app, session, response)


def prepare(app: Flask, database: Database) -> None:
    """Get ready for logins, if there is a password."""
    app.session_interface = Cookies()
    password = settings.password(app.config)
    lasting = float(app.config["LOGIN_DAYS"]) * 86_400
    app.permanent_session_lifetime = lasting
    app.extensions["tapedeck.attempts"] = Attempts()
    app.extensions["tapedeck.logins"] = (
        Logins(database, password, str(app.config["SECRET_KEY"]), lasting) if password else None
    )
    app.context_processor(lambda: {"logged_in": bool(g.get("login"))})


def logins() -> Logins | None:
    """Return the logins of this app, None when it has no password."""
    return current_app.extensions["tapedeck.logins"]


def check() -> ResponseReturnValue | None:
    """Let a request pass, or answer it."""
    g.login, g.bearer = None, False
    if is_public():
        return None
    known = logins()
    if known is None:
        if not is_loopback(request.remote_addr):
            raise Forbidden(ALONE)
        if not int(current_app.config["PROXIES"]) and any(name in request.headers for name in _FROM):
            raise Forbidden(PROXIED)  # the proxy is on this machine; whoever speaks through it may be anywhere
        return None
    if bears_password(known):
        g.bearer = True
        return None
    token = session.get(TOKEN)
    if isinstance(token, str) and known.holds(token):
        g.login = token
        return None
    return _ask()


def is_public() -> bool:
    """Say whether anybody may have what is asked for."""
    if request.endpoint == "static":
        return (request.view_args or {}).get("filename") in PUBLIC_FILES
    return request.endpoint in PUBLIC


def bears_password(known: Logins) -> bool:
    """Say whether the request brings the password with it, as scripts do."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and try_password(known, sent.strip().encode("latin-1", "replace"))


def try_password(known: Logins, password: bytes) -> bool:
    """Say whether this is the password; whoever guesses waits longer and longer.

    Raises:
        TooManyRequests: too many guesses from this address wait already.
    """
    attempts: Attempts = current_app.extensions["tapedeck.attempts"]
    try:
        right = attempts.check(request.remote_addr or "", lambda: known.knows(password))
    except TooMany as error:
        raise errors.Slower(
            f"Too many wrong passwords came from your address. Try again in {error.seconds} s.", error.seconds
        ) from error
    if not right:
        metrics.wrong_passwords.inc()
        log.warning("a wrong password came from %s", request.remote_addr)
    return right


def log_in(token: str) -> None:
    """Give the visitor the cookie; nothing of the session before stays, for somebody else may have planted it."""
    session.clear()
    session[TOKEN] = token
    session.permanent = True


def own_path(text: str | None) -> str:
    """Return `text` if it leads to a page of ours, else the way home."""
    return text if text and re.fullmatch(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", text) else "/"


def _ask() -> ResponseReturnValue:
    """Lead a browser to the login, and tell everything else that it needs one."""
    if _shows_pages(request):
        wanted = request.full_path.rstrip("?")
        query = {"next": wanted} if own_path(wanted) == wanted and wanted != "/" else {}
        return redirect(f"{url_for('login.form')}?{urlencode(query)}".rstrip("?"), 303)
    if errors.wants_fragment():
        return "", 401, {"HX-Redirect": url_for("login.form"), "Vary": "HX-Request"}
    return errors.show(401, "Log in with a browser, or send the password: Authorization: Bearer <password>.")


def _shows_pages(asked: Request) -> bool:
    return (
        asked.method in ("GET", "HEAD")
        and "Upgrade" not in asked.headers
        and asked.accept_mimetypes.accept_html
        and "text/html" in asked.headers.get("Accept", "")
        and not errors.wants_fragment()
    )
