"""Strategies from hell: each ends its own run, clearly, while another run goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from engine.catalog import Catalog, Entry
from engine.errors import EngineError, StrategyError
from engine.remote import Limits, Pool, RemoteSimulation
from engine.simulation import Simulation
from tests.build import random_bars

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children have no keeper on Windows")

BARS = random_bars(400, seed=5)
FATAL_BAR = 30
MOST = 256 * 1024**2


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(limits=Limits(seconds_per_bar=1.0, memory=MOST)) as pool:
        yield pool


def strategy(body: str, *, init: str = "pass", top: str = "") -> Entry:
    """Return a strategy that buys on bar 10 and runs `body` on bar FATAL_BAR + 1."""
    source = "\n".join(
        [
            "import builtins, ctypes, json, os, signal, subprocess, sys, threading, time",
            "from engine import Strategy",
            top,
            "class Hell(Strategy):",
            "    def init(self):",
            textwrap.indent(textwrap.dedent(init), " " * 8),
            "    def next(self):",
            "        if len(self.data) == 10:",
            "            self.buy(size=1)",
            f"        if len(self.data) == {FATAL_BAR + 1}:",
            textwrap.indent(textwrap.dedent(body), " " * 12),
        ]
    )
    return Entry("hell", "Hell", source=source)


def line_of(entry: Entry, text: str) -> int:
    return next(number for number, line in enumerate(entry.source.splitlines(), 1) if text in line)


class Bystander:
    """Another run of the same pool, which goes on while a strategy misbehaves."""

    def __init__(self, pool: Pool):
        self.strategy = Catalog().find("sma_cross")
        self.simulation = pool.simulation(BARS, self.strategy)
        self.simulation.advance(100)

    def assert_unharmed(self) -> None:
        self.simulation.advance(len(BARS))
        alone = Simulation(BARS, self.strategy.strategy)
        alone.advance(len(BARS))
        assert_same(self.simulation, alone)


def assert_same(one: RemoteSimulation, other: Simulation) -> None:
    assert one.tape.events == other.tape.events
    for column in ("bars", "cashes", "positions", "costs"):
        assert getattr(one.tape.ledger, column) == getattr(other.tape.ledger, column)
    assert one.tape.frame(0, one.bar) == other.tape.frame(0, other.bar)


def failure(pool: Pool, entry: Entry) -> tuple[EngineError, RemoteSimulation]:
    simulation = pool.simulation(BARS, entry)
    with pytest.raises(EngineError) as caught:
        simulation.advance(len(BARS))
    return caught.value, simulation


ENDED = "ended its process"
CASES = [
    pytest.param("while True: pass", "did not finish a bar within 1 s", "while True", id="loops for ever"),
    pytest.param("time.sleep(1e6)", "did not finish a bar within 1 s", "time.sleep", id="sleeps"),
    pytest.param("threading.Lock().acquire() and threading.Event().wait()", "within 1 s", "Event", id="waits for ever"),
    pytest.param("10 ** 10 ** 9", "did not finish a bar within 1 s", "10 ** 10", id="computes without letting go"),
    pytest.param("signal.pause()", "within 1 s", "signal.pause", id="pauses"),
    pytest.param("x = []\nwhile True: x.append(bytearray(1 << 24))", "needed more than 256 MB", "x.app", id="memory"),
    pytest.param("bytearray(4 << 30)", "needed more than 256 MB", "bytearray", id="much memory at once"),
    pytest.param("def f(): f()\nf()", "RecursionError", "def f", id="recurses"),
    pytest.param("sys.setrecursionlimit(10**9)\ndef f(): f()\nf()", "Hell", "", id="recurses without limit"),
    pytest.param("sys.exit(3)", "SystemExit: 3", "sys.exit", id="sys.exit"),
    pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt", "raise Key", id="KeyboardInterrupt"),
    pytest.param("raise GeneratorExit", "GeneratorExit", "raise Gen", id="GeneratorExit"),
    pytest.param("raise StopIteration", "StopIteration", "raise Stop", id="StopIteration"),
    pytest.param("raise MemoryError", "needed more than 256 MB", "raise Mem", id="MemoryError"),
    pytest.param("raise BaseException('base')", "BaseException: base", "raise Base", id="BaseException"),
    pytest.param("os._exit(5)", f"{ENDED} (exit code 5) on bar 31", "", id="os._exit"),
    pytest.param("os._exit(0)", f"{ENDED} (exit code 0)", "", id="os._exit 0"),
    pytest.param("ctypes.string_at(0)", f"{ENDED} (SIGSEGV) on bar 31 (line", "ctypes.string_at", id="segfault"),
    pytest.param("os.abort()", f"{ENDED} (SIGABRT)", "os.abort", id="abort"),
    pytest.param("os.kill(os.getpid(), 9)", f"{ENDED} (SIGKILL)", "", id="kills itself"),
    pytest.param("os.kill(os.getppid(), 9); time.sleep(1e6)", f"{ENDED} (killed)", "", id="kills its parent"),
    pytest.param("os.kill(os.getppid(), 15); time.sleep(1e6)", f"{ENDED} (killed)", "", id="terminates its parent"),
    pytest.param("os.killpg(0, 9)", f"{ENDED} (SIGKILL)", "", id="kills its group"),
    pytest.param("os.closerange(0, 256); time.sleep(1e6)", "Hell", "", id="closes everything"),
    pytest.param("os.write([f for f in range(3, 99) if _sock(f)][0], b'x' * 99)", "sent a tape that cannot be read", "",
                 id="writes to the server"),
    pytest.param("json.dumps = json.JSONEncoder.iterencode = lambda *a, **k: 1/0\nraise ValueError('so')",
                 "Hell", "", id="breaks json and fails"),
    pytest.param("raise ValueError('x' * 10**8)", "ValueError: xxx", "raise Val", id="an endless text"),
    pytest.param("class E(Exception):\n  def __str__(self): raise self\nraise E", "E (its text cannot be read)",
                 "raise E", id="an unspeakable exception"),
    pytest.param("self.buy(size=1, tag=Tag())\nraise ValueError('told')", "ValueError: told", "raise Val",
                 id="a tag that cannot be told"),
    pytest.param("self.buy(size=-1)", "AssertionError", "size=-1", id="a negative size"),
    pytest.param("self.buy(size=float('nan'))", "ValueError", "nan", id="no size"),
]  # fmt: skip
TOP = """
def _sock(fd):
    import stat
    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError: return False
class Tag:
    def __str__(self): raise RuntimeError
"""


@pytest.mark.parametrize(("body", "message", "line"), CASES)
def test_a_strategy_from_hell_ends_only_its_own_run(pool, body, message, line):
    bystander = Bystander(pool)
    entry = strategy(body, top=TOP)
    error, simulation = failure(pool, entry)
    assert isinstance(error, StrategyError)
    assert message in error.message
    assert len(error.message) < 1_500
    assert (error.bar, simulation.bar) == (FATAL_BAR, FATAL_BAR + 1)
    if line:
        assert error.line == line_of(entry, line)
        assert "hell.py" in error.file
    assert "opened" in [event.kind for event in simulation.tape.events]
    bystander.assert_unharmed()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        pytest.param({"init": "while True: pass"}, "did not finish init() within 1 s", id="init hangs"),
        pytest.param({"init": "os._exit(4)"}, "ended its process (exit code 4) in init()", id="init exits"),
        pytest.param({"init": "sys.exit()"}, "failed in init()", id="init calls sys.exit"),
        pytest.param({"init": "x = 'x' * (1 << 40)"}, "needed more than 256 MB", id="init eats memory"),
        pytest.param({"top": "while True: pass"}, "did not finish init() within 1 s", id="import hangs"),
        pytest.param({"top": "os._exit(4)"}, "ended its process (exit code 4)", id="import exits"),
        pytest.param({"top": "sys.exit()"}, "ends the program when it is imported", id="import calls sys.exit"),
        pytest.param({"top": "def"}, "SyntaxError", id="no Python"),
    ],
)
def test_a_strategy_that_cannot_start_says_why(pool, where, message):
    bystander = Bystander(pool)
    with pytest.raises(EngineError, match=r".") as caught:
        pool.simulation(BARS, strategy("pass", **where))
    assert message in caught.value.message
    bystander.assert_unharmed()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("sys.stdout.close(); sys.stderr.close(); print('x')", id="closes its output"),
        pytest.param("os.close(1); os.close(2)", id="closes descriptors"),
        pytest.param("print('x' * 10**7)", id="prints without end"),
        pytest.param("os.write(1, b'x' * 10**6)", id="writes without end"),
        pytest.param("os.fork()", id="forks"),
        pytest.param("[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 10, 12, 15)]", id="ignores signals"),
        pytest.param("threading.Thread(target=time.sleep, args=(1e6,)).start()", id="leaves a thread"),
        pytest.param("time.sleep = time.monotonic = json.loads = builtins.print = None", id="patches modules"),
        pytest.param("subprocess.Popen(['sleep', '1000'])", id="leaves a process"),
        pytest.param("self.buy(size=1, limit=float('nan'), tag=object())", id="strange orders"),
        pytest.param("sys.modules.clear()", id="forgets all modules"),
    ],
)
def test_mischief_that_harms_nobody_lets_the_run_go_on(pool, body):
    bystander = Bystander(pool)
    simulation = pool.simulation(BARS, strategy(body))
    simulation.advance(len(BARS))
    assert simulation.done
    assert "opened" in [event.kind for event in simulation.tape.events]
    bystander.assert_unharmed()


DAEMON = """
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            open({path!r}, "w").write(str(os.getpid()))
            time.sleep(1e6)
        os._exit(0)
    os.waitpid(pid, 0)
    while not (os.path.exists({path!r}) and open({path!r}).read()): time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to the keeper")
def test_a_process_that_a_strategy_leaves_in_another_session_is_ended_with_the_run(pool, tmp_path):
    path = tmp_path / "pid"
    simulation = pool.simulation(BARS, strategy(DAEMON.format(path=str(path))))
    simulation.advance(len(BARS))
    simulation.close()
    eventually(lambda: not alive(int(path.read_text())))


def test_one_run_leaves_nothing_for_the_next(pool):
    mark = "print.__self__.marked = True; sys.marked = True; os.environ['MARKED'] = '1'"
    pool.simulation(BARS, strategy(mark)).advance(len(BARS))
    check = "assert not hasattr(sys, 'marked') and 'MARKED' not in os.environ"
    simulation = pool.simulation(BARS, strategy(check))
    simulation.advance(len(BARS))
    assert simulation.done


def test_a_strategy_sees_no_secrets(pool, monkeypatch):
    monkeypatch.setenv("TAPEDECK_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Pool(limits=Limits(seconds_per_bar=5.0)) as fresh:
        check = "text = open('/proc/self/environ').read() if os.path.exists('/proc/self/environ') else ''\n"
        simulation = fresh.simulation(BARS, strategy(check + "assert 'secret' not in text + str(os.environ)"))
        simulation.advance(len(BARS))
    assert simulation.done


def test_hanging_runs_do_not_keep_others_from_their_turns(pool):
    hanging = [pool.simulation(BARS, strategy("while True: pass")) for _ in range(2 * pool.size)]
    error, _ = failure(pool, strategy("raise ValueError('quick')"))
    assert "quick" in error.message
    for simulation in hanging:
        with pytest.raises(StrategyError, match="did not finish a bar"):
            simulation.advance(len(BARS))


def test_a_paced_reader_is_not_held_up_by_strategies_that_compute(pool):
    greedy = strategy("pass", init="self.x = 0", top="").source + "\n        sum(range(20_000))\n"
    runs = [pool.simulation(BARS, Entry("greedy", "Greedy", source=greedy)) for _ in range(3)]
    bystander = Bystander(pool)
    bystander.assert_unharmed()
    for run in runs:
        run.advance(len(BARS))
        assert run.done


@pytest.mark.skipif(sys.platform != "linux", reason="the nursery is found through /proc")
def test_a_killed_nursery_is_replaced(pool):
    nursery = "int(open(f'/proc/{os.getppid()}/stat').read().split()[3])"
    simulation = pool.simulation(BARS, strategy(f"os.kill({nursery}, 9)"))
    simulation.advance(len(BARS))
    for _ in range(4):
        Bystander(pool).assert_unharmed()


def test_children_end_when_the_server_is_killed(tmp_path):
    path = tmp_path / "pid"
    write = f"open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(1e6)"
    server = os.fork()
    if server == 0:
        try:
            with Pool() as own:
                own.simulation(BARS, strategy(write)).advance(len(BARS))
        finally:
            os._exit(0)
    try:
        eventually(lambda: path.exists() and path.read_text())
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    eventually(lambda: not alive(int(path.read_text())))


def eventually(holds: Callable[[], object], patience: float = 20.0) -> None:
    give_up = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < give_up
        threading.Event().wait(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
