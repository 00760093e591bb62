"""Metrics: what Prometheus reads at /metrics, added up over the workers of a server.

gunicorn.conf.py names the folder in which workers share their numbers; one process alone needs none.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_LATE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # s

streams = Gauge("tapedeck_streams", "Streams that are open", multiprocess_mode="livesum")
streams_started = Counter("tapedeck_streams_started", "Streams that were admitted")
streams_refused = Counter("tapedeck_streams_refused", "Streams that were sent away because of a limit")
lateness = Histogram(
    "tapedeck_stream_lateness_seconds",
    "How much later than due a bar was sent: the latest one of each time that a stream sent statistics",
    buckets=_LATE,
)
bars = Counter("tapedeck_bars", "Bars that were played to visitors")
runs = Counter("tapedeck_runs", "Runs that were stored")
simulations = Counter("tapedeck_simulations", "Simulations that were started, and what became of them", ["outcome"])
simulating = Gauge("tapedeck_simulations_open", "Simulations that are held for streams", multiprocess_mode="livesum")
errors = Counter("tapedeck_errors", "Refusals and failures by code; code 'bug' is ours", ["where", "code"])
requests = Counter("tapedeck_http_requests", "HTTP requests by status", ["status"])
wrong_passwords = Counter("tapedeck_wrong_passwords", "Passwords that were not the right one")
yahoo = Counter("tapedeck_yahoo_fetches", "Times that Yahoo was asked for bars, and how it went", ["outcome"])


def exposition() -> tuple[bytes, str]:
    """Return the numbers, and their content type."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
