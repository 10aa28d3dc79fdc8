"""What has passed of a schedule's due times, against going through all of them."""

from random import Random

import pytest

from orchestrator.domain.cron import parse
from orchestrator.domain.schedule_times import jittered, latest_due
from tests.cron_rig import DAY
from tests.rig import HOUR, MINUTE, START

EXPRESSIONS = ("* * * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "* * 3 * * *", "0 0 1 * *", "@every 17m", "0 9 * * FRI#2")


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_the_last_one_is_found(expression: str, zone: str) -> None:
    cron, chance = parse(expression, zone), Random(1)
    first = cron.after(START)
    assert first is not None
    for _ in range(20):
        until = first + chance.randrange(chance.choice((MINUTE, HOUR, 2 * HOUR)))
        assert latest_due(cron, first, until) == [first, *cron.between(first, until, 10_000)][-1]


def test_it_is_found_after_years() -> None:
    first = START - START % 1_000
    assert latest_due(parse("* * * * * *"), first, first + 3_000 * DAY) == first + 3_000 * DAY
    leap = parse("0 0 29 2 *")
    begun = leap.after(START)
    assert begun is not None
    assert latest_due(leap, begun, begun + 1_000 * DAY) == begun


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_jitter_never_passes_the_next_due_time(expression: str) -> None:
    cron = parse(expression)
    due = cron.between(START, START + 400 * DAY, 50)
    times = [jittered(cron, one, 86_400_000, "name") for one in due]
    assert times == sorted(times)
    assert all(one <= at for one, at in zip(due, times, strict=True))
    assert all(at < following for at, following in zip(times, due[1:], strict=False))
    assert times == [jittered(cron, one, 86_400_000, "name") for one in due]
