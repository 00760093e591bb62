"""Settings: every one with its default and its unit; TAPEDECK_<NAME> in the environment overrides it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.remote import Limits, Pool, shared

ROOT = Path(__file__).resolve().parent.parent

DEFAULTS: dict[str, Any] = {
    "HOME": str(ROOT / "var"),  # folder for the database, the cache of bars and the secret key; made when missing
    "DATA_DIR": str(ROOT / "data"),  # folder of the user's own bars: <SYMBOL>-<interval>.csv, .csv.gz or .parquet
    "STRATEGIES_DIR": str(ROOT / "strategies"),  # folder of the user's own strategies, one .py file each
    "DATABASE_URL": "",  # SQLAlchemy URL, such as postgresql://…; empty: SQLite in HOME
    "SECRET_KEY": "",  # signs the session cookie; empty: a random one, kept in HOME
    "HOST": "127.0.0.1",  # address that the server listens on
    "PORT": 8000,  # port that the server listens on
    "HOSTS": "",  # further host names that browsers may use, separated by commas; loopback names always may
    "PROXIES": 0,  # reverse proxies in front whose X-Forwarded-* headers are believed
    "PASSWORD": "",  # asked for at the door; without one only this machine is answered
    "LOGIN_DAYS": 30.0,  # days that a login lasts
    "YAHOO": True,  # ask Yahoo for bars that no file holds
    "LOG_LEVEL": "INFO",  # least severe message in the server's log
    "LOG_FORMAT": "text",  # how the log is written: text, or json with one object a line
    "RUNS_PER_PAGE": 25,  # runs on a page of the history
    "MAX_CONTENT_LENGTH": 65_536,  # bytes in a posted form
    "MAX_STREAMS": 1000,  # streams that a process plays at once; gunicorn.conf.py sets 16 fewer than it has threads
    "STREAMS_PER_ADDRESS": 100,  # streams that a process plays to one address at once; 0: no limit
    "MAX_BARS": 2_000_000,  # bars in a run
    "MAX_QUEUE": 1000,  # runs that may wait in a process to be simulated
    "LOCK_TIMEOUT": 5.0,  # seconds to wait for another writer of the database, or for a lock of PostgreSQL
    "ISOLATION": "process",  # where strategies run: in a process of their own, or "none" for debugging them
    "SECONDS_PER_BAR": 10.0,  # seconds that a strategy may take for a bar before its run is ended
    "STRATEGY_MEMORY": 2048,  # MB that a strategy may use before its run is ended; not kept on Windows
}

# Not for the environment: what the code relies on.
FIXED: dict[str, Any] = {
    "SESSION_COOKIE_NAME": "tapedeck",
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",  # Strict would drop the cookie on a link from elsewhere, and the setup with it
    "WTF_CSRF_TIME_LIMIT": None,  # a form left open overnight still works; the token dies with the session
    "WTF_CSRF_SSL_STRICT": False,  # the Origin check of security.py does this, for http too
    "WTF_CSRF_CHECK_DEFAULT": False,  # security.py calls the check itself, after host and origin
}


def texts() -> dict[str, str]:
    """Return the settings from the environment that are text, as they were written: 1e5 is a fine password."""
    names = (name for name, default in DEFAULTS.items() if isinstance(default, str))
    return {name: os.environ[f"TAPEDECK_{name}"] for name in names if f"TAPEDECK_{name}" in os.environ}


def folders(config: dict[str, Any]) -> tuple[Path, Path, Path]:
    """Return the absolute HOME, DATA_DIR and STRATEGIES_DIR; a relative one starts at the current folder."""
    home, data, strategies = (Path(str(config[name])).expanduser() for name in ("HOME", "DATA_DIR", "STRATEGIES_DIR"))
    return home.absolute(), data.absolute(), strategies.absolute()


def pool(config: dict[str, Any]) -> Pool | None:
    """Return what runs strategies in other processes (apps with the same limits share it), None when this one does."""
    if str(config["ISOLATION"]).strip().lower() == "none":
        return None
    limits = Limits(float(config["SECONDS_PER_BAR"]), int(float(config["STRATEGY_MEMORY"]) * 1024**2))
    return shared(limits, int(config["MAX_QUEUE"]))


def database_url(config: dict[str, Any]) -> str:
    """Return the SQLAlchemy URL of the database, with the driver that is installed."""
    url = str(config["DATABASE_URL"] or "")
    if not url:
        return f"sqlite:///{(folders(config)[0] / 'tapedeck.sqlite3').as_posix()}"
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in ("postgres", "postgresql") else url


def host_names(config: dict[str, Any]) -> frozenset[str]:
    """Return the host names, lower case and without port, that a request may be addressed to."""
    more = [str(config["HOST"]), *str(config["HOSTS"] or "").split(",")]
    names = {name.strip().lower().strip("[]") for name in more} - {"", "0.0.0.0", "::"}
    return frozenset({"localhost", "127.0.0.1", "::1"} | names)


def password(config: dict[str, Any]) -> str:
    """Return the password, empty when there is none."""
    return str(config["PASSWORD"] or "")


def own_url(config: dict[str, Any]) -> str:
    """Return the address at which this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(config["HOST"]), str(config["HOST"]))
    return f"http://{f'[{host}]' if ':' in host else host}:{config['PORT']}"


def is_on(value: Any) -> bool:
    """Return a switch from the environment, where people write no, off and False as well as false and 0."""
    return str(value).strip().lower() not in ("", "0", "false", "no", "off", "none")
