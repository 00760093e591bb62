"""The proof as it is used: in slices, from Python, on long runs, and what it says."""

from __future__ import annotations

import importlib
import json
import random
import time
import uuid

import numpy as np
import pandas as pd
import pytest

from engine import Backtest, Strategy, StrategyError
from engine.catalog import Catalog
from engine.lib import crossover
from engine.lookahead import CHANCE, ENDING, LOOKS_AHEAD, REPAINTS, WARM_UP, Report, check, prove
from tests.build import random_bars
from tests.lookahead import clean, zoo

BARS = random_bars(126, seed=3)


class Clean(Strategy):
    def init(self):
        self.fast = self.I(lambda c: c.rolling(5).mean(), self.data.Close.s, name="fast")
        self.slow = self.I(lambda c: c.rolling(12).mean(), self.data.Close.s, name="slow")

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy(size=1)


def test_a_backtest_checks_itself():
    report = Backtest(BARS.to_frame(), Clean).check_lookahead()
    assert report.clean and report.done
    assert report.text == "no look-ahead found: 126 of 126 bars checked"
    assert str(report) == report.text


def test_a_finding_names_bar_indicator_values_and_line():
    report = Backtest(BARS, zoo.ShiftedBack).check_lookahead()
    leak = next(leak for leak in report.leaks if leak.what == "indicator")
    assert (leak.kind, leak.name, leak.source) == (
        LOOKS_AHEAD, "line", 'self.line = self.I(self.values, self.data.Close.s, name="line")'
    )  # fmt: skip
    assert leak.had == BARS.close[leak.bar + 1]
    assert leak.known != leak.had
    assert f"bar {leak.bar + 1}" in leak.sentence and f"(line {leak.line})" in leak.sentence
    order = next(leak for leak in report.leaks if leak.what == "order")
    assert order.source in ("self.buy()", "self.position.close()")
    assert report.state == "red"
    assert report.text.startswith(f"look-ahead found on bar {report.leaks[0].bar + 1}")


def test_the_chart_gets_a_mark_for_each_bar_affected():
    report = check(BARS, zoo.ShiftedBack)
    marked = {mark["bar"] for mark in report.markers if report.findings[mark["finding"]].what == "indicator"}
    assert marked == set(range(125))  # on the last bar there is nothing later to know


def test_a_changing_past_is_called_so():
    report = check(BARS, zoo.FiltFilt)
    assert {REPAINTS, LOOKS_AHEAD} <= {leak.kind for leak in report.leaks}
    assert "changes its past" in next(leak.sentence for leak in report.leaks if leak.kind == REPAINTS)


class Unsettled(Strategy):
    def init(self):
        self.fast = self.I(lambda c: c.ewm(span=5, adjust=False).mean(), self.data.Close.s, name="fast")
        self.slow = self.I(lambda c: c.ewm(span=60, adjust=False).mean(), self.data.Close.s, name="slow")

    def next(self):
        if self.fast[-1] > self.slow[-1] and not self.position:
            self.buy()
        elif self.fast[-1] < self.slow[-1] and self.position:
            self.position.close()


def test_an_average_that_is_not_settled_when_trading_begins_is_named():
    report = check(random_bars(600, seed=4), Unsettled)
    assert report.clean and report.state == "amber"
    assert [(found.kind, found.name) for found in report.findings] == [(WARM_UP, "slow")]
    assert "min_periods" in report.findings[0].sentence


class ByTheClock(Strategy):
    def next(self):
        if time.perf_counter_ns() % 3 == 0:
            self.buy(size=1)


class Unseeded(Strategy):
    def next(self):
        if random.random() < 0.5:
            self.buy(size=1)


class Tagged(Strategy):
    def next(self):
        self.buy(size=1, tag=str(uuid.uuid4()))


@pytest.mark.parametrize("strategy", [ByTheClock, Unseeded, Tagged])
def test_chance_is_told_from_a_leak(strategy):
    report = check(BARS, strategy)
    assert report.clean and report.state == "amber"
    assert [found.kind for found in report.findings] == [CHANCE]
    assert report.text == "not deterministic: nothing can be proved"
    assert report.checked == 0


class ClosesAtTheEnd(Clean):
    def init(self):
        super().init()
        self.last = len(self.data)

    def next(self):
        if len(self.data) == self.last - 1:
            self.position.close()
        else:
            super().next()


def test_knowing_where_the_data_ends_is_a_warning():
    report = check(BARS, ClosesAtTheEnd)
    assert report.clean and report.state == "amber"
    assert {found.kind for found in report.findings} == {ENDING}


def test_reports_come_while_it_works_and_can_be_left_and_resumed():
    reports = prove(BARS, Clean, slice_seconds=0.0)
    for report in reports:
        assert not report.done
        if report.checked == 50:
            break
    assert report.state == "checking"
    assert report.text == "no look-ahead found: 50 of 126 bars checked"
    reports.close()
    kept = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert kept.checked_bars == tuple(range(50))
    checked = [later.checked for later in prove(BARS, Clean, slice_seconds=0.0, resume=kept)]
    assert min(checked) == 50 and checked[-1] == 126


def test_a_leak_found_before_the_pause_is_kept():
    reports = prove(BARS, zoo.ShiftedBack, slice_seconds=0.0)
    half = next(report for report in reports if report.checked == 60)
    kept = Report.from_dict(json.loads(json.dumps(half.to_dict())))
    *_, whole = prove(BARS, zoo.ShiftedBack, resume=kept)
    assert whole.state == "red"
    assert {mark["bar"] for mark in whole.markers} >= set(range(125))


def test_a_report_is_plain_data_both_ways():
    report = check(BARS, zoo.CentredWindow)
    told = json.loads(json.dumps(report.to_dict()))
    assert Report.from_dict(told).to_dict() == report.to_dict()
    assert (told["state"], told["text"]) == (report.state, report.text)
    assert told["findings"][0]["sentence"] == report.findings[0].sentence
    assert all(value == value for found in told["findings"] for value in (found["had"], found["known"]))


def test_long_runs_are_checked_on_a_stated_sample():
    report = check(random_bars(3_000, seed=6), Clean)
    assert report.state == "green"
    assert (report.bars, report.total, report.checked) == (3_000, 240, 240)
    assert report.text == "no look-ahead found: 240 of 3,000 bars checked"
    assert report.sample.startswith("A sample of 240 of 3,000 bars: 96 with orders, ")
    assert report.sample.endswith(" at random.")
    assert report.sample in str(report)


@pytest.mark.parametrize(
    "strategy", [zoo.ShiftedBack, zoo.ZScore, zoo.PlainArray, zoo.Signals, zoo.UnfinishedWeek, zoo.InABag]
)
def test_a_sample_finds_leaks_too(strategy):
    assert check(random_bars(450, seed=6), strategy, limit=400).state == "red"


def test_of_a_sample_only_bars_that_were_run_up_to_count_when_inputs_differ():
    report = check(random_bars(450, seed=6), clean.KeepsLists, limit=400)
    assert report.state == "green"
    assert report.checked == report.total == 200
    assert report.sample == "A sample of 200 of 450 bars, worst suspects first, each by a run up to it."


def test_a_signal_array_may_come_ready_made():
    data = random_bars(200, seed=7)
    ready = pd.Series(data.close).rolling(5).mean().to_numpy()

    class Given(Strategy):
        def init(self):
            self.line = self.I(lambda: ready, name="ready")

        def next(self):
            if self.data.Close[-1] > self.line[-1]:
                self.buy(size=1)

    assert check(data, Given).state == "green"


def test_globals_are_as_they_were_afterwards():
    data = random_bars(60, seed=7)
    frame = data.to_frame()
    strategies = zoo.outsiders(frame)
    before = pd.read_csv, open, np.load
    check(data, strategies["class attribute"])
    check(data, strategies["frame in a closure"])
    assert strategies["class attribute"].table is frame
    assert (pd.read_csv, open, np.load) == before
    assert len(frame) == 60


def test_another_symbol_that_is_read_by_time_is_no_leak():
    data = random_bars(120, seed=7)
    other = random_bars(120, seed=9).to_frame()

    class Guided(Strategy):
        def init(self):
            self.market = self.I(
                lambda: other.Close.reindex(self.data.index, method="ffill").rolling(5).mean(), name="market"
            )

        def next(self):
            known = other.loc[: self.data.index[-1]]
            if known.Close.iloc[-1] > self.market[-1] and not self.position:
                self.buy()
            elif known.Close.iloc[-1] < self.market[-1]:
                self.position.close()

    assert check(data, Guided).state == "green"


SCRIPT = """
import pandas as pd
from engine import Backtest, Strategy

frame = pd.read_csv(r"{path}", index_col=0, parse_dates=True)
mean = frame.Close.mean()
raise_if_again = []

class Script(Strategy):
    def next(self):
        if self.data.Close[-1] < mean:
            self.buy(size=1)

raise_if_again.append(Script)
"""


def test_of_a_script_only_what_the_class_needs_runs_again(tmp_path, monkeypatch):
    data = random_bars(80, seed=5)
    data.to_frame().to_csv(tmp_path / "prices.csv")
    (tmp_path / "a_users_script.py").write_text(SCRIPT.format(path=tmp_path / "prices.csv"))
    monkeypatch.syspath_prepend(str(tmp_path))
    a_users_script = importlib.import_module("a_users_script")

    report = check(data, a_users_script.Script)
    assert report.state == "red", str(report)
    assert "prices.csv" in str(report.leaks[0].outside)
    assert a_users_script.raise_if_again == [a_users_script.Script]


def test_a_file_that_is_read_and_not_peeked_at_is_no_leak(tmp_path):
    data = random_bars(80, seed=5)
    path = tmp_path / "prices.csv"
    data.to_frame().to_csv(path)
    source = f"""
import pandas as pd
from engine import Strategy

TABLE = pd.read_csv(r"{path}", index_col=0, parse_dates=True)

class Careful(Strategy):
    def next(self):
        known = TABLE.loc[: self.data.index[-1]]
        if known.Close.iloc[-1] > known.Close.mean():
            self.buy(size=1)
"""
    entry = Catalog.from_source(source, "careful")
    assert check(data, entry.strategy, source=entry.source).state == "green"


class Fails(Clean):
    def next(self):
        if len(self.data) == 80:
            raise ValueError("no more")
        super().next()


def test_a_run_that_fails_is_checked_up_to_there():
    report = check(BARS, Fails)
    assert report.state == "green"
    assert report.checked == 79
    assert report.total == 79


def test_a_run_that_fails_at_once_is_refused():
    class Broken(Strategy):
        def init(self):
            raise ValueError("broken")

    with pytest.raises(StrategyError, match="broken"):
        check(BARS, Broken)


class Needs(Clean):
    def init(self):
        if len(self.data) < 40:
            raise ValueError("too short")
        super().init()


def test_bars_that_are_too_few_for_init_are_decided_with_other_bars_after_them():
    report = check(BARS, Needs)
    assert report.state == "green"
    assert report.checked == 126
