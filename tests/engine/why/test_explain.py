"""Explain: bars worked by hand, for next() in many shapes."""

from __future__ import annotations

import pytest

from engine import why
from engine.errors import ConfigError
from tests import build
from tests.engine.why.shapes import from_text, look, one, ran, told

CLOSE = "self.data.Close[-1]"


def test_if_with_else():
    answer = look(
        "def next(self):\n    if self.data.Close[-1] < 13:\n        self.buy()\n    else:\n        self.x = 1", 4
    )
    assert told(answer) == [(f"{CLOSE} < 13", False, "14 < 13, missed by 1")]
    assert one(answer, f"{CLOSE} < 13").missed == 1
    assert ran(answer) == [f"if {CLOSE} < 13:", "self.x = 1"]
    assert answer.verdict == f"No order: `{CLOSE} < 13` was no (14 < 13, missed by 1) (line 6)."


def test_elif_is_told_after_the_if_that_failed():
    body = (
        "def next(self):\n    c = self.data.Close[-1]\n    if c > 14.5:\n"
        "        self.sell()\n    elif c > 13:\n        self.buy()"
    )
    answer = look(body, 4)
    assert [(c.role, c.text, c.outcome, c.detail) for c in answer.conditions] == [
        ("if", "c > 14.5", False, "14 > 14.5, missed by 0.5"),
        ("elif", "c > 13", True, "14 > 13, by 1"),
    ]


def test_and_stops_at_the_first_no():
    answer = look(
        "def next(self):\n    c = self.data.Close\n    if c[-1] > 12 and c[-1] > 20 and c[-1] > 1:\n        self.buy()",
        4,
    )
    assert told(answer) == [
        ("c[-1] > 12 and c[-1] > 20 and c[-1] > 1", False, ""),
        ("c[-1] > 12", True, "14 > 12, by 2"),
        ("c[-1] > 20", False, "14 > 20, missed by 6"),
        ("c[-1] > 1", None, "not looked at"),
    ]
    assert "`c[-1] > 20` was no" in answer.verdict


def test_or_stops_at_the_first_yes():
    answer = look(
        "def next(self):\n    c = self.data.Close[-1]\n    if c > 20 or c > 13 or c > 1:\n        self.buy()", 4
    )
    assert [c.outcome for c in answer.conditions] == [True, False, True, None]
    assert answer.conditions[3].looked_at is False


def test_not_turns_the_outcome_around():
    body = "def next(self):\n    if not self.position:\n        self.buy(size=1)"
    assert told(look(body, 2)) == [("not self.position", True, ""), ("self.position", False, "is flat")]
    assert told(look(body, 3)) == [("not self.position", False, ""), ("self.position", True, "is long 1")]


def test_and_or_and_not_in_one():
    body = (
        "def next(self):\n    c = self.data.Close[-1]\n"
        "    if not (c > 20 or c < 5) and (c == 14 or c == 1):\n        self.buy(size=1)"
    )
    answer = look(body, 4)
    assert [(c.depth, c.text, c.outcome) for c in answer.conditions] == [
        (0, "not (c > 20 or c < 5) and (c == 14 or c == 1)", True),
        (1, "not (c > 20 or c < 5)", True),
        (2, "c > 20 or c < 5", False),
        (3, "c > 20", False),
        (3, "c < 5", False),
        (1, "c == 14 or c == 1", True),
        (2, "c == 14", True),
        (2, "c == 1", None),
    ]


def test_a_chained_comparison_misses_by_the_link_that_failed():
    answer = look("def next(self):\n    if 10 < self.data.Close[-1] < 13:\n        self.buy()", 4)
    assert told(answer) == [(f"10 < {CLOSE} < 13", False, "10 < 14 < 13, missed by 1")]


def test_a_chained_comparison_shows_no_operand_that_it_did_not_reach():
    answer = look("def next(self):\n    if 20 < self.data.Close[-1] < self.data.High[-1]:\n        self.buy()", 4)
    assert told(answer)[0][2] == "20 < 14 < …, missed by 6"


def test_a_crossover_shows_now_and_before():
    body = """
    def init(self):
        self.slow = self.I(lambda: [12.5] * len(self.data), name="slow")

    def next(self):
        if crossover(self.data.Close, self.slow):
            self.buy()
    """
    assert told(look(body, 4)) == [("crossover(self.data.Close, self.slow)", True, "14 / 12.5 now, 11 / 12.5 before")]
    missed = look(body, 3).conditions[0]
    assert (missed.outcome, missed.missed, missed.detail) == (
        False,
        1.5,
        "11 / 12.5 now, 12 / 12.5 before, missed by 1.5",
    )
    assert "above already" in look(body, 5).conditions[0].detail


def test_a_cross_either_way_with_a_number():
    answer = look("def next(self):\n    if cross(self.data.Close, 13.5):\n        self.buy()", 5)
    assert told(answer) == [("cross(self.data.Close, 13.5)", True, "13 / 13.5 now, 14 / 13.5 before")]


def test_a_helper_method_is_looked_into():
    body = """
    def next(self):
        if self.cheap():
            self.buy()

    def cheap(self):
        return self.data.Close[-1] < 12
    """
    answer = look(body, 4)
    assert [(c.function, c.text, c.outcome, c.detail) for c in answer.conditions] == [
        ("Shape.next", "self.cheap()", False, "gave False"),
        ("Shape.cheap", f"{CLOSE} < 12", False, "14 < 12, missed by 2"),
    ]
    assert [source.name for source in answer.sources] == ["Shape.next", "Shape.cheap"]


def test_an_early_return_leaves_the_rest_unmarked():
    body = "def next(self):\n    if self.data.Close[-1] > 13:\n        return\n    self.buy()"
    answer = look(body, 4)
    assert ran(answer) == [f"if {CLOSE} > 13:", "return"]
    assert answer.verdict.startswith("No order: next() went the way of line 6")


def test_a_ternary():
    answer = look("def next(self):\n    self.buy(size=2 if self.data.Close[-1] > 13 else 1)", 4)
    assert [(c.role, c.detail) for c in answer.conditions] == [("choice", "14 > 13, by 1")]
    assert answer.placed[0].words == "buy 2 units at the market"


def test_a_walrus():
    answer = look(
        "def next(self):\n    if (c := self.data.Close[-1]) > 13 and (d := c - 14) == 0:\n"
        "        self.buy(size=1 + int(d))",
        4,
    )
    assert [c.detail for c in answer.conditions] == ["", "14 > 13, by 1", "0 == 0"]
    assert answer.placed


def test_a_walrus_around_a_condition():
    answer = look("def next(self):\n    if up := self.data.Close[-1] > 13:\n        self.buy(tag=up)", 4)
    assert told(answer) == [(f"{CLOSE} > 13", True, "14 > 13, by 1")]
    assert answer.placed[0].because[0].text == f"{CLOSE} > 13"


def test_while_is_told_each_time():
    body = "def next(self):\n    n = 0\n    while n < 2:\n        n += 1\n    if n > 5:\n        self.buy()"
    answer = look(body, 4)
    assert [(c.text, c.outcome) for c in answer.conditions] == [
        ("n < 2", True),
        ("n < 2", True),
        ("n < 2", False),
        ("n > 5", False),
    ]
    assert [line.ran for line in answer.sources[0].lines] == [None, 1, 1, 2, 1, 0]


def test_a_loop_with_break_and_continue():
    body = """
    def next(self):
        for back in (1, 2, 3):
            if self.data.Close[-back] > 13:
                continue
            if back == 2:
                break
    """
    assert [(c.text, c.outcome) for c in look(body, 4).conditions] == [
        ("self.data.Close[-back] > 13", True),
        ("self.data.Close[-back] > 13", False),
        ("back == 2", True),
    ]


def test_a_comprehension_condition():
    answer = look("def next(self):\n    high = [c for c in (1, 14) if c > 13]\n    if high:\n        self.buy()", 4)
    assert told(answer) == [
        ("c > 13", False, "1 > 13, missed by 12"),
        ("c > 13", True, "14 > 13, by 1"),
        ("high", True, "is 14"),
    ]


def test_a_generator_within_any():
    answer = look("def next(self):\n    if any(c > 13 for c in (1, 14, 15)):\n        self.buy()", 4)
    assert [c.text for c in answer.conditions] == ["any(c > 13 for c in (1, 14, 15))", "c > 13", "c > 13"]
    assert answer.conditions[0].detail == "gave True"


def test_a_match_statement():
    body = """
    def next(self):
        match self.data.Close[-1]:
            case 11 | 12:
                self.sell()
            case c if c > 13.5:
                self.buy()
            case _:
                pass
    """
    answer = look(body, 4)
    assert [(c.role, c.text, c.outcome) for c in answer.conditions] == [
        ("match", CLOSE, None),
        ("case", "11 | 12", False),
        ("case", "c", True),
        ("case", "_", None),
        ("if", "c > 13.5", True),
    ]
    assert answer.placed[0].words.startswith("buy")


def test_assert_that_fails_is_the_answer():
    answer = look("def next(self):\n    assert self.data.Close[-1] < 13, 'too dear'\n    self.buy()", 4)
    assert told(answer) == [(f"{CLOSE} < 13", False, "14 < 13, missed by 1")]
    assert answer.error == answer.verdict == "Shape failed on bar 4 (line 6): AssertionError: too dear"


def test_a_boolean_kept_in_a_variable():
    body = (
        "def next(self):\n    up = self.data.Close[-1] > 13\n"
        "    calm = up and self.data.Close[-2]\n    if up and calm:\n        self.buy()"
    )
    answer = look(body, 4)
    assert [(c.role, c.text, c.outcome, c.detail) for c in answer.conditions] == [
        ("value", f"{CLOSE} > 13", True, "14 > 13, by 1"),
        ("value", "up and self.data.Close[-2]", True, ""),
        ("value", "up", True, "is True"),
        ("value", "self.data.Close[-2]", True, "is 11"),
        ("if", "up and calm", True, ""),
        ("if", "up", True, "is True"),
        ("if", "calm", True, "is 11"),
    ]


def test_columns_stand_for_their_last_value():
    answer = look("def next(self):\n    if self.data.Close > self.data.Open + 5:\n        self.buy()", 4)
    assert told(answer) == [("self.data.Close > self.data.Open + 5", False, "14 > 19, missed by 5")]


def test_nested_functions_and_lambdas():
    body = """
    rule = lambda self, level: self.data.Close[-1] > level

    def next(self):
        def deep(level):
            return self.rule(level) and level > 10

        if deep(13):
            self.buy()
    """
    assert [(c.text, c.outcome) for c in look(body, 4).conditions] == [
        ("deep(13)", True),
        ("self.rule(level) and level > 10", True),
        ("self.rule(level)", True),
        ("level > 10", True),
        ("self.data.Close[-1] > level", True),
    ]


def test_next_that_is_a_lambda():
    answer = look("next = lambda self: self.buy() if self.data.Close[-1] > 13 else None", 4)
    assert told(answer) == [(f"{CLOSE} > 13", True, "14 > 13, by 1")]
    assert len(answer.placed) == 1


def test_a_decorated_next():
    helpers = """
    import functools

    def only_above(level):
        def wrap(function):
            @functools.wraps(function)
            def call(self):
                if self.data.Close[-1] > level:
                    function(self)
            return call
        return wrap
    """
    answer = look("@only_above(13)\ndef next(self):\n    if not self.trades:\n        self.buy()", 4, helpers=helpers)
    assert [(c.text, c.outcome) for c in answer.conditions] == [
        (f"{CLOSE} > level", True),
        ("not self.trades", True),
        ("self.trades", False),
    ]


def test_an_inherited_next_with_super_and_its_own_module_functions():
    text = """
from engine import Strategy

def dear(price):
    return price > 13

class Base(Strategy):
    def next(self):
        if dear(self.data.Close[-1]):
            self.buy()

class Child(Base):
    def next(self):
        if len(self.data) > 2:
            super().next()

class Grandchild(Child):
    pass
"""
    cls = from_text(text, "Grandchild")
    answer = why.explain(build.flat([10, 12, 11, 14]), cls, bar=3, texts={"shape.py": text})
    assert [(c.function, c.text, c.outcome) for c in answer.conditions] == [
        ("Child.next", "len(self.data) > 2", True),
        ("Base.next", "dear(self.data.Close[-1])", True),
        ("dear", "price > 13", True),
    ]
    assert answer.placed[0].line == 10


def test_a_try_that_catches_what_a_condition_raises():
    body = """
    def next(self):
        try:
            if self.data.Close[-1] > self.nothing:
                self.buy()
        except AttributeError:
            if self.data.Close[-1] > 13:
                self.sell()
    """
    answer = look(body, 4)
    assert [(c.text, c.outcome, c.depth) for c in answer.conditions] == [
        ("self.data.Close[-1] > self.nothing", None, 0),
        (f"{CLOSE} > 13", True, 0),
    ]
    assert answer.placed[0].words.startswith("sell")


def test_a_signal_strategy_shows_the_row_of_its_arrays():
    text = """
import numpy as np
from engine.lib import SignalStrategy

class Shape(SignalStrategy):
    def init(self):
        super().init()
        self.set_signal(np.where(self.data.Close > 13, 0.5, 0))

    def next(self):
        super().next()
"""
    cls = from_text(text, "Shape")
    bars = build.flat([10, 12, 11, 14, 11])
    answer = why.explain(bars, cls, bar=3, texts={"shape.py": text})
    assert ("size > 0", True, "0.5 > 0, by 0.5") in told(answer)
    assert ("entry size", "0.5") in [(value.name, value.text) for value in answer.values]
    assert any("entry size 0.5" in note for note in answer.notes)
    assert any("entry size –" in note for note in why.explain(bars, cls, bar=4, texts={"shape.py": text}).notes)


def test_without_source_the_answer_says_so():
    space: dict = {}
    exec("from engine import Strategy\nclass Typed(Strategy):\n    def next(self):\n        self.buy()", space)
    answer = why.explain(build.flat([10, 12, 11]), space["Typed"], bar=1)
    assert answer.missing.startswith("The source of Typed.next() is not available")
    assert answer.conditions == []
    assert answer.placed[0].state == "filled" and answer.placed[0].line is None


def test_a_source_that_has_changed_is_not_shown():
    text = "from engine import Strategy\nclass Shape(Strategy):\n    def next(self):\n        self.buy()\n"
    cls = from_text(text, "Shape")
    answer = why.explain(build.flat([10, 12, 11]), cls, bar=1, texts={"shape.py": text.replace("buy", "sell")})
    assert "has changed" in answer.missing and answer.sources == []


def test_a_strategy_without_next():
    answer = look("x = 1", 3)
    assert answer.missing == "Shape has no next() of its own: it decides nothing bar by bar."


# Orders, and what kept them from trading.


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


def test_values_that_cannot_be_written_are_survived():
    helpers = """
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

        def __bool__(self):
            return True

    class Long:
        def __repr__(self):
            return "x" * 100_000
    """
    body = "def next(self):\n    if Odd() and Long() and 'a' * 10_000 and list(range(10_000)):\n        self.buy()"
    details = [c.detail for c in look(body, 4, helpers=helpers).conditions]
    assert "whose repr fails: RuntimeError" in details[1]
    assert all(len(detail) < 100 for detail in details)


def test_a_loop_of_a_million_conditions_is_cut_and_counted():
    answer = look("def next(self):\n    n = 0\n    while n < 5_000:\n        n += 1", 3)
    assert len(answer.conditions) == 1_500
    assert answer.left_out == 5_001 - 1_500


def test_conditions_of_a_commission_function_are_not_the_strategys():
    helpers = "def fee(size, price):\n    return 1 if abs(size) > 2 else 0\n"
    text = (
        f"from engine import Strategy\n{helpers}\nclass Shape(Strategy):\n"
        f"    def next(self):\n        if not self.position:\n            self.buy(size=3)\n"
    )
    cls = from_text(text, "Shape")
    import sys

    commission = vars(sys.modules[cls.__module__])["fee"]
    answer = why.explain(
        build.flat([10, 12, 11, 14]), cls, settings={"commission": commission}, bar=2, texts={"shape.py": text}
    )
    assert [c.text for c in answer.conditions] == ["not self.position", "self.position"]


@pytest.mark.parametrize("bar", [8, 9, -9])
def test_a_bar_that_does_not_exist_is_refused(bar):
    cls = from_text("from engine import Strategy\nclass Shape(Strategy):\n    pass\n", "Shape")
    with pytest.raises(ConfigError, match="There is no bar"):
        why.explain(build.flat([1] * 8), cls, bar=bar)


def test_the_answer_travels_as_json():
    import json

    from engine.why.answer import Explanation, read

    answer = look("def next(self):\n    if self.data.Close[-1] > 13 and not self.position:\n        self.buy(sl=9)", 4)
    assert read(Explanation, json.loads(json.dumps(answer.to_dict()))) == answer


@pytest.mark.parametrize("damage", [{"bar": "4"}, {"conditions": 3}, {"conditions": [{"text": 5}]}, {"bar": None}])
def test_damaged_answers_are_refused(damage):
    from engine.why.answer import Explanation, read

    with pytest.raises((ValueError, TypeError)):
        read(Explanation, look("def next(self):\n    pass", 4).to_dict() | damage)


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
