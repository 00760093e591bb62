"""Reasons: why a trade was entered, and why it was left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.bars import Bars
from engine.errors import ConfigError
from engine.strategy import Strategy
from engine.tape import Event, Tape
from engine.why import words
from engine.why.answer import End, TradeReasons
from engine.why.explain import values_at
from engine.why.study import Asked, Moment, Study

_GUARDS = {"stop-loss": "sl", "take-profit": "tp"}


def trade_reasons(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    trade: int = 1,
    *,
    until: int | None = None,
    indicators: Mapping[str, Mapping[str, Any]] | None = None,
    texts: Mapping[str, str] | None = None,
    breathe: Callable[[], None] | None = None,
) -> TradeReasons:
    """Return why trade `trade`, numbered as on the tape, was entered and left in the first `until` bars (all).

    Raises:
        ConfigError: there is no such trade by then, or a setting is out of range.
        StrategyError: the strategy's `init` failed.
    """
    known = len(bars) if until is None else max(0, min(until, len(bars)))
    first = Study(bars, strategy, params, settings, indicators=indicators, texts=texts, breathe=breathe)
    first.advance_to(known)
    tape = first.tape
    events = _events_of(tape, trade, known)
    opened = next((event for event in events if event.kind == "opened"), None)
    closed = next((event for event in reversed(events) if event.kind in ("closed", "reduced")), None)
    if opened is None:
        raise ConfigError(f"There is no trade {trade} in the first {known:,} bars.", field="trade")
    told = TradeReasons(trade, "long" if (opened.size or 0) > 0 else "short", _end(tape, opened, "entered"))
    told.missing = first.workshop.missing
    told.exit = None if closed is None else _end(tape, closed, "left")
    again = Study(bars, strategy, params, settings, indicators=indicators, texts=texts, breathe=breathe)
    wanted = sorted({end.placed_bar for end in (told.entry, told.exit) if end and end.placed_bar})
    for bar in wanted:
        moment = again.look_at(bar - 1)
        for end, event in ((told.entry, opened), (told.exit, closed)):
            if end is not None and event is not None and end.placed_bar == bar:
                _fill_in(end, event, again, moment)
    return told


def _events_of(tape: Tape, trade: int, known: int) -> list[Event]:
    events, rows = tape.events, tape.events.rows
    return [events[number] for number in events.between(0, known) if rows[number][1:2] == (trade,)]


def _end(tape: Tape, event: Event, verb: str) -> End:
    """Return one end of a trade without its conditions."""
    assert event.price is not None and event.size is not None and event.fill_bar is not None
    at = f"{verb} on bar {event.fill_bar + 1:,} at {words.figure(event.price)}"
    reason = event.reason or ""
    guard = _GUARDS.get(reason)
    if guard:
        how = f"by its {reason}"
    elif reason == "netted":
        how = "by an order the other way"
    elif event.order is None or _placed_bar(tape, event) is None:
        how = reason and f"({reason})"
    else:
        how = "by an order of the strategy"
    part = "" if event.kind != "reduced" else f", {words.figure(abs(event.size))} units of it"
    end = End(event.fill_bar + 1, f"{at}{part} {how}".rstrip() + ".")
    end.filled_values = values_at(tape, event.fill_bar)
    placed = _placed_bar(tape, event)
    if placed is not None:
        end.placed_bar = placed + 1
        end.values = values_at(tape, placed)
        if guard:
            end.words = f"{end.words[:-1]}, set on bar {placed + 1:,}."
    return end


def _placed_bar(tape: Tape, event: Event) -> int | None:
    """Return the bar on which the order that filled was placed, or a stop or target was last moved."""
    if event.order is None:
        return None
    stop, rows = tape.events.between(0, event.bar + 1).stop, tape.events.rows
    for number in range(stop - 1, -1, -1):
        if rows[number][0] == event.order:
            found = tape.events[number]
            moved = found.kind == "changed" and found.reason is None
            if found.order == event.order and (found.kind == "placed" or moved):
                return found.bar
    return None


def _fill_in(end: End, event: Event, study: Study, moment: Moment) -> None:
    asked = _asker(study.tape, moment, event)
    if asked is not None:
        end.line = asked.line
        end.because = moment.because(asked, study.sites)


def _asker(tape: Tape, moment: Moment, event: Event) -> Asked | None:
    """Return what the strategy asked that made the order; of a stop set with its entry, the entry itself is it."""
    for asked in moment.asked:
        for number in range(asked.start, asked.stop):
            if tape.events[number].order == event.order:
                return asked
    return None
