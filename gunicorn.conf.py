"""Gunicorn's settings for Tapedeck: threads for sockets, and answers to what gthread does to long-lived ones.

TAPEDECK_HOST, TAPEDECK_PORT, WEB_CONCURRENCY and TAPEDECK_THREADS change what they name.
"""

import contextlib
import ctypes
import gc
import importlib
import ipaddress
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time

from gunicorn.config import Chdir
from gunicorn.workers.gthread import ThreadWorker

COLLECT = 10  # s between two full collections at least
SHARE = 0.001  # of the time that they may take at most
SELDOM = 300  # s between two at most, also after one that was held up: by swap, by a process that was stopped
READY = 64  # threads of a worker that are there before the first visitor
SILENT = 8  # s in which a client must send more of its request
STUCK = 20  # s in which it must take more of the answer
WHOLE = 20, 120  # s for a request to come whole: without a body, and with one (its handling included)

# Of glibc's malloc.h: what it is to do, and not find out by itself. Threads take turns here anyway; by default their
# memory lies in up to eight arenas a core, mostly holes. And after the first big block (a message, a column of a run)
# it would put such blocks between the small ones, up to 32 MB each, where they leave holes too.
_MALLOC = {-8: 2, -3: 131_072, -1: 131_072}  # M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD in bytes
# Each thread that serves would keep freed blocks of each size for itself, never to give them back: with 64 threads a
# megabyte more with each thousand runs. Only the environment of a program that starts can say so.
_TUNABLES = "glibc.malloc.tcache_count=0"
# What takes a second to load. The master does it once: a worker that dies is back in a third of the time.
_AHEAD = ("alembic.command", "flask_sock", "flask_wtf", "orjson", "pandas", "pyarrow.parquet", "sqlalchemy", "talib")
_AGAIN = "TAPEDECK_STARTED_AGAIN"  # a Python with rights of its own loses the other variable each time
_shared = None  # the folder that was made for /metrics
_coming = {}  # requests that are being read: thread -> until when, and the connection

bind = f"{os.environ.get('TAPEDECK_HOST', '127.0.0.1')}:{os.environ.get('TAPEDECK_PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("TAPEDECK_THREADS", "616"))  # each open stream holds one
worker_connections = 2 * threads
timeout = 60
graceful_timeout = 5
keepalive = 5
control_socket_disable = True
sendfile = False  # it would wait for ever for a client that takes nothing
# What proxies say is believed as far as TAPEDECK_PROXIES goes, which is not for gunicorn to judge.
forwarded_allow_ips = ""
secure_scheme_headers = {}
accesslog = os.environ.get("TAPEDECK_ACCESS_LOG") or None

# Arrow's own allocator keeps 2 MB for each thread that ever read a table.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def on_starting(server):
    """Refuse to serve others without a password, or by another worker; make ready what the workers share.

    First the master starts once more, as the same process, for malloc reads its environment only then.
    """
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", ()) and not {"GLIBC_TUNABLES", _AGAIN} & set(os.environ):
        _start_again(server)
    if server.cfg.threads < 2 or not issubclass(server.cfg.worker_class, ThreadWorker):
        raise SystemExit("Tapedeck's streams need gunicorn's gthread worker. Leave --worker-class and --threads 1 out.")
    if not os.environ.get("TAPEDECK_PASSWORD") and (open_to := [a for a in server.cfg.address if not _is_local(a)]):
        host = open_to[0][0]
        raise SystemExit(
            f"Tapedeck does not serve {host} without a password: whoever reaches it can run strategies.\n"
            "Set TAPEDECK_PASSWORD, or bind to 127.0.0.1 for this machine alone."
        )
    # Pages need threads too: streams beyond this are sent away with 1013. A command line may change the threads.
    os.environ.setdefault("TAPEDECK_MAX_STREAMS", str(max(1, server.cfg.threads - 16)))
    global _shared
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        _shared = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="tapedeck-metrics-")
    if sys.platform == "linux":  # macOS forbids a process that has loaded them to fork
        for name in _AHEAD:
            importlib.import_module(name)


def on_exit(server):
    """Remove that folder."""
    if _shared:
        shutil.rmtree(_shared, ignore_errors=True)


def child_exit(server, worker):
    """Count what a worker that has ended had open no longer."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def post_fork(server, worker):
    """Give clients that send half a request, or take no answer, no thread for long; keep memory together."""
    # A command line may change the threads after this file had been read.
    worker.worker_connections = max(worker.worker_connections, 2 * worker.cfg.threads)
    worker.max_keepalived = worker.worker_connections - worker.cfg.threads
    with contextlib.suppress(OSError, AttributeError, TypeError):  # only glibc's malloc can be told
        for parameter, value in _MALLOC.items():
            ctypes.CDLL(None).mallopt(parameter, value)
    for listener in worker.sockets:
        # accepted sockets inherit it; a stream sets its own
        with contextlib.suppress(OSError, AttributeError):
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENT, 0))
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", STUCK, 0))


def pre_request(worker, req):
    """Wait no longer for a request that has come; a body is still to be read."""
    if req.method in ("GET", "HEAD"):
        _coming.pop(threading.get_ident(), None)
    elif known := _coming.get(threading.get_ident()):
        _coming[threading.get_ident()] = time.monotonic() + WHOLE[1], known[1]


def post_worker_init(worker):
    """Have threads ready, close beside them, keep the collector short, and tell the streams when the worker stops."""
    # A thread that computes gives way this soon, not after 5 ms at each write: with two of them beside 1,000 writes a
    # second, these were 600 ms late, and are 2 ms.
    sys.setswitchinterval(0.0005)
    # A full collection looks through all that streams hold, while every one of them waits: 0.1 s for 400. So it comes
    # by time, and hardly ever by how much was made, which in an instant run is a dozen times.
    gc.set_threshold(2_000, 10, 100_000)
    gc.collect()
    gc.freeze()  # what is loaded stays: looking through all of it again took 0.1 s, with every stream waiting
    _start_threads(worker.tpool, min(READY, worker.cfg.threads))
    worker.log.error_log.addFilter(_tell_silence_shortly)
    _limit_requests(worker)
    _close_beside_the_accept_loop()
    threading.Thread(target=_collect, name="collect", daemon=True).start()
    threading.Thread(target=_drain_when_stopped, args=(worker,), name="drain", daemon=True).start()


def _start_again(server):
    """Replace this process by the same command, as if it had never run, with malloc's variable set."""
    if server.pidfile:
        server.pidfile.unlink()
    os.chdir(Chdir.default)  # where the command was given, before --chdir
    os.environ |= {"GLIBC_TUNABLES": _TUNABLES, _AGAIN: "1"}
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 (this very command)


def _is_local(address):
    """Say whether only this machine can reach `address`: a path of a Unix socket, a descriptor, or a host and port."""
    if not isinstance(address, tuple):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address[0]).is_loopback
    return address[0] == "localhost"


def _tell_silence_shortly(record):
    """Say in a line what would be a traceback: that a client sent or took nothing for too long."""
    if record.exc_info and isinstance(record.exc_info[1], BlockingIOError | TimeoutError):
        text = f"A client sent nothing for {SILENT} s in the middle of a request, or took no answer for {STUCK} s."
        record.msg, record.args, record.exc_info = text, (), None
    return True


def _limit_requests(worker):
    """End connections whose request comes in so small pieces that it is never silent, and never whole."""
    handle = worker.handle

    def limited(connection):
        _coming[threading.get_ident()] = time.monotonic() + WHOLE[0], connection
        try:
            return handle(connection)
        finally:
            _coming.pop(threading.get_ident(), None)

    def watch():
        while True:
            time.sleep(1)
            for until, connection in list(_coming.values()):
                if time.monotonic() > until:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)

    worker.handle = limited
    threading.Thread(target=watch, name="requests", daemon=True).start()


def _close_beside_the_accept_loop():
    """Run gunicorn's lingering close (up to 2 s a connection, since 26.0) where it holds up nobody."""
    from gunicorn import util

    close = getattr(util, "close_graceful", None)  # not before 26.0
    if close is not None:
        util.close_graceful = lambda *args, **more: threading.Thread(
            target=close, args=args, kwargs=more, daemon=True
        ).start()


def _start_threads(pool, count):
    """Let the pool start `count` threads now: none ever ends, so each one that a later rush starts stays as well."""
    together = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            pool.submit(together.wait)
        together.wait()
    except RuntimeError:  # the system gives no more threads
        together.abort()


def _collect():
    """Free what streams and requests leave behind in circles, and give back to the system what lies idle."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    took = 0.0
    while True:
        time.sleep(min(max(COLLECT, took / SHARE), SELDOM))  # with 400 streams it takes 0.1 s, and all of them wait
        began = time.perf_counter()
        gc.collect()
        if trim:
            trim(0)
        took = time.perf_counter() - began


def _drain_when_stopped(worker):
    """Let the streams close with 1012 as soon as the worker is to stop: SIGTERM, a reload, its last request."""
    from webapp.sockets import switchboard

    while worker.alive:
        time.sleep(0.1)
    switchboard.drain()
