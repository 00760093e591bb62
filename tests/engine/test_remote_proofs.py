"""The look-ahead proof in a child: the same as here, out of the way of runs, and never believed unread."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from engine.catalog import Catalog, Entry
from engine.errors import EngineError, StrategyError
from engine.lookahead import Report, check
from engine.remote import Limits, Pool, proofs
from tests.build import random_bars

PEEKS = """
import numpy as np
from engine import Strategy

def tomorrow(close):
    return np.append(close[1:], np.nan)

class Peeks(Strategy):
    def init(self):
        self.next_close = self.I(tomorrow, self.data.Close)
    def next(self):
        if self.next_close[-1] > self.data.Close[-1] and not self.position:
            self.buy()
"""
PEEKS_LINE = 10


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(size=1) as pool:
        yield pool


def proved(pool: Pool, entry: Entry, bars: int = 60) -> Report:
    proving = pool.prove(random_bars(bars), entry)
    proving.await_reply(None)
    while not proving.over:
        pass
    report = proving.report()
    assert report is not None
    return report


def test_a_clean_strategy_is_green_on_every_bar(pool):
    report = proved(pool, Catalog().find("sma_cross"))
    assert (report.state, report.checked, report.total) == ("green", 60, 60)


def test_a_strategy_that_peeks_is_found_as_it_is_found_here(pool):
    entry = Catalog.from_source(PEEKS, "peeks")
    report = proved(pool, entry)
    assert report.state == "red"
    assert report.findings[0].line == PEEKS_LINE
    here = check(random_bars(60), entry.strategy, source=PEEKS)
    assert [(f.kind, f.bar, f.bars) for f in report.findings] == [(f.kind, f.bar, f.bars) for f in here.findings]


def test_runs_go_before_a_proof(pool):
    proving = pool.prove(random_bars(4_000), Catalog().find("sma_cross"))
    simulation = pool.simulation(random_bars(500), Catalog().find("donchian_breakout"))
    simulation.advance(500)
    assert simulation.done and not proving.over
    proving.close()


def test_a_strategy_that_fails_ends_the_proof_with_its_error(pool):
    source = "from engine import Strategy\nclass Mine(Strategy):\n  def init(self): {}['x']\n  def next(self): pass\n"
    proving = pool.prove(random_bars(20), Catalog.from_source(source, "mine"))
    with pytest.raises(StrategyError, match="line 3"):
        proving.await_reply(None)


def test_a_strategy_that_hangs_ends_the_proof():
    source = "from engine import Strategy\nclass Mine(Strategy):\n  def next(self):\n    while True: pass\n"
    with Pool(limits=Limits(seconds_per_bar=0.5)) as pool:
        proving = pool.prove(random_bars(20), Catalog.from_source(source, "mine"))
        with pytest.raises(StrategyError, match="did not finish a step of the proof"):
            proving.await_reply(None)


def test_a_closed_proof_says_so(pool):
    proving = pool.prove(random_bars(20), Catalog().find("sma_cross"))
    proving.close()
    with pytest.raises(EngineError, match="closed"):
        proving.report()


GOOD = Report(60, 60, 3, checked_bars=(0, 1, 2)).to_dict()
FINDING = {"kind": "looks ahead", "severity": "leak", "bar": 3, "what": "order", "name": "x", "bars": [3]}


@pytest.mark.parametrize("change", [
    pytest.param({"checked": 61}, id="more bars than there are"),
    pytest.param({"checked_bars": [[0, 10**9]]}, id="bars that are none"),
    pytest.param({"sample": 5}, id="a sentence that is a number"),
    pytest.param({"done": "yes"}, id="done in words"),
    pytest.param({"findings": [FINDING | {"bar": "<b>"}]}, id="a bar in words"),
    pytest.param({"findings": [FINDING | {"bars": [-1]}]}, id="a bar before the first"),
    pytest.param({"findings": [FINDING | {"name": ["x"]}]}, id="a name that is a list"),
    pytest.param({"findings": [FINDING | {"had": {"x": 1}}]}, id="a value that is an object"),
    pytest.param({"findings": [FINDING | {"severity": "harmless"}]}, id="another severity"),
    pytest.param({"findings": "none"}, id="findings in words"),
])  # fmt: skip
def test_a_report_that_no_proof_makes_is_refused(change):
    assert proofs.read(json.dumps(GOOD | {"findings": [FINDING]}).encode(), 60).checked == 3
    with pytest.raises((ValueError, TypeError, KeyError)):
        proofs.read(json.dumps(GOOD | change).encode(), 60)
