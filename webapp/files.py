"""Files: our scripts and styles, at addresses that change when they do, so that a browser asks for each only once."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from flask import Flask, Response, g

_FOR_EVER = 31_536_000  # s
_VERSIONED = re.compile(r"v-([0-9a-f]{12})/(.+)")


def register(app: Flask) -> None:
    """Put the version of the folder into the addresses of its files.

    A script imports others by their names beside it, and so in its own version. An address without a version, or with
    that of another server while an update is under way, gives the file as it is here, and is asked for again each time.
    """
    folder = Folder(app.static_folder or "")

    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            if "version" not in g:
                g.version = folder.version()
            values["filename"] = f"v-{g.version}/{values['filename']}"

    def take_version(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if endpoint == "static" and values and (found := _VERSIONED.fullmatch(values["filename"])):
            g.for_ever = found[1] == folder.version()
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


class Folder:
    """A folder of files, none below another folder."""

    def __init__(self, path: str):
        self._path = path
        self._known: tuple[list[tuple[str, int, int]], str] = [], ""  # what the files looked like, and their version

    def version(self) -> str:
        """Return a digest of all files, as they are now: an update may replace them below a server that runs."""
        with os.scandir(self._path) as files:
            looks = sorted((one.name, one.stat().st_mtime_ns, one.stat().st_size) for one in files if one.is_file())
        known, version = self._known
        if looks != known:
            version = self._digest([name for name, *_ in looks])
            self._known = looks, version
        return version

    def _digest(self, names: list[str]) -> str:
        digest = hashlib.sha256()
        for name in names:
            with open(os.path.join(self._path, name), "rb") as file:
                digest.update(f"{name}\0".encode() + hashlib.sha256(file.read()).digest())
        return digest.hexdigest()[:12]
