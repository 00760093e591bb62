"""Deck: the player page as a test drives it, and what it shows as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from webapp import Services, runs

PATIENCE = 60.0  # s until what a test waits for must have come; only a failure takes so long

# Everything that belongs to the playhead's bar: the panels' words, the read-outs and the numbers behind the chart.
SHOWN = """() => {
  const words = (text) => text.replace(/\\s+/g, " ").trim();
  const text = (selector) => words(document.querySelector(selector).innerText);
  const bare = (panel) => {
    const copy = panel.cloneNode(true);
    copy.querySelectorAll(".reason-row").forEach((row) => row.remove()); // they come when the page has been at rest
    return words(copy.textContent);
  };
  const panels = ["headline", "position", "stats", "trades", "counts", "summary"];
  const canvas = document.querySelector("[data-ticks]");
  const price = window.tapedeckChart.panes[0].handler.series;
  return {
    panels: Object.fromEntries(panels.map((name) => [name, bare(document.querySelector(`#${name}`))])),
    progress: text("[data-progress-text]"),
    time: text("[data-time]"),
    series: window.tapedeckChart.panes.map(({ kind, handler, series }) => [
      ...(kind === "price" ? [handler.series.data(), handler.volumeSeries.data()] : []),
      ...series.map(({ series: one }) => one.data()),
    ]),
    markers: price.markers().map(({ time, text, shape }) => [time, text, shape]),
    legend: text("[data-legends]"),
    ticks: canvas.toDataURL(),
  };
}"""


DRAWN = "() => Boolean(window.tapedeckChart?.panes[0].handler.series.data().length)"


class Deck:
    """A page that plays a run."""

    def __init__(self, page: Page, services: Services):
        self.page = page
        self.services = services
        self.run = ""

    def open(self, *, wait: bool = True, **config: Any) -> Deck:
        """Store a run of AAPL's last half year (122 daily bars), or of `config`, and open its page."""
        values = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "initial_balance": 10_000,
                  "strategy": "sma_cross", "params": {"fast": 5, "slow": 15}, "speed": 1} | config  # fmt: skip
        self.run = runs.create(self.services, values).id
        self.page.goto(f"/runs/{self.run}")
        if wait:
            self.until(lambda: self.bar > 0 and self.page.evaluate(DRAWN), "the first bar")
        return self

    def paused(self, bar: int = 60, **config: Any) -> Deck:
        """Open a run and bring it to rest at `bar`."""
        self.open(**config)
        self.page.keyboard.press("k")
        self.until(lambda: self.status == "paused", "a pause")
        self.seek(bar)
        return self

    def seek(self, bar: int) -> None:
        """Send the playhead to `bar` with the slider, and wait until the page has it."""
        self.page.locator("[data-seek]").evaluate(
            "(input, bar) => { input.value = bar; input.dispatchEvent(new Event('input')); }", bar
        )
        self.until(lambda: self.bar == bar, f"bar {bar}")
        self.settle()

    def press(self, key: str) -> None:
        """Press a key of the key sheet."""
        self.page.keyboard.press(key)

    def finish(self) -> None:
        """Run to the end and wait until everything shows it."""
        self.until(lambda: not self.waiting, "the controls before to be followed")
        self.press("End")
        self.until(lambda: self.status == "finished" and self.bar == self.total, "the end")
        self.settle()

    def settle(self) -> None:
        """Wait until the panels show the bar that the chart does."""
        self.until(lambda: self.page.evaluate("() => Boolean(window.tapedeckChart)"), "the chart")
        self.until(self._settled, "the panels to show the playhead's bar")

    def _settled(self) -> bool:
        before = self.shown()
        self.page.evaluate("() => new Promise((done) => setTimeout(done, 250))")  # more than two swaps of panels
        return before == self.shown()

    def shown(self) -> dict[str, Any]:
        """Return everything that the page shows, as data."""
        return self.page.evaluate(SHOWN)

    @property
    def bar(self) -> int:
        """Return the bar in the read-out."""
        return int((self.page.locator("[data-bar]").text_content() or "0").replace(",", ""))

    @property
    def total(self) -> int:
        """Return how many bars the run has."""
        return int(self.page.locator("[data-total]").get_attribute("data-total") or 0)

    @property
    def status(self) -> str:
        """Return what the page says it does: playing, paused, finished, ..."""
        return self.page.locator(".player").get_attribute("data-status") or ""

    @property
    def waiting(self) -> bool:
        """Return whether the play button says that something is still to come."""
        return "waiting" in (self.page.locator("[data-play]").get_attribute("class") or "").split()

    @property
    def candles(self) -> int:
        """Return how many candles the chart holds."""
        return self.page.evaluate("() => window.tapedeckChart.panes[0].handler.series.data().length")

    @property
    def view(self) -> dict[str, float]:
        """Return the visible range of the price pane."""
        return self.page.evaluate(
            "() => window.tapedeckChart.panes[0].handler.chart.timeScale().getVisibleLogicalRange()"
        )

    @property
    def times(self) -> dict[str, int]:
        """Return the times at the edges of the price pane."""
        return self.page.evaluate("() => window.tapedeckChart.panes[0].handler.chart.timeScale().getVisibleRange()")

    def until(self, met: Callable[[], bool], what: str) -> None:
        """Wait until `met()`; fail with what was waited for."""
        give_up = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < give_up, f"waited in vain for {what}: bar {self.bar}, {self.status}"
            self.page.evaluate("() => new Promise(requestAnimationFrame)")
