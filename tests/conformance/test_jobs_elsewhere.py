"""Jobs of other schedulers fire when their documents say, and then no more, on every kind of store."""

from msgspec.structs import replace

from orchestrator.domain import elsewhere
from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.moments import moment
from orchestrator.domain.schedule_outcomes import Scheduled
from tests.cron_rig import DAY, at, fired, next_fire, stored, until
from tests.jobs_elsewhere import AGENT_JOBS, TIMER_JOBS
from tests.rig import Rig

MIDNIGHT = at("2027-03-01T00:00:00")


def test_printed_jobs_fire_at_the_times_that_are_meant(rig: Rig) -> None:
    rig.time.at = MIDNIGHT
    expected = {}
    for job, times in [*TIMER_JOBS, *AGENT_JOBS]:
        taken = elsewhere.schedule(job, "/default")
        assert taken is not None
        made = rig.do(ops.AddSchedule(body=replace(taken.schedule, max_runs=len(times)), fires=taken.at_once))
        assert isinstance(made, Scheduled)
        expected[made.schedule_id] = times
    until(rig, MIDNIGHT + 4 * DAY)
    assert next_fire(rig) is None
    for schedule_id, times in expected.items():
        assert tuple(f"{moment(due):%d %H:%M:%S}" for due in fired(rig, schedule_id)) == times
    heads = list(rig.heads().values())
    assert {head.kind for head in heads} == {"http", "script", "function"}
    assert len(heads) == sum(map(len, expected.values()))
    assert {head.max_attempts for head in heads if head.schedule_id is not None and head.schedule_id <= len(TIMER_JOBS)} == {1}


def test_a_job_that_is_at_once_fires_when_it_is_saved_and_counts(rig: Rig) -> None:
    job = {**TIMER_JOBS[-1][0], "allow_mode": 2, "max_run_count": 2}
    taken = elsewhere.schedule(job, "/default")
    assert taken is not None
    rig.time.at = MIDNIGHT
    made = rig.do(ops.AddSchedule(body=taken.schedule, fires=taken.at_once))
    assert isinstance(made, Scheduled)
    assert len(rig.heads()) == 1
    until(rig, MIDNIGHT + DAY)
    assert (len(rig.heads()), stored(rig, made.schedule_id).runs) == (2, 2)
