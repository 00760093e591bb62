"""Protocol: messages that are made in bulk are the ones that would be made one by one."""

from __future__ import annotations

import json

import pytest

from tests.build import random_bars
from webapp import protocol


@pytest.mark.parametrize("step", [60, 86_400])
@pytest.mark.parametrize("scale", [1.0, 1e15])
def test_candles_are_the_same_in_bulk_as_one_by_one(scale, step):
    bars = random_bars(700, 1, start="1969-12-20", step=step, price=100 * scale)
    one_by_one = [protocol.candles(bars, bar, bar + 1)[0] for bar in range(len(bars))]
    for start, stop in ((0, 700), (0, 3), (697, 700), (100, 107), (5, 5)):
        assert protocol.candles(bars, start, stop) == one_by_one[start:stop]


def test_candles_tell_their_bars():
    bars = random_bars(300, 2, start="2024-03-01", step=60)
    told = [json.loads(text) for text in protocol.candles(bars, 100, 110)]
    assert [one["bar_number"] for one in told] == list(range(101, 111))
    assert told[5] == {
        "type": "candle",
        "bar_number": 106,
        "progress": 35.33,
        "timestamp": "2024-03-01T01:45:00+00:00",
        "open": bars.open[105],
        "high": bars.high[105],
        "low": bars.low[105],
        "close": bars.close[105],
        "volume": bars.volume[105],
    }
