"""The pacer: due times without a clock that anybody waits for, and nobody's trouble but his own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from webapp import pacer as pacer_module
from webapp.pacer import Floor, Pacer

PATIENCE = 20  # seconds


def test_turns_are_played_in_the_order_in_which_they_fall_due():
    pacer, played, done = Pacer(), [], threading.Event()
    start = time.monotonic() + 0.05

    def player(name: str, *later: float):
        times = iter(later)

        def turn() -> float | None:
            played.append(name)
            after = next(times, None)
            return None if after is None else start + after

        return turn

    pacer.lend(player("b", 0.03, 0.05), done.set, start + 0.01)
    pacer.lend(player("a", 0.02, 0.04), lambda: None, start)
    assert done.wait(PATIENCE)
    assert played == ["a", "b", "a", "b", "a", "b"]


def test_a_turn_that_is_due_later_waits_for_nobody_who_is_due_sooner():
    pacer, played = Pacer(), threading.Event()
    pacer.lend(lambda: None, lambda: None, time.monotonic() + 3600)
    pacer.lend(lambda: None, played.set, time.monotonic())
    assert played.wait(PATIENCE)


def test_what_fails_in_a_turn_is_its_owners_alone():
    pacer, woken, played = Pacer(), threading.Event(), threading.Event()

    def fail() -> float | None:
        raise ConnectionResetError("gone")

    lease = pacer.lend(fail, woken.set, time.monotonic())
    other = pacer.lend(lambda: played.set() or time.monotonic() + 0.001, lambda: None, time.monotonic())
    assert woken.wait(PATIENCE)
    with pytest.raises(ConnectionResetError):
        lease.end()
    played.clear()
    assert played.wait(PATIENCE)
    other.end()


def test_no_turn_is_played_once_the_lease_has_ended():
    pacer, begun, finish, ended = Pacer(), threading.Event(), threading.Event(), threading.Event()
    turns: list[bool] = []

    def turn() -> float:
        begun.set()
        finish.wait(PATIENCE)
        turns.append(ended.is_set())
        return 0.0

    lease = pacer.lend(turn, lambda: None, 0.0)
    assert begun.wait(PATIENCE)
    thread = threading.Thread(target=lambda: (lease.end(), ended.set()))
    thread.start()
    thread.join(0.05)
    assert not ended.is_set()  # a turn is being played
    finish.set()
    thread.join(PATIENCE)
    after = threading.Event()
    pacer.lend(lambda: None, after.set, 0.0)  # comes after what was due before
    assert after.wait(PATIENCE)
    count = len(turns)
    assert turns == [False] * count
    assert not lease.play()
    assert len(turns) == count


# Streams that compute


def test_a_stream_gives_way_to_what_is_due_before_the_pacer_has_had_its_turn(monkeypatch):
    monkeypatch.setattr(pacer_module, "WAY", 60.0)
    now = [0.0]
    pacer = Pacer(lambda: now[0])
    played = threading.Event()
    pacer.lend(lambda: played.set() or now[0] + 3600.0, lambda: None, 0.0)  # asleep for an hour once it has played
    assert played.wait(PATIENCE)
    pacer.give_way()
    now[0] = 3600.0  # nobody has told its thread
    went_on = in_thread(pacer.give_way)
    assert not went_on.wait(0.1)
    pacer.lend(lambda: None, lambda: None, 3600.0)  # wakes it
    assert went_on.wait(PATIENCE)


def test_one_stream_computes_at_a_time(monkeypatch):
    monkeypatch.setattr(pacer_module, "WAY", 60.0)
    floor = Floor(Pacer())
    floor.take()
    floor.take()  # from itself
    second = in_thread(floor.take)
    assert not second.wait(0.1)
    floor.leave()
    floor.leave()
    assert second.wait(PATIENCE)


def test_nobody_waits_for_ever_for_one_who_does_not_leave(monkeypatch):
    monkeypatch.setattr(pacer_module, "WAY", 0.05)
    floor = Floor(Pacer())
    floor.take()
    assert in_thread(lambda: (floor.take(), floor.leave())).wait(PATIENCE)
    floor.leave()
    assert in_thread(floor.take).wait(PATIENCE)


def in_thread(work: Callable[[], object]) -> threading.Event:
    """Work in a thread of its own; the event tells its end."""
    done = threading.Event()
    threading.Thread(target=lambda: (work(), done.set()), daemon=True).start()
    return done
