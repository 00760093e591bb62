"""What benchmarks share: medians, tables, the machine's description, a server and a browser."""

from __future__ import annotations

import base64
import gc
import http.client
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import dev

ROOT = Path(__file__).resolve().parent.parent


def machine() -> str:
    """Return one line on what the figures were measured with."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "gunicorn", "backtesting"))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"


def timed(work: Callable[[], object]) -> float:
    """Return how long one call takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def worked(work: Callable[[], object]) -> float:
    """Return how long the processor works on one call, in seconds: other programs at work count for nothing.

    What earlier calls left to the garbage collector is cleared away first, so that nobody pays for another's.
    """
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


Clock = Callable[[Callable[[], object]], float]


def seconds(work: Callable[[], object], rounds: int = 5, clock: Clock = timed) -> float:
    """Return the median time of `rounds` calls, in seconds."""
    return statistics.median(clock(work) for _ in range(rounds))


def side_by_side(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5, clock: Clock = timed
) -> tuple[float, float]:
    """Return the median times of both, in seconds. Rounds alternate, so that a busy machine harms both alike."""
    times = [(clock(ours), clock(theirs)) for _ in range(rounds)]
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table, fit for the README."""
    cells = [[str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * max(3, width) for width in widths) + " |")
    print("\n".join(["", title, "", *lines]), flush=True)


@contextmanager
def served(**settings: str) -> Iterator[str]:
    """Serve Tapedeck with gunicorn as shipped, on a folder of its own; give its address.

    `settings` are further environment variables, such as TAPEDECK_LOG_LEVEL="ERROR".
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"TAPEDECK_HOME": home, "TAPEDECK_PORT": str(port), "TAPEDECK_YAHOO": "false"} | settings
        words = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", "wsgi:app"]
        with (Path(home) / "log").open("w+") as log:
            server = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=log, stderr=log)
            try:
                wait_until_healthy(server, port, log.name)
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()
                with suppress(subprocess.TimeoutExpired):
                    server.wait(15)
                server.kill()
                server.wait()


def wait_until_healthy(server: subprocess.Popen, port: int, log: str, patience: float = 60) -> None:
    """Return once the server answers; end with its log when it does not."""
    give_up = time.monotonic() + patience
    while server.poll() is None and time.monotonic() < give_up:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise SystemExit(f"The server did not start:\n{Path(log).read_text()}")


@contextmanager
def browsing(**options: object) -> Iterator:
    """Give a Playwright page in headless Chromium, with htmx answered from its npm package.

    Playwright's own routing would turn the browser's cache off, and a visitor's is on.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CDN, FLAGS, from_npm

    with sync_playwright() as playwright:
        flags = [*FLAGS, "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=dev.find_chromium(), args=flags)
        page = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options)).new_page()
        session = page.context.new_cdp_session(page)

        def answer(paused: dict) -> None:
            status, headers, body = from_npm(paused["request"]["url"])
            told = [{"name": name, "value": value} for name, value in headers.items()]
            whole = {"responseCode": status, "responseHeaders": told, "body": base64.b64encode(body).decode()}
            session.send("Fetch.fulfillRequest", {"requestId": paused["requestId"]} | whole)

        session.on("Fetch.requestPaused", answer)
        session.send("Fetch.enable", {"patterns": [{"urlPattern": CDN}]})
        yield page
        browser.close()
