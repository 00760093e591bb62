"""In children: users' code is looked at where it may run, and what it does there harms nobody."""

from __future__ import annotations

import pytest

from engine import why
from engine.catalog import Catalog, Entry
from engine.errors import ConfigError, StrategyError
from engine.remote import Pool, TooLong, whys, wire
from tests import build
from tests.engine.why.shapes import CLOSES, strategy

HEAD = "from engine import Strategy\nimport os, time\nclass Shape(Strategy):\n    def next(self):\n"


@pytest.fixture(scope="module")
def pool():
    with Pool(2, spares=1) as pool:
        yield pool


def users(text: str) -> Entry:
    return Entry("shape", "Shape", source=text)


def ask(pool, kind, entry, bars=None, **details):
    return pool.ask(kind, bars or build.flat(CLOSES), entry, patience=60, **details)


@pytest.mark.parametrize("entry", [e for e in Catalog().all() if e.strategy], ids=lambda entry: entry.name)
def test_a_child_says_what_this_process_does(pool, entry):
    bars = build.random_bars(300, seed=3)
    for bar in (5, 150, 299):
        assert ask(pool, why.Explanation, entry, bars, bar=bar) == why.explain(bars, entry.strategy, bar=bar)
    assert ask(pool, why.Survey, entry, bars) == why.survey(bars, entry.strategy)
    assert ask(pool, why.TradeReasons, entry, bars, trade=1) == why.trade_reasons(bars, entry.strategy, trade=1)


def test_a_users_file_is_looked_at_where_it_runs(pool):
    cls, text = strategy("def next(self):\n    if self.data.Close[-1] > 13:\n        self.buy()")
    answer = ask(pool, why.Explanation, users(text), bar=3)
    assert [c.detail for c in answer.conditions] == ["14 > 13, by 1"]
    assert answer.conditions == why.explain(build.flat(CLOSES), cls, bar=3, texts={"shape.py": text}).conditions


def test_what_is_known_is_kept_to(pool):
    text = f"{HEAD}        if len(self.data) == 3:\n            self.buy(limit=1)\n"
    assert "next bar" in ask(pool, why.Explanation, users(text), bar=2, until=3).placed[0].fate
    assert ask(pool, why.Survey, users(text), until=3).last == 3


def test_no_such_bar_or_trade_is_told_as_such(pool):
    with pytest.raises(ConfigError, match="There is no bar 100"):
        ask(pool, why.Explanation, users(f"{HEAD}        pass\n"), bar=99)
    with pytest.raises(ConfigError, match="There is no trade 1"):
        ask(pool, why.TradeReasons, users(f"{HEAD}        pass\n"), trade=1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param("os._exit(3)", "ended its process", id="exit"),
        pytest.param("os.kill(os.getpid(), 9)", "ended its process", id="killed"),
    ],
)
def test_a_strategy_that_ends_its_process_ends_the_answer(pool, body, error):
    with pytest.raises(StrategyError, match=error):
        ask(pool, why.Explanation, users(f"{HEAD}        {body}\n"), bar=5)


def test_a_strategy_that_raises_what_it_likes_is_explained_up_to_there(pool):
    text = f"{HEAD}        if len(self.data) == 4:\n            raise SystemExit(5)\n"
    answer = ask(pool, why.Explanation, users(text), bar=3)
    assert answer.error == "Shape failed on bar 4 (line 6): SystemExit: 5"
    assert [c.text for c in answer.conditions] == ["len(self.data) == 4"]


def test_a_strategy_that_hangs_is_not_waited_for(pool):
    with pytest.raises(TooLong, match=r"no answer within 0\.2 s"):
        pool.ask(why.Explanation, build.flat(CLOSES), users(f"{HEAD}        while True: pass\n"), patience=0.2, bar=5)


def test_init_that_fails_is_told(pool):
    text = "from engine import Strategy\nclass Shape(Strategy):\n    def init(self):\n        1 / 0\n"
    with pytest.raises(StrategyError, match=r"Shape failed in init\(\) \(line 4\): ZeroDivisionError"):
        ask(pool, why.Explanation, users(text), bar=5)


@pytest.mark.parametrize("message", [b"", b"[]", b'{"bar": "x"}', b'{"bar": 1}', b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_none_is_refused(message):
    with pytest.raises(wire.Damaged):
        whys.read_answer(why.Explanation, message)
