"""Faults of bars are found where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.bars import Bars
from engine.faults import DUPLICATED, GAP, NO_VOLUME, REPAIRED, SPLIT, UNFINISHED, faults
from engine.feeds import Feeds
from tests.build import START, random_bars

LATER = 4e9  # long after all bars


def weekdays(n, **about):
    data = random_bars(n, seed=1)
    time = pd.bdate_range("2024-01-01", periods=n).as_unit("s").asi8
    columns = {name: getattr(data, name) for name in ("open", "high", "low", "close", "volume")}
    return time, {name: values.copy() for name, values in columns.items()}, about


def made(time, columns, about=None):
    return Bars.from_columns(time, **columns, **(about or {}))


def kinds(found):
    return [(fault.bar, fault.kind) for fault in found]


def test_good_bars_have_none():
    assert faults(made(*weekdays(100)), LATER) == []
    assert faults(random_bars(100), LATER) == []


def test_a_week_that_is_missing_is_a_gap_and_a_holiday_is_none():
    time, columns, _ = weekdays(60)
    keep = np.ones(60, dtype=bool)
    keep[20:25] = False
    keep[40] = False
    found = faults(made(time[keep], {name: values[keep] for name, values in columns.items()}), LATER)
    assert kinds(found) == [(20, GAP)]
    assert "2024-01-26" in found[0].sentence and "2024-02-05" in found[0].sentence


def test_hours_that_are_missing_are_a_gap():
    time = START + np.arange(48) * 3_600
    data = random_bars(48)
    columns = {name: getattr(data, name) for name in ("open", "high", "low", "close", "volume")}
    keep = np.ones(48, dtype=bool)
    keep[10:13] = False
    found = faults(made(time[keep], {name: values[keep] for name, values in columns.items()}), LATER)
    assert (10, GAP) in kinds(found)


def test_repeats_and_missing_volume_are_found():
    time, columns, _ = weekdays(40)
    for values in columns.values():
        values[12] = values[11]
    columns["volume"][30] = 0
    assert kinds(faults(made(time, columns), LATER)) == [(12, DUPLICATED), (30, NO_VOLUME)]


def test_an_index_without_volume_is_not_at_fault():
    time, columns, _ = weekdays(40)
    columns["volume"][:] = 0
    assert faults(made(time, columns), LATER) == []


@pytest.mark.parametrize(("ratio", "words"), [(0.5, "2 for 1"), (1 / 3, "3 for 1"), (10, "1 for 10")])
def test_a_split_is_suspected(ratio, words):
    time, columns, _ = weekdays(60)
    for name in ("open", "high", "low", "close"):
        columns[name][33:] *= ratio
    found = faults(made(time, columns), LATER)
    assert kinds(found) == [(33, SPLIT)]
    assert words in found[0].sentence


def test_a_crash_is_no_split():
    time, columns, _ = weekdays(60)
    for name in ("open", "high", "low", "close"):
        columns[name][33:] *= 0.88
    assert faults(made(time, columns), LATER) == []


def test_the_last_bar_is_unfinished_while_its_time_runs():
    data = made(*weekdays(40))
    assert kinds(faults(data, float(data.time[-1]) + 3_600)) == [(39, UNFINISHED)]
    assert faults(data, float(data.time[-1]) + 86_400) == []


def test_repairs_at_the_door_are_told():
    time, columns, _ = weekdays(80)
    frame = pd.DataFrame(
        {name.capitalize(): values for name, values in columns.items()}, pd.to_datetime(time, unit="s")
    )
    frame.loc[frame.index[7], "Close"] = np.nan
    frame = pd.concat([frame.iloc[:50], frame.iloc[49:]])
    found = faults(Bars.from_frame(frame, repair=True), LATER)
    assert (7, REPAIRED) in kinds(found)
    assert any(kind == DUPLICATED for _, kind in kinds(found))


def test_the_samples_have_the_gap_that_the_exchange_had():
    found = faults(Feeds("data", yahoo=False).load("AAPL", "1d", "max"), LATER)
    assert [fault.kind for fault in found] == [GAP]
    assert "2001-09-10" in found[0].sentence
