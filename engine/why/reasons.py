"""Reasons: why trades were entered, and why they were left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.bars import Bars
from engine.errors import ConfigError
from engine.strategy import Strategy
from engine.tape import Event, Tape
from engine.why import tell, words
from engine.why.answer import End, ListReasons, TradeReasons
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
    **options: Any,
) -> TradeReasons:
    """Return why trade `trade`, numbered as on the tape, was entered and left in the first `until` bars (all).

    `options` are those of `list_reasons`.

    Raises:
        ConfigError: there is no such trade by then, or a setting is out of range.
        StrategyError: the strategy's `init` failed.
    """
    told = list_reasons(bars, strategy, params, settings, [trade], until=until, **options)
    if not told.rows:
        known = len(bars) if until is None else max(0, min(until, len(bars)))
        raise ConfigError(f"There is no trade {trade} in the first {known:,} bars.", field="trade")
    return next((row for row in reversed(told.rows) if row.exit is not None), told.rows[-1])


def list_reasons(
    bars: Bars,
    strategy: type[Strategy],
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    trades: Sequence[int] = (),
    *,
    until: int | None = None,
    indicators: Mapping[str, Mapping[str, Any]] | None = None,
    texts: Mapping[str, str] | None = None,
    breathe: Callable[[], None] | None = None,
) -> ListReasons:
    """Return why each of `trades` was entered, and why it was left at each of its exits, by bar `until` (the last).

    Trades that are not there by then are left out. It takes two runs, however many trades there are.

    Raises:
        ConfigError: a setting is out of range.
        StrategyError: the strategy's `init` failed.
    """
    known = len(bars) if until is None else max(0, min(until, len(bars)))
    first = Study(bars, strategy, params, settings, indicators=indicators, texts=texts, breathe=breathe)
    first.advance_to(known)
    told = ListReasons(missing=first.workshop.missing)
    asked: list[tuple[End, Event]] = []
    for trade, events in _events_of(first.tape, trades, known).items():
        _list_ends(told, trade, events, asked, first.tape)
    again = Study(bars, strategy, params, settings, indicators=indicators, texts=texts, breathe=breathe)
    for bar in sorted({end.placed_bar for end, _ in asked if end.placed_bar}):
        moment = again.look_at(bar - 1)
        for end, event in asked:
            if end.placed_bar == bar:
                _fill_in(end, event, again, moment)
    return told


def _list_ends(told: ListReasons, trade: int, events: list[Event], asked: list[tuple[End, Event]], tape: Tape) -> None:
    """Add a row for each exit of a trade, and one for what is open of it; note the ends that are to be explained."""
    opened = next((event for event in events if event.kind == "opened"), None)
    if opened is None:
        return
    entry, side = _end(tape, opened, "entered"), "long" if (opened.size or 0) > 0 else "short"
    asked.append((entry, opened))
    for event in events:
        if event.kind in ("closed", "reduced"):
            end = _end(tape, event, "left")
            asked.append((end, event))
            told.rows.append(TradeReasons(trade, side, entry, end, told.missing))
    if events[-1].kind != "closed" and not any(event.kind == "closed" for event in events):
        told.rows.append(TradeReasons(trade, side, entry, None, told.missing))


def _events_of(tape: Tape, trades: Sequence[int], known: int) -> dict[int, list[Event]]:
    events, rows = tape.events, tape.events.rows
    found: dict[int, list[Event]] = {trade: [] for trade in trades}
    for number in events.between(0, known):
        row = rows[number]
        if len(row) > 1 and isinstance(row[1], int) and row[1] in found:
            found[row[1]].append(events[number])
    return found


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
    end = End(event.fill_bar + 1, f"{at}{part} {how}".rstrip() + ".", how)
    end.filled_values = values_at(tape, event.fill_bar)
    placed = _placed_bar(tape, event)
    if placed is not None:
        end.placed_bar = placed + 1
        end.values = values_at(tape, placed)
        if guard:
            end.how = f"{how}, set on bar {placed + 1:,}"
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
        end.telling = tell.telling(end.because)


def _asker(tape: Tape, moment: Moment, event: Event) -> Asked | None:
    """Return what the strategy asked that made the order; of a stop set with its entry, the entry itself is it."""
    for asked in moment.asked:
        for number in range(asked.start, asked.stop):
            if tape.events[number].order == event.order:
                return asked
    return None
