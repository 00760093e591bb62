"""Files: our scripts and styles, at addresses that change when they do, so that a browser asks for each only once."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from flask import Flask, Response, g

_FOR_EVER = 31_536_000  # s
_VERSIONED = re.compile(r"v-([0-9a-f]{12})/(.+)")


def register(app: Flask) -> None:
    """Put the version of the folder into the addresses of its files.

    A script imports others by their names beside it, and so in its own version. An address without a version, or with
    that of another server while an update is under way, gives the file as it is here, and is asked for again each time.
    """
    version = _version(Path(app.static_folder or ""))

    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = f"v-{version}/{values['filename']}"

    def take_version(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if endpoint == "static" and values and (found := _VERSIONED.fullmatch(values["filename"])):
            g.for_ever = found[1] == version
            values["filename"] = found[2]

    def let_keep(response: Response) -> Response:
        if g.get("for_ever") and response.status_code in (200, 304):
            response.cache_control.no_cache = None
            response.cache_control.public = response.cache_control.immutable = True
            response.cache_control.max_age = _FOR_EVER
        return response

    app.url_defaults(name_version)
    app.url_value_preprocessor(take_version)
    app.after_request(let_keep)


def _version(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
