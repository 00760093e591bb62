"""Gunicorn's settings for Tapedeck: threads for sockets, and answers to what gthread does to long-lived ones.

TAPEDECK_HOST, TAPEDECK_PORT, WEB_CONCURRENCY and TAPEDECK_THREADS change what they name.
"""

import contextlib
import os
import socket
import struct
import threading
import time

HEAD = 8  # s for a client to send more of a request

bind = f"{os.environ.get('TAPEDECK_HOST', '127.0.0.1')}:{os.environ.get('TAPEDECK_PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("TAPEDECK_THREADS", "430"))  # each open stream holds one
worker_connections = 2 * threads
timeout = 60
graceful_timeout = 5
keepalive = 5
control_socket_disable = True
accesslog = os.environ.get("TAPEDECK_ACCESS_LOG") or None

# Pages need threads too: streams beyond this are sent away with 1013.
os.environ.setdefault("TAPEDECK_MAX_STREAMS", str(max(1, threads - 16)))


def post_fork(server, worker):
    """Give clients that send half a request no thread for longer than HEAD seconds."""
    for listener in worker.sockets:
        # accepted sockets inherit it; a stream sets its own
        with contextlib.suppress(OSError, AttributeError):
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", HEAD, 0))


def post_worker_init(worker):
    """Close in threads, and tell the streams when this worker is to stop."""
    _close_beside_the_accept_loop()
    threading.Thread(target=_drain_when_stopped, args=(worker,), name="drain", daemon=True).start()


def _close_beside_the_accept_loop():
    """Run gunicorn's lingering close (up to 2 s a connection, since 26.0) where it holds up nobody."""
    from gunicorn import util

    close = getattr(util, "close_graceful", None)  # not before 26.0
    if close is not None:
        util.close_graceful = lambda *args, **more: threading.Thread(
            target=close, args=args, kwargs=more, daemon=True
        ).start()


def _drain_when_stopped(worker):
    """Let the streams close with 1012 as soon as the worker is to stop: SIGTERM, a reload, its last request."""
    from webapp.sockets import switchboard

    while worker.alive:
        time.sleep(0.1)
    switchboard.drain()
