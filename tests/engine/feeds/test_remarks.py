"""Remarks: what is worth a second look in bars."""

from __future__ import annotations

import pytest

from engine.feeds.remarks import remark
from tests import build


def test_a_split_that_is_not_adjusted_for_is_shown():
    bars = remark(build.bars([100, 102, 5.1, 5.2, 510]))
    assert bars.notes == (
        "The close jumps from 102 to 5.1 on 2024-01-03 (and 1 such jump): "
        "a split that is not adjusted for, or another unit?",
    )


def test_a_day_that_halves_a_price_is_a_day(feeds):
    sample = feeds.load("AAPL", "1d", "max")  # it fell by 51.9 % on 2000-09-29
    assert remark(sample).notes == ()


def test_a_long_gap_is_shown():
    before, after = build.times(20, start="2024-01-01"), build.times(20, start="2024-03-01")
    prices = [10.0] * 40
    bars = build.Bars.from_columns([*before, *after], prices, prices, prices, prices)
    assert remark(bars).notes == ("There are no bars for 41 days after 2024-01-20; the chart closes such gaps.",)


@pytest.mark.parametrize("step", [60, 86_400, 7 * 86_400, 31 * 86_400])
def test_evenly_spaced_bars_have_no_gap(step):
    assert remark(build.random_bars(50, step=step)).notes == ()
