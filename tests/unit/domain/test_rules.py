"""Rank, backoff, leases as text, credentials: the small rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import backoff
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.domain.rules import HOUR, Reservation, Rules
from orchestrator.domain.task import Lease
from worker_client.contract.tasks import Backoff

CHANCE = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(
    Backoff,
    base_seconds=st.floats(0, 86_400),
    factor=st.floats(1, 100),
    cap_seconds=st.floats(0, 604_800),
    jitter=st.floats(0, 1),
)


def test_rank_is_the_time_less_the_head_start() -> None:
    rules = Rules()
    assert [rules.rank(1_000, priority) for priority in range(4)] == [1_000 + HOUR, 1_000, 1_000 - HOUR, 1_000 - 24 * HOUR]


@given(BACKOFFS, st.integers(1, 10**9), CHANCE)
def test_a_backoff_stays_within_cap_and_jitter(settings: Backoff, attempt: int, chance: float) -> None:
    delay = backoff.delay_ms(settings, attempt, chance)
    assert 0 <= delay <= round(settings.cap_seconds * (1 + settings.jitter) * 1000)
    assert delay >= min(settings.base_seconds, settings.cap_seconds) * (1 - settings.jitter) * 1000 - 1


@given(BACKOFFS, st.integers(1, 10**6))
def test_later_attempts_never_wait_less(settings: Backoff, attempt: int) -> None:
    assert backoff.delay_ms(settings, attempt, 0.5) <= backoff.delay_ms(settings, attempt + 1, 0.5)


def test_the_documented_backoff() -> None:
    plain = Backoff(jitter=0)
    assert [backoff.delay_ms(plain, attempt, 0) for attempt in (1, 2, 3, 9, 10, 11)] == [
        2_000, 4_000, 8_000, 512_000, 900_000, 900_000,
    ]  # fmt: skip
    assert backoff.delay_ms(Backoff(jitter=0.2), 1, 0) == 1_600
    assert backoff.delay_ms(Backoff(jitter=0.2), 1, 0.999_999) == 2_400
    assert backoff.parse('{"base_seconds": 5}') == Backoff(base_seconds=5)


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**40), st.text("0123456789abcdef", min_size=16, max_size=16))
def test_a_lease_reads_back_from_its_text(task_id: int, lease_no: int, nonce: str) -> None:
    lease = Lease(task_id, lease_no, nonce)
    assert Lease.parse(str(lease)) == lease


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "1",
        "1.2",
        "1.2.",
        ".2.ab",
        "1..ab",
        "a.2.ab",
        "1.b.ab",
        "-1.2.ab",
        "1.-2.ab",
        "1.2." + "a" * 80,
        "².1.ab",
        "1.٣.ab",
    ],
)
def test_what_is_no_lease_is_none(text: str) -> None:
    assert Lease.parse(text) is None


def test_a_reservation_bars_younger_askers_around_its_path() -> None:
    held = Reservation("/a/b", "h1", since=100, worker_id="w1")

    def bars(path: str = "/a/b", host: str = "h1", since: int = 200, worker_id: str = "w2") -> bool:
        return held.bars(path=path, host=host, since=since, worker_id=worker_id)

    assert bars()
    assert bars("/a")
    assert bars("/a/b/c")
    assert bars(host="")
    assert not bars("/a/c")
    assert not bars(host="h2")
    assert bars(worker_id="w1")
    assert not bars(worker_id="w1", since=100)
    assert not bars(since=99)


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["w1", "w2", "w3"]), st.sampled_from(["w1", "w2", "w3"]))
def test_two_askers_never_bar_each_other(one: int, other: int, first: str, second: str) -> None:
    of_first, of_second = Reservation("/a", "", one, first), Reservation("/a", "", other, second)
    barred = of_second.bars(path="/a", host="", since=one, worker_id=first)
    assert not (barred and of_first.bars(path="/a", host="", since=other, worker_id=second))


def test_a_scope_covers_what_lies_in_its_patterns() -> None:
    scope = PathScope((Pattern("/a", below=True), Pattern("/b", below=False)))
    assert scope.covers("/a")
    assert scope.covers("/a/x")
    assert scope.covers("/b")
    assert not scope.covers("/b/x")
    assert not scope.covers("/ab")
    assert scope.covers_below("/a/x")
    assert not scope.covers_below("/b")
    assert not scope.covers_below("/")
    assert EVERYWHERE.covers("/z")
    assert EVERYWHERE.covers_below("/")


def test_keys_are_unique_within_the_scope_whatever_its_order() -> None:
    one, other = Pattern("/a", below=True), Pattern("/a", below=False)
    assert PathScope((one, other)).key == PathScope((other, one)).key
    assert PathScope((one,)).key != PathScope((other,)).key
    assert EVERYWHERE.key not in {PathScope((one,)).key, PathScope(()).key}
    assert not PathScope(()).covers("/a")
