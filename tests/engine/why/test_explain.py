"""Explain: bars worked by hand, for next() in many shapes."""

from __future__ import annotations

from engine import why
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
