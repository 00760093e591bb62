"""Playback by a fake clock: no test waits."""

from __future__ import annotations

import itertools
import random

import pytest

from engine.errors import ConfigError, StrategyError
from engine.playback import FAILED, FORWARD, JUMP, Conditions, Deck, Playhead, play
from engine.tape import CLOSED, OPENED, REJECTED, Tape
from tests import build


class Clock:
    """A clock that only moves when told; `at` holds what happens while somebody waits, by time."""

    def __init__(self, **_):
        self.now = 100.0
        self.at: list[tuple[float, object]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float | None) -> None:
        """Wait, but return early after what happens first; stop everything when nothing ever will."""
        until = float("inf") if seconds is None else self.now + seconds
        if self.at and self.at[0][0] <= until:
            when, happens = self.at.pop(0)
            self.now = max(self.now, when)
            happens()
        elif seconds is None:
            raise Idle
        else:
            self.now = until


class Idle(Exception):
    """Nothing more will happen."""


class Simulated:
    """A simulation whose bars each take `cost` seconds of `clock`, with trade events where told."""

    def __init__(self, n: int, clock: Clock, *, cost=0.0, events=(), fails=None, closes=None):
        self.tape = Tape(build.bars(closes or [100.0] * n))
        self.clock, self.cost, self.fails = clock, cost, fails
        self.events = dict(events)
        self.longest = 0.0

    @property
    def bar(self) -> int:
        return self.tape.bar

    @property
    def done(self) -> bool:
        return self.tape.bar == len(self.tape.bars)

    def advance(self, n: int) -> None:
        started = self.clock.now
        for bar in range(self.bar, min(self.bar + n, len(self.tape.bars))):
            self.clock.now += self.cost
            if bar == self.fails:
                self.tape.bar = bar + 1
                raise StrategyError("division by zero", file="mine.py", line=3, bar=bar)
            if bar in self.events:
                kind = self.events[bar]
                long = (1, 1, 10, 100.0, 0.0, 0.0, None, None, None, None, False, 0.0, bar)
                self.tape.events.write(
                    bar, kind, (1, None, 10, None, None, None, None, None, "no") if kind == REJECTED else long
                )
            self.tape.bar = bar + 1
        self.longest = max(self.longest, self.clock.now - started)


class Viewer:
    """Plays a simulation and notes when each move came."""

    def __init__(self, n=100, *, events=(), cost=0.0, fails=None, closes=None, **playhead):
        self.clock = Clock()
        self.simulation = Simulated(n, self.clock, events=events, cost=cost, fails=fails, closes=closes)
        self.head = Playhead(**playhead)
        self.moves: list[tuple[float, str, int, int]] = []

    def at(self, seconds: float, control, *args) -> Viewer:
        """Let a control come `seconds` after the start."""
        self.clock.at.append((100.0 + seconds, lambda: control(*args)))
        return self

    def watch(self, reading: float = 0.0, limit: int = 10_000) -> Viewer:
        """Play until it ends, or until nothing more will happen; each move takes the reader some seconds."""
        try:
            for move in itertools.islice(play(self.simulation, self.head, self.clock.sleep, self.clock), limit):
                self.moves.append((round(self.clock.now - 100.0, 9), move.kind, move.frame.start, move.frame.stop))
                self.clock.now += reading
        except Idle:
            pass
        return self

    @property
    def stops(self) -> list[int]:
        return [stop for _, _, _, stop in self.moves]


def test_every_bar_comes_once_at_its_own_deadline():
    viewer = Viewer(100).watch()
    assert [(start, stop) for _, _, start, stop in viewer.moves] == [(bar, bar + 1) for bar in range(100)]
    assert [when for when, *_ in viewer.moves] == pytest.approx([bar * 0.05 for bar in range(100)])


def test_a_slow_reader_does_not_delay_the_end():
    viewer = Viewer(100).watch(reading=0.03)
    assert viewer.moves[-1][0] == pytest.approx(99 * 0.05)


def test_a_reader_slower_than_the_bars_gets_bigger_frames_and_the_same_end():
    viewer = Viewer(100).watch(reading=0.12)
    assert viewer.stops[-1] == 100
    assert len(viewer.moves) < 50
    assert viewer.moves[-1][0] == pytest.approx(99 * 0.05, abs=0.12)


@pytest.mark.parametrize(("speed", "bars"), [(0.25, 1), (1, 1), (2, 1), (3, 1), (5, 4), (10, 7), (100, 67)])
def test_fast_speeds_bundle_bars_into_at_most_sixty_frames_a_second(speed, bars):
    viewer = Viewer(2000, speed=speed).watch(limit=20)
    sizes = [stop - start for _, _, start, stop in viewer.moves[1:]]
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(viewer.moves[1:])]
    assert set(sizes) == {bars}
    assert gaps == pytest.approx([bars * 0.05 / speed] * len(gaps))
    assert min(gaps) >= 1 / 60 - 1e-6


def test_instant_plays_everything_in_one_frame_when_it_is_quick():
    viewer = Viewer(122, speed="instant").watch()
    assert viewer.moves == [(0.0, FORWARD, 0, 122)]


def test_instant_looks_at_the_controls_every_twenty_milliseconds_and_shows_four_frames_a_second():
    viewer = Viewer(100_000, speed="instant", cost=1e-5, hold=True)
    viewer.at(0.5, viewer.head.pause).watch()
    assert viewer.simulation.longest <= 0.02
    assert viewer.head.status == "paused"
    assert viewer.moves[-1][0] <= 0.53
    assert len(viewer.moves) <= 3


def test_a_stopped_process_gives_no_burst():
    viewer = Viewer(100)
    viewer.at(1.02, lambda: setattr(viewer.clock, "now", viewer.clock.now + 30)).watch()
    sizes = [stop - start for _, _, start, stop in viewer.moves]
    assert max(sizes) == 1
    assert viewer.moves[-1][0] == pytest.approx(99 * 0.05 + 30, abs=0.06)


def test_pause_holds_the_bar_and_play_goes_on_without_a_jump():
    viewer = Viewer(100)
    viewer.at(1.01, viewer.head.pause).at(5.0, viewer.head.play).watch()
    assert viewer.stops == list(range(1, 101))
    assert viewer.moves[21][0] == pytest.approx(5.05)


def test_a_change_of_speed_neither_interrupts_nor_jumps():
    viewer = Viewer(100)
    viewer.at(1.03, viewer.head.set_speed, 2).watch()
    when = [moment for moment, *_ in viewer.moves]
    assert viewer.stops == list(range(1, 101))
    assert when[20:23] == pytest.approx([1.0, 1.04, 1.065])  # the bar due at 1.05 was 0.6 over


def test_many_changes_of_speed_a_second_do_not_hold_it_back():
    viewer = Viewer(100)
    for n in range(40):
        viewer.at(0.1 + n * 0.01, viewer.head.set_speed, 2 if n % 2 else 1)
    assert viewer.watch().moves[-1][0] < 99 * 0.05


def test_step_pauses_and_moves_by_bars_both_ways():
    viewer = Viewer(100)
    viewer.at(1.01, viewer.head.step, 1).at(2, viewer.head.step, -5).at(3, viewer.head.step, 10).watch()
    assert [(kind, start, stop) for _, kind, start, stop in viewer.moves[21:]] == [
        (FORWARD, 21, 22), (JUMP, 17, 17), (FORWARD, 17, 27),
    ]  # fmt: skip
    assert viewer.head.status == "paused"


def test_steps_that_come_together_add_up():
    viewer = Viewer(100, playing=False)
    for _ in range(3):
        viewer.head.step(2)
    assert viewer.watch().stops == [6]


def test_step_stays_within_the_run():
    viewer = Viewer(10, playing=False, hold=True)
    viewer.at(1, viewer.head.step, -3).at(2, viewer.head.step, 99).watch()
    assert viewer.stops == [0, 10]
    assert viewer.head.status == "finished"


def test_seek_goes_there_and_keeps_playing():
    viewer = Viewer(100)
    viewer.at(1.01, viewer.head.seek, 80).at(1.08, viewer.head.seek, 10).watch(limit=26)
    assert [(kind, stop) for _, kind, _, stop in viewer.moves[20:26]] == [
        (FORWARD, 21), (JUMP, 80), (FORWARD, 81), (JUMP, 10), (FORWARD, 11), (FORWARD, 12),
    ]  # fmt: skip


def test_seek_keeps_a_pause():
    viewer = Viewer(100, playing=False)
    viewer.at(1, viewer.head.seek, 50).watch()
    assert viewer.stops == [50]
    assert viewer.head.status == "paused"


def test_a_control_overrides_a_seek_that_is_still_simulating():
    viewer = Viewer(100_000, cost=1e-4, playing=False, hold=True)
    viewer.at(1, viewer.head.seek, 90_000).at(1.1, viewer.head.seek, 3).watch()
    assert viewer.stops == [3]
    assert viewer.moves[0][0] <= 1.2


def test_idle_time_simulates_ahead_so_that_a_seek_is_quick():
    viewer = Viewer(20_000, cost=1e-5, playing=False)
    viewer.at(2, viewer.head.seek, 19_000).watch()
    assert viewer.moves == [(pytest.approx(2, abs=0.001), JUMP, 0, 19_000)]


def test_nothing_ahead_of_the_playhead_is_in_a_frame():
    viewer = Viewer(1000).watch(limit=5)
    assert viewer.simulation.bar > 5
    assert viewer.stops == [1, 2, 3, 4, 5]


def test_play_at_the_end_starts_again():
    viewer = Viewer(3, hold=True)
    viewer.at(5, viewer.head.play).watch()
    assert viewer.stops == [1, 2, 3, 0, 1, 2, 3]
    assert viewer.head.status == "finished"


def test_restart_plays_from_before_the_first_bar():
    viewer = Viewer(20)
    viewer.at(0.51, viewer.head.restart).watch()
    assert viewer.stops == [*range(1, 12), 0, *range(1, 21)]


def test_to_the_end_goes_there_at_once():
    viewer = Viewer(5000, hold=True)
    viewer.at(0.51, viewer.head.end_at_once).watch()
    assert viewer.moves[-1][1:] == (JUMP, 11, 5000)
    assert viewer.head.status == "finished"


def test_stop_ends_the_loop():
    viewer = Viewer(100)
    viewer.at(0.51, viewer.head.stop).watch()
    assert viewer.stops == list(range(1, 12))


TRADED = ((10, OPENED), (20, CLOSED), (30, OPENED), (40, REJECTED))


@pytest.mark.parametrize(("condition", "bar"), [("entry", 11), ("exit", 21), ("rejected", 41)])
@pytest.mark.parametrize("speed", [1, 50, "instant"])
def test_play_pauses_exactly_where_a_condition_is_met(condition, bar, speed):
    viewer = Viewer(100, events=TRADED, speed=speed, hold=True)
    viewer.head.pause_on(Conditions(**{condition: True}))
    viewer.watch()
    assert viewer.stops[-1] == bar
    assert (viewer.head.status, viewer.head.reason) == ("paused", condition)


def test_play_goes_on_from_a_condition_to_the_next_one():
    viewer = Viewer(100, events=TRADED, speed="instant", hold=True)
    viewer.head.pause_on(Conditions(entry=True))
    viewer.at(1, viewer.head.play).at(2, viewer.head.play).watch()
    assert viewer.stops == [11, 31, 100]


def test_drawdown_pauses_at_the_bar_that_crosses_it_and_only_there():
    closes = [100, 120, 115, 107, 100, 119, 121, 108, 130]
    viewer = Viewer(9, closes=closes, hold=True)
    viewer.simulation.tape.ledger.write(0, 100.0, 1.0, 100.0)  # one unit, bought at 100: equity is the close
    viewer.head.pause_on(Conditions(drawdown=0.1))
    viewer.at(5, viewer.head.play).at(10, viewer.head.play).watch()
    paused = [stop for (_, _, _, stop), following in itertools.zip_longest(viewer.moves, viewer.moves[1:])
              if following is None or following[0] - _time_of(viewer, stop) > 1]  # fmt: skip
    assert paused == [4, 8, 9]


def _time_of(viewer: Viewer, stop: int) -> float:
    return next(when for when, _, _, at in viewer.moves if at == stop)


def test_next_and_previous_event_pause_at_trades():
    viewer = Viewer(100, events=TRADED, hold=True)
    for second, control in enumerate(["next_event"] * 4 + ["previous_event"] * 4, start=1):
        viewer.at(second, getattr(viewer.head, control))
    viewer.watch()
    assert [stop for _, kind, _, stop in viewer.moves if kind == JUMP] == [21, 31, 100, 100, 31, 21, 11, 1]
    assert viewer.head.status == "paused"


def test_a_strategy_that_fails_ends_play_at_its_bar():
    viewer = Viewer(100, fails=37)
    with pytest.raises(StrategyError, match="division"):
        viewer.watch()
    assert viewer.stops == list(range(1, 39))
    assert viewer.head.status == "failed"


def test_a_failure_ahead_of_the_playhead_is_not_told_before_it_is_due():
    viewer = Viewer(100, fails=37, hold=True)
    viewer.at(1.01, viewer.head.pause).at(8, viewer.head.step, 16).at(9, viewer.head.step, 5).watch()
    assert [(kind, stop) for _, kind, _, stop in viewer.moves[20:]] == [
        (FORWARD, 21), (FORWARD, 37), (FORWARD, 38), (FAILED, 38),
    ]  # fmt: skip


def test_a_failed_run_can_still_be_rewound_and_played():
    viewer = Viewer(100, fails=37, hold=True, speed="instant")
    viewer.at(1, viewer.head.seek, 30).at(2, viewer.head.play).at(3, viewer.head.next_event).watch()
    assert [(kind, stop) for _, kind, _, stop in viewer.moves] == [
        (FORWARD, 38), (FAILED, 38), (JUMP, 30), (FORWARD, 38), (JUMP, 38),
    ]  # fmt: skip
    assert viewer.head.status == "failed"


def test_a_reader_that_acknowledges_is_never_more_than_a_second_behind():
    viewer = Viewer(100)
    viewer.head.acknowledge(0)
    viewer.watch()
    assert viewer.stops[-1] == 20
    assert viewer.at(50, viewer.head.acknowledge, 20).watch().stops[-1] == 40


def test_a_move_carries_no_more_than_the_most():
    viewer = Viewer(1000, speed="instant", most=256).watch()
    assert viewer.stops == [256, 512, 768, 1000]


@pytest.mark.parametrize("speed", [0, 0.1, 101, -1, float("nan"), "fast", True, None])
def test_a_speed_that_is_not_offered_is_refused(speed):
    with pytest.raises(ConfigError, match="not offered"):
        Playhead(speed)


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_controls_leads_to_the_same_end(seed):
    chance = random.Random(seed)
    viewer = Viewer(200, events=TRADED, hold=True, cost=1e-5)
    head = viewer.head
    for n in range(200):
        control, *args = chance.choice([
            (head.play,), (head.pause,), (head.step, chance.randint(-20, 20)), (head.seek, chance.randint(0, 200)),
            (head.set_speed, chance.choice([0.25, 1, 5, 100, "instant"])), (head.next_event,), (head.previous_event,),
            (head.restart,), (head.end_at_once,),
        ])  # fmt: skip
        viewer.at(n * 0.07, control, *args)
    viewer.at(20, head.seek, 0).at(21, head.set_speed, 100).at(22, head.play).watch()
    shown = 0
    for _, kind, start, stop in viewer.moves:
        assert kind == JUMP or start == shown  # what is appended follows what is shown
        shown = stop
    assert shown == 200
    assert head.status == "finished"


# Turns that another thread may take


def test_a_turn_is_due_by_the_clock_only_while_the_tape_holds_it():
    clock = Clock()
    simulation = Simulated(10, clock)
    head = Playhead()
    deck = Deck(simulation, head, clock)
    assert deck.due() is None  # nothing is simulated
    simulation.advance(3)
    assert deck.due() == pytest.approx(100.0)
    for bar in (1, 2, 3):
        move = deck.turn(budget=0)
        assert (move.frame.start, move.frame.stop) == (bar - 1, bar)
        clock.now += 0.05
    assert deck.due() is None
    assert deck.turn(budget=0) is None
    assert simulation.bar == 3  # no budget, no simulation
    assert deck.turn().frame.stop == 4


@pytest.mark.parametrize(
    "control",
    [
        lambda head: head.pause(),
        lambda head: head.seek(5),
        lambda head: head.set_speed("instant"),
        lambda head: head.stop(),
        lambda head: head.acknowledge(0) or head.advance(20),
    ],
    ids=["paused", "travelling", "instant", "stopped", "out of credit"],
)
def test_what_keeps_no_time_is_not_due_by_the_clock(control):
    clock = Clock()
    simulation = Simulated(100, clock)
    head = Playhead()
    deck = Deck(simulation, head, clock)
    simulation.advance(100)
    assert deck.due() is not None
    control(head)
    assert deck.due() is None
