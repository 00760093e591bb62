"""The server's log: one line a message on standard error, with the id of the request that it belongs to."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from flask import Flask, g, has_request_context

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def start(app: Flask) -> None:
    """Send what `webapp` and `engine` say to standard error, unless the host has set up logging itself."""
    level = logging.getLevelNamesMapping().get(str(app.config["LOG_LEVEL"]).upper(), logging.INFO)
    for name in ("webapp", "engine"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if not logger.handlers:
            logger.addHandler(_handler())


class RequestId(logging.Filter):
    """Give every record a `request_id`, "-" outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = g.get("request_id", "-") if has_request_context() else "-"
        return True


class OneLine(logging.Formatter):
    """Keep a message on its line: text from a visitor cannot forge a second entry."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


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


def _handler() -> logging.Handler:
    handler = Stderr()
    handler.addFilter(RequestId())
    handler.setFormatter(OneLine(FORMAT))
    return handler
