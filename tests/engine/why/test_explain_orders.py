"""Explain: orders, what kept them from trading, and what led to them."""

from __future__ import annotations

from tests.engine.why.shapes import look

CLOSE = "self.data.Close[-1]"


def test_an_order_is_followed_to_its_fill():
    answer = look("def next(self):\n    if self.data.Close[-1] == 14:\n        self.buy(size=3, tag='low')", 4)
    (placed,) = answer.placed
    assert (placed.words, placed.line, placed.state, placed.bar) == (
        "buy 3 units at the market ('low')",
        7,
        "filled",
        5,
    )
    assert placed.fate == "filled: 3 at 13 on bar 5"
    assert [c.text for c in placed.because] == [f"{CLOSE} == 14"]


def test_what_the_next_bars_make_of_an_order_is_not_told_before_they_are_played():
    body = "def next(self):\n    if self.data.Close[-1] == 14:\n        self.buy(size=3, limit=12)"
    assert look(body, 4, until=4).placed[0].fate == "it first meets the market on the next bar"
    assert look(body, 4, until=6).placed[0].fate == "still waiting on bar 6: 12 is 20 % below the close of 15"
    assert look(body, 4, until=8).placed[0].fate == "filled: 3 at 12 on bar 7"
    assert look(body, 4, until=4).to_dict()["values"] == look(body, 4).to_dict()["values"]


def test_a_rejected_order_says_why():
    answer = look("def next(self):\n    if self.data.Close[-1] == 14:\n        self.buy(size=3, sl=20)", 4)
    assert answer.placed[0].state == "rejected"
    assert "stop-loss < price" in answer.placed[0].fate


def test_an_order_placed_in_a_helper_names_both_ways_in():
    body = """
    def next(self):
        if self.data.Close[-1] == 14:
            self.enter()

    def enter(self):
        if not self.position:
            self.buy(size=1)
    """
    (placed,) = look(body, 4).placed
    assert [c.text for c in placed.because] == [f"{CLOSE} == 14", "not self.position", "self.position"]
    assert placed.line == 11


def test_two_orders_on_one_line_are_told_apart():
    body = (
        "def next(self):\n    if self.data.Close[-1] == 14: self.buy(size=1)\n"
        "    elif self.data.Close[-1] == 13: self.sell(size=2)"
    )
    assert [c.text for c in look(body, 5).placed[0].because] == [f"{CLOSE} == 14", f"{CLOSE} == 13"]


def test_the_warm_up_is_named_with_what_it_waits_for():
    body = (
        "def init(self):\n    self.ma = self.I(lambda: [float('nan')] * 3 + [1.0] * 5, name='slow one')\n"
        "\ndef next(self):\n    self.buy()"
    )
    answer = look(body, 2)
    assert not answer.called
    assert answer.verdict == "Still warming up: slow one has no value yet. next() is first called on bar 5."
    assert look(body, 5).called and not look(body, 4).called


def test_open_trades_and_resting_orders_are_noted():
    body = (
        "def next(self):\n    if len(self.data) == 2:\n"
        "        self.buy(size=2, sl=9)\n        self.buy(size=1, limit=10.5)"
    )
    answer = look(body, 4)
    assert answer.notes == [
        "A long trade of 2 units is open since bar 3, at 11.",
        "A stop-loss at 9 rests 36 % below the close of 14.",
        "A buy limit at 10.5 rests 25 % below the close of 14.",
    ]
    assert answer.verdict == "No order: `len(self.data) == 2` was no (4 == 2, missed by 2) (line 6)."


def test_a_stop_that_is_moved_is_told():
    body = (
        "def next(self):\n    if not self.position:\n        self.buy(size=2, sl=9)\n"
        "    for trade in self.trades:\n        trade.sl = 9.5"
    )
    answer = look(body, 4)
    assert answer.changes == ["the stop-loss of trade 1 was moved to 9.5 (line 9)"]


def test_after_ruin_nothing_is_asked():
    body = "def next(self):\n    if not self.position:\n        self.sell(size=20)"
    answer = look(body, 5, closes=[10, 10, 10, 2000, 2000, 2000], settings={"margin": 0.01, "cash": 1000})
    assert answer.verdict == "The account was ruined, so the strategy is not asked any more."


def test_after_a_failure_the_failure_is_told():
    answer = look("def next(self):\n    if len(self.data) == 3:\n        raise ValueError('enough')", 5)
    assert answer.verdict == "The strategy had stopped: Shape failed on bar 3 (line 7): ValueError: enough"


def because(answer):
    (order,) = answer.placed
    return [(c.depth, c.text, c.outcome) for c in order.because]


def test_an_order_in_a_match_tells_what_was_matched():
    body = """
def next(self):
    match self.data.Close[-1] // 2, self.position.size:
        case 7, 0: self.buy(size=1)
        case _: pass
"""
    assert because(look(body, 4)) == [
        (0, "self.data.Close[-1] // 2, self.position.size", None),
        (1, "7, 0", True),
        (1, "_", None),
    ]
    assert look(body, 3).verdict == (
        "No order: `self.data.Close[-1] // 2, self.position.size` is 5, 0: the case `_` (line 8)."
    )


def test_an_order_in_a_conditional_expression_tells_the_way_to_it():
    body = """
def next(self):
    c = self.data.Close[-1]
    self.buy(size=1) if c > 13 else self.sell(size=1) if c < 12 else None
"""
    assert because(look(body, 4)) == [(0, "c > 13", True)]
    assert because(look(body, 3)) == [(0, "c > 13", False), (0, "c < 12", True)]
    assert look(body, 2).verdict == (
        "No order: `c > 13` was no (12 > 13, missed by 1) (line 7); "
        "`c < 12` was no (12 < 12: equal, missed by a hair) (line 7)."
    )


def test_an_order_at_the_end_of_an_and_tells_what_let_it_through():
    body = """
def next(self):
    c = self.data.Close[-1]
    c > 13 and not self.position and self.buy(size=1)
"""
    assert because(look(body, 4)) == [
        (0, "c > 13", True),
        (0, "not self.position", True),
        (1, "self.position", False),
    ]
    assert look(body, 3).verdict == "No order: `c > 13` was no (11 > 13, missed by 2) (line 7)."


def test_an_order_placed_by_a_chosen_function_tells_the_choice():
    body = """
def next(self):
    act = self.buy if self.data.Close[-1] > 13 else None
    act(size=1) if act else None
"""
    assert because(look(body, 4)) == [(0, "act", True)]


def test_of_an_or_the_side_that_came_furthest_is_named():
    body = """
def next(self):
    c = self.data.Close[-1]
    if c > 99 and c > 1 or c > 13 and c > 20:
        self.buy()
"""
    assert look(body, 4).verdict == "No order: `c > 20` was no (14 > 20, missed by 6) (line 7)."
    assert look(body, 3).verdict.startswith("No order: `c > 99 and c > 1 or c > 13 and c > 20` was no")


def test_a_state_is_not_named_where_a_number_was_missed():
    body = """
def next(self):
    if self.position:
        self.position.close()
    elif self.data.Close[-1] > 20:
        self.buy()
"""
    assert look(body, 4).verdict == f"No order: `{CLOSE} > 20` was no (14 > 20, missed by 6) (line 8)."
