"""A simulation in a child looks like one in this process, and writes the same tape."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.bars import Bars
from engine.catalog import Catalog, Entry
from engine.errors import ConfigError, EngineError, StrategyError
from engine.feeds import Feeds
from engine.playback import Playhead, play
from engine.remote import Busy, Limits, Pool, session, wire
from engine.simulation import Simulation
from engine.tape import ACTIVE, FILLED, LOG, PLACED, Tape
from tests.build import random_bars

SAMPLES = ("AAPL", "GOOG", "IBM")
SETTINGS = {"cash": 50_000.0, "commission": 0.001, "spread": 0.0002, "margin": 0.5}
BUNDLED = [entry for entry in Catalog().all() if entry.bundled]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as pool:
        yield pool


def sample(symbol: str, folder: Path) -> Bars:
    return Feeds(folder, folder, yahoo=False).load(symbol, "1d", period="max")


def written(text: str, name: str = "mine") -> Entry:
    """Return a user's strategy: the body of `next`, or a whole file."""
    source = (
        text
        if "class " in text
        else f"from engine import Strategy\nclass Mine(Strategy):\n  def next(self):\n    {text}\n"
    )
    return Catalog.from_source(source, name)


def assert_same_tape(one: Tape, other: Tape) -> None:
    """Compare everything that a tape is made of, bit for bit."""
    assert one.events == other.events
    assert [repr(event) for event in one.events] == [repr(event) for event in other.events]
    for column in ("bars", "cashes", "positions", "costs"):
        assert getattr(one.ledger, column).tobytes() == getattr(other.ledger, column).tobytes()
    for name in ("bar", "first_bar", "initial_balance", "strategy", "params", "settings"):
        assert getattr(one, name) == getattr(other, name), name
    assert len(one.declared) == len(other.declared)
    for drawn, expected in zip(one.declared, other.declared, strict=True):
        assert drawn.values.tobytes() == expected.values.tobytes()
        for name in ("name", "pane", "color", "style", "group", "plot"):
            assert getattr(drawn, name) == getattr(expected, name)
    assert one.frame(0, one.bar) == other.frame(0, other.bar)


@pytest.mark.parametrize("symbol", SAMPLES)
@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_a_bundled_strategy_writes_the_same_tape_in_a_child(pool, entry, symbol, tmp_path):
    bars = sample(symbol, tmp_path)
    indicators = {"RSI": {}, "SMA": {"timeperiod": 20}}
    remote = pool.simulation(bars, entry, {}, SETTINGS, indicators)
    here = Simulation(bars, entry.strategy, {}, indicators=indicators, **SETTINGS)
    remote.advance(remote.total_bars)
    here.advance(here.total_bars)
    assert remote.done
    assert_same_tape(remote.tape, here.tape)


def test_the_tape_never_shows_more_than_was_asked_for(pool):
    bars = random_bars(300, seed=3)
    entry = Catalog().find("sma_cross")
    remote, here = pool.simulation(bars, entry), Simulation(bars, entry.strategy)
    for step in [0, 1, 1, 2, 29, 1, 0, 64, 7, 1_000]:
        remote.advance(step)
        here.advance(step)
        assert (remote.bar, remote.done) == (here.bar, here.done)
        assert_same_tape(remote.tape, here.tape)


@pytest.mark.parametrize("settings", [{"finalize_trades": True}, {"trade_on_close": True}, {"hedging": True}])
def test_settings_reach_the_child(pool, settings):
    bars = random_bars(200, seed=8)
    entry = Catalog().find("sma_cross")
    remote, here = (
        pool.simulation(bars, entry, {"fast": 4}, settings),
        Simulation(bars, entry.strategy, {"fast": 4}, **settings),
    )
    remote.advance(200)
    here.advance(200)
    assert_same_tape(remote.tape, here.tape)


def test_extra_columns_zones_and_plain_tags_survive_the_way(pool):
    plain = random_bars(50, seed=1)
    extra = {"Mood": np.arange(50.0), "Word": np.array(["a", None] * 25)}
    bars = Bars(
        plain.time, plain.open, plain.high, plain.low, plain.close, plain.volume, symbol="X", interval="1h",
        notes=("note",), timezone="Europe/Berlin", extra=extra,
    )  # fmt: skip
    body = "if len(self.data) in (5, 9): self.buy(size=1, tag=[None, 1, 2.5, 'é', True][len(self.data) % 5])"
    entry = written(f"{body}\n    self.log(f'{{self.data.index[-1]}} {{self.data.Mood[-1]}} {{self.data.Word[-1]}}')")
    remote, here = pool.simulation(bars, entry), Simulation(bars, entry.strategy)
    remote.advance(50)
    here.advance(50)
    assert_same_tape(remote.tape, here.tape)
    assert "+01:00 3.0 None" in [event.reason for event in remote.tape.events if event.kind == "log"][2]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("self.buy(size=1); 1 / (len(self.data) < 20)", id="fails in next"),
        pytest.param("class Mine(Strategy):\n  def init(self): {}['x']", id="fails in init"),
        pytest.param("raise ValueError if len(self.data) == 60 else ()", id="raises nothing, and on the last bar"),
    ],
)
def test_a_strategy_that_fails_leaves_the_same_error_and_the_same_tape(pool, body):
    entry = written(f"from engine import Strategy\n{body}" if "class" in body else body)
    bars = random_bars(60, seed=2)
    outcomes = []
    for make in (lambda: pool.simulation(bars, entry), lambda: Simulation(bars, entry.strategy)):
        simulation = None
        with pytest.raises(StrategyError) as caught:
            simulation = make()
            simulation.advance(10)
            simulation.advance(100)
        error = caught.value
        outcomes.append((simulation, (error.message, error.file, error.line, error.bar, error.code)))
    (remote, told), (here, expected) = outcomes
    assert told == expected
    if remote is not None:
        assert_same_tape(remote.tape, here.tape)
        with pytest.raises(StrategyError):
            remote.advance(1)


def test_a_refused_setting_names_its_field(pool):
    with pytest.raises(ConfigError) as caught:
        pool.simulation(random_bars(20), Catalog().find("sma_cross"), {}, {"margin": 7.0})
    assert caught.value.field == "margin"


def test_a_strategy_reads_beside_its_own_file(pool, tmp_path):
    (tmp_path / "note.txt").write_text("beside")
    code = (
        "import pathlib\nfrom engine import Strategy\nNOTE = pathlib.Path(__file__).with_name('note.txt').read_text()\n"
    )
    (tmp_path / "mine.py").write_text(code + "class Mine(Strategy):\n  def next(self): self.log(NOTE); 1 / 0\n")
    simulation = pool.simulation(random_bars(20), Catalog(tmp_path).find("mine"))
    with pytest.raises(StrategyError) as caught:
        simulation.advance(20)
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "mine.py"), 5)
    assert simulation.tape.events[0].reason == "beside"


def test_chance_is_the_same_in_every_run(pool):
    body = "import random, numpy; self.log(f'{random.random()} {numpy.random.rand()} {set(\"abcdefgh\")}')"
    tapes = []
    for _ in range(2):
        simulation = pool.simulation(random_bars(20), written(body))
        simulation.advance(20)
        tapes.append(simulation.tape)
    assert tapes[0].events == tapes[1].events


def test_advance_returns_with_fewer_bars_when_its_patience_ends(pool):
    body = "import time; time.sleep(1e6 if len(self.data) == 10 else 0)"
    simulation = pool.simulation(random_bars(20), written(body), patience=0.01)
    while simulation.ready < 9 - simulation.bar or not simulation.bar:
        simulation.advance(20)
    simulation.advance(20)
    assert simulation.bar == 9
    assert not simulation.done
    simulation.close()


def test_advance_says_so_before_it_waits_and_only_then(pool):
    waits: list[int] = []
    simulation = pool.simulation(random_bars(20), Catalog().find("sma_cross"), before_wait=lambda: waits.append(1))
    while simulation.ready < 20:
        simulation.advance(0)
    simulation.advance(20)
    assert not waits
    body = "import time; time.sleep(1e6 if len(self.data) == 10 else 0)"
    simulation = pool.simulation(random_bars(20), written(body), patience=0.01, before_wait=lambda: waits.append(1))
    simulation.advance(20)
    assert waits == [1]
    simulation.close()


def test_play_plays_it(pool):
    bars = random_bars(80, seed=4)
    entry = Catalog().find("sma_cross")
    remote, here = pool.simulation(bars, entry, patience=0.02), Simulation(bars, entry.strategy)
    for simulation in (remote, here):
        head = Playhead("instant")
        shown = [move.frame for move in play(simulation, head, sleep=lambda seconds: None)]
        assert shown[0].start == 0
        assert shown[-1].stop == 80
    assert_same_tape(remote.tape, here.tape)


def test_a_simulation_that_has_ended_or_was_forgotten_holds_no_child(pool):
    bars = random_bars(60)
    done = pool.simulation(bars, Catalog().find("sma_cross"))
    done.advance(60)
    closed = pool.simulation(bars, written("import time; time.sleep(1e6)"))
    closed.close()
    forgotten = pool.simulation(bars, written("import time; time.sleep(1e6)"))
    del forgotten
    while (load := pool.load())["computing"] or load["children"] > pool.spares:
        pass
    with pytest.raises(EngineError, match="closed"):
        closed.advance(60)
    assert done.tape.bar == 60


def test_a_full_queue_says_busy():
    with Pool(queue=0) as pool, pytest.raises(Busy) as caught:
        pool.simulation(random_bars(20), Catalog().find("sma_cross"))
    assert caught.value.code == "busy"


@pytest.mark.skipif(sys.platform != "linux", reason="the keeper is found through /proc")
def test_a_child_that_has_died_while_it_waited_is_given_no_run():
    with Pool(spares=1) as pool:
        pool.simulation(random_bars(10), BUNDLED[0]).close()
        while not ((idle := pool._host._idle) and idle[0].ready and idle[0]._pid):  # nothing public tells of spares
            pass
        child = idle[0]._pid
        keeper = int(Path(f"/proc/{child}/stat").read_text().split()[3])
        os.kill(keeper, signal.SIGSTOP)  # so that it does not tell of the end at once
        os.kill(child, signal.SIGKILL)
        try:
            simulation = pool.simulation(random_bars(10), BUNDLED[0])
            simulation.advance(10)
        finally:
            os.kill(keeper, signal.SIGCONT)
    assert simulation.done


def test_many_runs_share_few_children():
    bars = random_bars(100, seed=6)
    entry = Catalog().find("sma_cross")
    here = Simulation(bars, entry.strategy)
    here.advance(100)
    with Pool(size=1, spares=1) as pool:
        simulations = [pool.simulation(bars, entry) for _ in range(20)]
        for simulation in simulations:
            simulation.advance(100)
            assert_same_tape(simulation.tape, here.tape)


def test_turns_do_not_change_the_tape():
    body = "sum(range(30_000)); len(self.data) % 7 or self.buy(size=1)"
    entry, bars = written(body), random_bars(600, seed=7)
    here = Simulation(bars, entry.strategy)
    here.advance(600)
    with Pool(size=1) as pool:
        simulations = [pool.simulation(bars, entry) for _ in range(3)]
        for simulation in simulations:
            simulation.advance(600)
            assert_same_tape(simulation.tape, here.tape)


def test_runs_that_somebody_waits_for_do_not_keep_new_ones_from_their_turn():
    slow, bars = written("import time; time.sleep(0.02)"), random_bars(5_000, seed=8)
    with Pool(size=1) as pool, ThreadPoolExecutor(2) as threads:
        waited_for = [pool.simulation(bars, slow) for _ in range(2)]
        ends = [threads.submit(simulation.advance, len(bars)) for simulation in waited_for]
        other = pool.simulation(bars[:100], Catalog().find("sma_cross"))
        other.advance(100)
        assert other.done
        assert not any(simulation.done for simulation in waited_for)
        for simulation in waited_for:
            simulation.close()
        for end in ends:
            assert isinstance(end.exception(), EngineError)


def test_a_million_bars_arrive_whole(pool):
    bars = random_bars(1_000_000, seed=9)
    entry = written("len(self.data) % 5_000 or self.buy(size=1)")
    simulation = pool.simulation(bars, entry)
    simulation.advance(10**7)
    assert simulation.done
    assert len([event for event in simulation.tape.events if event.kind == "placed"]) == 200


def test_a_caller_that_waits_for_a_far_bar_gets_it_however_much_was_not_read(monkeypatch):
    monkeypatch.setattr(session, "AHEAD", 10_000)
    with Pool() as pool:
        entry = written(
            "import time; len(self.data) % 9 or self.buy(size=1); len(self.data) % 1000 or time.sleep(0.1)"
        )  # of several turns
        simulation = pool.simulation(random_bars(20_000), entry)
        waiter = threading.Thread(target=simulation.advance, args=(20_000,), daemon=True)
        waiter.start()
        waiter.join(30)
        assert simulation.done


def test_a_tape_without_end_is_refused():
    limits = Limits(tape=200_000, indicators=100_000)
    with Pool(limits=limits) as pool:
        simulation = pool.simulation(random_bars(10_000), written("self.log('x' * 1000)"))
        with pytest.raises(StrategyError, match="recorded more than"):
            simulation.advance(10_000)
        with pytest.raises(StrategyError, match="MB of indicators"):
            pool.simulation(random_bars(20_000), Catalog().find("sma_cross"))


def test_it_works_without_forking():
    bars = random_bars(60, seed=3)
    entry = Catalog().find("sma_cross")
    here = Simulation(bars, entry.strategy)
    here.advance(60)
    with Pool(fork=False, spares=1) as pool:
        for _ in range(2):
            simulation = pool.simulation(bars, entry)
            simulation.advance(60)
            assert_same_tape(simulation.tape, here.tape)
        with pytest.raises(StrategyError, match=r"exit code 3"):
            pool.simulation(bars, written("import os; os._exit(3)")).advance(1_000)


def test_a_pool_starts_again_after_it_was_closed():
    pool = Pool()
    for _ in range(2):
        simulation = pool.simulation(random_bars(20), Catalog().find("sma_cross"))
        simulation.advance(20)
        assert simulation.done
        pool.close()
    assert pool.load() == {"computing": 0, "waiting": 0, "children": 0}


def test_closing_the_pool_fails_what_it_runs():
    pool = Pool()
    simulation = pool.simulation(random_bars(20), written("import time; time.sleep(1e6)"))
    pool.close()
    with pytest.raises(EngineError, match="stopping"):
        simulation.advance(20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_that_forks_has_children_of_its_own(pool):
    pool.simulation(random_bars(20), Catalog().find("sma_cross")).advance(20)
    worker = os.fork()
    if worker == 0:
        code = 1
        try:
            simulation = pool.simulation(random_bars(20), Catalog().find("sma_cross"))
            simulation.advance(20)
            pool.close()
            code = 0 if simulation.done else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    pool.simulation(random_bars(20), Catalog().find("sma_cross")).advance(20)


# What a hostile child may send.

FILL = [1, 1, 2.0, 10.0, 0.1, None, None, None, "tag", None, False, 0.0, 3]
ORDER = [1, None, 2.0, None, None, None, None, "tag", None]


def block(
    bar: int = 5, kinds: bytes = bytes([PLACED, FILLED, LOG]), bars=(1, 2, 2), rows=(ORDER, FILL, ["said"]), ledger=()
):
    """Return a block as a child sends it, for a run of 10 bars."""
    columns = [array(code, column).tobytes() for code, column in zip("qddd", zip(*ledger, strict=True), strict=False)]
    head = struct.pack("<qII", bar, len(kinds), len(ledger))
    text = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return bytearray(head + kinds + array("q", bars).tobytes() + b"".join(columns) + text)


def test_a_block_is_read_as_it_was_sent():
    read = wire.read_block(block(ledger=[(0, 1.0, 0.0, 0.0), (2, 2.0, 3.0, 4.0)]), 10)
    assert (read.bar, list(read.kinds), read.bars) == (5, [PLACED, FILLED, LOG], [1, 2, 2])
    assert read.rows == [ORDER, FILL, ["said"]]
    assert [list(column) for column in read.ledger] == [[0, 2], [1.0, 2.0], [0.0, 3.0], [0.0, 4.0]]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(bytearray(b"short"), id="too short"),
        pytest.param(block()[:30], id="cut"),
        pytest.param(block(bar=11), id="beyond the bars"),
        pytest.param(block(bar=-2), id="before the bars"),
        pytest.param(block(bars=(2, 1, 2)), id="bars out of order"),
        pytest.param(block(bars=(1, 2, 10)), id="a bar that is none"),
        pytest.param(block(bars=(-1, 2, 2)), id="a bar before the first"),
        pytest.param(block(kinds=bytes([PLACED, FILLED, 18])), id="a kind that is none"),
        pytest.param(block(kinds=bytes([PLACED, FILLED, ACTIVE]), rows=(ORDER, FILL, [0])), id="a row elsewhere"),
        pytest.param(block(rows=(ORDER, FILL)), id="a row too few"),
        pytest.param(block(rows=(ORDER, ORDER, ["said"])), id="a row too short"),
        pytest.param(block(rows=(ORDER, [*FILL[:3], "ten", *FILL[4:]], ["said"])), id="a price that is a text"),
        pytest.param(block(rows=(ORDER, [*FILL[:2], None, *FILL[3:]], ["said"])), id="a fill without a size"),
        pytest.param(block(rows=([*ORDER[:7], ["a"], None], FILL, ["said"])), id="a tag that is a list"),
        pytest.param(block(rows=(ORDER, FILL, [{}])), id="a text that is none"),
        pytest.param(block(rows=(ORDER, FILL, "said")), id="a row that is a text"),
        pytest.param(block(rows=b"{}"), id="no rows"),
        pytest.param(block(rows=b"\xff"), id="no text"),
        pytest.param(block(rows=b"[" * 100_000), id="deep"),
        pytest.param(block(rows=b"[" + b"9" * 5_000 + b"]"), id="a huge number"),
        pytest.param(block(ledger=[(3, 1.0, 1.0, 1.0), (2, 1.0, 1.0, 1.0)]), id="a ledger out of order"),
    ],
)
def test_a_block_that_no_tape_looks_like_is_refused(message):
    with pytest.raises(wire.Damaged):
        wire.read_block(message, 10)


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b'{"first_bar": -1, "strategy": "s", "params": {}}',
                                  b'{"first_bar": 1, "strategy": "s", "params": {"a": []}}'])  # fmt: skip
def test_a_start_that_is_none_is_refused(text):
    with pytest.raises(wire.Damaged):
        wire.read_start(bytearray(text), 10)


@pytest.mark.parametrize(
    "message", [b"", b"abc", struct.pack("<I", 99) + b"{}", struct.pack("<I", 2) + b"{}" + b"1234"]
)
def test_an_indicator_that_is_none_is_refused(message):
    with pytest.raises(wire.Damaged):
        wire.read_indicator(bytearray(message), 10)


def test_a_message_longer_than_any_may_be_is_refused_before_it_is_read():
    reader = wire.Reader(longest=1_000)

    def receive_into(view: memoryview) -> int:
        view[:] = struct.pack("<cI", b"B", 1_001)
        return 5

    with pytest.raises(wire.Damaged):
        reader.feed(receive_into)


HALF = "\ud800"  # of a character: what JSON can say, and UTF-8 cannot


def test_texts_of_a_strategy_are_such_as_can_be_sent_and_shown():
    long = "x" * (2 * wire.TEXT)
    read = wire.read_block(block(rows=([*ORDER[:7], HALF, long], FILL, [long + HALF])), 10)
    texts = [*read.rows[0][7:], *read.rows[2]]
    assert texts == ["?", long[: wire.TEXT], long[: wire.TEXT]]
    start = wire.read_start(
        bytearray(json.dumps({"first_bar": 1, "strategy": HALF, "params": {"a": HALF}}).encode()), 10
    )
    assert (start.strategy, start.params) == ("?", {"a": "?"})
    head = json.dumps({"name": HALF, "pane": "", "color": HALF, "style": "", "group": ""}).encode()
    line = wire.read_indicator(bytearray(struct.pack("<I", len(head)) + head + bytes(80)), 10)
    assert (line.name, line.color) == ("?", "?")


def test_money_is_on_the_tape_at_each_bar_though_the_child_was_far_ahead(pool):
    bars, entry = random_bars(20_000, seed=4), Catalog().find("sma_cross")
    remote = pool.simulation(bars, entry, {"fast": 2, "slow": 4})
    here = Simulation(bars, entry.strategy, {"fast": 2, "slow": 4})
    while remote.ready < 20_000:
        remote.advance(0)
    for bar in range(1_000, 20_001, 1_000):
        remote.advance(1_000)
        here.advance(1_000)
        assert remote.tape.equity(0, bar).tolist() == here.tape.equity(0, bar).tolist()
