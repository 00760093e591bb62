"""Parameters: what a strategy's class attributes say about themselves."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest

from engine import Bounds, ConfigError, Strategy
from engine.parameters import check_parameters, read_parameters


class Sample(Strategy):
    window: Annotated[int, Bounds(2, 200), "Bars that count"] = 20
    width: Annotated[float, Bounds(low=0)] = 2
    plain = 1.5
    short = False
    side: Literal["both", "long"] = "both"
    target: float | None = None
    _private = 3
    table = [1, 2]

    @property
    def twice(self):
        return 2 * self.window

    def helper(self):
        pass


class Narrower(Sample):
    window = 30
    plain = property(lambda self: 2)


class Checked(Strategy):
    fast = 10
    slow = 20

    @classmethod
    def check(cls, params):
        if params["fast"] >= params["slow"]:
            raise ConfigError("Fast must be below slow.", field="params.fast")


def by_name(strategy):
    return {parameter.name: parameter for parameter in read_parameters(strategy)}


def test_parameters_are_the_public_plain_attributes_in_order():
    found = by_name(Sample)
    assert list(found) == ["window", "width", "plain", "short", "side", "target"]
    assert [parameter.type for parameter in found.values()] == [int, float, float, bool, str, float]
    assert [parameter.default for parameter in found.values()] == [20, 2, 1.5, False, "both", None]


def test_bounds_description_and_choices_come_from_the_annotation():
    found = by_name(Sample)
    assert (found["window"].low, found["window"].high, found["window"].description) == (2, 200, "Bars that count")
    assert (found["width"].low, found["width"].high, found["width"].description) == (0, None, "")
    assert found["side"].choices == ("both", "long")
    assert found["target"].optional and not found["plain"].optional
    assert found["window"].title == "Window"


def test_a_subclass_keeps_what_its_base_declared():
    found = by_name(Narrower)
    assert (found["window"].default, found["window"].high) == (30, 200)
    assert "plain" not in found


def test_an_annotation_that_cannot_be_read_only_loses_its_words():
    class Broken(Strategy):
        window: NoSuchName = 5  # type: ignore[name-defined]  # noqa: F821

    assert by_name(Broken)["window"].type is int


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("window", "30", 30),
        ("window", " 3e1 ", 30),
        ("window", 30.0, 30),
        ("width", "0.25", 0.25),
        ("width", 3, 3.0),
        ("short", "on", True),
        ("short", None, False),
        ("short", "false", False),
        ("short", True, True),
        ("side", "long", "long"),
        ("target", "", None),
        ("target", "12.5", 12.5),
    ],
)
def test_a_value_is_taken_as_the_parameters_type(name, text, value):
    parsed = by_name(Sample)[name].parse(text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("window", "1", "Window is 1. Enter a whole number from 2 to 200."),
        ("window", "2.5", "Window is '2.5'. Enter a whole number from 2 to 200."),
        ("window", "ten", "Window is 'ten'."),
        ("window", "", "Window is empty. Enter a whole number from 2 to 200."),
        ("window", True, "Window is True."),
        ("window", "9" * 5000, "Window is '999"),
        ("window", [3], "Window is [3]."),
        ("width", "nan", "Width is 'nan'. Enter a number of 0 or more."),
        ("width", "1e309", "Width is '1e309'."),
        ("width", -1, "Width is -1.0. Enter a number of 0 or more."),
        ("short", "perhaps", "Short is 'perhaps'. Enter yes or no."),
        ("side", "short", "Side is 'short'. Choose one of both, long."),
    ],
)
def test_a_wrong_value_is_refused_beside_its_field(name, value, words):
    with pytest.raises(ConfigError) as refusal:
        by_name(Sample)[name].parse(value)
    assert words in str(refusal.value)
    assert refusal.value.field == f"params.{name}"


def test_all_parameters_are_checked_together():
    assert check_parameters(Checked, {"fast": "5"}) == {"fast": 5, "slow": 20}
    with pytest.raises(ConfigError, match="Fast must be below slow") as refusal:
        check_parameters(Checked, {"fast": "20"})
    assert refusal.value.field == "params.fast"


def test_an_unknown_parameter_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no parameter 'Fsat'. Did you mean fast\?") as refusal:
        check_parameters(Checked, {"Fsat": 5})
    assert refusal.value.field == "params.Fsat"


def test_a_default_out_of_its_own_bounds_is_refused():
    class Wrong(Strategy):
        window: Annotated[int, Bounds(2, 9)] = 1

    with pytest.raises(ConfigError, match="Window is 1"):
        read_parameters(Wrong)
