"""Child: the process in which one strategy runs."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import signal
import socket
import sys
import threading
from itertools import count
from time import monotonic, sleep
from typing import Any

import numpy as np

from engine.bars import Bars
from engine.catalog import Catalog, Entry
from engine.errors import ConfigError, EngineError, StrategyError
from engine.remote import inspection, limits, proofs, whys, wire
from engine.simulation import Simulation, strategy_error

SLICE = 0.025  # s between two blocks
TURN = 0.2  # s of work for each GO
_KEEP_UP = 5.0  # s for the server to take what is left at the end


def warm() -> None:
    """Load and use once what every run needs."""
    steps = np.cumsum(np.sin(np.arange(300.0))) + 100
    bars = Bars.from_columns(np.arange(300) * 86_400, steps, steps + 1, steps - 1, steps, steps, interval="1d")
    for entry in Catalog().all():
        if entry.strategy is not None:
            simulation = Simulation(bars, entry.strategy)
            simulation.advance(len(bars))
            list(wire.Writer(simulation.tape).blocks(len(bars)))


def run(data: int, trace: int) -> int:
    """Run the strategy that comes down the socket `data`; return the process's exit code.

    `trace` is a descriptor for faulthandler: where a crash was, or on SIGUSR2 where the run is.
    """
    link = Link(socket.socket(fileno=data))
    try:
        _go_quiet(trace)
        link.send(wire.pack(wire.READY))
        job = link.job()
        sys.stdout = sys.stderr = Output(link, job.output)
        limits.confine(job.memory)
        _watch_memory(job.memory, link)
        if isinstance(job, inspection.Inspection):
            _inspect(link, job)
        else:
            _play(link, job)
        link.finish()
    except (OSError, EOFError):  # the server wants no more of it
        return 1
    return 0


class Link:
    """The socket to the server. Processes that the strategy forks have no use of it."""

    def __init__(self, sock: socket.socket):
        sock.setblocking(True)
        self._sock = sock
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._reader = wire.Reader(longest=None)

    def send(self, pieces: list[bytes | memoryview]) -> None:
        """Write a message whole."""
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that comes back into the loop
        with self._lock:
            self._sock.sendall(b"".join(pieces))

    def receive(self) -> tuple[bytes, bytearray]:
        """Return the next message."""
        while True:
            if message := self._reader.feed(self._sock.recv_into):
                return message

    def job(self) -> wire.Job | inspection.Inspection:
        """Return what is to be run, or looked at."""
        buffers: list[bytearray] = []
        while True:
            kind, message = self.receive()
            if kind == wire.JOB:
                return wire.unpack_job(bytes(message), buffers)
            if kind == wire.ASK:
                return inspection.unpack(message)
            buffers.append(message)

    def finish(self) -> None:
        """Leave only when the server has taken everything: a reset would lose what it has not."""
        with contextlib.suppress(OSError, EOFError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(_KEEP_UP)
            while True:
                self.receive()


class Output:
    """What the strategy prints: some of it goes to the server's log, the rest nowhere."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, link: Link, most: int):
        self._link = link
        self._left = most

    def write(self, text: str) -> int:
        """Send `text` while there is room."""
        raw = text.encode("utf-8", "replace")[: max(self._left, 0)]
        if raw:
            self._left -= len(raw)
            self._link.send(wire.pack(wire.OUTPUT, raw))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Send lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: everything has been sent."""

    def close(self) -> None:
        """Do nothing: a strategy that closes its output closes nobody else's."""

    def isatty(self) -> bool:
        """Say that nobody sits there."""
        return False


class Teller:
    """Sends what is new on the tape: when `due`, every SLICE seconds, and on its own while a bar takes longer.

    A child that does `again` what another did that crashed has so many bars to pass over, and then tells each bar.
    """

    def __init__(self, link: Link, simulation: Simulation, again: int | None):
        self.due = False
        self._link = link
        self._data = simulation.strategy.data
        self._writer = wire.Writer(simulation.tape)
        self._known = again or 0
        self._each = again is not None
        self._told = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._tick, daemon=True).start()

    def tell(self, bar: int, *, broken: bool = False) -> None:
        """Send what happened in the first `bar` bars, or when `broken` all there is."""
        with self._lock:
            blocks = self._writer.blocks(bar, broken=broken) if bar >= self._known or broken else None
            self._told = bar
            self.due = self._each and blocks is not None
            if blocks and bar > self._known:
                self._link.send(blocks)

    def _tick(self) -> None:
        seen = stuck = -1
        while True:
            sleep(SLICE)
            bar = len(self._data) - 1  # of the current bar nothing is final; those before it are
            if bar == seen != stuck:
                stuck = bar
                with self._lock:
                    if bar >= max(self._told, self._known):
                        self._link.send(self._writer.blocks(bar, kind=wire.STUCK))
                        self._told = bar
            seen = bar
            self.due = True


def _play(link: Link, job: wire.Job) -> None:
    """Simulate and send the tape; whatever the strategy throws becomes the run's error."""
    simulation: Simulation | None = None
    teller: Teller | None = None
    try:
        _wait_for_turn(link)
        entry = _entry(job)
        strategy = entry.strategy
        assert strategy is not None  # the catalog refuses entries without one
        if job.why is not None:
            _answer(link, job, entry)
            return
        try:
            simulation = Simulation(job.bars, strategy, job.params, indicators=job.indicators, **job.settings)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise _explained(error, strategy, None, job) from error
        if job.again is None:
            for indicator in simulation.tape.declared:
                link.send(wire.pack_indicator(indicator))
            link.send(wire.pack_start(simulation.tape))
        teller = Teller(link, simulation, job.again)
        try:
            _simulate(link, simulation, teller, job.again or 1)
        except (OSError, EOFError):  # the link's: what the strategy raises has become a StrategyError
            raise
        except BaseException as error:
            raise _explained(error, strategy, len(simulation.strategy.data) - 1, job) from error
        link.send(wire.pack(wire.DONE))
    except EngineError as error:
        reached = None
        if simulation is not None and teller is not None:
            reached = min(len(simulation.strategy.data), simulation.total_bars)
            teller.tell(reached, broken=True)
        link.send(wire.pack_error(error, reached))


def _inspect(link: Link, asked: inspection.Inspection) -> None:
    """Import a strategy file and say what is inside, or whether it takes these parameters."""
    _wait_for_turn(link)
    told = inspection.answer(asked)
    limits.give_room()
    link.send(wire.pack(wire.ANSWER, told))


def _answer(link: Link, job: wire.Job, entry: Entry) -> None:
    """Answer the job's `why`; in the middle of the work others get their turns."""

    def breathe() -> None:
        link.send(wire.pack(wire.PAUSE))
        _wait_for_turn(link)

    try:
        if job.why == proofs.question():
            answer = proofs.answer(job, entry, breathe, lambda text: link.send(wire.pack(wire.PROGRESS, text)))
        else:
            answer = whys.answer(job, entry, breathe)
    except (OSError, EOFError):  # the link's, for the strategy's come as a StrategyError
        raise
    except BaseException as error:
        assert entry.strategy is not None
        raise _explained(error, entry.strategy, None, job) from error
    link.send(wire.pack(wire.ANSWER, answer))


def _simulate(link: Link, simulation: Simulation, teller: Teller, first: int) -> None:
    """Play all bars, the `first` of them without delay, asking every TURN seconds for another turn."""
    steps, total = zip(simulation.steps(), count(1), strict=False), simulation.total_bars
    bar, pause = 0, monotonic() + TURN
    while bar < total:
        for _, bar in steps:
            if teller.due or bar == first:
                break
        teller.tell(bar)
        if bar < total and monotonic() >= pause:
            link.send(wire.pack(wire.PAUSE))
            _wait_for_turn(link)
            pause = monotonic() + TURN


def _wait_for_turn(link: Link) -> None:
    while link.receive()[0] != wire.GO:
        pass


def _entry(job: wire.Job) -> Entry:
    if job.bundled:
        with contextlib.suppress(ConfigError):
            entry = Catalog().find(job.name)
            if entry.source == job.source:
                return entry
    return Catalog.from_source(job.source, job.name, job.path)


def _explained(error: BaseException, strategy: type[Any], bar: int | None, job: wire.Job) -> EngineError:
    """Return what a user should read of `error`."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MemoryError):
        cause = cause.__cause__
    if not isinstance(error, EngineError):
        error = strategy_error(error, strategy, bar)
    if cause is not None and isinstance(error, StrategyError):
        limits.give_room()
        most = limits.Limits(memory=job.memory).memory_text
        place = f" (line {error.line})" if error.line else ""
        when = "in init()" if bar is None else f"on bar {bar + 1}"
        message = f"{strategy.__name__} needed more than {most} of memory {when}{place}. Keep less, or use fewer bars."
        return StrategyError(message, file=error.file, line=error.line, bar=error.bar)
    return error


def _go_quiet(trace: int) -> None:
    """Cut the process off from the server's terminal and log, and make chance the same in every run."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    faulthandler.enable(file=trace, all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR2, file=trace, all_threads=False)
    random.seed(0)
    np.random.seed(0)


def _watch_memory(most: int, link: Link) -> None:
    """Watch from within where the kernel does not keep the limit."""
    if sys.platform != "linux" and (start := limits.used()):
        threading.Thread(target=_watch, args=(start + most, most, link), daemon=True).start()


def _watch(ceiling: int, most: int, link: Link) -> None:
    while limits.used() <= ceiling:
        sleep(SLICE)
    text = limits.Limits(memory=most).memory_text
    error = StrategyError(f"The strategy needed more than {text} of memory. Keep less, or use fewer bars.")
    link.send(wire.pack_error(error, None))
    os._exit(1)


def alone() -> None:
    """Run without a keeper; the socket comes through the standard input (Windows)."""
    data = socket.fromshare(sys.stdin.buffer.read())  # type: ignore[attr-defined]
    warm()
    trace = os.open(os.devnull, os.O_RDWR)
    os._exit(run(data.detach(), trace))
