"""Explain: answers about what is large, broken or not there, and how they travel."""

from __future__ import annotations

import pytest

from engine import why
from engine.errors import ConfigError
from tests import build
from tests.engine.why.shapes import from_text, look


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
