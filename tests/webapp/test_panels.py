"""Panels: the book of trades and orders, and what is rendered from it at a bar."""

from __future__ import annotations

import gc
import random

import pytest

from engine import Strategy
from engine.catalog import Catalog
from engine.remote import Pool
from engine.simulation import Simulation
from engine.statistics import Live
from tests import build
from webapp import panels
from webapp.book import Book


class Busy(Strategy):
    """Orders of every kind, at random but always the same ones."""

    def init(self):
        self.dice = random.Random(4)

    def next(self):
        price, dice = self.data.Close[-1], self.dice
        roll = dice.random()
        if roll < 0.15:
            self.buy(size=dice.randint(1, 5), sl=price * 0.97, tp=price * 1.03, tag="<b>tag</b>")
        elif roll < 0.25:
            self.sell(size=dice.randint(1, 5), limit=price * 1.01)
        elif roll < 0.3:
            self.buy(size=10**9)
        elif roll < 0.4 and self.trades:
            dice.choice(self.trades).close(0.5)
        elif roll < 0.45 and self.orders:
            dice.choice(self.orders).cancel()
        elif roll < 0.5 and self.trades:
            self.trades[0].sl = price * 0.9


class Holds(Strategy):
    """Buys once."""

    def next(self):
        if not self.position:
            self.buy()


BARS = 700


@pytest.fixture(scope="module")
def tape():
    simulation = Simulation(build.random_bars(BARS), Busy, cash=100_000, hedging=True, margin=0.5)
    simulation.advance(BARS)
    return simulation.tape


def test_the_book_agrees_with_the_tape_at_every_bar_in_any_order(tape):
    book = Book(tape)
    order = list(range(BARS + 1))
    random.Random(1).shuffle(order)
    for bar in order:
        closed = [trade for _, trade, _ in reversed(book.closed(bar, BARS))]
        assert closed + book.open(bar) == tape.trades(bar)
        assert book.pending(bar) == tape.pending(bar)
        assert sorted(book.orders(bar, 10**6), key=lambda one: one.order) == tape.orders(bar)


def test_the_book_sums_profits_in_the_order_of_closing(tape):
    rows = list(reversed(Book(tape).closed(BARS, 10**6)))
    total = 0.0
    for number, (place, trade, running) in enumerate(rows, start=1):
        total += trade.pnl
        assert (place, running) == (number, pytest.approx(total))


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("best", lambda trade: -trade.pnl),
        ("worst", lambda trade: trade.pnl),
        ("longest", lambda trade: trade.entry_bar - trade.exit_bar),
    ],
)
def test_the_book_sorts_among_all_trades(tape, sort, key):
    book = Book(tape)
    shown = [trade for _, trade, _ in book.closed(BARS, 5, sort)]
    everything = [trade for _, trade, _ in book.closed(BARS, 10**6)]
    assert [key(trade) for trade in shown] == sorted(map(key, everything))[:5]


def looked_through() -> int:
    """Return how many references a full collection follows now."""
    gc.collect()
    return sum(len(gc.get_referents(one)) for one in gc.get_objects())


def test_a_long_run_adds_next_to_nothing_to_what_a_collection_looks_through():
    turns = "self.position.close() if self.position else self.buy()"
    text = f"from engine import Strategy\nclass Turns(Strategy):\n  def next(self):\n    {turns}\n"
    entry = Catalog.from_source(text, "turns")
    with Pool() as pool:
        simulation = pool.simulation(build.random_bars(5_000), entry, {}, {"cash": 1e6})
        live, book = Live(simulation.tape), Book(simulation.tape)
        before = looked_through()
        simulation.advance(5_000)
        live.at(5_000)
        assert book.closed_count(5_000) > 2_000
        added = looked_through() - before
    assert added < 2_000


def test_the_panels_at_a_bar_are_those_of_a_run_that_has_come_to_it(app, tape):
    short = Simulation(build.random_bars(BARS), Busy, cash=100_000, hedging=True, margin=0.5)
    short.advance(300)
    with app.app_context():
        panels.render(tape, Live(tape), BARS)
        assert panels.render(tape, Live(tape), 300) == panels.render(short.tape, Live(short.tape), 300)


def test_text_from_a_strategy_is_text(app, tape):
    with app.app_context():
        html = panels.render(tape, Live(tape), BARS)
    assert "&lt;b&gt;tag&lt;/b&gt;" in html["trades"]
    assert not any("<b>tag" in text for text in html.values())


def test_a_rejected_order_is_never_silent(app, tape):
    with app.app_context():
        html = panels.render(tape, Live(tape), BARS, lists=("orders", "log"))
    assert 'class="state rejected"' in html["orders"] or "Rejected" in html["log"]
    assert "trades" not in html


def test_long_lists_are_bounded_and_counted(app, tape):
    with app.app_context():
        html = panels.render(tape, Live(tape), BARS)
    assert html["trades"].count("<tr id=") <= 2 * panels.NEWEST
    assert html["log"].count("<li") == panels.NEWEST
    assert f"The newest {panels.NEWEST} of" in html["log"]


def test_before_the_first_bar_every_figure_is_a_dash_or_zero(app, tape):
    with app.app_context():
        html = panels.render(tape, Live(tape), 0)
    assert "No trades yet" in html["trades"]
    assert all(word not in text for text in html.values() for word in ("nan", "inf", "None"))


def test_what_changes_in_a_part_is_sent_as_that_part():
    before = {"list": "<b><!--part open-->1<!--/part--></b><i>x</i>", "other": "y"}
    assert panels.news(before, before) == {}
    assert panels.news(before, {"list": before["list"].replace("1", "2"), "other": "z"}) == {"open": "2", "other": "z"}
    changed = before["list"].replace("1", "2").replace("x", "z")
    assert panels.news(before, {"list": changed}) == {"list": changed}
    assert panels.news({}, before) == before


def test_while_a_trade_is_open_only_its_row_changes(app):
    simulation = Simulation(build.random_bars(40), Holds, cash=10_000)
    simulation.advance(40)
    with app.app_context():
        live = Live(simulation.tape)
        told = panels.news(*(panels.render(simulation.tape, live, bar) for bar in (20, 21)))
    assert "trades" not in told
    assert told["open-trades"].count("<tr") == 1
    assert "group-return" in told and "group-trades" not in told
