"""Tape: what stood at a bar, frames, and a twin rebuilt from plain data."""

from dataclasses import replace

import numpy as np

from engine.tape import KINDS, Events, Tape
from tests.build import bars, ohlc
from tests.engine.scripted import played

CALM = (100, 101, 99, 100)


def some_run():
    deeds = {
        1: lambda s: s.buy(size=4, sl=90),
        3: lambda s: s.position.close(0.5),
        4: lambda s: s.sell(size=1, limit=120),
        5: lambda s: s.position.close(),
    }
    return played(bars([100, 100, 101, 102, 103, 104, 105, 106]), deeds, commission=0.001)


def test_the_record_at_a_bar_knows_nothing_later():
    tape = some_run().tape
    assert [len(tape.trades(bar)) for bar in range(9)] == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert [t.is_open for t in tape.trades(5)] == [False, True]
    assert [t.size for t in tape.trades(5)] == [2, 2]
    assert [order.limit for order in tape.pending(6) if order.kind == "limit"] == [120]
    assert [order.kind for order in tape.pending(2)] == ["market"]
    assert tape.position_at(4).size == 4
    assert tape.position_at(4).pnl == 4 * (102 - 100)
    assert tape.position_at(8).side is None


def test_columns_follow_the_fills():
    tape = some_run().tape
    assert tape.position().tolist() == [0, 0, 4, 4, 2, 2, 0, 0]
    assert np.allclose(tape.equity(), tape.cash() + tape.position() * tape.bars.close)
    assert np.array_equal(tape.equity(3, 6), tape.equity()[3:6])
    assert tape.equity(6, 3).size == 0


def test_a_frame_is_cut_at_what_has_happened():
    simulation = played(ohlc(CALM, CALM, CALM), {1: lambda s: s.buy(size=1)})
    tape = replace(simulation.tape, bar=2)
    frame = tape.frame(0, 99)
    assert (frame.start, frame.stop, len(frame)) == (0, 2, 2)
    assert frame.close.tolist() == [100, 100]
    assert [event.kind for event in frame.events] == ["placed"]


def test_a_twin_is_rebuilt_from_plain_blocks():
    tape = some_run().tape
    events = Events()
    kinds, at, rows = tape.events.plain()
    half = len(kinds) // 2
    events.extend(kinds[:half], at[:half], rows[:half])
    events.extend(*tape.events.plain(half))
    twin = Tape(tape.bars, tape.declared, tape.initial_balance, dict(tape.settings), tape.ledger, events, tape.bar)
    assert twin.frame(0, 8) == tape.frame(0, 8)
    assert twin.trades() == tape.trades()


def test_a_column_of_events_is_that_of_their_rows():
    events = some_run().tape.events
    rows = events.rows
    everything = range(len(events))
    assert [KINDS[kind] for kind in events.kinds(everything)] == [event.kind for event in events]
    assert events.bars(everything).tolist() == [event.bar for event in events]
    for cell in range(13):
        numbers = [number for number in everything if cell < len(rows[number])]
        assert events.column(np.array(numbers), cell) == [rows[number][cell] for number in numbers]
        assert events.column(np.array(numbers[3:7]), cell) == [rows[number][cell] for number in numbers[3:7]]
    assert events.column(np.array([], dtype=int), 0) == []


def test_events_are_numbered_and_ascend():
    events = some_run().tape.events
    assert [event.number for event in events] == list(range(len(events)))
    assert [event.bar for event in events] == sorted(event.bar for event in events)
    assert events[-1] == events[len(events) - 1]
    assert events[2:4] == list(events)[2:4]


def test_signals_are_the_entries_and_exits():
    tape = some_run().tape
    assert [(s.bar, s.kind, s.size) for s in tape.signals()] == [(2, "entry", 4), (4, "exit", 2), (6, "exit", 2)]
    assert tape.signals(0, 4) == tape.signals()[:1]
