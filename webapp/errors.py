"""Errors as a visitor meets them: one page or fragment for all, and the traceback in the log under the same id."""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, TooManyRequests

from engine.errors import EngineError, FeedUnavailable
from engine.remote import Busy, Unavailable
from webapp import metrics
from webapp.store import StoreError, UnknownRun

log = logging.getLogger(__name__)


class Slower(TooManyRequests):
    """Somebody does something too often; `seconds` says when to come back."""

    def __init__(self, message: str, seconds: int):
        super().__init__(message, retry_after=seconds)


TITLES = {
    400: "That request was not understood",
    401: "This needs a login",
    403: "That request was refused",
    404: "Nothing is here",
    405: "That is not done here",
    413: "That is too much at once",
    422: "That cannot be run",
    429: "Not so fast",
    503: "Not just now",
}
MESSAGES = {
    404: "The address may be mistyped, or the run it named is in another database.",
    405: "This address does not take that kind of request. Go back and use the page's own links and buttons.",
    413: "The form is larger than this server takes. Shorten the parameters and send it again.",
}


def guard(app: Flask) -> None:
    """Answer every error of `app` with words for the visitor."""
    app.before_request(number_request)
    app.after_request(send_number)
    app.register_error_handler(EngineError, refuse)
    app.register_error_handler(CSRFError, refuse_token)
    app.register_error_handler(HTTPException, refuse_http)
    app.register_error_handler(Exception, fail)


def wants_fragment() -> bool:
    """Say whether htmx asks for a part of a page, and not a browser for the whole one."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def number_request() -> None:
    """Give the request an id, which its log lines and its error page share."""
    g.request_id = secrets.token_hex(6)


def send_number(response: Response) -> Response:
    """Send the request's id along; whoever reports a problem can name it."""
    response.headers["X-Request-Id"] = g.get("request_id", "-")
    metrics.requests.labels(str(response.status_code)).inc()
    return response


def refuse(error: EngineError) -> ResponseReturnValue:
    """Show what an EngineError says; it was written to be shown."""
    status = status_of(error)
    metrics.errors.labels("page", error.code).inc()
    if status >= 500:
        log.error("%s: %s", error.code, error.message, exc_info=error)
    return show(status, error.message)


def status_of(error: EngineError) -> int:
    """Return the HTTP status that fits `error`."""
    if isinstance(error, UnknownRun):
        return 404
    return 503 if isinstance(error, StoreError | FeedUnavailable | Busy | Unavailable) else 422


def refuse_token(error: CSRFError) -> ResponseReturnValue:
    """Say how to send the form again."""
    return show(400, "This form is out of date: the page was open in another session. Reload it and send it again.")


def refuse_http(error: HTTPException) -> ResponseReturnValue:
    """Put an HTTP error into words; Werkzeug's own pages stay out of sight."""
    if error.response is not None or error.code is None or error.code < 400:
        return error  # a redirect
    own_words = error.code in (400, 403, 429) and error.description not in (None, type(error).description)
    message = error.description if own_words else MESSAGES.get(error.code)
    response = make_response(show(error.code, message or "Go back, reload the page and try again."))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def fail(error: Exception) -> ResponseReturnValue:
    """Log a bug of ours with its traceback, and show the visitor the id to report."""
    log.exception("failed on %s %s", request.method, request.path)
    metrics.errors.labels("page", "bug").inc()
    return show(500, "Something went wrong on the server. Nothing that was stored is lost. Its log has the details.")


def show(status: int, message: str) -> ResponseReturnValue:
    """Return the error page; for htmx the notice alone, which goes to the top of the page it came from."""
    words = {"title": TITLES.get(status, "That did not work"), "message": message, "request_id": g.get("request_id")}
    headers = {"Vary": "HX-Request"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="Tapedeck"'
    if status == 503:
        headers["Retry-After"] = "5"
    if wants_fragment():
        headers |= {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
        html = render_template("fragments/notice.html", **words)
    else:
        html = render_template("error.html", status=status, **words)
    return html, status, headers
