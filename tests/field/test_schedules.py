"""How other servers fire twice, or stop to fire; each test is named after the failure.

Servers that fire at the same instant are in tests/conformance/test_replicas_schedules.py, a week of kills and clocks in
tests/conformance/test_schedule_week.py.
"""

from pathlib import Path

import pytest

from orchestrator.domain import schedule_operations as ops
from tests.cron_rig import DAY, add, fire, fired, made, until
from tests.rig import HOUR, START, STORES, Rig, Time

NEXT = START - START % HOUR + HOUR


@pytest.mark.parametrize("kind", STORES)
def test_another_server_takes_over(tmp_path: Path, kind: str) -> None:
    """Cron fires twice after a failover, or silently stops until a leader is elected: oban#892, oban#1488, River PR 1251."""
    time = Time()
    first = Rig(tmp_path, kind, time=time)
    schedule_id = add(first, missed="all")
    until(first, NEXT)
    first.close()
    second = Rig(tmp_path, kind, time=time)
    try:
        fire(second)
        assert fired(second, schedule_id) == [NEXT]
        time.at += 19 * DAY
        while fire(second).more:
            pass
        last = NEXT + 19 * DAY
        assert fired(second, schedule_id) == [NEXT, *range(last - DAY, last + 1, HOUR)]
        assert len(made(second, schedule_id)) == len(fired(second, schedule_id))
    finally:
        second.close()


def test_one_that_cannot_be_done_holds_up_no_other(embedded: Rig) -> None:
    """An entry that raises ends the scheduler's loop for all of them."""
    broken = add(embedded, name="broken", task={"work_directory": "/a", "prompt": "x", "depends_on": [99]})
    well = [add(embedded, name=f"well {number}") for number in range(3)]
    until(embedded, NEXT + 2 * HOUR)
    assert made(embedded, broken) == []
    assert [len(fired(embedded, one)) for one in well] == [3, 3, 3]


def test_a_pause_is_no_debt(embedded: Rig) -> None:
    """Resumed after a month, it fires for every hour of that at once."""
    schedule_id = add(embedded, missed="all", missed_window_seconds=31_536_000)
    embedded.do(ops.StopSchedule(schedule_id=schedule_id))
    embedded.time.at += 30 * DAY
    embedded.do(ops.StartSchedule(schedule_id=schedule_id))
    fire(embedded)
    assert fired(embedded, schedule_id) == []
