"""Reasons: why trades were entered and left."""

from __future__ import annotations

import pytest

from engine import why
from engine.errors import ConfigError
from tests import build
from tests.engine.why.shapes import CLOSES, strategy


def reasons(body, trade=1, bars=None, **options):
    cls, text = strategy(body)
    return why.trade_reasons(bars or build.flat(CLOSES), cls, trade=trade, texts={"shape.py": text}, **options)


BODY = """
def next(self):
    c = self.data.Close[-1]
    if self.position:
        if c < 13:
            self.position.close()
    elif c > 13:
        self.buy(size=2, tag='high')
"""


def test_entry_and_exit_by_the_strategy():
    told = reasons(BODY)
    assert told.entry.words == "entered on bar 5 at 13 by an order of the strategy."
    assert (told.entry.placed_bar, told.entry.line) == (4, 11)
    assert [(c.text, c.outcome) for c in told.entry.because] == [("self.position", False), ("c > 13", True)]
    assert told.exit is not None
    assert told.exit.words == "left on bar 8 at 16 by an order of the strategy."
    assert [(c.text, c.detail) for c in told.exit.because] == [
        ("self.position", "is long 2"),
        ("c < 13", "12 < 13, by 1"),
    ]
    assert [(v.name, v.text) for v in told.exit.values + told.exit.filled_values] == [("Close", "12"), ("Close", "16")]


def test_a_trade_that_is_still_open_then_has_no_exit():
    assert reasons(BODY, until=7).exit is None


def test_a_trade_of_later_bars_is_not_told():
    with pytest.raises(ConfigError, match="no trade 1 in the first 4 bars"):
        reasons(BODY, until=4)


def test_left_by_the_stop_that_came_with_the_order():
    told = reasons("def next(self):\n    if self.data.Close[-1] == 14:\n        self.buy(size=1, sl=12.5, tp=99)")
    assert told.exit is not None
    assert told.exit.words == "left on bar 7 at 12 by its stop-loss, set on bar 5."
    assert told.exit.because == []


def test_left_by_a_stop_that_the_strategy_moved():
    body = """
    def next(self):
        if self.data.Close[-1] == 14:
            self.buy(size=1, sl=5)
        for trade in self.trades:
            if self.data.Close[-1] == 15:
                trade.sl = 14
    """
    told = reasons(body)
    assert told.exit is not None
    assert (told.exit.placed_bar, told.exit.line) == (6, 10)
    assert [c.text for c in told.exit.because] == ["self.data.Close[-1] == 15"]


def test_left_by_an_order_the_other_way():
    body = (
        "def next(self):\n    if len(self.data) == 3:\n        self.buy(size=1)\n"
        "    if len(self.data) == 5:\n        self.sell(size=1)"
    )
    told = reasons(body)
    assert told.exit is not None
    assert "by an order the other way" in told.exit.words
    assert [c.text for c in told.exit.because] == ["len(self.data) == 5"]


def test_closed_at_the_end_by_the_settings():
    told = reasons(
        "def next(self):\n    if len(self.data) == 3:\n        self.buy(size=1)", settings={"finalize_trades": True}
    )
    assert told.exit is not None
    assert told.exit.words.startswith("left on bar 8 at 16")
