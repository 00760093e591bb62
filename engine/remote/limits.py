"""Limits: what one run may use, and how its process is held to that."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass

MB = 1 << 20
_SPARE = 64 * MB  # what is left to tell of a MemoryError
_FILE = 64 * MB  # the largest file that a strategy may write
_OPEN = 256  # files it may have open


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use before it is ended.

    `seconds_per_bar` is wall time without finishing a bar (or `init`). `memory` is bytes beyond what a child has when
    it starts: kept by the kernel on Linux, watched from within on macOS, not kept on Windows. `tape` is bytes of events
    sent, `indicators` bytes of indicator values, `output` bytes that the strategy prints.
    """

    seconds_per_bar: float = 10.0
    memory: int = 2 * 1024**3
    tape: int = 128 * MB
    indicators: int = 512 * MB
    output: int = 64 * 1024

    @property
    def memory_text(self) -> str:
        """Return the memory limit as people say it: "2 GB"."""
        return f"{self.memory / 1024**3:g} GB" if self.memory >= 1024**3 else f"{self.memory / MB:g} MB"


def confine(memory: int) -> None:
    """Hold this process to `memory` bytes more than it has, to small files, and to no core dumps."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _FILE)
    _limit(resource.RLIMIT_NOFILE, _OPEN)
    if sys.platform == "linux":
        most = _size() + memory
        _limit(resource.RLIMIT_AS, most, most + _SPARE)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")  # when the machine runs out, the kernel should take this process and not the server


def give_room() -> None:
    """Take back the spare memory, to tell of the end."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def used() -> int:
    """Return the most memory that this process has had, in bytes; 0 where that is not known."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    import resource

    _, ceiling = resource.getrlimit(which)
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(which, (soft, hard))


def _size() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
