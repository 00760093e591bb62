"""Rules: what backtesting.py 0.6.6 does wrong, each fault by name beside its correction.

A rule that decides something while a run goes on has two functions of the same arguments: `theirs`, which `compat=True`
follows, and `ours`, which the default follows. The last five decide statistics; engine.statistics follows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isclose
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """One difference: its name, what differs, why, an example, and how either side decides."""

    name: str
    differs: str
    why: str
    example: str
    theirs: Callable[..., Any] | None = None
    ours: Callable[..., Any] | None = None


def _every_second(orders: list[Any]) -> list[Any]:
    """Return the orders that a loop removes which walks the very list it removes from."""
    waiting, removed, place = list(orders), [], 0
    while place < len(waiting):
        order = waiting[place]
        if not order.is_contingent:
            removed.append(order)
            waiting.remove(order)
        place += 1
    return removed


SIZING_LOOKAHEAD = Rule(
    "sizing_lookahead",
    "Open trades are valued at the fill price when an order is sized or refused, not at the close of the fill's bar.",
    "The order fills at the open; the close is not known yet.",
    "Short 50 at 100 with 10,000; a bar opens at 100 and closes at 80: selling all in adds 49 at that open, not 69.",
    theirs=lambda close, fill_price: close,
    ours=lambda close, fill_price: fill_price,
)

FIXED_COMMISSION_PER_UNIT = Rule(
    "fixed_commission_per_unit",
    "A fixed fee is paid once per order when a size is worked out, not once for each unit.",
    "The cost of a unit was computed from the order's size while that was still a fraction.",
    "All in with 10,000, commission (100, 0) and a price of 100: 98 units, not 49.",
    theirs=lambda commission, size, part, price: commission(size, price) / abs(size) * abs(part),
    ours=lambda commission, size, part, price: commission(part, price),
)

FIXED_COMMISSION_PARTIAL_PNL = Rule(
    "fixed_commission_partial_pnl",
    "A partial exit carries its share of the fee paid at entry, not a whole fee of its own.",
    "Profits of trades then add up to the change of equity.",
    "Fee 10 per order, bought 10, sold 5 and 5: entry fees of 5 and 5 in the two profits, not 10 and 10.",
    theirs=lambda commission, part, held, paid, price: commission(part, price),
    ours=lambda commission, part, held, paid, price: paid * abs(part / held),
)

STOP_LIMIT_GAP_FILL = Rule(
    "stop_limit_gap_fill",
    "A stop-limit order that the bar opens beyond fills at that open, or at its limit, not at its stop.",
    "The bar never traded at the stop.",
    "Buy stop 100 limit 110, the bar opens at 105: filled at 105, not at 100.",
    theirs=lambda long, open_price, stop, limit: stop,
    ours=lambda long, open_price, stop, limit: (
        min(max(open_price, stop), limit) if long else max(min(open_price, stop), limit)
    ),
)

TOC_STOP_GAP_FILL = Rule(
    "toc_stop_gap_fill",
    "With trade_on_close a triggered stop fills at the open or the stop, not at the close of the bar before.",
    "A stop that is hit during a bar cannot fill at a price from before it.",
    "Buy stop 100, closes at 105, next bar opens at 98 and reaches 101: filled at 100, not at 105.",
    theirs=lambda buys, last_close, open_price, stop: (max if buys else min)(last_close, stop),
    ours=lambda buys, last_close, open_price, stop: (max if buys else min)(open_price, stop),
)

TOC_NEGATIVE_DURATION = Rule(
    "toc_negative_duration",
    "With trade_on_close a trade opened and closed in one pass ends on its entry bar, not on the bar before.",
    "Nothing ends before it begins.",
    "A stop opens a trade on bar 7 and a market order closes it in the same pass: bars 7 to 7, not 7 to 6.",
    theirs=lambda entry_bar, exit_bar: exit_bar,
    ours=lambda entry_bar, exit_bar: max(entry_bar, exit_bar),
)

REPROCESS_STOP_LIMIT = Rule(
    "reprocess_stop_limit",
    "After a market entry only the new trade's stop and target are looked at in the same bar, not the whole queue.",
    "A stop-limit order whose stop has just been hit would fill in the bar that it has to wait out.",
    "Sell stop 98 limit 99 and a market order, a bar of 100, 100, 97, 98: the stop-limit waits for the next bar.",
    theirs=lambda everything, guards: everything,
    ours=lambda everything, guards: guards,
)

EXCLUSIVE_SKIP = Rule(
    "exclusive_skip",
    "With exclusive_orders a new order cancels every order that waits, not every second one.",
    "Their loop removes from the list that it walks, and so skips.",
    "Three limit orders wait, a fourth is placed: one waits afterwards, not two.",
    theirs=_every_second,
    ours=lambda orders: [order for order in orders if not order.is_contingent],
)

BANKRUPT_LEFTOVER = Rule(
    "bankrupt_leftover",
    "At ruin every trade is closed, not every second one.",
    "Their loop removes from the list that it walks, and so skips.",
    "Ruined with two trades open: both are in the list of trades.",
    theirs=lambda trades: trades[::2],
    ours=lambda trades: trades,
)

FINALIZE_OPEN = Rule(
    "finalize_open",
    "finalize_trades closes open trades at the last close; waiting orders do not fill.",
    "They go back to the last bar's open, and let entries fill there.",
    "The last bar opens at 100 and closes at 110: a long that is still open is sold at 110, not at 100.",
    theirs=lambda: "open",
    ours=lambda: "close",
)

CONTRADICTORY_LEVELS = Rule(
    "contradictory_levels",
    "An order whose stop-loss and take-profit do not enclose its price is rejected with a reason; the run goes on.",
    "One bad order should be seen on the chart, not end the run with a ValueError.",
    "buy(limit=100, sl=105): rejected.",
    theirs=lambda: "raise",
    ours=lambda: "reject",
)

TRAILING_LOOKAHEAD = Rule(
    "trailing_lookahead",
    "TrailingStrategy's stops follow a range of the bars so far, and set_trailing_pct a fraction of the current close.",
    "They fill the range back over its warm-up and average the fraction over all bars: both know later bars.",
    "A trade on bar 20 with a range of 100 bars: its stop rests on bars 1 to 20, not on bars up to 100.",
)

START_EQUITY = Rule(
    "tiny",
    "Equity before the first decision is the starting cash.",
    "They carry the first recorded value back, so that a run of two bars that made money shows a return of 0 %.",
    "Two bars, bought at 100, closed at 110 with finalize_trades: the return is above 0.",
    theirs=lambda cash, first: first,
    ours=lambda cash, first: cash,
)

BANKRUPT_STATS = Rule(
    "bankrupt_stats",
    "A ruined account has an annual return of -100 %; its volatility and ratios are undefined.",
    "A geometric mean of 0 is not the mean of a total loss.",
    "All is lost: Return (Ann.) -100 %, Sharpe Ratio NaN; not 0 %, 0.",
)

GMEAN_ZERO = Rule(
    "gmean_zero",
    "Avg. Trade is undefined when a trade lost everything or more.",
    "There is no geometric mean of such returns, and 0 % reads as breaking even.",
    "Returns of 10 % and -120 %: NaN, not 0 %.",
)

DD_LAST_BAR = Rule(
    "dd_last_bar",
    "A fall on the last bar only is a drawdown of one bar.",
    "Their duration is then a drawdown fraction where a time is expected.",
    "The last close falls 3 %: Max. Drawdown Duration 1 day, not 0.03.",
)

RANGE_INDEX_ANN = Rule(
    "range_index_ann",
    "Without dates the annual return is undefined.",
    "1 ** NaN is 1, which makes their annual return 0 %.",
    "A RangeIndex: Return (Ann.) NaN, not 0 %.",
)

INFINITE = Rule(
    "infinite",
    "A figure that has nothing to be divided by, or exceeds all numbers, is undefined.",
    "Infinity cannot be compared, drawn or sent, and reads as a record.",
    "No period fell: Sortino Ratio NaN, not inf.",
)

TABLE = tuple(value for value in list(globals().values()) if isinstance(value, Rule))


class Rulebook:
    """Decides by our rules, or by theirs; `touched` names the rules whose two sides differed in this run."""

    __slots__ = ("compat", "touched")

    def __init__(self, compat: bool):
        self.compat = compat
        self.touched: set[str] = set()

    def __call__(self, rule: Rule, *args: Any) -> Any:
        """Return what `rule` decides, and note when the other side would have decided otherwise."""
        assert rule.theirs is not None and rule.ours is not None
        theirs, ours = rule.theirs(*args), rule.ours(*args)
        if theirs != ours and not _nearly(theirs, ours):
            self.touched.add(rule.name)
        return theirs if self.compat else ours


def _nearly(one: Any, other: Any) -> bool:
    return isinstance(one, float) and isinstance(other, float) and isclose(one, other, rel_tol=1e-12)
