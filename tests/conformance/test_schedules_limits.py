"""What is too much, refused or gone: schedules stand it, each for itself."""

import pytest

from orchestrator.domain import schedule_firing, schedules_due
from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.cron import parse
from orchestrator.domain.moments import moment
from orchestrator.domain.principal import OPEN, Principal, path_scope
from orchestrator.domain.schedule_times import coming
from tests.cron_rig import DAY, add, body, change, fire, fired, follow, history, made, refusal, stored, until, work
from tests.rig import HOUR, MINUTE, START, Rig, meddle
from worker_client.contract.schedules import CreateSchedule, UpdateSchedule
from worker_client.errors import Conflict, NotFound, ValidationFailed

NEXT = START - START % HOUR + HOUR
"""The first full hour of a test."""
LIMITED = Principal(id="k1", scopes=OPEN.scopes, paths=path_scope(["/a/**"]))


def test_started_by_a_change_its_failures_are_forgotten(embedded: Rig) -> None:
    schedule_id = add(embedded, pause_after_failures=1)
    until(embedded, NEXT)
    work(embedded, fails=True)
    follow(embedded, schedule_id)
    assert not stored(embedded, schedule_id).enabled
    embedded.pass_(MINUTE)
    change(embedded, schedule_id, enabled=True)
    follow(embedded, schedule_id)
    found = stored(embedded, schedule_id)
    assert (found.enabled, found.failures, found.paused_reason, found.due_at) == (True, 0, None, NEXT + HOUR)
    change(embedded, schedule_id, enabled=False)
    assert stored(embedded, schedule_id).fire_at is None


def test_a_refusal_leaves_nothing_behind_in_its_batch(embedded: Rig) -> None:
    schedule_id = add(embedded, overlap="one_at_a_time", tasks=[body().task] * 600)
    until(embedded, NEXT + HOUR)
    embedded.time.at += DAY
    many = ops.BackfillSchedule(schedule_id=schedule_id, start=NEXT - 20 * HOUR, end=NEXT)
    past = ops.ChangeSchedule(schedule_id=schedule_id, body=UpdateSchedule(cron="@hourly", ends_at=moment(NEXT)))
    embedded.do(past)
    stuck = ops.RestartSchedule(schedule_id=schedule_id)
    first, second, _ = embedded.outcomes(many, stuck, ops.FireDue(), by=OPEN)
    assert isinstance(first, ValidationFailed)
    assert isinstance(second, Conflict)
    assert [row[0] for row in history(embedded, schedule_id)] == ["fired", "queued"]
    assert len(made(embedded, schedule_id)) == 600


def test_a_zone_that_is_gone_pauses(embedded: Rig) -> None:
    lost, well = add(embedded, name="lost"), add(embedded, name="well")
    embedded._runner.run(meddle(embedded.store, "UPDATE schedules SET timezone = 'Europe/Nowhere' WHERE name = 'lost'"))
    until(embedded, NEXT)
    assert fired(embedded, well) == [NEXT]
    found = stored(embedded, lost)
    assert (found.enabled, "Nowhere" in (found.paused_reason or "")) == (False, True)
    assert made(embedded, lost) == []


def test_so_many_wait_at_the_most(embedded: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_firing, "MOST_QUEUED", 2)
    schedule_id = add(embedded, overlap="one_at_a_time", max_runs=9)
    until(embedded, NEXT + 4 * HOUR)
    assert [row[0] for row in history(embedded, schedule_id)] == ["fired", "queued", "queued", "skipped", "skipped"]
    change(embedded, schedule_id, max_runs=3)
    assert stored(embedded, schedule_id).fire_at is None


def test_large_work_is_spread_over_transactions(embedded: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules_due, "MOST_TASKS", 20)
    schedule_id = add(embedded, missed="all", tasks=[body().task] * 9)
    other = add(embedded, name="other")
    embedded.time.at = NEXT + 4 * HOUR
    created = []
    while (done := fire(embedded)).more:
        created.append(done.created)
    assert max(created) < 30
    assert len(made(embedded, schedule_id)) == 45
    assert len(fired(embedded, other)) == 1


def test_more_that_is_refused(embedded: Rig) -> None:
    one = body().task
    for sent, field in (
        (CreateSchedule(name="x", cron="@daily"), "task"),
        (body(starts_at="2030-01-02T00:00:00Z", ends_at="2030-01-01T00:00:00Z"), "ends_at"),
        (body(cron="0 0 1 1 * 2020"), "cron"),
        (body(command={"name": "none"}, task=one), "command"),
    ):
        assert refusal(embedded, ops.AddSchedule(body=sent)).details["field"] == field
    schedule_id = add(embedded, tasks=[{"work_directory": "/a", "prompt": "x", "tags": ["{{ fire.number }}"]}])
    until(embedded, NEXT)
    assert embedded.fetch("SELECT tags FROM tasks") == [('["1"]',)]
    assert isinstance(refusal(embedded, ops.StopSchedule(schedule_id=schedule_id), LIMITED), NotFound)
    rig_times = coming(parse("@hourly"), START, 2, starts_at=None, ends_at=NEXT, jitter_ms=0, key="")
    assert rig_times == [NEXT]
