"""Streams beside hell: what a visitor sees when a strategy misbehaves, and what the others see."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from tests.conftest import make_app, serving
from tests.wire import Wire

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="memory is not limited on Windows")

CONFIG = {"symbol": "AAPL", "period": "6mo", "interval": "1d", "strategy": "sma_cross", "speed": "instant"}
HELL = {
    "loops": ("while True: pass", "did not finish a bar within 1 s"),
    "sleeps": ("time.sleep(1e6)", "did not finish a bar within 1 s"),
    "eats": ("x = bytearray(4 << 30)", "needed more than 128 MB"),
    "exits": ("os._exit(3)", "ended its process (exit code 3) on bar 51"),
    "crashes": ("ctypes.string_at(0)", "ended its process (SIGSEGV) on bar 51"),
    "kills": ("os.kill(os.getppid(), 9); time.sleep(1e6)", "ended its process"),
}


@pytest.fixture
def url(folders) -> Iterator[str]:
    """A server whose strategies folder is hell, with short limits."""
    for name, (body, _) in HELL.items():
        lines = [
            "import ctypes, os, time",
            "from engine import Strategy",
            "class Hell(Strategy):",
            "    def next(self):",
            "        if len(self.data) == 5: self.buy(size=1)",
            "        if len(self.data) == 51:",
            f"            {body}",
        ]
        (folders["strategies"] / f"{name}.py").write_text("\n".join(lines))
    app = make_app(folders, SECONDS_PER_BAR=1.0, STRATEGY_MEMORY=128)
    with serving(app) as url:
        yield url
    app.extensions["tapedeck"].store.database.close()


def start(url: str, **config) -> Wire:
    wire = Wire(url)
    wire.send({"action": "start_backtest", "config": CONFIG | config})
    return wire


def shown(messages: list[dict]) -> list[dict]:
    """Return what makes up the chart."""
    return [message for message in messages if message["type"] in ("candle", "signal")]


@pytest.mark.parametrize("name", HELL)
def test_a_strategy_from_hell_is_told_to_its_visitor_alone(url, name):
    alone = shown(start(url).rest())
    beside = start(url, speed=20)
    beside.until("candle")
    messages = start(url, strategy=name).rest()
    errors = [message for message in messages if message["type"] == "error"]
    assert [error["code"] for error in errors] == ["strategy_error"]
    assert HELL[name][1] in errors[0]["message"]
    candles = [message["bar_number"] for message in messages if message["type"] == "candle"]
    assert candles == list(range(1, 52))
    assert any(message["type"] == "signal" for message in messages)
    rest = shown(beside.rest())
    assert rest == alone[-len(rest) :]
    assert len(rest) > 60
    with urlopen(url + "/healthz", timeout=10) as answer:
        assert answer.status == 200


def test_a_page_obeys_its_visitor_while_the_strategy_hangs(url):
    wire = Wire(url)
    wire.send({"action": "start_backtest", "config": CONFIG | {"strategy": "loops"}, "frames": True})
    wire.until("frame")
    wire.send({"action": "seek", "bar": 10})
    while wire.until("state")[-1]["bar_number"] != 10:
        pass
    wire.send({"action": "play"})
    wire.send({"action": "speed", "value": "instant"})
    error = wire.until("error")[-1]
    assert "did not finish a bar" in error["message"]
    wire.close()


def test_a_run_that_hangs_is_stored_as_failed(url):
    messages = start(url, strategy="loops").rest()
    run = next(message["run"] for message in messages if message["type"] == "metadata")
    with urlopen(f"{url}/runs/{run}", timeout=30) as page:
        assert page.status == 200
    with urlopen(f"{url}/runs", timeout=30) as page:
        assert "failed" in page.read().decode().lower()
