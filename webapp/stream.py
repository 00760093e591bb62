"""Stream: one WebSocket playing one run to one visitor."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from flask import Blueprint, current_app, g, request
from flask_sock import Sock

from engine.errors import EngineError
from engine.remote import Busy
from webapp import access, metrics, protocol, security, sockets
from webapp.player import Player
from webapp.sockets import GONE, Channel, Ended

PATIENCE = 30.0  # s for the first message
_ONE_THREAD = "gunicorn serves one visitor at a time here: start it with --config gunicorn.conf.py, Tapedeck's own."

bp = Blueprint("stream", __name__)
sock = Sock()
log = logging.getLogger(__name__)


class Fault(EngineError):
    """The server is at fault, not what was asked of it."""

    code = "internal"


@bp.record_once
def configure(setup: Any) -> None:
    """Give the socket its limits."""
    setup.app.config.setdefault("SOCK_SERVER_OPTIONS", sockets.OPTIONS)


@bp.before_request
def admit() -> None:
    """Answer a handshake that must not become a socket, while HTTP can still be spoken."""
    origin = request.headers.get("Origin")
    ours = security.same_site(request.headers.get("Sec-Fetch-Site"), origin, request.host_url)
    # A client without an Origin is not a browser: no page made it come. Whoever it is must be on this machine, or have
    # got past the login.
    known = access.logins() is not None or sockets.is_loopback(request.remote_addr)
    sockets.check_handshake(request.environ, ours and (origin is not None or known))


@sock.route("/ws/backtest/stream/", bp=bp)
def stream(ws: Any) -> None:
    """Play one run to one visitor until it completes or they leave."""
    channel = Channel(ws)
    code, reason = sockets.DONE, ""
    try:
        _admit(channel)
        _serve(channel)
    except Ended as end:
        code, reason = end.code, end.reason
    except GONE:
        pass
    except Exception:  # Flask's error page must not be written down an open socket
        log.exception("the stream failed")
        metrics.errors.labels("stream", "bug").inc()
        code, reason = sockets.BROKEN, "Something went wrong on the server."
        with suppress(*GONE):
            channel.send(protocol.dumps(protocol.error(Fault(f"{reason} Its log says what."))))
    finally:
        try:
            _dismiss(channel)
        finally:
            channel.close(code, reason)


def _admit(channel: Channel) -> None:
    limit, each = (int(current_app.config[name]) for name in ("MAX_STREAMS", "STREAMS_PER_ADDRESS"))
    try:
        sockets.switchboard.add(channel, limit, request.remote_addr or "", each)
    except Ended as end:
        metrics.streams_refused.inc()
        log.warning("a stream of %s was sent away: %s", request.remote_addr, end.reason)
        raise
    metrics.streams.inc()
    metrics.streams_started.inc()
    g.counted = True
    if (known := access.logins()) is not None and g.login:
        known.watch(channel, g.login)


def _dismiss(channel: Channel) -> None:
    sockets.switchboard.remove(channel)
    if g.get("counted"):
        metrics.streams.dec()
    if (known := access.logins()) is not None:
        known.unwatch(channel)


def _serve(channel: Channel) -> None:
    """Start what the first message asks for, and play it."""
    try:
        if not request.environ.get("wsgi.multithread", True):
            raise Fault(_ONE_THREAD)
        text = _first(channel)
        start = protocol.read_start(protocol.parse(text))
        player = Player(channel, start)
    except Busy as error:  # not a refusal: the same message is welcome later
        raise Ended(sockets.LATER, error.message) from error
    except EngineError as error:
        metrics.errors.labels("stream", error.code).inc()
        channel.send(protocol.dumps(protocol.error(error)))
        raise Ended(sockets.POLICY, error.message) from error
    player.run()


def _first(channel: Channel) -> str | bytes:
    if sockets.switchboard.draining:
        raise Ended(sockets.RESTART, "The server restarts.")
    text = channel.receive(PATIENCE)
    if channel.dismissed:
        raise channel.dismissed
    if text is None:
        raise Ended(sockets.POLICY, "No message came to start a run.")
    if text == "" and sockets.switchboard.draining:
        raise Ended(sockets.RESTART, "The server restarts.")
    return text
