"""Survey: counts and nearest misses, worked by hand."""

from __future__ import annotations

from engine import why
from engine.catalog import Catalog
from tests import build
from tests.engine.why.shapes import CLOSES, strategy


def survey(body, closes=CLOSES, helpers="", **options):
    cls, text = strategy(body, helpers=helpers)
    return why.survey(build.flat(closes), cls, texts={"shape.py": text}, **options)


def counts(told):
    return [(c.depth, c.text, c.evaluated, c.true) for c in told.conditions]


def test_each_condition_is_counted():
    told = survey(
        "def next(self):\n    c = self.data.Close[-1]\n    if c > 12:\n"
        "        self.buy()\n    elif c == 11:\n        self.sell()"
    )
    assert (told.first, told.last, told.calls) == (1, 8, 7)
    assert counts(told) == [(0, "c > 12", 7, 4), (0, "c == 11", 3, 1)]
    assert (told.conditions[0].first_true, told.conditions[0].last_true) == (4, 8)


def test_the_nearest_misses_name_their_bars():
    told = survey("def next(self):\n    if self.data.Close[-1] > 20:\n        self.buy()")
    assert [(m.bar, m.distance, m.text) for m in told.conditions[0].misses] == [(8, 4, "16 > 20"), (4, 6, "14 > 20")]
    assert told.findings == [
        "`self.data.Close[-1] > 20` (line 6) was never true in 7 looks. Nearest: missed by 4 on bar 8."
    ]


def test_of_three_conditions_the_third_was_never_true():
    told = survey(
        "def next(self):\n    c = self.data.Close[-1]\n"
        "    if c > 11 and not self.position and c > 100:\n        self.buy()"
    )
    assert counts(told) == [
        (0, "c > 11 and not self.position and c > 100", 7, 0),
        (1, "c > 11", 7, 6),
        (1, "not self.position", 6, 6),
        (2, "self.position", 6, 0),
        (1, "c > 100", 6, 0),
    ]
    assert told.conditions[0].stopped == [1, 0, 6]
    assert told.findings[0] == "Line 7 needs 3 conditions; the third, `c > 100`, was never true in 6 looks."


def test_the_part_that_failed_alone_is_found_without_running_the_strategy():
    # On bars 2 to 8 c is 12, 11, 14, 13, 15, 12, 16. `c > 13` is no on 12, 11, 13, 12; the rest holds on 11 and 13.
    told = survey("def next(self):\n    c = self.data.Close[-1]\n    if c > 13 and c % 2 == 1:\n        self.buy()")
    assert told.conditions[0].stopped == [4, 2]
    assert told.conditions[0].alone == [2, 2]


def test_what_cannot_be_found_out_safely_is_left_open():
    body = """
    def next(self):
        if self.data.Close[-1] > 13 and self.ask():
            self.buy()

    def ask(self):
        self.log("asked")
        return True
    """
    told = survey(body)
    assert told.conditions[0].alone == [-1, 0]
    assert told.conditions[1].evaluated == 7


def test_a_property_of_the_users_is_not_run_to_find_out():
    body = """
    asked = 0

    @property
    def ready(self):
        type(self).asked += 1
        return True

    def next(self):
        if self.data.Close[-1] > 13 and self.ready:
            self.buy()
    """
    cls, text = strategy(body)
    told = why.survey(build.flat(CLOSES), cls, texts={"shape.py": text})
    assert cls.asked == 3  # 14, 15, 16
    assert told.conditions[0].alone[0] == -1


def test_a_crossover_misses_when_it_was_on_the_way():
    told = survey(
        "def next(self):\n    if crossover(self.data.Close, 14.5):\n        self.buy()",
        closes=[10, 14, 15, 13, 14, 14.4],
    )
    (crossing,) = told.conditions
    assert (crossing.evaluated, crossing.true, crossing.first_true) == (5, 1, 3)
    assert [(m.bar, round(m.distance, 6)) for m in crossing.misses] == [(6, 0.1), (2, 0.5)]


def test_conditions_that_were_never_reached_are_named():
    told = survey(
        "def next(self):\n    if self.data.Close[-1] > 100:\n"
        "        if self.data.Close[-1] > 3:\n            self.buy()"
    )
    assert told.findings[1] == "Line 7, `self.data.Close[-1] > 3`, was never reached."


def test_only_bars_that_may_be_known_are_looked_at():
    body = "def next(self):\n    if self.data.Close[-1] > 13:\n        self.buy()"
    assert (
        counts(survey(body, until=4))
        == counts(survey(body, closes=CLOSES[:4]))
        == [(0, "self.data.Close[-1] > 13", 3, 1)]
    )


def test_match_cases_are_counted():
    body = (
        "def next(self):\n    match self.data.Close[-1]:\n        case 12:\n"
        "            self.buy()\n        case 11 | 14:\n            self.sell()"
    )
    assert [(c.text, c.evaluated, c.true) for c in survey(body).conditions[1:]] == [("12", 7, 2), ("11 | 14", 7, 2)]


def test_a_failure_ends_the_survey_with_its_message():
    told = survey("def next(self):\n    if len(self.data) == 5:\n        raise ValueError('enough')")
    assert told.notes == ["Shape failed on bar 5 (line 7): ValueError: enough"]
    assert told.conditions[0].evaluated == 4


def test_a_slow_strategy_is_stopped_and_the_limit_is_told():
    told = survey("def next(self):\n    if self.data.Close[-1] > 13:\n        pass", seconds=0.0)
    assert told.notes == ["Stopped after bar 0: this strategy takes long."]


def test_of_a_long_run_the_last_bars_are_looked_at():
    told = why.survey(build.random_bars(200), Catalog().find("sma_cross").strategy, most=50)
    assert (told.first, told.last, told.calls) == (151, 200, 50)
    assert told.notes == ["Only the last 50 bars were looked at."]


def test_a_run_that_is_all_warm_up():
    told = why.survey(build.random_bars(19), Catalog().find("sma_cross").strategy, {"fast": 5, "slow": 19})
    assert told.findings == ["next() was never called: the warm-up lasts until bar 19."]


def test_without_source_the_survey_says_so():
    space: dict = {}
    exec("from engine import Strategy\nclass Typed(Strategy):\n    def next(self):\n        self.buy()", space)
    assert "not available" in why.survey(build.flat(CLOSES), space["Typed"]).missing


def test_an_order_at_the_end_of_an_and_is_no_condition_that_fails():
    told = survey("def next(self):\n    c = self.data.Close[-1]\n    c > 13 and c > 100 and self.buy(size=1)")
    assert told.findings == ["Line 7 needs 2 conditions; the second, `c > 100`, was never true in 3 looks."]
    assert not any(c.orders for c in told.conditions)
