"""Processes: how children are started here, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEEPER = Path(__file__).with_name("keeper.py")
POSIX = os.name == "posix"
# Forking a process that has loaded NumPy and pandas is fine on Linux; on macOS system libraries forbid it.
FORK = sys.platform == "linux"

# Everything else in the environment (database addresses, keys, tokens) stays here.
_KEPT = (
    "APPDATA", "COMSPEC", "HOME", "HOMEDRIVE", "HOMEPATH", "LANG", "LANGUAGE", "LOCALAPPDATA", "LOGNAME", "PATH",
    "PATHEXT", "PROGRAMDATA", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "USERNAME",
    "USERPROFILE", "VIRTUAL_ENV", "WINDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME",
)  # fmt: skip
# One thread a strategy: the cores belong to the streams, and a process with threads must not fork.
_SET = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # sets have the same order in every replay
    "PYTHONFAULTHANDLER": "0",
}


class Starter:
    """Starts children: through a nursery that forks them, or one by one."""

    def __init__(self, fork: bool = FORK):
        self._fork = fork
        self._orders: socket.socket | None = None
        self._nursery: subprocess.Popen[bytes] | None = None
        self._ours: list[subprocess.Popen[bytes]] = []

    def start(self) -> tuple[socket.socket, socket.socket | None, Callable[[], None]]:
        """Start a child; return the sockets for its data and to its keeper (None: there is none), and how to kill it.

        Raises:
            OSError: no process can be had.
        """
        self._reap()
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            ours.setblocking(False)
            if not POSIX:
                return ours, None, self._start_alone(theirs)
            control, keepers = socket.socketpair()
            with keepers:
                if self._fork:
                    self._order(theirs, keepers)
                else:
                    self._launch("keep", theirs, keepers)
            control.setblocking(False)
            return ours, control, lambda: None

    def close(self) -> None:
        """End the nursery, and wait for all that was started here; their sockets must be closed already."""
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        if self._nursery is not None:
            self._nursery.kill()  # it may be loading still; keepers that it forked go on without it
            self._nursery = None
        for process in self._ours:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._ours = []

    def _order(self, data: socket.socket, control: socket.socket) -> None:
        fds = [data.fileno(), control.fileno()]
        if self._orders is not None:
            try:
                socket.send_fds(self._orders, [b"+"], fds)
                return
            except OSError:  # somebody killed the nursery
                self._orders.close()
        self._orders, theirs = socket.socketpair()
        with theirs:
            self._nursery = self._launch("nursery", theirs)
        socket.send_fds(self._orders, [b"+"], fds)

    def _launch(self, role: str, *sockets: socket.socket) -> subprocess.Popen[bytes]:
        fds = [sock.fileno() for sock in sockets]
        process = subprocess.Popen(
            [sys.executable, "-P", str(KEEPER), role, *map(str, fds)],
            env=environment(),
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._ours.append(process)
        return process

    def _start_alone(self, data: socket.socket) -> Callable[[], None]:
        """Start a child without a keeper, on Windows."""
        executable, env = sys.executable, environment()
        base = getattr(sys, "_base_executable", executable)
        if base != executable:  # a virtual environment's python.exe only starts the real one, with another number
            executable, env["__PYVENV_LAUNCHER__"] = base, executable
        code = "from engine.remote import child; child.alone()"
        quiet = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
        process = subprocess.Popen(
            [executable, "-P", "-c", code],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            creationflags=quiet,
        )
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(data.share(process.pid))  # type: ignore[attr-defined]
        self._ours.append(process)
        return process.kill

    def _reap(self) -> None:
        self._ours = [process for process in self._ours if process.poll() is None]


def environment() -> dict[str, str]:
    """Return the environment of children: what programs need, and no secrets."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in _KEPT or name.startswith("LC_")}
    paths = [str(Path(path or ".").absolute()) for path in sys.path]
    return kept | _SET | {"PYTHONPATH": os.pathsep.join(dict.fromkeys([str(KEEPER.parents[2]), *paths]))}


def read_report(text: bytes) -> tuple[int | None, str]:
    """Return the exit code and the trace of a keeper's report; None when it made none."""
    try:
        told: Any = json.loads(text)
        return int(told["code"]), str(told["trace"])
    except (ValueError, TypeError, KeyError):
        return None, ""


def read_pid(text: bytes) -> int:
    """Return the run's process, as its keeper says it first."""
    return int(struct.unpack_from("<q", text)[0])


def kill_group(pid: int) -> None:
    """End a run whose keeper is gone."""
    if POSIX:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def describe_end(code: int | None) -> str:
    """Return how a process ended, in words: "exit code 3", "SIGSEGV"."""
    if code is None:
        return "killed"
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
