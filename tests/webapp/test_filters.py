"""Numbers and times as the pages write them."""

from __future__ import annotations

import math

import pytest

from webapp import filters


@pytest.mark.parametrize(
    ("filter_", "value", "text"),
    [
        (filters.money, 10_432.5, "10,432.50"),
        (filters.money, -0.001, "0.00"),
        (filters.signed_money, 432.5, "+432.50"),
        (filters.signed_money, -432.5, "−432.50"),
        (filters.signed_money, 0.0, "0.00"),
        (filters.percent, 4.326, "4.33 %"),
        (filters.signed_percent, -4.326, "−4.33 %"),
        (filters.number, 1.8349, "1.83"),
        (filters.count, 2520, "2,520"),
        (filters.moment, 1_362_096_000, "2013-03-01"),
        (filters.moment, 1_362_148_200, "2013-03-01 14:30 UTC"),
        (filters.day, 1_362_148_200, "2013-03-01"),
        (filters.tone, 1, "gain"),
        (filters.tone, -1, "loss"),
        (filters.tone, 0, "flat"),
    ],
)
def test_a_value_is_written(filter_, value, text):
    assert filter_(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
@pytest.mark.parametrize(
    "filter_",
    [filters.money, filters.signed_money, filters.percent, filters.signed_percent, filters.number, filters.count],
)
def test_what_is_not_defined_is_a_dash(filter_, value):
    assert filter_(value) == "–"


def test_a_moment_is_told_in_its_exchanges_time():
    assert filters.moment(1_362_148_200, "America/New_York") == "2013-03-01 09:30 EST"
    assert filters.moment(1_362_148_200, "No/Where") == "2013-03-01 14:30 UTC"
