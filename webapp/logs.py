"""The server's log: one entry a message on standard error, with the ids of the request and run that it belongs to."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

from flask import Flask, g, has_request_context

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(ids)s] %(message)s"


def start(app: Flask) -> None:
    """Send what `webapp` and `engine` say to standard error, unless the host has set up logging itself."""
    level = logging.getLevelNamesMapping().get(str(app.config["LOG_LEVEL"]).upper(), logging.INFO)
    as_json = str(app.config["LOG_FORMAT"]).strip().lower() == "json"
    for name in ("webapp", "engine"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if not logger.handlers:
            ours = Stderr()
            ours.addFilter(Ids())
            logger.addHandler(ours)
    for handler in _handlers("webapp", "engine"):
        if isinstance(handler, Stderr):
            handler.setFormatter(Json() if as_json else Lines(FORMAT))
    for handler in _handlers("gunicorn.error", "gunicorn.access") if as_json else []:
        handler.setFormatter(Json())


def about(run_id: str) -> None:
    """Put the id of a run on all that this request logs from now on."""
    if has_request_context():
        g.run_id = run_id


def _handlers(*names: str) -> list[logging.Handler]:
    return [handler for name in names for handler in logging.getLogger(name).handlers]


class Ids(logging.Filter):
    """Give every record `request_id` and `run_id`, "-" where there is none, and both in `ids`."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name in ("request_id", "run_id"):
            if not hasattr(record, name):
                setattr(record, name, g.get(name, "-") if has_request_context() else "-")
        request, run = record.__dict__["request_id"], record.__dict__["run_id"]
        record.ids = request if run == "-" else f"{request} {run}"
        return True


class Lines(logging.Formatter):
    """Text: a message keeps to its line and a traceback is set in, so that nobody's text can look like an entry."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        return "\n".join("    " + visible(line) for line in super().formatException(ei).splitlines())  # type: ignore[arg-type]


class Json(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request, run, error (the traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        for name in ("request", "run"):
            if (value := record.__dict__.get(f"{name}_id", "-")) != "-":
                entry[name] = value
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class Stderr(logging.StreamHandler):
    """Write to what `sys.stderr` is now, not to what it was when logging was set up."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore it: there is only one."""


def visible(text: str) -> str:
    """Return `text` with what would move the cursor, end the line or hide on a terminal written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
