"""Tapedeck's web application: it turns requests and messages into engine calls, and tapes into HTML and JSON."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, current_app

from engine.catalog import Catalog
from engine.feeds import Feeds
from engine.remote import Pool
from webapp import access, errors, files, filters, logs, metrics, security, settings, views
from webapp.proofs import Proofs
from webapp.store import Store

PARTS = (
    "webapp.views.home",
    "webapp.views.login",
    "webapp.views.probes",
    "webapp.views.runs",
    "webapp.views.strategies",
    "webapp.views.fragments",
    "webapp.views.exports",
    "webapp.views.why",
    "webapp.charts",
    "webapp.stream",
)


@dataclass(frozen=True, slots=True)
class Services:
    """What views and streams share: where bars, strategies and stored runs come from.

    `offline` is `feeds` without Yahoo, for what must not wait. `pool` runs the strategies; None: this process does.
    """

    feeds: Feeds
    catalog: Catalog
    store: Store
    offline: Feeds
    data_dir: Path
    yahoo: bool
    pool: Pool | None = None
    max_bars: int = settings.DEFAULTS["MAX_BARS"]
    proofs: Proofs = field(default_factory=Proofs)


def create_app(overrides: dict[str, Any] | None = None) -> Flask:
    """Build the app; tests pass `overrides`, the server passes nothing."""
    app = Flask(__name__)
    app.config.from_mapping(settings.DEFAULTS)
    app.config.from_mapping(settings.FIXED)
    app.config.from_prefixed_env("TAPEDECK")
    app.config.from_mapping(settings.texts())
    app.config.from_mapping(overrides or {})
    logs.start(app)
    app.extensions["tapedeck"] = _services(app)
    errors.guard(app)
    security.guard(app)
    access.prepare(app, app.extensions["tapedeck"].store.database)
    files.register(app)
    filters.register(app)
    views.register(app)
    for part in PARTS:
        app.register_blueprint(importlib.import_module(part).bp)
    return app


def services() -> Services:
    """Return the services of the app that serves this request."""
    return current_app.extensions["tapedeck"]


def _services(app: Flask) -> Services:
    home, data, strategies = settings.folders(app.config)
    store = Store(settings.database_url(app.config), lock_timeout=float(app.config["LOCK_TIMEOUT"]))
    store.prepare()
    yahoo = settings.is_on(app.config["YAHOO"])
    offline = Feeds(data, home / "cache", yahoo=False)
    feeds = Feeds(data, home / "cache", yahoo=True, asked=_count_fetch) if yahoo else offline
    pool = settings.pool(app.config)
    catalog = Catalog(strategies, None if pool is None else pool.describe)
    return Services(feeds, catalog, store, offline, data, yahoo, pool, int(app.config["MAX_BARS"]))


def _count_fetch(outcome: str) -> None:
    metrics.yahoo.labels(outcome).inc()
