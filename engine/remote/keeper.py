"""Keeper: starts the process of one run, and leaves nothing of it behind. POSIX; run as a script.

Only the standard library is imported here, so that on systems where a process that has loaded much must not fork
(macOS), the keeper can fork before the run loads anything.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys

GRACE = 0.3  # s for a run to say where it hangs
TRACE = 16_384  # bytes of what it says
_PDEATHSIG, _SUBREAPER = 1, 36  # of Linux's prctl


def main(argv: list[str]) -> None:
    """Be a nursery (`nursery FD`), or the keeper of one run (`keep DATA CONTROL`)."""
    with contextlib.suppress(OSError):
        os.nice(5)  # playing what is simulated already comes before simulating more
    if argv[0] == "nursery":
        _nursery(socket.socket(fileno=int(argv[1])))
    else:
        _keep(int(argv[1]), int(argv[2]))


def _nursery(orders: socket.socket) -> None:
    """Load everything once, then fork a keeper for each pair of sockets that comes."""
    from engine.remote import child

    child.warm()
    gc.collect()
    gc.freeze()  # pages that no collection touches stay shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        word, sockets, _, _ = socket.recv_fds(orders, 1, 2)
        if not word:
            return
        if len(sockets) == 2:
            with contextlib.suppress(OSError):  # no process to be had: closing the sockets tells
                if os.fork() == 0:
                    orders.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _keep(*sockets)
        for number in sockets:
            os.close(number)


def _keep(data: int, control: int) -> None:
    """Fork the run, wait for its end or for the order to end it, and report. Never returns.

    A run that kills its parent kills this process, and with it itself. The server ends a run by closing `control`, also
    when the server is killed; a byte on it asks to say first where the run hangs.
    """
    signals, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _prctl(_SUBREAPER, 1)
    trace, told = os.pipe()
    me = os.getpid()
    run = os.fork()
    if run == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signals.detach(), wake.detach(), trace, control):
            os.close(number)
        _become_run(me, data, told)
    os.close(data)
    os.close(told)
    server = socket.socket(fileno=control)
    report: dict[str, object] = {}
    try:
        server.sendall(struct.pack("<q", run))
        asked = _wait(run, server, signals)
        text = _ask_where(run, trace) if asked else b""
        report = {"code": _end(run), "trace": (text or _read(trace)).decode("utf-8", "replace")}
        server.sendall(json.dumps(report).encode())
    except OSError:  # the server has gone
        pass
    finally:
        if not report:
            _end(run)
        os._exit(0)


def _become_run(keeper: int, data: int, told: int) -> None:
    """Run one strategy. Never returns."""
    code = 70
    try:
        os.setsid()
        _prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            from engine.remote import child

            code = child.run(data, told)
    finally:
        os._exit(code)


def _wait(run: int, server: socket.socket, signals: socket.socket) -> bool:
    """Wait until the run has ended, the server wants it to, or has gone; say whether it asks where the run is."""
    while True:
        ready, _, _ = select.select([server, signals], [], [])
        if server in ready:
            return bool(server.recv(1))
        signals.recv(64)
        if os.waitid(os.P_PID, run, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return False


def _ask_where(run: int, trace: int) -> bytes:
    with contextlib.suppress(OSError):
        os.kill(run, signal.SIGUSR2)  # faulthandler answers, whatever Python or native code is busy with
        if select.select([trace], [], [], GRACE)[0]:
            select.select([], [], [], 0.02)  # it writes in pieces
            return _read(trace)
    return b""


def _read(trace: int) -> bytes:
    os.set_blocking(trace, False)
    with contextlib.suppress(OSError):
        return os.read(trace, TRACE)
    return b""


def _end(run: int) -> int:
    """End the run and all that it started; return its exit code, below 0 for a signal."""
    with contextlib.suppress(OSError):
        os.kill(run, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.killpg(run, signal.SIGKILL)  # before it is reaped, so that its number is still its own
    code = 0
    with contextlib.suppress(OSError):
        code = os.waitstatus_to_exitcode(os.waitpid(run, 0)[1])
    # Those that left its session became our own children on Linux.
    while True:
        left = _children()
        for pid in left or []:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            if not os.waitpid(-1, os.WNOHANG if left is None else 0)[0]:
                return code
        except OSError:  # nobody is left
            return code


def _children() -> list[int] | None:
    """Return the processes below this one, None where the system does not tell."""
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]
    return None


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
