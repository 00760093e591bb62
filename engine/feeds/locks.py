"""Locks: one at a time, across the threads of a process and across processes, on every platform."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SLOTS = 64  # lock files are never deleted (a waiter could hold the old one), so there are only so many
_POLL = 0.02  # seconds
log = logging.getLogger(__name__)


class Locks:
    """Named locks in a folder; where nothing can be written they still hold within this process."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._threads = [threading.Lock() for _ in range(_SLOTS)]

    @contextmanager
    def held(self, name: str, timeout: float) -> Iterator[bool]:
        """Hold the lock inside the `with`; False when it could not be had in `timeout` seconds. Names may share one."""
        slot = zlib.crc32(name.encode()) % _SLOTS
        until = time.monotonic() + timeout
        if not self._threads[slot].acquire(timeout=timeout):
            yield False
            return
        try:
            with _locked(self._folder / f"{slot:02}.lock", until) as held:
                yield held
        finally:
            self._threads[slot].release()


@contextmanager
def _locked(path: Path, until: float) -> Iterator[bool]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        log.warning("No lock file: %s", error)
        yield True
        return
    try:
        while not (held := _try(handle)) and time.monotonic() < until:
            time.sleep(_POLL)
        yield held
    finally:
        os.close(handle)  # which also unlocks


if os.name == "nt":
    import msvcrt

    def _try(handle: int) -> bool:
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
