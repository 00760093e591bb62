"""Explain: why the strategy traded at a bar, or why it did not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.bars import Bars
from engine.errors import ConfigError
from engine.orders import CLOSING, ENTRY, STOP_LOSS, Order
from engine.strategy import Strategy
from engine.tape import Event, Tape
from engine.why import tell, words
from engine.why.answer import Condition, Explanation, Line, Placed, Source, Value
from engine.why.probes import Recorder
from engine.why.study import Moment, Study
from engine.why.swap import File

_ENDS = ("filled", "rejected", "cancelled", "expired")


def explain(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    bar: int = -1,
    *,
    until: int | None = None,
    indicators: Mapping[str, Mapping[str, Any]] | None = None,
    texts: Mapping[str, str] | None = None,
    breathe: Callable[[], None] | None = None,
) -> Explanation:
    """Return what the strategy saw and decided at bar `bar`, an index from 0 (below 0: from the end).

    Args:
        settings: the broker's, as keywords of `Simulation`.
        until: so many bars may be known, at least `bar` + 1; what later ones made of the orders is not told.
        texts: sources by file name, where a file is not what the strategy was made from.
        breathe: called now and then while it plays.
    Raises:
        ConfigError: there is no such bar, or a setting is out of range.
        StrategyError: the strategy's `init` failed.
    """
    bar = bar_index(bars, bar)
    known = len(bars) if until is None else max(bar + 1, min(until, len(bars)))
    study = Study(bars, strategy, params, settings, indicators=indicators, texts=texts, breathe=breathe)
    moment = study.look_at(bar)
    return _Teller(study, moment).explanation(known)


def bar_index(bars: Bars, bar: int) -> int:
    """Return the index of a bar.

    Raises:
        ConfigError: there is no such bar.
    """
    at = bar + len(bars) if bar < 0 else bar
    if not 0 <= at < len(bars):
        raise ConfigError(f"There is no bar {bar + 1}: the run has {len(bars)} bars.", field="bar")
    return at


class _Teller:
    """Puts a moment into words."""

    def __init__(self, study: Study, moment: Moment):
        self.study = study
        self.moment = moment
        self.tape = study.tape
        self.bar = moment.bar
        self.close = float(study.tape.bars.close[moment.bar])

    def explanation(self, until: int) -> Explanation:
        """Return the answer; bars up to `until` may be known."""
        moment, bars = self.moment, self.tape.bars
        told = Explanation(self.bar + 1, len(bars), int(bars.time[self.bar]), moment.called, error=moment.error)
        told.values = values_at(self.tape, self.bar)
        if not moment.called:
            told.verdict = self._not_called()
            return told
        recorder = moment.recorder
        assert recorder is not None
        told.missing = self.study.workshop.missing
        told.sources = self._sources(recorder)
        told.conditions = tell.conditions(recorder.seen, self.study.sites)
        told.left_out = recorder.left_out
        waiting, held = self._waiting(), self._held()
        told.placed, told.changes = self._asked(until)
        told.notes = [*held, *waiting, *self._row()]
        told.verdict = self._verdict(told)
        return told

    def _not_called(self) -> str:
        tape, failure = self.tape, self.study.failure
        if self.bar < tape.first_bar:
            late = [i.name for i in tape.declared if len(i.values) > self.bar and np.isnan(i.values[self.bar])]
            why = f"{' and '.join(late[:4])} {'has' if len(late) == 1 else 'have'} no value yet" if late else ""
            first = f"next() is first called on bar {tape.first_bar + 1:,}"
            if tape.first_bar >= len(tape.bars):
                first = f"next() is never called: the warm-up is as long as the run, {len(tape.bars):,} bars"
            return f"Still warming up{f': {why}' if why else ''}. {first}."
        if failure is not None:
            return f"The strategy had stopped: {failure.message}"
        if self.study.simulation.broker.ruined:
            return "The account was ruined, so the strategy is not asked any more."
        return "next() was not called on this bar."

    def _sources(self, recorder: Recorder) -> list[Source]:
        found = []
        for number, file in enumerate(self.study.workshop.files):
            ran = {line: count for (home, line), count in recorder.lines.items() if home == number}
            for (name, _), (first, last) in file.rewritten.bodies.items():
                if any(first <= line <= last for line in ran) and not _inside_another(file, first, last):
                    found.append(Source(name, _file_name(file.name), _lines(file, first, last, ran)))
        return sorted(found, key=lambda source: not source.name.endswith(".next"))

    def _held(self) -> list[str]:
        return [
            f"A {'long' if t.size > 0 else 'short'} trade of {words.figure(abs(t.size))} units is open since bar "
            f"{t.entry_bar + 1:,}, at {words.figure(t.entry_price)}."
            for t in self.moment.held[:5]
        ]

    def _waiting(self) -> list[str]:
        """Return what rests at the broker from earlier bars, and how far it is from trading."""
        new = {event.order for event in self._own_events() if event.kind == "placed"}
        old = [order for order in self.moment.waiting if order.id not in new]
        told = []
        for order in old[:6]:
            level = order.stop if order.stop is not None else order.limit
            if level is None:
                continue
            what = {STOP_LOSS: "stop-loss", STOP_LOSS + 1: "take-profit"}.get(order.role, _kind(order))
            told.append(f"A {what} at {words.figure(level)} rests {distance(level, self.close)}.")
        return told

    def _row(self) -> list[str]:
        """Return what the arrays of a vectorised strategy say for this bar."""
        from engine.lib import SignalStrategy  # here, for it stands above most of the engine

        if not issubclass(self.study.strategy, SignalStrategy):
            return []
        row = [f"{v.name} {v.text}" for v in values_at(self.tape, self.bar) if v.name in ("entry size", "exit portion")]
        return [f"The row of the arrays: {', '.join(row)}."] if row else ["No arrays were set."]

    def _own_events(self) -> list[Event]:
        """Return what the strategy itself caused at the bar, as opposed to what the bar did to its orders."""
        events = self.tape.events
        return [event for asked in self.moment.asked for event in events[asked.start : asked.stop]]

    def _asked(self, until: int) -> tuple[list[Placed], list[str]]:
        events, told, changes = self.tape.events, [], []
        orders: dict[Any, tuple[Event, Any]] = {}
        for asked in self.moment.asked:
            made = events[asked.start : asked.stop]
            orders |= {e.order: (e, asked) for e in made if e.kind == "placed" and e.order not in orders}
            for event in made:
                known = event.order in orders or (event.order is None and any(e.kind == "placed" for e in made))
                if event.kind in ("changed", "cancelled") and not known:
                    changes.append(_changed(event, asked.line))
        fates = self._fates(set(orders), until)
        for number, (event, asked) in orders.items():
            state, fate, bar = self._fate(event, fates.get(number), until)
            because = self.moment.because(asked, self.study.sites)
            told.append(Placed(number, _order_words(event), asked.line, state, fate, bar, because))
        return told, list(dict.fromkeys(changes))

    def _fates(self, orders: set[int], until: int) -> dict[int, Event]:
        """Play on, in growing steps, until the bars are used up or every order has met its end."""
        fates: dict[int, Event] = {}
        at, step = self.moment.first_event, 1
        events = self.tape.events
        while True:
            for event in events[at:]:
                if event.order in orders and event.kind in _ENDS and event.bar < until:
                    fates.setdefault(event.order, event)
            at = len(events)
            reached = self.study.simulation.bar
            if len(fates) == len(orders) or reached >= until or self.study.failure is not None:
                return fates
            self.study.advance_to(min(reached + step, until))
            step *= 4

    def _fate(self, placed: Event, end: Event | None, until: int) -> tuple[str, str, int | None]:
        if end is None:
            if until <= self.bar + 1:
                return "waiting", "it first meets the market on the next bar", None
            level = placed.stop if placed.stop is not None else placed.limit
            close = float(self.tape.bars.close[until - 1])
            away = f": {words.figure(level)} is {distance(level, close)}" if level is not None else ""
            return "waiting", f"still waiting on bar {until:,}{away}", None
        if end.kind == "filled":
            assert end.price is not None and end.size is not None and end.fill_bar is not None
            size = words.figure(abs(end.size))
            return "filled", f"filled: {size} at {words.figure(end.price)} on bar {end.fill_bar + 1:,}", end.bar + 1
        reason = f": {end.reason}" if end.reason else ""
        return end.kind, f"{end.kind} on bar {end.bar + 1:,}{reason}", end.bar + 1

    def _verdict(self, told: Explanation) -> str:
        if told.error:
            return told.error
        if told.placed:
            said = " ".join(f"{p.words[:1].upper()}{p.words[1:]}: {p.fate}." for p in told.placed[:3])
            return said + (f" And {len(told.placed) - 3} more." if len(told.placed) > 3 else "")
        if told.changes:
            return f"No new order; {told.changes[0]}."
        if told.missing:
            return "No order was placed."
        if stops := _stops(told.conditions):
            return "No order: " + "; ".join(f"{_with_detail(c)} (line {c.line})" for c in stops[:3]) + "."
        taken = [c for c in told.conditions if c.outcome and c.kind == "case" and not c.orders]
        if taken:
            subject = next(c for c in told.conditions if c.kind == "match" and taken[-1].depth == c.depth + 1)
            return f"No order: `{subject.text}` {subject.detail}: the case `{taken[-1].text}` (line {taken[-1].line})."
        returned = [c for c in told.conditions if c.outcome and c.depth == 0 and c.role in ("if", "elif")]
        if returned:
            return (
                f"No order: next() went the way of line {returned[-1].line}, `{returned[-1].text}`, which places none."
            )
        return "No order: no line that places one was reached."


def _stops(conditions: list[Condition]) -> list[Condition]:
    """Return the conditions that kept orders from being placed; states only if nothing else did."""
    guards = [at for at, c in enumerate(conditions) if c.orders and c.outcome is False and c.depth == 0]
    failed = [conditions[_failed(conditions, at)] for at in guards]
    return [c for c in failed if c.kind in ("compare", "call")] or failed


def _failed(conditions: list[Condition], at: int) -> int:
    """Return the place of the part that a condition failed at: of an `or`, in the `and` that came furthest."""
    parts = _parts(conditions, at)
    if conditions[at].kind == "any":
        came = {part: sum(conditions[inner].outcome is True for inner in _parts(conditions, part)) for part in parts}
        best = max(came, key=lambda part: came[part], default=at)
        return _failed(conditions, best) if came.get(best) and conditions[best].kind == "all" else at
    if conditions[at].kind == "all":
        return next((_failed(conditions, part) for part in parts if conditions[part].outcome is False), at)
    return at


def _parts(conditions: list[Condition], at: int) -> list[int]:
    """Return the places of a condition's own parts."""
    depth, places = conditions[at].depth, []
    for place in range(at + 1, len(conditions)):
        if conditions[place].depth <= depth:
            break
        if conditions[place].depth == depth + 1:
            places.append(place)
    return places


def _with_detail(condition: Condition) -> str:
    return f"`{condition.text}` was no{f' ({condition.detail})' if condition.detail else ''}"


def values_at(tape: Tape, bar: int) -> list[Value]:
    """Return the close and every indicator at a bar, as text."""
    values = [Value("Close", words.figure(float(tape.bars.close[bar])))]
    for indicator in tape.declared:
        value = float(indicator.values[bar])
        values.append(Value(indicator.name, "–" if math.isnan(value) else words.figure(value)))
    return values


def distance(level: float, close: float) -> str:
    """Return how far a price is from the close, in words."""
    gap = (level - close) / close * 100 if close else 0.0
    return f"{abs(gap):.2g} % {'above' if gap >= 0 else 'below'} the close of {words.figure(close)}"


def _order_words(event: Event) -> str:
    assert event.size is not None
    side = "buy" if event.size > 0 else "sell"
    size = abs(event.size)
    amount = f"{words.figure(size)} units" if size >= 1 else f"{size * 100:.4g} % of what is available"
    if event.trade is not None and event.reason not in ("sl", "tp"):
        amount = f"{amount} to close trade {event.trade}"
    levels = {"limit": event.limit, "stop": event.stop, "stop-loss": event.sl, "take-profit": event.tp}
    at = "".join(f", {name} {words.figure(level)}" for name, level in levels.items() if level is not None)
    kind = {"sl": " as stop-loss", "tp": " as take-profit"}.get(event.reason or "", "")
    tag = f" ({words.show(event.tag)})" if event.tag is not None and event.trade is None else ""
    market = "" if event.limit or event.stop else " at the market"
    return f"{side} {amount}{market}{kind}{at}{tag}"


def _changed(event: Event, line: int | None) -> str:
    where = f" (line {line})" if line else ""
    if event.kind == "cancelled":
        return f"order {event.order} was cancelled: {event.reason}{where}"
    trade = f"trade {event.trade}"
    if event.order is None:
        levels = {"stop-loss": event.sl, "take-profit": event.tp}
        at = " and ".join(f"a {name} at {words.figure(level)}" for name, level in levels.items() if level is not None)
        return f"{trade} now has {at or 'neither stop-loss nor take-profit'}{where}"
    name, level = ("take-profit", event.limit) if event.stop is None else ("stop-loss", event.stop)
    what = f"the {name} of {trade}" if event.trade is not None else f"order {event.order}"
    return f"{what} was moved to {words.figure(level or 0.0)}{where}"


def _kind(order: Order) -> str:
    way = "buy" if order.size > 0 else "sell"
    closing = " to close" if order.role == CLOSING else ""
    assert order.role in (ENTRY, CLOSING, STOP_LOSS, STOP_LOSS + 1)
    kind = "stop" if order.stop is not None else "limit" if order.limit is not None else "market"
    return f"{way} {kind}{closing}"


def _inside_another(file: File, first: int, last: int) -> bool:
    """Say whether a function stands within another, whose lines show it already."""
    return any((a < first and last <= b) for a, b in file.rewritten.bodies.values())


def _lines(file: File, first: int, last: int, ran: Mapping[int, int]) -> list[Line]:
    starts = {span.line for span in file.rewritten.spans}
    text = file.text.splitlines()[first - 1 : last]
    indent = min((len(row) - len(row.lstrip()) for row in text if row.strip()), default=0)
    return [Line(n, row[indent:].rstrip(), ran.get(n, 0) if n in starts else None) for n, row in enumerate(text, first)]


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
