"""Cron against an almanac of our own that tries each moment: any expression, any zone, around changes of the clocks."""

from functools import lru_cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.domain.cron import CronError, parse
from tests.almanac import DAYS, MONTHS, Almanac, moment

HOUR = 3600
CHANGES = [
    ("Europe/Berlin", moment(2026, 3, 29, 1)),
    ("Europe/Berlin", moment(2026, 10, 25, 1)),
    ("America/New_York", moment(2026, 3, 8, 7)),
    ("America/New_York", moment(2026, 11, 1, 6)),
    ("Asia/Shanghai", moment(2026, 3, 29, 1)),
    ("Australia/Lord_Howe", moment(2026, 4, 4, 15)),
    ("Australia/Lord_Howe", moment(2026, 10, 3, 15, 30)),
    ("Pacific/Apia", moment(2011, 12, 30, 10)),
    ("Africa/Casablanca", moment(2026, 2, 15, 2)),
    ("Africa/Casablanca", moment(2026, 3, 22, 2)),
    ("America/Havana", moment(2026, 3, 8, 5)),
    ("America/Sao_Paulo", moment(2018, 2, 18, 2)),
    ("UTC", moment(2028, 2, 29)),
]


@lru_cache(maxsize=32)
def almanac(zone: str, after: int, until: int, step: int) -> Almanac:
    return Almanac(zone, after, until, step)


def items(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    value = st.integers(low, high).map(str) | st.sampled_from(names) if names else st.integers(low, high).map(str)
    step = st.integers(1, high - low)
    return st.one_of(
        value,
        st.builds("*/{}".format, step),
        st.builds("{}/{}".format, value, step),
        st.builds("{}-{}".format, value, value),
        st.builds("{}-{}/{}".format, value, value, step),
    )


def field(low: int, high: int, names: tuple[str, ...] = (), *special: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(st.one_of(items(low, high, names), *special), min_size=1, max_size=3).map(",".join)
    return st.just("*") | lists


days_of_month = field(
    1,
    31,
    (),
    st.just("L"),
    st.just("LW"),
    st.integers(1, 30).map("L-{}".format),
    st.integers(1, 31).map("{}W".format),
)
weekdays = st.integers(0, 7).map(str) | st.sampled_from([*DAYS, "FRI"])
days_of_week = field(
    0,
    7,
    tuple(DAYS),
    weekdays.map("{}L".format),
    st.builds("{}#{}".format, weekdays, st.integers(1, 5)),
)
months = field(1, 12, tuple(MONTHS))
mostly_open = st.just("*") | st.just("?")


def spell(*fields: str) -> str:
    return " ".join(fields)


by_minute = st.builds(spell, field(0, 59), field(0, 23), mostly_open | days_of_month, st.just("*"), mostly_open | days_of_week)
by_second = st.builds(spell, field(0, 59), field(0, 59), field(0, 23), st.just("*"), st.just("*"), mostly_open | days_of_week)
by_day = st.builds(spell, st.just("0"), st.just("0"), days_of_month, months, days_of_week)


def check(expression: str, zone: str, after: int, until: int, step: int) -> None:
    expected = almanac(zone, after, until, step).due(expression, "name")
    try:
        cron = parse(expression, zone, "name")
    except CronError:
        # Days that never come are refused.
        assert not expected
        with pytest.raises(CronError, match="never due"):
            parse(expression, zone, "name")
        return
    assert cron.words
    found = cron.between(after * 1000, until * 1000, 10**6)
    assert [at // 1000 for at in found] == expected
    # From any moment, not from a due one only.
    for at in range(after, until, (until - after) // 7 + 1):
        following = cron.after(at * 1000 + 500)
        later = [due for due in expected if due > at]
        assert following is None or following // 1000 == later[0] if later else following is None or following // 1000 > until


@given(
    expression=by_minute | st.sampled_from(["@hourly", "@daily", "@every 25m", "H H * * *", "H/20 */3 * * *"]),
    change=st.sampled_from(CHANGES),
)
@example("*/20 2 * * *", CHANGES[1])
@example("30 2 * * *", CHANGES[0])
@example("0 12 30 12 *", CHANGES[7])
@example("30 1 * * *", CHANGES[5])
def test_by_minute_around_changes(expression: str, change: tuple[str, int]) -> None:
    zone, at = change
    check(expression, zone, at - 15 * HOUR, at + 15 * HOUR, 60)


@settings(max_examples=8)
@given(expression=by_second, change=st.sampled_from([change for change in CHANGES if change[0] != "Pacific/Apia"]))
def test_by_second_around_changes(expression: str, change: tuple[str, int]) -> None:
    zone, at = change
    check(expression, zone, at - 900, at + HOUR + 900, 1)


@given(expression=by_day)
@example("0 0 29 2 *")
@example("0 0 31 2 1")
@example("0 0 30W 2,4 *")
@example("0 0 */2 * 1")
def test_days_of_two_years(expression: str) -> None:
    check(expression, "UTC", moment(2026, 12, 31), moment(2028, 12, 31), 24 * HOUR)
