"""One set of rules for form and socket."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import BacktestConfig
from webapp.forms import Invalid, validate

STRATEGY = """
from typing import Annotated, Literal
from engine import Bounds, Strategy

class Every(Strategy):
    whole: Annotated[int, Bounds(1, 10)] = 5
    real: Annotated[float, Bounds(0, 1)] = 0.5
    yes: bool = True
    word: Literal["a", "b"] = "a"
    text: str = ""
    maybe: float | None = None

    def init(self): pass
    def next(self): pass
"""

CRASHING = """
from engine import Strategy

class Crash(Strategy):
    n = 1
    @classmethod
    def check(cls, params):
        raise RuntimeError("no")
    def init(self): pass
    def next(self): pass
"""


@pytest.fixture
def refused(services):
    """A function that returns the errors of a configuration that must be refused."""

    def check(values):
        with pytest.raises(Invalid) as refusal:
            validate(values, services)
        assert refusal.value.field in refusal.value.errors
        assert str(refusal.value) == refusal.value.errors[refusal.value.field]
        return refusal.value.errors

    return check


def test_nothing_given_is_the_default_configuration(services):
    config = validate({}, services)
    assert config == BacktestConfig(params={"fast": 10, "slow": 30, "short": True})


def test_null_means_the_default(services):
    assert validate({"symbol": None, "period": None, "params": None, "speed": None}, services) == validate({}, services)


def test_unknown_names_are_ignored(services):
    assert validate({"colour": "red", "frames": True}, services) == validate({}, services)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("symbol", " aapl ", "AAPL"),
        ("symbol", "^gspc", "^GSPC"),
        ("symbol", "SYNTH:1000", "SYNTH:1000"),
        ("interval", "1WK", "1wk"),
        ("period", "6 months", "6mo"),
        ("period", "max", "max"),
        ("initial_balance", "10,000.50", 10_000.5),
        ("initial_balance", 1, 1.0),
        ("initial_balance", "1e6", 1_000_000.0),
        ("commission", "0.1 %", 0.001),
        ("commission", -0.0001, -0.0001),
        ("slippage", "0.05%", 0.0005),
        ("margin", "0.5", 0.5),
        ("hedging", "on", True),
        ("hedging", False, False),
        ("speed", "instant", "instant"),
        ("speed", "2x", 2.0),
        ("speed", 100, 100.0),
        ("indicators", '{"RSI": {"window": 14}}', {"RSI": {"window": 14}}),
        ("indicators", {"SMA": {"period": [20, 50]}}, {"SMA": {"period": [20, 50]}}),
        ("indicators", "", {}),
    ],
)
def test_a_value_is_read(services, name, value, expected):
    assert getattr(validate({name: value}, services), name) == expected


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("symbol", "", "such as AAPL"),
        ("symbol", "../../etc/passwd", "is not a symbol"),
        ("symbol", "http://x/", "is not a symbol"),
        ("symbol", "AA\0PL", "is not a symbol"),
        ("symbol", "\ud800", "is not a symbol"),
        ("symbol", 5, "must be text"),
        ("symbol", ["AAPL"], "not a list"),
        ("interval", "7x", "Choose one of 1m"),
        ("interval", {}, "not an object"),
        ("period", "soon", "is not a period"),
        ("period", 6, "must be text"),
        ("initial_balance", 0, "above 0, not 0"),
        ("initial_balance", "-5", "above 0, not -5"),
        ("initial_balance", "", "is empty. Write a number such as 10000"),
        ("initial_balance", "ten", "must be a number, not 'ten'"),
        ("initial_balance", "NaN", "not NaN"),
        ("initial_balance", math.nan, "not NaN"),
        ("initial_balance", "inf", "too large"),
        ("initial_balance", math.inf, "too large"),
        ("initial_balance", "1e309", "too large"),
        ("initial_balance", 10**400, "too large"),
        ("initial_balance", "9" * 5_000, "must be a number"),
        ("initial_balance", 1e13, "out of range"),
        ("initial_balance", 0.001, "out of range"),
        ("initial_balance", True, "must be a number, not true"),
        ("initial_balance", [1], "not a list"),
        ("initial_balance", "0x10", "must be a number"),
        ("initial_balance", "1_000", "must be a number"),
        ("initial_balance", "1,00", "must be a number"),
        ("commission", 0.2, "For 0.2 % write 0.002"),
        ("commission", -0.2, "from -0.1"),
        ("commission", 50, "below 0.1"),
        ("slippage", -0.001, "from 0 to below 0.1"),
        ("spread", "wide", "must be a number"),
        ("margin", 0, "from 0.001 to 1"),
        ("margin", 2, "For a leverage of 2 write 0.5"),
        ("hedging", "perhaps", "true or false"),
        ("hedging", 1, "true or false"),
        ("strategy", "sma_crss", "Did you mean sma_cross?"),
        ("strategy", "os", "There is no strategy"),
        ("strategy", "../x", "There is no strategy"),
        ("strategy", {"a": 1}, "must be text"),
        ("speed", 0, "from 0.25 to 100"),
        ("speed", 1000, "from 0.25 to 100"),
        ("speed", "fast", "must be a number"),
        ("indicators", "{", "not valid JSON"),
        ("indicators", "[" * 100_000, "not valid JSON"),
        ("indicators", [], "must be an object"),
        ("indicators", {"RSY": {}}, "Did you mean RSI?"),
        ("indicators", {"RSI": {"window": {}}}, "cannot be an object"),
        ("indicators", {"RSI": {"window": math.nan}}, "cannot be nan"),
        ("indicators", {"<b>": {}}, "not the name of an indicator"),
        ("indicators", {f"SMA{i}": {} for i in range(20)}, "too many"),
        ("start_date", "yesterday", "such as 2012-09-04"),
        ("start_date", "2013-02-30", "such as 2012-09-04"),
        ("start_date", "1492-01-01", "too long ago"),
        ("start_date", "99999-01-01", "such as 2012-09-04"),
        ("start_date", "2999-01-01", "in the future"),
        ("start_date", 20130101, "must be a date"),
    ],
)
def test_a_bad_value_is_refused_at_its_field(refused, name, value, told):
    errors = refused({name: value})
    assert list(errors) == [name]
    assert told in errors[name]
    assert errors[name].endswith(".") or errors[name].endswith("?") or errors[name].endswith("}}.")


@pytest.mark.parametrize("values", [None, [], "AAPL", 5, [["symbol", "AAPL"]]])
def test_what_is_not_an_object_is_refused(refused, values):
    assert list(refused(values)) == ["config"]


def test_every_field_at_fault_is_told_at_once(refused):
    errors = refused({"symbol": "?", "initial_balance": 0, "speed": 0, "params": {"fast": "x", "slow": 1}})
    assert list(errors) == ["symbol", "initial_balance", "params.fast", "params.slow", "speed"]


def test_fields_that_only_together_are_wrong(refused):
    assert "fewer bars" in refused({"params": {"fast": 30, "slow": 30}})["params.fast"]


def test_an_unknown_parameter_is_told_with_the_nearest_known(refused):
    assert "Did you mean fast?" in refused({"params": {"fats": 5}})["params.fats"]


def test_too_many_parameters_are_refused_without_looking_at_each(refused):
    assert "too many" in refused({"params": dict.fromkeys(map(str, range(10_000)), 1)})["params"]


@pytest.mark.parametrize("params", [[], "fast=5", 3])
def test_parameters_that_are_no_object_are_refused(refused, params):
    assert "must be an object" in refused({"params": params})["params"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("whole", "7", 7),
        ("whole", 7.0, 7),
        ("real", "0.25", 0.25),
        ("real", 1, 1.0),
        ("yes", "false", False),
        ("yes", True, True),
        ("word", "b", "b"),
        ("text", "some words", "some words"),
        ("maybe", "", None),
        ("maybe", "1.5", 1.5),
    ],
)
def test_a_parameter_is_read_as_its_type(folders, services, name, value, expected):
    (folders["strategies"] / "every.py").write_text(STRATEGY)
    config = validate({"strategy": "every", "params": {name: value}}, services)
    assert config.params[name] == expected
    assert type(config.params[name]) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", 11),
        ("whole", "1.5"),
        ("whole", True),
        ("whole", 10**400),
        ("whole", []),
        ("whole", ""),
        ("real", "nan"),
        ("real", math.inf),
        ("real", -0.1),
        ("yes", "perhaps"),
        ("word", "c"),
        ("text", "x" * 201),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("text", {}),
    ],
)
def test_a_bad_parameter_is_refused_at_its_field(folders, refused, name, value):
    (folders["strategies"] / "every.py").write_text(STRATEGY)
    assert list(refused({"strategy": "every", "params": {name: value}})) == [f"params.{name}"]


def test_a_strategy_file_that_does_not_import_is_refused_with_its_line(folders, refused):
    (folders["strategies"] / "broken.py").write_text("import engine\n1 / 0\n")
    assert "line 2" in refused({"strategy": "broken"})["strategy"]


def test_a_check_that_crashes_is_the_strategys_fault(folders, refused):
    (folders["strategies"] / "crash.py").write_text(CRASHING)
    assert "RuntimeError: no" in refused({"strategy": "crash"})["strategy"]


def test_dates_instead_of_a_period(services):
    config = validate({"start_date": "2012-01-01", "end_date": "2012-06-01T00:00:00Z"}, services)
    assert (config.period, config.start_date, config.end_date) == (None, "2012-01-01", "2012-06-01")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"start_date": "2012-01-01", "period": "6mo"}, "period"),
        ({"end_date": "2012-01-01"}, "start_date"),
        ({"start_date": "2012-01-01", "end_date": "2012-01-01"}, "end_date"),
        ({"period": ""}, "start_date"),
    ],
)
def test_dates_that_do_not_make_a_range_are_refused(refused, values, field):
    assert list(refused(values)) == [field]


def test_the_default_period_fits_the_interval(services):
    assert validate({"interval": "1m"}, services).period == "5d"
    assert validate({"interval": "1wk"}, services).period == "6mo"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from([*BacktestConfig().to_dict(), "start_date", "other"])


@given(
    values=st.dictionaries(_names, _json, max_size=6),
    params=st.dictionaries(st.sampled_from(["fast", "slow", "x"]), _json),
)
def test_any_json_is_a_configuration_or_a_refusal(shared_services, values, params):
    if "params" in values:
        values["params"] = params
    try:
        config = validate(values, shared_services)
    except Invalid as refusal:
        assert all(isinstance(message, str) and 0 < len(message) < 1_000 for message in refusal.errors.values())
        "".join(refusal.errors.values()).encode()  # fit for a page: no lone surrogates
    else:
        json.dumps(config.to_dict(), allow_nan=False).encode()
        assert BacktestConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.fixture(scope="module")
def shared_services(tmp_path_factory):
    """Services for all of Hypothesis's examples; validation writes nothing."""
    from tests.conftest import make_app

    folder = tmp_path_factory.mktemp("forms")
    app = make_app({"home": folder, "data": folder, "strategies": folder})
    yield app.extensions["tapedeck"]
    app.extensions["tapedeck"].store.database.close()
