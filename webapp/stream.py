"""Stream: one WebSocket playing one run to one visitor."""

from __future__ import annotations

import logging
from typing import Any

from flask import Blueprint, current_app, request
from flask_sock import Sock

from engine.errors import EngineError
from webapp import protocol, security, sockets
from webapp.player import Player
from webapp.sockets import GONE, Channel, Ended

PATIENCE = 30.0  # s for the first message

bp = Blueprint("stream", __name__)
sock = Sock()
log = logging.getLogger(__name__)


@bp.record_once
def configure(setup: Any) -> None:
    """Give the socket its limits."""
    setup.app.config.setdefault("SOCK_SERVER_OPTIONS", sockets.OPTIONS)


@bp.before_request
def admit() -> None:
    """Answer a handshake that must not become a socket, while HTTP can still be spoken."""
    origin = request.headers.get("Origin")
    ours = security.same_site(request.headers.get("Sec-Fetch-Site"), origin, request.host_url)
    # A client without an Origin is not a browser: no page made it come, but whoever it is must be on this machine.
    sockets.check_handshake(request.environ, ours and (origin is not None or sockets.is_loopback(request.remote_addr)))


@sock.route("/ws/backtest/stream/", bp=bp)
def stream(ws: Any) -> None:
    """Play one run to one visitor until it completes or they leave."""
    channel = Channel(ws)
    code, reason = sockets.DONE, ""
    try:
        if not sockets.switchboard.add(channel, int(current_app.config["MAX_STREAMS"])):
            raise Ended(sockets.LATER, "Too many streams are open. Try again in a while.")
        _serve(channel)
    except Ended as end:
        code, reason = end.code, end.reason
    except GONE:
        pass
    except Exception:  # Flask's error page must not be written down an open socket
        log.exception("the stream failed")
        code, reason = sockets.BROKEN, "Something went wrong on the server."
    finally:
        sockets.switchboard.remove(channel)
        channel.close(code, reason)


def _serve(channel: Channel) -> None:
    """Start what the first message asks for, and play it."""
    try:
        text = _first(channel)
        start = protocol.read_start(protocol.parse(text))
        player = Player(channel, start)
    except EngineError as error:
        channel.send(protocol.dumps(protocol.error(error)))
        raise Ended(sockets.POLICY, error.message) from error
    player.run()


def _first(channel: Channel) -> str | bytes:
    if sockets.switchboard.draining:
        raise Ended(sockets.RESTART, "The server restarts.")
    text = channel.receive(PATIENCE)
    if text is None:
        raise Ended(sockets.POLICY, "No message came to start a run.")
    if text == "" and sockets.switchboard.draining:
        raise Ended(sockets.RESTART, "The server restarts.")
    return text
