"""Indicators: the usual functions, and those that a configuration asks for by name."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import talib

from engine import Bars, ConfigError, indicators
from engine.indicators import (
    ADX,
    ATR,
    BBANDS,
    DONCHIAN,
    EMA,
    ICHIMOKU,
    MACD,
    OBV,
    RSI,
    SMA,
    STOCH,
    SUPERTREND,
    VWAP,
    WMA,
    Study,
    build,
    build_all,
)
from tests.build import flat, ohlc, random_bars

STUDIES = [
    pytest.param(SMA, "close", {"window": 5}, "price", id="SMA"),
    pytest.param(EMA, "close", {"window": 5}, "price", id="EMA"),
    pytest.param(WMA, "close", {"window": 5}, "price", id="WMA"),
    pytest.param(RSI, "close", {"window": 5}, "RSI", id="RSI"),
    pytest.param(MACD, "close", {"fast": 4, "slow": 9, "signal": 3}, "MACD", id="MACD"),
    pytest.param(BBANDS, "close", {"window": 5, "deviations": 1.5}, "price", id="BBANDS"),
    pytest.param(ATR, "high low close", {"window": 5}, "ATR", id="ATR"),
    pytest.param(STOCH, "high low close", {"window": 5, "smooth": 2, "signal": 4}, "Stochastic", id="STOCH"),
    pytest.param(ADX, "high low close", {"window": 5}, "ADX", id="ADX"),
    pytest.param(OBV, "close volume", {}, "OBV", id="OBV"),
    pytest.param(VWAP, "high low close volume", {}, "price", id="VWAP"),
    pytest.param(DONCHIAN, "high low", {"window": 5}, "price", id="DONCHIAN"),
    pytest.param(SUPERTREND, "high low close", {"window": 5, "multiplier": 2.0}, "price", id="SUPERTREND"),
    pytest.param(ICHIMOKU, "high low", {"conversion": 3, "base": 6, "span": 9}, "price", id="ICHIMOKU"),
]


def rows(study: Study, bars: Bars, columns: str, parameters: dict) -> np.ndarray:
    return np.atleast_2d(np.array(study(*(getattr(bars, column) for column in columns.split()), **parameters)))


@pytest.mark.parametrize(("study", "columns", "parameters", "pane"), STUDIES)
def test_a_study_knows_its_pane_its_lines_and_its_warm_up(study, columns, parameters, pane):
    values = rows(study, random_bars(120), columns, parameters)
    assert study.pane == pane
    assert len(study.lines) == len(values)
    begins = max(int(np.flatnonzero(~np.isnan(row))[0]) for row in values)
    assert begins == study.warm_up(**parameters)
    assert not np.isnan(values[:, begins:]).any()


@pytest.mark.parametrize(("study", "columns", "parameters", "pane"), STUDIES)
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_study_of_too_few_bars_is_as_long_as_they_are(study, columns, parameters, pane, count):
    assert rows(study, random_bars(120)[:count], columns, parameters).shape[1] == count


@pytest.mark.parametrize(("study", "columns", "parameters", "pane"), STUDIES)
def test_a_study_takes_values_that_begin_with_nan(study, columns, parameters, pane):
    bars = random_bars(120)
    inputs = [np.concatenate([np.full(9, np.nan), getattr(bars, column)]) for column in columns.split()]
    values = np.atleast_2d(np.array(study(*inputs, **parameters)))
    assert np.isnan(values[:, :9]).all()
    assert not np.isnan(values[:, -1]).any()


@pytest.mark.parametrize(("study", "columns", "parameters", "pane"), STUDIES)
def test_a_study_never_depends_on_later_bars(study, columns, parameters, pane):
    bars = random_bars(200, seed=3)
    whole = rows(study, bars, columns, parameters)
    for stop in (40, 41, 99, 160):
        np.testing.assert_array_equal(rows(study, bars[:stop], columns, parameters), whole[:, :stop])


def test_averages_are_those_worked_by_hand():
    values = [1.0, 2.0, 4.0, 8.0]
    np.testing.assert_allclose(SMA(values, 2), [np.nan, 1.5, 3, 6])
    np.testing.assert_allclose(EMA(values, 2), [np.nan, 1.5, 1.5 + (4 - 1.5) * 2 / 3, 6.3888888889])
    np.testing.assert_allclose(WMA(values, 2), [np.nan, 5 / 3, 10 / 3, 20 / 3])


def test_a_channel_holds_the_current_bar():
    upper, middle, lower = DONCHIAN([3.0, 5, 4], [1.0, 2, 3], 2)
    np.testing.assert_allclose(upper, [np.nan, 5, 5])
    np.testing.assert_allclose(lower, [np.nan, 1, 2])
    np.testing.assert_allclose(middle, [np.nan, 3, 3.5])


def test_vwap_begins_anew_with_each_session():
    price = np.array([10.0, 20, 30, 50])
    average = VWAP(price, price, price, [1.0, 3, 1, 1], session=[1, 1, 2, 2])
    np.testing.assert_allclose(average, [10, 17.5, 30, 40])


def test_vwap_waits_for_the_first_volume():
    price = np.array([10.0, 20, 30])
    np.testing.assert_allclose(VWAP(price, price, price, [0.0, 2, 2]), [np.nan, 20, 25])


def test_supertrend_changes_side_when_the_close_crosses_it():
    bars = flat([*np.linspace(100, 140, 30), *np.linspace(140, 90, 20)])
    line = SUPERTREND(bars.high, bars.low, bars.close, 5, 2.0)
    rising, falling = slice(12, 28), slice(40, 50)
    assert (line[rising] < bars.close[rising]).all()
    assert (line[falling] > bars.close[falling]).all()
    assert (np.diff(line[rising]) >= 0).all() and (np.diff(line[falling]) <= 0).all()


def test_the_cloud_over_a_bar_was_known_long_before():
    bars = random_bars(80)
    spans = ICHIMOKU(bars.high, bars.low, 3, 6, 9)[2:]
    later = ohlc(*zip(*(getattr(bars[:60], c) for c in ("open", "high", "low", "close")), strict=True))
    for span, cut in zip(spans, ICHIMOKU(later.high, later.low, 3, 6, 9)[2:], strict=True):
        np.testing.assert_array_equal(span[:60], cut)
    fast, slow = ICHIMOKU(bars.high, bars.low, 3, 6, 9)[:2]
    assert spans[0][50] == (fast[44] + slow[44]) / 2


def test_a_study_refuses_a_window_that_is_no_window():
    with pytest.raises(ConfigError, match="SMA does not take timeperiod=0"):
        SMA([1.0, 2, 3], 0)


@pytest.mark.parametrize("name", indicators.names())
def test_everything_that_can_be_charted_is_drawn_and_causal(name):
    bars = random_bars(300, seed=1)
    whole = build(name, {}, bars)
    assert whole and all(len(line.values) == 300 and not np.isinf(line.values).any() for line in whole)
    assert len({line.name for line in whole}) == len(whole)
    assert {line.style for line in whole} <= {"line", "histogram", "scatter"}
    assert {line.pane for line in whole} <= {"price", name, *(study.values[0].pane for study in STUDIES)}
    for stop in (57, 131, 299):
        for line, cut in zip(whole, build(name, {}, bars[:stop]), strict=True):
            np.testing.assert_array_equal(line.values[:stop], cut.values)
    for count in (1, 2, 5):
        assert all(len(line.values) == count for line in build(name, {}, bars[:count]))


def test_a_list_gives_a_study_for_each_value():
    bars = random_bars(80)
    lines = build("SMA", {"periods": [20, 50]}, bars)
    assert [line.name for line in lines] == ["SMA 20", "SMA 50"]
    assert lines[0].color != lines[1].color
    assert {line.pane for line in lines} == {"price"}
    np.testing.assert_array_equal(lines[0].values, talib.SMA(bars.close, 20))


@pytest.mark.parametrize("word", ["timeperiod", "period", "window", "Period"])
def test_a_period_goes_by_several_names(word):
    assert [line.name for line in build("rsi", {word: "7"}, random_bars(30))] == ["RSI 7"]
    assert [line.group for line in build("DONCHIAN", {word: 7}, random_bars(30))] == ["DONCHIAN 7"] * 3


def test_lines_of_one_study_share_their_group_and_tell_how_they_are_drawn():
    lines = build("MACD", {}, random_bars(60), first_color=2)
    assert [(line.name, line.style) for line in lines] == [
        ("MACD 12 26 9 macd", "line"),
        ("MACD 12 26 9 signal", "line"),
        ("MACD 12 26 9 hist", "histogram"),
    ]
    assert {line.group for line in lines} == {"MACD 12 26 9"}
    assert lines[0].color == indicators.color(2)


def test_indicators_of_the_form_have_names_and_colours_of_their_own():
    bars = random_bars(30)
    strategys = build("SMA", {"period": 5}, bars)
    lines = build_all({"SMA": {"periods": [5, 9]}, "EMA": {"period": 5}}, bars, beside=strategys)
    assert [line.name for line in lines] == ["SMA 5 (2)", "SMA 9", "EMA 5"]
    assert len({line.color for line in [*strategys, *lines]}) == 4


def test_vwap_on_the_chart_begins_with_each_day_of_intraday_bars():
    hours = random_bars(48, step=3600)
    line = build("VWAP", None, hours)[0]
    typical = (hours.high + hours.low + hours.close) / 3
    assert line.values[24] == pytest.approx(typical[24])
    assert line.values[23] != pytest.approx(typical[23])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        pytest.param("RSY", {}, "There is no indicator 'RSY'. Did you mean RSI?", id="unknown name"),
        pytest.param("MAVP", {}, "no indicator 'MAVP'", id="one that needs more than bars"),
        pytest.param("RSI", {"foo": 1}, "no parameter of RSI called 'foo'. Known: timeperiod.", id="unknown parameter"),
        pytest.param("MACD", {"fastperod": 3}, "Did you mean fastperiod?", id="misspelt parameter"),
        pytest.param("RSI", {"timeperiod": 0}, "RSI does not take timeperiod 0. Usual: timeperiod 14.", id="zero"),
        pytest.param(
            "MACD", {"fastperiod": 1, "slowperiod": 30}, "not take fastperiod 1. Usual", id="names the culprit"
        ),
        pytest.param("RSI", {"timeperiod": 10**12}, "RSI does not take timeperiod", id="far too large"),
        pytest.param("RSI", {"timeperiod": "x"}, "RSI: Timeperiod is 'x'. Enter a whole number.", id="text"),
        pytest.param("RSI", {"timeperiod": 2.5}, "Enter a whole number", id="fraction"),
        pytest.param("RSI", {"timeperiod": None}, "Timeperiod is empty", id="null"),
        pytest.param("BBANDS", {"nbdevup": float("nan")}, "Nbdevup is nan", id="nan"),
        pytest.param("DONCHIAN", {"window": 0}, "from 1 to 100000", id="zero in one of ours"),
        pytest.param("SMA", {"periods": []}, "empty list", id="empty list"),
        pytest.param("SMA", {"periods": [[2]]}, "Enter a whole number", id="list in a list"),
        pytest.param("SMA", {"periods": list(range(2, 99))}, "at most 12 fit", id="too many"),
        pytest.param("SMA", 5, "SMA is given 5", id="no mapping"),
        pytest.param("OBV", {"x": 1}, "OBV has no parameters", id="nothing to set"),
    ],
)
def test_a_wrong_wish_is_refused_with_the_way_out(name, options, words):
    with pytest.raises(ConfigError) as refusal:
        build(name, options, random_bars(40))
    assert words in str(refusal.value)
    assert refusal.value.field == "indicators"
    with pytest.raises(ConfigError):
        indicators.check(name, options)


def test_volume_that_is_missing_is_said():
    bars = Bars.from_columns(np.arange(3) * 86_400, *[np.array([1.0, 2, 3])] * 4)
    with pytest.raises(ConfigError, match="OBV needs volume") as refusal:
        build("OBV", {}, bars)
    assert refusal.value.field == "indicators"


def test_studies_are_counted_before_they_are_listed():
    names = ("startvalue", "offsetonreverse", "accelerationinitlong", "accelerationlong", "accelerationmaxlong",
             "accelerationinitshort", "accelerationshort", "accelerationmaxshort")  # fmt: skip
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="asked for 65,536 times"):
            indicators.check("SAREXT", {name: [0.01, 0.02, 0.03, 0.04] for name in names})
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
