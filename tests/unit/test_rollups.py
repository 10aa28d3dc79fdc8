"""Durations in logarithmic buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.rollups import bucket, midpoint, percentiles


@given(st.integers(1, 10**12))
def test_a_bucket_is_within_five_percent(duration: int) -> None:
    assert midpoint(bucket(duration)) == pytest.approx(duration, rel=0.05)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_longer_is_never_in_a_lower_bucket(one: int, other: int) -> None:
    assert (bucket(one) <= bucket(other)) or one > other


def test_what_took_no_time_is_in_the_first_bucket() -> None:
    assert bucket(0) == bucket(-5) == 0
    assert midpoint(0) == 0


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_percentile_is_a_duration_that_was(durations: list[int], share: float) -> None:
    counted = {number: sum(bucket(duration) == number for duration in durations) for number in map(bucket, durations)}
    (found,) = percentiles(counted.items(), share)
    exact = sorted(durations)[max(0, -int(-share * len(durations) // 1) - 1)]
    assert found == pytest.approx(exact, rel=0.05, abs=0.1)


def test_no_durations_have_no_percentile() -> None:
    assert percentiles([], 0.5, 0.99) == [None, None]
