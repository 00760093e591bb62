"""Who may talk to us, and what a browser may do with our pages: hosts, origins, CSRF, headers, the secret key."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import BadRequest, Forbidden
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import access, settings

HTMX_URL = "https://cdn.jsdelivr.net/npm/htmx.org@4.0.1/dist/htmx.min.js"
HTMX_INTEGRITY = "sha384-Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

csrf = CSRFProtect()
log = logging.getLogger(__name__)


def guard(app: Flask) -> None:
    """Put every request of `app`, the socket's included, behind the checks, and every answer behind the headers."""
    app.config["SECRET_KEY"] = str(app.config["SECRET_KEY"] or "") or _secret_key(settings.folders(app.config)[0])
    app.extensions["tapedeck.hosts"] = settings.host_names(app.config)
    hops = int(app.config["PROXIES"])
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    csrf.init_app(app)
    app.before_request(check_host)
    app.before_request(access.check)
    app.before_request(check_origin)
    app.after_request(add_headers)
    app.context_processor(lambda: {"htmx_url": HTMX_URL, "htmx_integrity": HTMX_INTEGRITY})


def check_host() -> None:
    """Refuse a request for a name that is not ours: the browser may have been led here by another site's."""
    host = request.environ.get("HTTP_HOST", "")
    if not host_allowed(host):
        # The name is not echoed: whoever sent it chose it. A rebound name reads nothing useful here.
        log.warning("refused a request for host %r", host[:100])
        raise BadRequest(
            "This server does not answer to that host name. "
            "Use the address that it printed, or add the name to TAPEDECK_HOSTS."
        )


def check_origin() -> None:
    """Refuse a change that another site could have sent in the visitor's name."""
    if request.method not in SAFE_METHODS:
        if not same_site(request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin"), request.host_url):
            log.warning("refused a %s from origin %r", request.method, request.headers.get("Origin", "")[:100])
            raise Forbidden("This request came from another site. Open Tapedeck itself and send the form from there.")
        # An unknown address is a 404 or 405. What brings the password itself brings no cookie's authority.
        if request.url_rule is not None and current_app.config["WTF_CSRF_ENABLED"] and not g.bearer:
            csrf.protect()


def host_allowed(host: str) -> bool:
    """Say whether the Host header `host` (a name, with or without a port) is one of ours."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(:\d{1,5})?", host)
    return match is not None and match[1].lower().strip("[]") in current_app.extensions["tapedeck.hosts"]


def same_site(fetch_site: str | None, origin: str | None, own_url: str) -> bool:
    """Say whether a request is from our own pages, or from no page at all.

    `fetch_site` is what the browser says (Sec-Fetch-Site); plain http addresses on a network get only `origin`.
    Neither header: not a browser, so there are no cookies of a visitor's to abuse, and the CSRF token still counts.
    """
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    return origin is None or _origin(origin) == _origin(own_url)


def policy(host: str) -> str:
    """Return the Content-Security-Policy of a page served as `host` (an allowed host, with its port)."""
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' {HTMX_URL}",
        "style-src": "'self'",
        "style-src-attr": "'unsafe-inline'",  # the chart library sets style attributes
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": f"'self' ws://{host} wss://{host}",  # 'self' does not cover sockets in older Safari
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def add_headers(response: Response) -> Response:
    """Tell the browser to run only our scripts, to frame us nowhere and to keep no page of ours."""
    host = request.environ.get("HTTP_HOST", "")
    response.headers["Content-Security-Policy"] = policy(request.host if host_allowed(host) else "localhost")
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if request.endpoint != "static" and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _origin(url: str) -> tuple[str, str, int] | None:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
    return None


def _secret_key(home: Path) -> str:
    """Return the key kept in `home`, making it first when there is none; workers that race get the same one."""
    path = home / "secret"
    try:
        if not path.exists():
            _place(path, secrets.token_urlsafe(32))
        key = path.read_text(encoding="ascii").strip()
        if len(key) >= 32:
            return key
        log.error("%s is damaged; delete it and restart. Until then sessions end with this process.", path)
    except (OSError, UnicodeDecodeError) as error:
        log.error("no secret key can be kept in %s (%s); sessions end with this process", home, error)
    return secrets.token_urlsafe(32)


def _place(path: Path, text: str) -> None:
    """Write `text` to `path` unless it exists by then, never half, readable by the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
