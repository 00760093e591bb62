"""Cut lines: whoever loses the connection, at any bar, goes on as if nothing had happened."""

from __future__ import annotations

import json
import random
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.faults.watching import Watcher
from tests.handshake import frame, open_by_hand
from tests.wire import PATIENCE
from webapp import line, player, sockets

CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "speed": 100}
CONFIG |= {"params": {"fast": 2, "slow": 4}}  # trades often
BARS = 122


def whole(url: str, **more) -> str:
    """Return what somebody sees who is left alone."""
    return Watcher(CONFIG, **more).connect(url).watch().seen


@pytest.mark.parametrize("frames", [False, True], ids=["plain", "frames"])
@pytest.mark.parametrize("seed", range(4))
def test_a_line_cut_at_random_messages_costs_nothing(live_url, frames, seed):
    chance = random.Random(seed)
    watcher = Watcher(CONFIG, frames=frames)
    while watcher.complete is None:
        watcher.connect(live_url).watch(chance.randint(0 if watcher.run else 1, 30))
        watcher.cut(reset=chance.random() < 0.5)
    assert len(watcher.candles) == BARS and len(watcher.signals) > 20
    assert watcher.seen == whole(live_url, frames=frames)


def test_a_line_cut_between_a_signal_and_its_candle_costs_nothing(live_url):
    expected = whole(live_url)
    for number in range(6):
        watcher = Watcher(CONFIG).connect(live_url)
        while len(watcher.signals) <= number:
            watcher.watch(1)
        watcher.cut()
        assert watcher.bar < watcher.signals[-1]["bar_number"]
        assert watcher.connect(live_url, speed="instant").watch().seen == expected


@pytest.mark.skipif(sys.platform != "linux", reason="how a client vanishes here")
@pytest.mark.parametrize("paused", [False, True], ids=["playing", "paused"])
@pytest.mark.parametrize("frames", [False, True], ids=["plain", "frames"])
def test_a_client_that_vanishes_without_a_word_is_let_go(live_url, monkeypatch, frames, paused):
    assert player.QUIET + line.VANISHED / 1000 < 30 and line.STALL < 30  # seconds until it is noticed
    monkeypatch.setattr(player, "QUIET", 0.2)
    monkeypatch.setattr(line, "VANISHED", 500)
    before = len(sockets.switchboard)
    watcher = Watcher(CONFIG | {"speed": 0.25}, frames=frames).connect(live_url, hold=True).until_bar(2)
    if paused:
        watcher.pause()
    assert len(sockets.switchboard) == before + 1
    watcher.vanish()
    until(lambda: len(sockets.switchboard) == before)
    assert watcher.wire is not None and watcher.wire.socket.connected  # no Close and no reset has reached it
    watcher.cut()
    assert watcher.connect(live_url, speed="instant", paused=False).watch().seen == whole(live_url, frames=frames)


def test_two_tabs_on_one_run_play_by_themselves(live_url):
    first = Watcher(CONFIG | {"speed": 2}).connect(live_url).until_bar(20)
    second = Watcher(CONFIG)
    second.run = first.run
    second.connect(live_url, speed="instant", hold=True).watch()
    assert first.bar < BARS and first.wire is not None and second.wire is not None
    second.wire.send({"action": "seek", "bar": 3})
    assert second.wire.until("state")[-1]["bar_number"] == 3
    first.wire.send({"action": "pause"})
    assert first.wire.until("state")[-1]["status"] == "paused"
    second.wire.send({"action": "step", "bars": 1})
    assert second.wire.until("candle")[-1]["bar_number"] == 4
    second.wire.close()
    first.cut()
    expected = Watcher(CONFIG).connect(live_url).watch().seen
    assert first.connect(live_url, speed="instant").watch().seen == expected == second.seen


def test_a_client_that_reads_late_gets_everything_and_holds_up_nobody(live_url):
    big = {"symbol": "SYNTH:30000", "period": "max", "interval": "1m", "speed": "instant", "strategy": "sma_cross"}
    late = Late(live_url, {"action": "start_backtest", "config": big})
    assert len(Watcher(CONFIG).connect(live_url).watch().candles) == BARS  # meanwhile
    candles = []
    for message in late.messages():
        if message["type"] == "candle":
            candles.append(message["bar_number"])
        if message["type"] == "complete":
            break
    late.close()
    assert candles == list(range(1, 30_001))


def test_a_client_that_never_reads_is_let_go_and_harms_nobody(live_url, monkeypatch):
    monkeypatch.setattr(sockets, "Line", partial(line.Line, stall=1.0))
    before = len(sockets.switchboard)
    big = CONFIG | {"symbol": "SYNTH:300000", "interval": "1m", "period": "max", "speed": "instant"}
    silent = Late(live_url, {"action": "start_backtest", "config": big})
    until(lambda: len(sockets.switchboard) > before)
    assert len(Watcher(CONFIG).connect(live_url).watch().candles) == BARS  # meanwhile
    until(lambda: len(sockets.switchboard) == before)
    with pytest.raises((AssertionError, ConnectionError)):  # there is an end to what it could read
        for _ in silent.messages():
            pass
    silent.close()


def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        threading.Event().wait(0.02)


class Late:
    """A client that has asked for a run and reads nothing of it yet."""

    def __init__(self, url: str, message: dict):
        self._socket = open_by_hand(f"{url}/ws/backtest/stream/")
        text = json.dumps(message).encode()
        self._socket.sendall(struct.pack("!BBH4s", 0x81, 0x80 | 126, len(text), bytes(4)) + text)  # masked with zeros

    def messages(self) -> Iterator[dict]:
        """Read messages, one after the other."""
        while True:
            opcode, content = frame(self._socket)
            if opcode == 1:
                yield json.loads(content)

    def close(self) -> None:
        """Leave."""
        self._socket.close()
