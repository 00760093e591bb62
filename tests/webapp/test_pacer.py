"""The pacer: due times without a clock that anybody waits for, and nobody's trouble but his own."""

from __future__ import annotations

import threading
import time

import pytest

from webapp.pacer import Pacer

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
