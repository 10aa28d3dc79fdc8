"""Buckets of requests."""

import pytest

from orchestrator.doors.rates import Rates

SECOND = 1_000_000_000


class Clock:
    now = 5 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("rate", "each"), [("4/s", 0.25), ("60/m", 1), ("7/m", 60 / 7), ("3/h", 1200), ("1000/d", 86.4)])
def test_as_many_at_once_then_one_by_one(clock: Clock, rate: str, each: float) -> None:
    rates, limit = Rates(clock), int(rate.partition("/")[0])
    taken = [rates.take("ci", rate) for _ in range(limit)]
    assert [one.remaining for one in taken] == [*range(limit - 1, -1, -1)]
    assert all(one.allowed and one.limit == limit and one.retry_s == 0 for one in taken)
    assert taken[-1].reset_s == pytest.approx(each * limit)
    refused = rates.take("ci", rate)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.retry_s == pytest.approx(each)
    assert refused.reset_s == pytest.approx(each * limit)
    clock.now += int(each * SECOND) - 10
    assert not rates.take("ci", rate).allowed
    clock.now += 20
    assert rates.take("ci", rate).allowed
    assert not rates.take("ci", rate).allowed


def test_what_was_refused_is_not_counted(clock: Clock) -> None:
    rates = Rates(clock)
    for _ in range(1000):
        rates.take("ci", "10/s")
    clock.now += SECOND
    assert [rates.take("ci", "10/s").allowed for _ in range(11)] == [True] * 10 + [False]


def test_each_has_its_own(clock: Clock) -> None:
    rates = Rates(clock)
    assert rates.take("one", "1/m").allowed
    assert not rates.take("one", "1/m").allowed
    assert rates.take("two", "1/m").allowed


def test_another_rate_goes_on_from_what_is_left(clock: Clock) -> None:
    rates = Rates(clock)
    for _ in range(600):
        rates.take("ci", "600/m")
    assert not rates.take("ci", "60/m").allowed
    clock.now += 2 * SECOND
    assert [rates.take("ci", "60/m").allowed for _ in range(3)] == [True, True, False]


def test_a_million_addresses_do_not_grow_it(clock: Clock) -> None:
    rates = Rates(clock, most=1000)
    for number in range(1_000_000):
        rates.take(f"address {number}", "1/m")
    assert len(rates._empty_at) + len(rates._before) <= 2000


def test_who_goes_on_asking_is_not_forgotten_for_others(clock: Clock) -> None:
    rates = Rates(clock, most=10)
    assert rates.take("ci", "100/h").remaining == 99
    for number in range(99):
        rates.take(f"address {number}", "1/m")
        assert rates.take("ci", "100/h").remaining == 98 - number
    assert not rates.take("ci", "100/h").allowed


def test_what_the_caller_is_told(clock: Clock) -> None:
    rates = Rates(clock)
    rates.take("ci", "3/m")
    told = rates.take("ci", "3/m").headers
    assert told == ((b"ratelimit-limit", b"3"), (b"ratelimit-remaining", b"1"), (b"ratelimit-reset", b"40"))
