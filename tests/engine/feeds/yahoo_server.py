"""A local server that answers as Yahoo's chart service does, well and badly, for the real yfinance to talk to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

NEW_YORK = "America/New_York"
NOT_FOUND = {"code": "Not Found", "description": "No data found, symbol may be delisted"}


class YahooServer:
    """Canned answers by symbol, and counts of what was asked.

    `answers` maps a symbol to a callable (query -> Reply); symbols without one are unknown. `price_requests` counts the
    requests for bars by symbol, without the ones by which yfinance learns a symbol's time zone.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, str]], Reply]] = {}
        self.price_requests: Counter[str] = Counter()
        self.paths: list[str] = []
        self.crumb_status = 200
        self.gate = threading.Event()  # a "slow" answer waits for it
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            do_POST = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            self.paths.append(parts.path)
        if parts.path == "/v1/test/getcrumb":
            reply = Reply(self.crumb_status, "Too Many Requests" if self.crumb_status == 429 else "crumbs")
        elif parts.path.startswith("/v8/finance/chart/"):
            reply = self._chart(parts.path.rsplit("/", 1)[-1].replace("%5E", "^"), query)
        elif parts.path.startswith("/v10/"):
            reply = Reply(404, json.dumps({"quoteSummary": {"result": None, "error": NOT_FOUND}}))
        else:
            reply = Reply(200, "", {"Set-Cookie": "A3=cookie; Path=/"})
        reply.send(handler, self.gate)

    def _chart(self, symbol: str, query: dict[str, str]) -> Reply:
        known = self.answers.get(symbol)
        if not (query.get("range") == "1d" and query.get("interval") == "1d" and "events" not in query):
            with self._lock:
                self.price_requests[symbol] += 1
        if known is None:
            return Reply(404, json.dumps({"chart": {"result": None, "error": NOT_FOUND}}))
        return known(query)


class Reply:
    """One answer: a status and a text, or a way to fail (`how`: "slow", "reset", "silent")."""

    def __init__(self, status: int = 200, text: str = "", headers: dict[str, str] | None = None, how: str = ""):
        self.status, self.text, self.headers, self.how = status, text, headers or {}, how

    def send(self, handler: BaseHTTPRequestHandler, gate: threading.Event) -> None:
        if self.how == "reset":
            linger = struct.pack("ii", 1, 0)  # close with RST
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
            return
        if self.how:
            gate.wait(30)
        content = self.text.encode()
        try:
            handler.send_response(self.status)
            for name, value in {"Content-Type": "application/json", **self.headers}.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        except OSError:  # the client had no patience
            handler.close_connection = True


@contextmanager
def serving() -> Iterator[YahooServer]:
    """Run a server for the length of the `with`."""
    server = YahooServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def chart(
    times: Any,
    closes: Any,
    *,
    zone: str = NEW_YORK,
    interval: str = "1d",
    kind: str = "EQUITY",
    session: tuple[int, int] | None = None,
    **columns: Any,
) -> Reply:
    """Return bars as Yahoo writes them: opens at the close before, a high 1 above and a low 1 below.

    Args:
        times: epoch seconds, as Yahoo has them: the session's opening for daily bars.
        closes: prices; NaN is written as null.
        session: the current regular trading period, epoch seconds; the last bar's day, long over, when not given.
        columns: open, high, low, volume or adjclose to write instead.
    """
    times = [int(t) for t in times]
    close = np.asarray(closes, dtype=float)
    opens = np.concatenate((close[:1], close[:-1]))
    made = {
        "open": opens,
        "high": np.fmax(opens, close) + 1,
        "low": np.fmin(opens, close) - 1,
        "close": close,
        "volume": np.full(len(close), 1_000.0),
    }
    adjusted = columns.pop("adjclose", None)
    made |= {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    start, end = session or ((times[-1], times[-1] + 23_400) if times else (0, 1))
    period = {"timezone": "EST", "gmtoffset": -18_000, "start": start, "end": end}
    meta = {
        "currency": "USD",
        "symbol": "TEST",
        "instrumentType": kind,
        "exchangeTimezoneName": zone,
        "gmtoffset": -18_000,
        "regularMarketPrice": 1.0,
        "regularMarketTime": end,
        "priceHint": 2,
        "dataGranularity": interval,
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        "currentTradingPeriod": {"pre": period, "regular": period, "post": period},
    }
    if interval[-1] in "mh":
        meta["tradingPeriods"] = _sessions(times, zone)
    indicators: dict[str, Any] = {"quote": [{name: _listed(values) for name, values in made.items()}]}
    if interval[-1] not in "mh":
        indicators["adjclose"] = [{"adjclose": _listed(close if adjusted is None else np.asarray(adjusted, float))}]
    result = {"meta": meta, "timestamp": times, "indicators": indicators}
    if not times:
        result = {"meta": meta, "indicators": {"quote": [{}]}}
    return Reply(200, json.dumps({"chart": {"result": [result], "error": None}}))


def refused(description: str, status: int = 422) -> Reply:
    """Return Yahoo's own words on why there are no bars."""
    error = {"code": "Unprocessable Entity", "description": description}
    return Reply(status, json.dumps({"chart": {"result": None, "error": error}}))


def openings(first: str, n: int, zone: str = NEW_YORK, at: str = "09:30") -> list[int]:
    """Return the opening times of `n` weekdays from a date, as epoch seconds."""
    days = pd.bdate_range(first, periods=n)
    return [int(pd.Timestamp(f"{day:%Y-%m-%d} {at}").tz_localize(zone).timestamp()) for day in days]


def _sessions(times: list[int], zone: str) -> list[list[dict[str, Any]]]:
    """Return whole days as trading periods, so that yfinance keeps every bar."""
    days = sorted({pd.Timestamp(t, unit="s", tz="UTC").tz_convert(zone).normalize() for t in times})
    periods = []
    for day in days:
        end = day + pd.DateOffset(days=1)
        periods.append([{"timezone": "X", "gmtoffset": 0, "start": int(day.timestamp()), "end": int(end.timestamp())}])
    return periods


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]
