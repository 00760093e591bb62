"""Logins: who is logged in, kept in the database so that every server knows and a logout holds everywhere."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from webapp.database import Database, StoreError
from webapp.tables import logins

if TYPE_CHECKING:
    from webapp.sockets import Channel

LINK = 600  # s that a one-time link works
BELIEVED = 5.0  # s that a process trusts what it last read about a login
ROUND = 20.0  # s between two looks at the logins of open streams; a stream ends at most two rounds after its login
OVER = "You are logged out. Log in again to go on."

log = logging.getLogger(__name__)


class Logins:
    """The logins of one password. A changed password ends those that were made with another.

    Args:
        secret: the key that signs links.
        seconds: how long a login lasts.
    """

    def __init__(
        self,
        database: Database,
        password: str,
        secret: str,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ):
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._password = password.encode()
        self._proof = hmac.digest(secret.encode(), self._password, "sha256").hex()
        self._links = URLSafeTimedSerializer(secret, salt="tapedeck.link")
        self._believed: dict[str, float] = {}
        self._watched: dict[Channel, str] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def knows(self, password: bytes) -> bool:
        """Say whether this is the password, in a time that tells nothing about it."""
        return hmac.compare_digest(hashlib.sha256(password).digest(), hashlib.sha256(self._password).digest())

    def open(self) -> str:
        """Log somebody in; return the token for the cookie. The database has its digest only."""
        token = secrets.token_urlsafe(24)
        self._insert(_digest(token), self._seconds)
        return token

    def close(self, token: str) -> None:
        """Log out, everywhere."""
        digest = _digest(token)
        with self._database.write() as connection:
            connection.execute(delete(logins).where(logins.c.digest == digest))
        self._believed.pop(digest, None)

    def holds(self, token: str) -> bool:
        """Say whether the login with this token is still open."""
        digest, now = _digest(token), time.monotonic()
        if self._believed.get(digest, 0.0) > now:
            return True
        if digest not in self._open({digest}):
            return False
        if len(self._believed) > 10_000:
            self._believed.clear()
        self._believed[digest] = now + BELIEVED
        return True

    def link_key(self) -> str:
        """Return the key of a new one-time link."""
        return str(self._links.dumps(secrets.token_urlsafe(16)))

    def use_link(self, key: str) -> bool:
        """Say whether a link's key opens a login: it is ours, not old, and this is its first use."""
        try:
            nonce = str(self._links.loads(key, max_age=LINK))
            self._insert(_digest(f"link {nonce}"), LINK + 60)
        except (BadData, IntegrityError):
            return False
        return True

    def watch(self, channel: Channel, token: str) -> None:
        """End the stream of `channel` when its login ends."""
        with self._lock:
            self._watched[channel] = _digest(token)
            if self._thread is None:
                thread = threading.Thread(target=self._rounds, name="logins", daemon=True)
                thread.start()
                self._thread = thread

    def unwatch(self, channel: Channel) -> None:
        """Forget `channel`: it has ended."""
        with self._lock:
            self._watched.pop(channel, None)

    def _rounds(self) -> None:
        while not self._stop.wait(ROUND):
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
                watched = dict(self._watched)
            try:
                still = self._open(set(watched.values()))
            except StoreError as error:  # streams need no database; whoever has logged out is found in the next round
                log.warning("logins cannot be checked: %s", error.message)
                continue
            for channel, digest in watched.items():
                if digest not in still:
                    channel.dismiss(OVER)

    def _open(self, digests: Iterable[str]) -> set[str]:
        query = select(logins.c.digest).where(
            logins.c.digest.in_(sorted(digests)), logins.c.proof == self._proof, logins.c.expires > self._clock()
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def _insert(self, digest: str, seconds: float) -> None:
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(delete(logins).where(logins.c.expires < now))
            connection.execute(logins.insert().values(digest=digest, proof=self._proof, expires=now + seconds))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
