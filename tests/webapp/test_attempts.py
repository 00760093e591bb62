"""Guesses at the password: slower and slower, and nobody is locked out."""

from __future__ import annotations

import threading

import pytest

from webapp.attempts import FORGOTTEN, FREE, KNOWN, LONGEST, WAITING, Attempts, TooMany


class Clock:
    """Time that passes only in naps."""

    def __init__(self):
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock) -> Attempts:
    return Attempts(clock, clock.sleep)


def guess(attempts: Attempts, times: int, address: str = "10.0.0.1") -> None:
    for _ in range(times):
        assert not attempts.check(address, lambda: False)


def test_each_wrong_guess_after_the_first_few_waits_longer_up_to_a_limit(attempts, clock):
    guess(attempts, FREE + 8)
    assert clock.naps == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert max(clock.naps) == LONGEST


def test_the_right_password_gets_in_after_the_wait_and_clears_the_record(attempts, clock):
    guess(attempts, FREE + 2)
    before = list(clock.naps)
    assert attempts.check("10.0.0.1", lambda: True)
    assert clock.naps == [*before, 2.0]
    assert attempts.check("10.0.0.1", lambda: True)
    assert len(clock.naps) == len(before) + 1


def test_somebody_elses_guesses_cost_another_address_nothing(attempts, clock):
    guess(attempts, FREE + 5)
    before = list(clock.naps)
    assert attempts.check("10.0.0.2", lambda: True)
    assert clock.naps == before


def test_the_right_password_never_waits_however_often_it_comes(attempts, clock):
    assert all(attempts.check("10.0.0.1", lambda: True) for _ in range(1000))
    assert clock.naps == []


def test_addresses_of_one_ipv6_network_are_one(attempts, clock):
    for host in range(FREE + 1):
        guess(attempts, 1, f"2001:db8::{host + 1:x}")
    assert len(clock.naps) == 1
    guess(attempts, 1, "2001:db8:0:1::1")
    assert len(clock.naps) == 1


def test_ipv4_addresses_behind_a_socket_of_both_kinds_are_not_one(attempts, clock):
    guess(attempts, FREE + 1, "::ffff:10.0.0.1")
    guess(attempts, 1, "10.0.0.1")
    assert len(clock.naps) == 2
    guess(attempts, 1, "::ffff:10.0.0.2")
    assert len(clock.naps) == 2


def test_an_address_that_was_quiet_for_long_starts_afresh(attempts, clock):
    guess(attempts, FREE + 3)
    clock.now += FORGOTTEN + LONGEST + 1
    before = list(clock.naps)
    guess(attempts, FREE)
    assert clock.naps == before


def test_no_more_than_a_few_guesses_of_an_address_hold_a_thread():
    clock, sleeping, wake = Clock(), threading.Semaphore(0), threading.Event()

    def sleep(seconds: float) -> None:
        sleeping.release()
        assert wake.wait(20)

    attempts = Attempts(clock, sleep)
    guess(attempts, FREE)
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(attempts.check("10.0.0.1", lambda: True)))
        for _ in range(WAITING[0])
    ]
    for thread in threads:
        thread.start()
        assert sleeping.acquire(timeout=20)
    with pytest.raises(TooMany) as refused:
        attempts.check("10.0.0.1", lambda: True)
    assert refused.value.seconds >= 1
    assert attempts.check("10.0.0.2", lambda: True)
    wake.set()
    for thread in threads:
        thread.join(20)
    assert answers == [True] * WAITING[0]
    assert attempts.check("10.0.0.1", lambda: True)


def test_a_flood_of_addresses_is_not_remembered_without_end(attempts):
    for number in range(KNOWN + 500):
        guess(attempts, 1, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._records) == KNOWN
