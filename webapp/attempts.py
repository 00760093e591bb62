"""Attempts: guesses at the password, slowed for each address that has guessed wrong."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 3  # wrong guesses before an address has to wait
FIRST, LONGEST = 0.5, 8.0  # s between two guesses from then on; doubled by each wrong one
FORGOTTEN = 900.0  # s without a guess after which an address starts afresh
WAITING = 2, 16  # guesses that may wait at a time: of an address, and in all, for each holds a thread
KNOWN = 10_000  # addresses remembered


class TooMany(Exception):
    """So many guesses of an address wait already that this one was not looked at."""

    def __init__(self, seconds: int):
        super().__init__(f"try again in {seconds} s")
        self.seconds = seconds


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    last: float = 0.0
    free: float = 0.0  # when the next guess is looked at
    waiting: int = 0


class Attempts:
    """The guesses of a process. Whoever knows the password gets in: at once from an address that has not guessed wrong,
    after a wait from one that has. Nobody is locked out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep):
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._waiting = 0

    def check(self, address: str, right: Callable[[], bool]) -> bool:
        """Return what `right` says, when this address may ask.

        Raises:
            TooMany: others are waiting to ask.
        """
        name = _network(address)
        with self._lock:
            wait = self._turn(name)
            if wait <= 0:
                return self._judge(name, right)
        self._sleep(wait)
        with self._lock:
            self._waiting -= 1
            self._of(name).waiting -= 1
            return self._judge(name, right)

    def _turn(self, name: str) -> float:
        """Return the seconds until this guess may be looked at, having taken its place in the queue."""
        record, now = self._of(name), self._clock()
        if not record.waiting and now - record.last > FORGOTTEN:
            record.wrong, record.free = 0, now
        wait = record.free - now
        if record.wrong < FREE or wait <= 0:
            return 0.0
        if record.waiting >= WAITING[0] or self._waiting >= WAITING[1]:
            raise TooMany(math.ceil(wait))
        record.free += _pause(record.wrong)
        record.waiting += 1
        self._waiting += 1
        return wait

    def _judge(self, name: str, right: Callable[[], bool]) -> bool:
        record, now = self._of(name), self._clock()
        record.last = now
        if right():
            record.wrong, record.free = 0, now
            return True
        record.wrong += 1
        record.free = max(record.free, now + _pause(record.wrong))
        return False

    def _of(self, name: str) -> _Record:
        record = self._records.setdefault(name, _Record())
        self._records.move_to_end(name)
        while len(self._records) > KNOWN:
            self._records.popitem(last=False)
        return record


def _pause(wrong: int) -> float:
    return 0.0 if wrong < FREE else min(FIRST * 2.0 ** min(wrong - FREE, 30), LONGEST)


def _network(address: str) -> str:
    """Return whose `address` it is: of IPv6 a household has a /64; a socket of both kinds shows IPv4 as IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and not ip.ipv4_mapped:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(getattr(ip, "ipv4_mapped", None) or ip)
