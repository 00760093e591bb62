"""What a user waits for: click on Run to the first candle, and a million bars with backtesting.py beside them."""

from __future__ import annotations

import contextlib
import io
import statistics
import warnings

import backtesting
from backtesting.lib import crossover as their_crossover

import engine
from bench.engine import COMMISSION, prices, sma_cross
from bench.kit import browsing, served, side_by_side, table
from engine.lib import crossover as our_crossover

BARS = 1_000_000
CASH = 1_000_000
SETUP = {"symbol": "AAPL", "interval": "1d", "period": "6mo", "strategy": "sma_cross"}

# Notes when the page first shows a bar: after the animation frame in which the chart drew it.
WATCH = """
sessionStorage.removeItem("first-candle");
const watch = () => {
  const text = document.querySelector("[data-progress-text]")?.textContent ?? "";
  if (/bar [1-9]/.test(text)) {
    requestAnimationFrame(() => sessionStorage.setItem("first-candle", performance.timeOrigin + performance.now()));
  } else {
    requestAnimationFrame(watch);
  }
};
requestAnimationFrame(watch);
"""
NOTE_CLICK = """
document.addEventListener("click", () => sessionStorage.setItem("click", performance.timeOrigin + performance.now()), {
  capture: true,
});
"""


def main(argv: list[str]) -> int:
    """Print the main figures."""
    first = click_to_first_candle()
    ours, theirs = million_bars()
    table(
        "The main figures",
        ("what", "Tapedeck", "backtesting.py", "ratio"),
        [
            ("click on Run to first candle, AAPL 6mo 1d, median of 9", f"{first * 1000:.0f} ms", "", ""),
            (
                "SMA(10/30) cross over 1M synthetic bars, statistics included, bars a second",
                f"{BARS / ours:,.0f}",
                f"{BARS / theirs:,.0f}",
                f"{theirs / ours:.1f} x",
            ),
        ],
    )
    return 0


def click_to_first_candle(rounds: int = 9) -> float:
    """Return the median seconds from the click on Run to the frame that shows the first candle; bars are cached."""
    times = []
    with served() as url, browsing() as page:
        page.add_init_script(WATCH)
        for _ in range(rounds + 1):
            page.goto(f"{url}/?" + "&".join(f"{name}={value}" for name, value in SETUP.items()))
            page.wait_for_function("() => window.htmx")
            page.evaluate(NOTE_CLICK)
            page.get_by_role("button", name="Run", exact=True).click()
            page.wait_for_url("**/runs/*")
            page.wait_for_function("() => sessionStorage.getItem('first-candle')")
            times.append(page.evaluate("sessionStorage.getItem('first-candle') - sessionStorage.getItem('click')"))
    return statistics.median(times[1:]) / 1000  # the first one loads the strategy and fills the browser's cache


def million_bars() -> tuple[float, float]:
    """Return the seconds of `Backtest.run()` over a million synthetic bars: ours, backtesting.py's."""
    frame = prices(BARS)
    ours = engine.Backtest(frame, sma_cross(engine.Strategy, our_crossover), cash=CASH, commission=COMMISSION)
    theirs = backtesting.Backtest(
        frame, sma_cross(backtesting.Strategy, their_crossover), cash=CASH, commission=COMMISSION
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # backtesting.py warns of the trade that is open at the end
        with contextlib.redirect_stderr(io.StringIO()):  # and draws a progress bar
            return side_by_side(ours.run, theirs.run, rounds=3)
