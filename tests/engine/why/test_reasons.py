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


def listed(body, trades, bars=None, **options):
    cls, text = strategy(body)
    return why.list_reasons(bars or build.flat(CLOSES), cls, trades=trades, texts={"shape.py": text}, **options)


def test_several_trades_are_told_at_once_as_each_alone():
    body = """
def next(self):
    c = self.data.Close[-1]
    if c in (12, 13) and not self.position:
        self.buy(size=1)
    elif self.position and c in (11, 15):
        self.position.close()
"""
    told = listed(body, [1, 2, 99])
    assert [row.trade for row in told.rows] == [1, 2]
    assert told.rows == [reasons(body, 1), reasons(body, 2)]


def test_each_exit_of_a_trade_has_a_row_and_what_is_left_of_it_one_more():
    body = """
def next(self):
    n = len(self.data)
    if n == 2:
        self.buy(size=6)
    elif n in (4, 6):
        self.position.close(0.5)
"""
    told = listed(body, [1])
    assert [row.exit and row.exit.bar for row in told.rows] == [5, 7, None]
    assert {row.entry.bar for row in told.rows} == {3}
    assert [c.text for c in told.rows[1].exit.telling] == ["n in (4, 6)"]
    assert [row.exit and row.exit.bar for row in listed(body, [1], until=6).rows] == [5, None]


@pytest.mark.parametrize(
    ("test", "telling"),
    [
        pytest.param("c > 12 and not self.position", [("c > 12", "14 > 12, by 2")], id="numbers before states"),
        pytest.param(
            "not self.position and not self.orders",
            [("not self.position", "is flat"), ("not self.orders", "is none")],
            id="states when there is nothing else",
        ),
        pytest.param(
            "c < 0 or c > 12 and c > 11",
            [("c > 12", "14 > 12, by 2"), ("c > 11", "14 > 11, by 3")],
            id="the way of an or that was taken",
        ),
        pytest.param("not c < 12", [("not c < 12", "12 < 12")], id="not"),
    ],
)
def test_the_telling_conditions_are_those_that_held(test, telling):
    told = reasons(f"def next(self):\n    c = self.data.Close[-1]\n    if {test}:\n        self.buy(size=1)")
    assert [(c.text, c.detail) for c in told.entry.telling] == telling


def test_where_nothing_had_to_hold_the_last_that_did_not_is_telling():
    told = reasons(
        "def next(self):\n    if self.data.Close[-1] > 99:\n        pass\n    else:\n        self.sell(size=1)"
    )
    assert [(c.text, c.outcome) for c in told.entry.telling] == [("self.data.Close[-1] > 99", False)]
