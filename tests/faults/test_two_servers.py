"""Two servers behind nginx, sharing one PostgreSQL: a stream survives the death of the server that plays it."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener, urlopen

import pytest
import simple_websocket

from tests.servers import Gunicorn, fetch, nginx
from tests.wire import Wire

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")

PASSWORD = "for two servers"
BEARER = {"Authorization": f"Bearer {PASSWORD}"}
CONFIG = {"symbol": "AAPL", "period": "2y", "interval": "1d", "strategy": "sma_cross", "speed": 2}


class House:
    """Two gunicorns and what is in front of them."""

    def __init__(self, url: str, servers: list[Gunicorn], settings: list[dict[str, str]]):
        self.url = url
        self.servers = servers
        self.settings = settings

    def playing(self) -> list[int]:
        """Return how many streams each server has open."""
        found = (fetch(f"{server.url}/metrics", **BEARER) for server in self.servers)
        return [int(float(re.search(r"(?m)^tapedeck_streams (\S+)", text)[1])) for text in found]  # type: ignore[index]

    def connect(self, message: dict[str, Any], **options: Any) -> Wire:
        """Open a stream as a page behind nginx does."""
        origin = {"Origin": "http://127.0.0.1"}  # this client names its host without the port
        wire = Wire(self.url, headers=BEARER | origin | options)
        wire.send(message)
        return wire

    def restart(self, number: int) -> None:
        """Start a server that was killed again, where nginx looks for it."""
        self.servers[number] = Gunicorn(port=self.servers[number].port, **self.settings[number])


@pytest.fixture(scope="module")
def house(postgres, tmp_path_factory) -> Iterator[House]:
    """Both servers, one database and nginx; a test that kills a server starts it again."""
    folder = tmp_path_factory.mktemp("house")
    shared = {
        "TAPEDECK_DATABASE_URL": postgres.make_database(),
        "TAPEDECK_SECRET_KEY": "shared by both",
        "TAPEDECK_PASSWORD": PASSWORD,
        "TAPEDECK_PROXIES": "1",
    }
    settings = [shared | {"TAPEDECK_HOME": str(folder / name)} for name in ("first", "second")]
    servers: list[Gunicorn] = []
    (folder / "nginx").mkdir()
    try:
        servers += (Gunicorn(**one) for one in settings)
        with nginx(folder / "nginx", [server.port for server in servers]) as url:
            yield House(url, servers, settings)
    finally:
        for server in servers:
            server.stop()
    for server in servers:
        assert "Traceback" not in "\n".join(server.log)


def shown(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the candles and signals among `messages`."""
    return [message for message in messages if message["type"] in ("candle", "signal")]


def test_a_stream_survives_the_death_of_its_server_with_no_bar_lost_or_doubled(house):
    whole = house.connect(CONFIG | {"speed": "instant"}).rest()
    total = whole[0]["total_bars"]
    chance = random.Random(5)
    seen: list[dict[str, Any]] = []
    deaths = 0
    message: dict[str, Any] = {"action": "start_backtest", "config": CONFIG}
    while not seen or seen[-1]["type"] != "complete":
        wire = house.connect(message)
        metadata = wire.receive()
        assert metadata["type"] == "metadata"
        last = max((one["bar_number"] for one in shown(seen)), default=0)
        fatal = chance.randint(last + 20, last + total // 3)
        try:
            while not seen or seen[-1]["type"] != "complete":
                seen.append(wire.receive())
                if seen[-1]["type"] == "candle" and seen[-1]["bar_number"] == fatal and deaths < 3:
                    victim = house.playing().index(1)
                    house.servers[victim].kill()
                    deaths += 1
        except simple_websocket.ConnectionClosed:
            house.restart(victim)
            last = max(one["bar_number"] for one in shown(seen) if one["type"] == "candle")
            seen = [one for one in seen if one["type"] != "signal" or one["bar_number"] <= last]
            # a bar comes whole: what was seen of the one after the last is dropped and comes again
            speed = 2 if deaths < 3 else "instant"
            message = {"action": "start_backtest", "run": metadata["run"], "from_bar": last + 1, "speed": speed}
        finally:
            wire.close()
    assert deaths == 3
    assert [one["bar_number"] for one in seen if one["type"] == "candle"] == list(range(1, total + 1))
    assert shown(seen) == shown(whole)
    assert seen[-1]["metrics"] == whole[-1]["metrics"]


def test_a_page_goes_on_at_the_other_server_while_its_own_is_down(house):
    wire = house.connect({"action": "start_backtest", "config": CONFIG | {"frames": True}})
    run = wire.until("frame")[0]["run"]
    victim = house.playing().index(1)
    house.servers[victim].kill()
    wire.rest()
    wire.close()
    alive = next(server for server in house.servers if server.process.poll() is None)
    page = {"frames": True, "window": True, "paused": True}
    again = house.connect({"action": "start_backtest", "run": run, "from_bar": 40, **page})
    frame = again.until("frame")[-1]
    assert (frame["reset"], frame["to"]) == (True, 40)
    again.close()
    assert f'"{run}"' in fetch(f"{alive.url}/runs/{run}/run.json", **BEARER)
    house.restart(victim)


def browser(url: str) -> OpenerDirector:
    """Return a browser that has logged in at `url`."""
    opener = build_opener(HTTPCookieProcessor())
    page = opener.open(f"{url}/login").read().decode()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    form = f"csrf_token={token[1]}&password={PASSWORD.replace(' ', '+')}&next=/runs"
    request = Request(f"{url}/login", form.encode(), {"Origin": url, "Sec-Fetch-Site": "same-origin"})
    with opener.open(request) as answer:
        assert urlsplit(answer.url).path == "/runs"
    return opener


def test_a_login_holds_on_both_servers_and_so_does_a_logout(house):
    opener = browser(house.url)
    for _ in range(4):  # nginx takes turns
        assert b"<h1>Runs</h1>" in opener.open(f"{house.url}/runs").read()
    page = opener.open(f"{house.url}/").read().decode()
    token = re.search(r'class="logout".*?name="csrf_token" value="([^"]+)"', page, re.DOTALL)
    assert token
    request = Request(f"{house.url}/logout", f"csrf_token={token[1]}".encode(), {"Origin": house.url})
    opener.open(request).close()
    for _ in range(4):
        with opener.open(Request(f"{house.url}/runs", headers={"Accept": "text/html"})) as answer:
            assert urlsplit(answer.url).path == "/login"


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_what_watches_the_servers_is_not_for_visitors(house, path):
    with pytest.raises(HTTPError, match="404"):
        urlopen(Request(f"{house.url}{path}", headers=BEARER))
    assert fetch(f"{house.servers[0].url}{path}", **BEARER)


def test_a_visitor_cannot_pass_for_this_machine(house):
    forged = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Real-IP": "127.0.0.1"}
    with pytest.raises(HTTPError, match="401"):
        urlopen(Request(f"{house.url}/runs", headers=forged))
    assert json.loads(fetch(f"{house.url}/healthz")) == {"status": "ok"}


def test_behind_a_proxy_that_it_was_not_told_of_a_server_without_a_password_serves_nobody(tmp_path):
    server = Gunicorn(TAPEDECK_HOME=str(tmp_path))
    try:
        with nginx(tmp_path, [server.port]) as url:
            for forged in ({}, {"Host": "localhost"}, {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}):
                with pytest.raises(HTTPError, match="403"):
                    urlopen(Request(f"{url}/runs", headers=forged))
        assert "Runs" in fetch(f"{server.url}/runs")  # from this machine
    finally:
        server.stop()
