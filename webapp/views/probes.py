"""Probes: what watches the server asks it: does it live, is it ready, how is it doing."""

from __future__ import annotations

import os
import shutil
import tempfile

from flask import Blueprint, Response, current_app, jsonify
from flask.typing import ResponseReturnValue

from webapp import metrics, services, settings, sockets
from webapp.store import StoreError

ROOM = 64 * 1024**2  # bytes that must be free on the disk

bp = Blueprint("probes", __name__)


@bp.get("/healthz")
def live() -> ResponseReturnValue:
    """Say that the server answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
def ready() -> ResponseReturnValue:
    """Say whether runs can be stored and streams be played, and if not, what is missing; then the status is 503."""
    found = {"database": _database(), "disk": _disk(), "streams": "stopping" if sockets.switchboard.draining else "ok"}
    good = set(found.values()) == {"ok"}
    return jsonify(status="ok" if good else "not ready", **found), 200 if good else 503


@bp.get("/metrics")
def numbers() -> Response:
    """Return the numbers of all workers as Prometheus reads them."""
    text, kind = metrics.exposition()
    return Response(text, content_type=kind)


def _database() -> str:
    try:
        services().store.runs(1)
    except StoreError as error:
        return error.message
    return "ok"


def _disk() -> str:
    home = settings.folders(current_app.config)[0]
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"x")
        free = shutil.disk_usage(home).free
    except OSError as error:
        return f"The data folder cannot be written to: {os.strerror(error.errno or 0)}."
    return "ok" if free >= ROOM else f"Only {free // 1024**2} MB are free."
