"""The player page in headless Chromium: waiting times, frames a second, seeks, memory and bytes on the wire."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from bench.kit import browsing, served, table
from bench.run import NOTE_CLICK, click_to_first_candle

DAILY = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross"}
LONG = {"symbol": "SYNTH:1000000", "interval": "1m", "period": "max", "initial_balance": "1000000"}
DRAWN = {"strategy": "donchian_breakout"}  # three lines over the price, a pane below, entries and exits

# Notes when the page shows the end: its last bar painted and its figures swapped in.
WATCH = """
sessionStorage.removeItem("finished");
const watch = () => {
  const deck = document.querySelector(".player");
  const done = deck?.dataset.status === "finished" && document.querySelector("#summary .verdict");
  if (done) requestAnimationFrame(() => sessionStorage.setItem("finished", performance.timeOrigin + performance.now()));
  else requestAnimationFrame(watch);
};
requestAnimationFrame(watch);
"""
FRAMES = """(seconds) => new Promise((done) => {
  const start = performance.now();
  let [count, last, longest] = [0, start, 0];
  const frame = (now) => {
    count += 1;
    longest = Math.max(longest, now - last);
    last = now;
    if (now - start < seconds * 1000) requestAnimationFrame(frame);
    else done([count * 1000 / (now - start), longest]);
  };
  requestAnimationFrame(frame);
})"""
SEEK = """(bar) => new Promise((done) => {
  const input = document.querySelector("[data-seek]");
  const start = performance.now();
  input.value = bar;
  input.dispatchEvent(new Event("input"));
  const look = () => {
    const shown = document.querySelector("[data-bar]").textContent.replaceAll(",", "");
    if (shown !== String(bar)) requestAnimationFrame(look);
    else requestAnimationFrame(() => done(performance.now() - start));
  };
  look();
})"""
PLAYS = "/bar [1-9]/.test(document.querySelector('[data-progress-text]')?.textContent ?? '')"


def main(argv: list[str]) -> int:
    """Print the table of the page's goals."""
    rows: list[tuple[str, str, str]] = []
    rows.append(("click on Run to first candle, bars cached", f"{click_to_first_candle() * 1000:.0f} ms", "300 ms"))
    with served() as url:
        for config, words, goal, rounds in (
            (DAILY, "instant, half a year of daily bars, click to complete", "500 ms", 7),
            (
                LONG | {"strategy": "sma_cross"},
                "instant, 1M bars, click to complete chart and statistics",
                "3,000 ms",
                3,
            ),
        ):
            rows.append((words, f"{click_to_complete(url, config, rounds) * 1000:,.0f} ms", goal))
        rows += frame_rates()
        rows += seeks_and_memory(url)
        rows += bytes_a_bar(url)
    table("The player page", ("what", "measured", "goal"), rows)
    return 0


def start(page: Any, url: str, config: dict[str, str]) -> None:
    """Open the form with `config` and press Run."""
    page.goto(f"{url}/?{urlencode(config)}")
    page.wait_for_function("window.htmx")
    page.evaluate(NOTE_CLICK)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/runs/*")


def click_to_complete(url: str, config: dict[str, str], rounds: int) -> float:
    """Return the median seconds from the click on Run to the painted end of an instant run."""
    times = []
    with browsing(bypass_csp=True) as page:
        page.set_default_timeout(120_000)
        page.add_init_script(WATCH)
        for _ in range(rounds + 1):
            start(page, url, config | {"speed": "instant"})
            page.wait_for_function("sessionStorage.getItem('finished')")
            times.append(page.evaluate("sessionStorage.getItem('finished') - sessionStorage.getItem('click')"))
    return statistics.median(times[1:]) / 1000  # the first one caches the bars


def frame_rates(seconds: float = 5) -> list[tuple[str, str, str]]:
    """Return frames a second while playing, at several speeds; the proof of one run must not go on beside the next."""
    rows = []
    for key, speed, config in (
        ("3", "1x", LONG | DRAWN), ("6", "10x", LONG | DRAWN), ("9", "100x", LONG | DRAWN),
        ("9", "100x, daily bars", DRAWN | {"symbol": "AAPL", "interval": "1d", "period": "max"}),
    ):  # fmt: skip
        with served() as url, browsing(bypass_csp=True) as page:
            start(page, url, config | {"speed": "1"})
            page.wait_for_function(PLAYS)
            page.keyboard.press(key)
            page.wait_for_timeout(1500)
            watched = seconds if "daily" not in speed else 2
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = worked(session)
            rate, longest = page.evaluate(FRAMES, watched)
            each = (worked(session) - before) / (rate * watched)
        words = f"frames a second at {speed}, 4 indicators, a second pane, markers (longest; work on each)"
        rows.append((words, f"{rate:.0f} ({longest:.0f} ms; {each * 1000:.1f} ms)", "55"))
    return rows


def worked(session: Any) -> float:
    """Return how long the page's main thread has worked, in seconds: other programs at work count for nothing."""
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]


def seeks_and_memory(url: str) -> list[tuple[str, str, str]]:
    """Return how long a seek in a million bars takes, and what the page holds after it was played."""
    with browsing(bypass_csp=True) as page:
        page.set_default_timeout(120_000)
        start(page, url, LONG | DRAWN | {"speed": "1"})
        page.wait_for_function(PLAYS)
        page.keyboard.press("End")
        page.wait_for_function("document.querySelector('.player').dataset.status === 'finished'")
        page.wait_for_timeout(500)
        played = heap(page)
        times = []
        for bar in (500_000, 3, 999_000, 123_456, 876_543, 250_000, 750_001, 42, 640_000):
            times.append(page.evaluate(SEEK, bar))
            page.wait_for_timeout(150)
        page.keyboard.press("9")
        page.keyboard.press("k")
        page.wait_for_timeout(8000)
        later = heap(page)
    return [
        (
            "seek to any of 1M bars, median (longest) of 9",
            f"{statistics.median(times):.0f} ({max(times):.0f}) ms",
            "300 ms",
        ),
        (
            "page's heap after 1M bars; after seeks and 16,000 bars more",
            f"{played:.0f} MB; {later:.0f} MB",
            "300 MB, flat",
        ),
    ]


def heap(page: Any) -> float:
    """Return the JavaScript heap in use after a collection, in MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    session.detach()
    return used


def bytes_a_bar(url: str) -> list[tuple[str, str, str]]:
    """Return what the server sends for each bar, by kind of message."""
    rows = []
    for speed, config in (("1x", DAILY), ("instant", LONG | {"strategy": "sma_cross"})):
        with browsing(bypass_csp=True) as page:
            page.set_default_timeout(120_000)
            sizes: Counter[str] = Counter()
            session = page.context.new_cdp_session(page)
            session.send("Network.enable")
            session.on("Network.webSocketFrameReceived", lambda frame, sizes=sizes: count(sizes, frame))
            start(page, url, config | {"speed": speed.removesuffix("x")})
            page.wait_for_function("document.querySelector('.player').dataset.status === 'finished'")
            page.wait_for_timeout(300)
            bars = int(page.locator("[data-total]").get_attribute("data-total"))
        frames, rest = sizes["frame"] / bars, (sum(sizes.values()) - sizes["frame"]) / bars
        rows.append(
            (f"bytes a bar at {speed}: bars and events, panels and the rest", f"{frames:,.1f} + {rest:,.1f}", "stated")
        )
    return rows


def count(sizes: Counter[str], frame: dict[str, Any]) -> None:
    """Add the size of a message to those of its type."""
    payload = frame["response"]["payloadData"]
    sizes[json.loads(payload)["type"]] += len(payload.encode())
