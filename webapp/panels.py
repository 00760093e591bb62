"""Panels: what stands beside and below the chart, rendered from the tape as it stood at a bar.

The same fragments are included by the page (empty, before its socket speaks), returned from their own addresses and
sent in the stream. Nothing after the bar that is asked for is read.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from flask import current_app
from jinja2 import Template
from markupsafe import Markup

from engine.confidence import Confidence
from engine.record import OrderRecord, TradeRecord
from engine.statistics import FIGURES, Live
from engine.tape import Tape
from webapp.book import SORTS, Book
from webapp.proofs import Shown

if TYPE_CHECKING:
    from webapp.store import Run

ALWAYS = ("headline", "summary", "position", "confidence", "stats", "counts")
LISTS = ("trades", "orders", "log")
NEWEST = 60  # rows of a list: what a person looks at, and what ten swaps a second can carry
KEPT = 4_000  # rendered rows kept for each tape: what is past does not change
FEW_TRADES = 30  # fewer closed trades say little about a strategy

GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("Return", (
        ("Net profit", "net_profit", "signed_money"), ("Return", "return_pct", "signed_percent"),
        ("Gross profit", "gross_profit", "money"), ("Gross loss", "gross_loss", "money"),
        ("Annualised return", "annual_return", "signed_percent"), ("CAGR", "cagr", "signed_percent"),
        ("Buy & hold", "buy_hold_pct", "signed_percent"),
        ("Alpha", "alpha", "signed_percent"), ("Beta", "beta", "number"),
    )),
    ("Risk", (
        ("Max drawdown", "max_drawdown_pct", "percent"), ("Average drawdown", "average_drawdown", "percent"),
        ("Longest drawdown", "max_drawdown_duration", "duration"), ("Volatility", "volatility", "percent"),
        ("Sharpe", "sharpe", "number"), ("Sortino", "sortino", "number"), ("Calmar", "calmar", "number"),
    )),
    ("Trades", (
        ("Closed", "total_trades", "count"), ("Long", "long_trades", "count"), ("Short", "short_trades", "count"),
        ("Wins", "winning_trades", "count"), ("Losses", "losing_trades", "count"),
        ("Average win", "average_win", "signed_money"), ("Average loss", "average_loss", "signed_money"),
        ("Best", "best_trade", "signed_percent"), ("Worst", "worst_trade", "signed_percent"),
        ("Expectancy", "expectancy", "signed_percent"), ("Average bars held", "average_bars_held", "number"),
        ("SQN", "sqn", "number"),
    )),
    ("Costs", (
        ("Commission paid", "commission_paid", "money"), ("Slippage paid", "slippage_paid", "money"),
        ("Exposure", "exposure", "percent"),
    )),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A trade as a row of the list: `number` is its place in the order of closing, None while it is open.

    `total` is the profit of all closed trades up to it; `best` and `worst` are the excursions (MFE, MAE), fractions of
    the entry price, over the bars it was held.
    """

    trade: TradeRecord
    number: int | None
    total: float | None
    best: float
    worst: float
    bars: int
    timezone: str | None

    @property
    def cost(self) -> float:
        """Return the signed money at entry."""
        return self.trade.size * self.trade.entry_price


class Numbers(dict[str, Any]):
    """Figures by name; one that is not defined (yet) is None, which the filters write as a dash."""

    def __missing__(self, name: str) -> None:
        return None


@dataclass(slots=True)
class View:
    """What the fragments show: everything as it stood after `bar` bars."""

    bar: int = 0
    bars: int = 0
    numbers: Numbers = field(default_factory=Numbers)
    timezone: str | None = None
    sort: str = "time"
    open: list[Row] = field(default_factory=list)
    closed: list[Markup] = field(default_factory=list)
    closed_count: int = 0
    pending: list[OrderRecord] = field(default_factory=list)
    orders: list[Markup] = field(default_factory=list)
    order_count: int = 0
    log: list[Markup] = field(default_factory=list)
    log_count: int = 0
    rests: dict[str, Any] | None = None  # what Confidence says

    @property
    def done(self) -> bool:
        """Say whether the last bar is shown."""
        return 0 < self.bars == self.bar

    @property
    def few(self) -> bool:
        """Say whether the closed trades are too few to conclude from."""
        return self.closed_count < FEW_TRADES


def empty(run: Run) -> dict[str, Any]:
    """Return the context of the player page before anything was played."""
    return _context(View(bars=run.total_bars)) | {"proof": Shown()}


def render(
    tape: Tape, live: Live, bar: int, sort: str = "time", lists: Sequence[str] = LISTS, *, moving: bool = False
) -> dict[str, str]:
    """Return the HTML inside each panel, by the id of its element, as it stood after `bar` bars.

    Args:
        sort: what the list of trades begins with, one of `webapp.book.SORTS`.
        lists: which of LISTS are wanted; they are most of the work.
        moving: the next bar follows at once, so that what takes long to find out may be a moment old.
    """
    context = _context(_view(tape, live, bar, sort if sort in SORTS else "time", lists, moving))
    # the environment itself: a stream has no request to take context processors from
    return {name: _template(name).render(context) for name in (*ALWAYS, *lists)}


def news(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the HTML to swap, by id, that makes of the panels `before` those of `now`.

    A panel that differs only inside its parts (between `<!--part id-->` and `<!--/part-->`) needs only those that do:
    the row of the open trade changes with every bar, the list below it does not.
    """
    told = {}
    for name, html in now.items():
        known = before.get(name)
        if known == html:
            continue
        if known is None or _PART.sub(r"\1", known) != _PART.sub(r"\1", html):
            told[name] = html
        else:
            had = dict(_PART.findall(known))
            told |= {part: text for part, text in _PART.findall(html) if had[part] != text}
    return told


_PART = re.compile(r"<!--part ([\w-]+)-->(.*?)<!--/part-->", re.DOTALL)


def _template(name: str) -> Template:
    return current_app.jinja_env.get_template(f"fragments/{name}.html")


def book_of(tape: Tape) -> Book:
    """Return the book of a tape; there is one for as long as somebody holds it."""
    book = _books.get(tape)
    if book is None:
        book = _books[tape] = Book(tape)
    return book


# Not by the tape's life: a book holds its tape, so that neither would ever end.
_books: WeakValueDictionary[Tape, Book] = WeakValueDictionary()


def _view(tape: Tape, live: Live, bar: int, sort: str, lists: Sequence[str], moving: bool) -> View:
    book = book_of(tape)
    view = View(
        bar=bar,
        bars=len(tape.bars),
        numbers=Numbers({name: _defined(value) for name, value in live.at(bar).items()}),
        timezone=tape.bars.timezone,
        sort=sort,
        open=[_row(tape, trade, bar) for trade in reversed(book.open(bar))][:NEWEST],
        closed_count=book.closed_count(bar),
        pending=book.pending(bar)[:NEWEST],
        order_count=book.order_count(bar),
        log_count=book.told_count(bar),
        rests=_confidence(book, bar, moving) if bar else None,
    )
    if "trades" in lists:
        view.closed = [_closed(tape, bar, *closed) for closed in book.closed(bar, NEWEST, sort)]
    if "orders" in lists:
        ended = [order for order in book.orders(bar, NEWEST) if not order.waiting]
        view.orders = [_line(tape, "order", (order.order, order.changed_bar, order.state), order) for order in ended]
    if "log" in lists:
        view.log = [_line(tape, "event", event.number, event) for event in book.told(bar, NEWEST)]
    return view


def _confidence(book: Book, bar: int, moving: bool) -> dict[str, Any]:
    """Return what the result rests on after `bar` bars; while `moving`, also what it did a moment ago."""
    known = _rests.get(book)
    if known is None:
        known = _rests[book] = _Rest(Confidence(book.tape))
    now = time.monotonic()
    if known.bar != bar and not (moving and known.bar < bar and now < known.due):
        known.told, known.bar = known.confidence.at(bar), bar
        done = time.monotonic()
        known.due = done + 20 * (done - now)
    return known.told


@dataclass(slots=True)
class _Rest:
    """The last answer of a Confidence; while the playhead moves it holds until `due`."""

    confidence: Confidence
    bar: int = -1
    due: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)


_rests: WeakKeyDictionary[Book, _Rest] = WeakKeyDictionary()


def _closed(tape: Tape, bar: int, number: int, trade: TradeRecord, total: float) -> Markup:
    known = _kept(tape).get(("trade", number))
    return known or _line(tape, "trade", number, _row(tape, trade, bar, number, total))


def _line(tape: Tape, kind: str, key: Any, shown: Any) -> Markup:
    """Return the row of a list; rows of what is past are rendered once."""
    kept = _kept(tape)
    line = kept.get((kind, key))
    if line is None:
        if len(kept) >= KEPT:
            kept.clear()
        text = getattr(_template("rows").module, kind)(shown)
        line = kept[kind, key] = Markup(_INDENT.sub("", text))  # noqa: S704 (a template escaped it)
    return line


def _kept(tape: Tape) -> dict[tuple[str, Any], Markup]:
    return _lines.setdefault(tape, {})


_INDENT = re.compile(r"\n\s*")
_lines: WeakKeyDictionary[Tape, dict[tuple[str, Any], Markup]] = WeakKeyDictionary()


def _context(view: View) -> dict[str, Any]:
    return {"view": view, "numbers": view.numbers, "groups": GROUPS, "figures": FIGURES, "newest": NEWEST}


def _row(tape: Tape, trade: TradeRecord, bar: int, number: int | None = None, total: float | None = None) -> Row:
    last = bar - 1 if trade.exit_bar is None else trade.exit_bar
    held = slice(trade.entry_bar, last + 1)
    high, low = float(np.max(tape.bars.high[held])), float(np.min(tape.bars.low[held]))
    up, down = high / trade.entry_price - 1, low / trade.entry_price - 1
    best, worst = (up, down) if trade.size > 0 else (-down, -up)
    excursions = max(best, 0.0), min(worst, 0.0)
    return Row(trade, number, total, *excursions, last - trade.entry_bar, tape.bars.timezone)


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
