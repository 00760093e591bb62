"""Each leak of the zoo is found, named and placed."""

from __future__ import annotations

import pytest

from engine.catalog import Catalog
from engine.lookahead import LOOKS_AHEAD, OUTSIDE, check
from tests.build import random_bars
from tests.lookahead import zoo

SHORT, LONG = 126, 320  # all cuts are played; most are compared by what next() can read


@pytest.mark.parametrize("bars", [SHORT, LONG])
@pytest.mark.parametrize("strategy", zoo.LEAKS, ids=lambda strategy: strategy.__name__)
def test_a_leak_is_found(strategy, bars):
    report = check(random_bars(bars, seed=3), strategy)
    assert report.state == "red", str(report)
    assert report.done and report.checked + report.unclear == bars
    leak = report.leaks[0]
    assert leak.file == zoo.__file__ or strategy is zoo.Signals
    assert leak.line and leak.source


@pytest.mark.parametrize("reach", sorted(zoo.outsiders(random_bars(40).to_frame())))
def test_data_outside_is_found_and_named(reach):
    bars = random_bars(SHORT, seed=4)
    report = check(bars, zoo.outsiders(bars.to_frame())[reach])
    assert report.state == "red", str(report)
    assert any(leak.kind == OUTSIDE and leak.outside for leak in report.leaks), str(report)


@pytest.mark.parametrize("kind", sorted(zoo.FILES))
def test_a_file_beside_the_bars_is_found_and_named(kind, tmp_path):
    bars = random_bars(80, seed=5)
    path = tmp_path / "prices.csv"
    bars.to_frame().to_csv(path)
    entry = Catalog.from_source(zoo.FILES[kind].format(path=path), "peek")
    report = check(bars, entry.strategy, source=entry.source)
    assert report.state == "red", str(report)
    assert any(leak.kind == OUTSIDE and leak.outside for leak in report.leaks), str(report)


def test_kinds_are_told_apart():
    report = check(random_bars(SHORT, seed=3), zoo.ShiftedBack)
    assert {leak.kind for leak in report.leaks if leak.what == "indicator"} == {LOOKS_AHEAD}


@pytest.mark.parametrize("strategy", [zoo.TrailingBack, zoo.TrailingByPercent])
def test_trailing_stops_know_later_bars_in_compat_alone(strategy):
    bars = random_bars(SHORT, seed=3)
    assert check(bars, strategy, settings={"compat": True}).state == "red"
    assert check(bars, strategy).state == "green"
