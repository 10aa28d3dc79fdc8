"""Schedules: each due time once, on every kind of store."""

import pytest

from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.principal import OPEN, SYSTEM, Principal, path_scope
from tests.cron_rig import DAY, add, at, body, change, fire, fired, history, made, next_fire, refusal, stored, until
from tests.rig import HOUR, MINUTE, START, Rig
from worker_client.contract.enums import Status
from worker_client.contract.schedules import UpdateSchedule
from worker_client.errors import Conflict

NEXT = START - START % HOUR + HOUR
"""The first full hour of a test."""
LIMITED = Principal(id="k1", scopes=OPEN.scopes, paths=path_scope(["/a/**"]))


def test_each_due_time_creates_one_task(rig: Rig) -> None:
    schedule_id = add(rig)
    assert stored(rig, schedule_id).due_at == NEXT
    rig.time.at = NEXT - 1
    assert not fire(rig).fires
    rig.time.at = NEXT
    assert [one.outcome for one in fire(rig).fires] == ["fired"]
    assert not fire(rig).fires
    until(rig, NEXT + 5 * HOUR)
    assert fired(rig, schedule_id) == [NEXT + hour * HOUR for hour in range(6)]
    heads = rig.heads().values()
    assert [(head.path, head.source, head.schedule_id, head.status) for head in heads] == [
        ("/a", "schedule", schedule_id, Status.WAITING)
    ] * 6
    found = stored(rig, schedule_id)
    last = NEXT + 5 * HOUR
    assert (found.runs, found.due_at, found.last_due_at, found.last_fire_at) == (6, last + HOUR, last, last)


def test_what_is_due_is_known_to_the_queue(rig: Rig) -> None:
    assert rig.opened.next_fire is None
    assert rig.commit(ops.AddSchedule(body=body())).next_fire == NEXT
    rig.time.at = NEXT
    assert rig.commit(ops.FireDue(), by=SYSTEM).next_fire == NEXT + HOUR


def test_several_tasks_or_a_batch_of_due_schedules_share_a_transaction(embedded: Rig) -> None:
    first = add(embedded, tasks=[{"work_directory": f"/a/{n}", "prompt": "x"} for n in range(3)])
    others = [add(embedded, name=f"s{n}") for n in range(40)]
    embedded.time.at = NEXT
    assert len(fire(embedded).fires) == 41
    assert len(made(embedded, first)) == 3
    assert all(len(made(embedded, other)) == 1 for other in others)


def test_no_more_than_the_limit_fires_in_one_transaction(rig: Rig) -> None:
    ids = [add(rig, name=f"s{n}") for n in range(5)]
    rig.time.at = NEXT
    assert (len(fire(rig, 2).fires), len(fire(rig, 2).fires)) == (2, 2)
    last = fire(rig, 2)
    assert (len(last.fires), last.more) == (1, False)
    assert [fired(rig, one) for one in ids] == [[NEXT]] * 5


@pytest.mark.parametrize(
    ("missed", "outcomes"),
    [
        ("skip", [("skipped", NEXT + 5 * HOUR, 6)]),
        ("once", [("skipped", NEXT + 4 * HOUR, 5), ("fired", NEXT + 5 * HOUR, 1)]),
        ("all", [("skipped", NEXT + HOUR, 2), *(("fired", NEXT + hour * HOUR, 1) for hour in range(2, 6))]),
    ],
)
def test_due_times_that_nobody_could_fire(embedded: Rig, missed: str, outcomes: list[tuple[str, int, int]]) -> None:
    schedule_id = add(embedded, missed=missed, missed_window_seconds=4 * 3600)
    embedded.time.at = NEXT + 5 * HOUR + 30 * MINUTE
    fire(embedded)
    assert history(embedded, schedule_id) == outcomes
    assert next_fire(embedded) == NEXT + 6 * HOUR
    until(embedded, NEXT + 6 * HOUR)
    assert fired(embedded, schedule_id)[-1:] == [NEXT + 6 * HOUR]


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_who_comes_a_moment_late_misses_nothing(embedded: Rig, missed: str) -> None:
    schedule_id = add(embedded, missed=missed, missed_window_seconds=0)
    embedded.time.at = NEXT + MINUTE
    fire(embedded)
    assert history(embedded, schedule_id) == [("fired", NEXT, 1)]


def test_a_long_absence_is_made_up_for_in_several_transactions(rig: Rig) -> None:
    schedule_id = add(rig, cron="* * * * * *", missed="all")
    rig.time.at += 130_000
    counts = [len(fire(rig, 50).fires) for _ in range(4)]
    assert counts == [50, 50, 30, 0]
    first = START + 1000
    assert fired(rig, schedule_id) == [first + n * 1000 for n in range(130)]


def test_times_that_were_missed_in_thousands_are_few_rows(embedded: Rig) -> None:
    schedule_id = add(embedded, cron="* * * * * *")
    embedded.time.at += 6 * HOUR
    while fire(embedded).more:
        pass
    rows = history(embedded, schedule_id)
    last = START + 6 * HOUR
    assert rows == [("skipped", last - 1_000, 1_000), ("fired", last, 1)]


def test_a_clock_that_is_set_back_and_forth_fires_nothing_twice(rig: Rig) -> None:
    schedule_id = add(rig, cron="*/10 * * * *", missed="all")
    until(rig, NEXT + HOUR)
    rig.time.at -= HOUR
    assert not fire(rig).fires
    until(rig, NEXT + 30 * MINUTE)
    rig.time.at += 2 * HOUR
    fire(rig)
    due = fired(rig, schedule_id)
    assert len(due) == len(set(due))
    assert due == list(range(NEXT - 50 * MINUTE, NEXT + 150 * MINUTE + 1, 10 * MINUTE))[-len(due) :]
    assert due[-1] - due[0] == (len(due) - 1) * 10 * MINUTE


def test_a_schedule_that_fired_far_ahead_is_brought_back_by_a_restart(rig: Rig) -> None:
    schedule_id = add(rig)
    start = rig.time.at
    rig.time.at += 300 * DAY
    fire(rig)
    ahead = fired(rig, schedule_id)
    rig.time.at = start
    assert not fire(rig).fires
    rig.do(ops.RestartSchedule(schedule_id=schedule_id))
    until(rig, NEXT + 2 * HOUR)
    assert fired(rig, schedule_id) == [NEXT, NEXT + HOUR, NEXT + 2 * HOUR, *ahead]
    rig.time.at = ahead[-1]
    fire(rig)
    assert fired(rig, schedule_id).count(ahead[-1]) == 1


def test_jitter_is_the_same_each_time_and_keeps_the_order(embedded: Rig) -> None:
    ids = [add(embedded, name=f"s{n}", jitter_seconds=600) for n in range(20)]
    times = {one: stored(embedded, one).fire_at for one in ids}
    assert all(NEXT <= (when or 0) <= NEXT + 600_000 for when in times.values())
    assert len(set(times.values())) > 10
    until(embedded, NEXT + 600_000)
    assert all(fired(embedded, one) == [NEXT] for one in ids)
    often = add(embedded, name="often", cron="* * * * *", jitter_seconds=86_400)
    until(embedded, NEXT + 2 * HOUR)
    assert fired(embedded, often) == list(range(NEXT + 11 * MINUTE, NEXT + 2 * HOUR, MINUTE))


def test_it_is_in_force_from_its_start_to_its_end(embedded: Rig) -> None:
    day = at("2027-03-01T00:00:00")
    schedule_id = add(embedded, starts_at="2027-03-01T10:00:00Z", ends_at="2027-03-01T12:00:00Z")
    assert next_fire(embedded) == day + 10 * HOUR
    until(embedded, day + DAY)
    assert fired(embedded, schedule_id) == [day + hour * HOUR for hour in (10, 11, 12)]
    found = stored(embedded, schedule_id)
    assert (found.enabled, found.due_at, found.fire_at) == (True, None, None)
    refused = refusal(embedded, ops.StartSchedule(schedule_id=schedule_id))
    assert isinstance(refused, Conflict)
    assert "ends_at" in str(refused)
    change(embedded, schedule_id, ends_at=None)
    assert next_fire(embedded) == day + DAY + HOUR


def test_after_its_runs_it_is_finished(embedded: Rig) -> None:
    schedule_id = add(embedded, max_runs=3)
    until(embedded, NEXT + DAY)
    assert fired(embedded, schedule_id) == [NEXT, NEXT + HOUR, NEXT + 2 * HOUR]
    assert stored(embedded, schedule_id).fire_at is None
    for op in (ops.StartSchedule(schedule_id=schedule_id), ops.ExecuteSchedule(schedule_id=schedule_id)):
        refused = refusal(embedded, op)
        assert isinstance(refused, Conflict)
        assert "3 runs" in str(refused)
    change(embedded, schedule_id, max_runs=4)
    assert next_fire(embedded) == NEXT + DAY + HOUR
    until(embedded, NEXT + 2 * DAY)
    assert stored(embedded, schedule_id).runs == 4
    embedded.do(ops.RestartSchedule(schedule_id=schedule_id))
    until(embedded, NEXT + 3 * DAY)
    assert stored(embedded, schedule_id).runs == 4
    assert len(fired(embedded, schedule_id)) == 8


def test_a_clock_in_a_zone_that_changes(embedded: Rig) -> None:
    embedded.time.at = at("2027-03-27T00:00:00")
    gap = add(embedded, name="gap", cron="30 2 * * *", timezone="Europe/Berlin")
    hourly = add(embedded, name="hourly", cron="0 * * * *", timezone="Europe/Berlin")
    until(embedded, at("2027-03-29T00:00:00"))
    assert fired(embedded, gap) == [at("2027-03-27T01:30:00"), at("2027-03-28T01:00:00")]
    assert fired(embedded, hourly) == list(range(at("2027-03-27T01:00:00"), at("2027-03-29T00:00:00") + 1, HOUR))
    embedded.time.at = at("2027-10-30T12:00:00")
    while fire(embedded).more:
        pass
    until(embedded, at("2027-11-01T00:00:00"))
    assert fired(embedded, gap)[-1:] == [at("2027-10-31T00:30:00")]


def test_a_pause_fires_nothing_and_makes_up_for_nothing(rig: Rig) -> None:
    schedule_id = add(rig, missed="all")
    until(rig, NEXT)
    rig.do(ops.StopSchedule(schedule_id=schedule_id))
    assert next_fire(rig) is None
    rig.time.at += 5 * HOUR
    assert not fire(rig).fires
    rig.do(ops.StartSchedule(schedule_id=schedule_id))
    rig.do(ops.StartSchedule(schedule_id=schedule_id))
    until(rig, NEXT + 7 * HOUR)
    assert fired(rig, schedule_id) == [NEXT, NEXT + 6 * HOUR, NEXT + 7 * HOUR]


def test_a_change_loses_no_due_time_that_has_come(rig: Rig) -> None:
    schedule_id = add(rig)
    rig.time.at = NEXT + 100
    change(rig, schedule_id, cron="0,30 * * * *", description="twice")
    fire(rig)
    until(rig, NEXT + HOUR)
    assert fired(rig, schedule_id) == [NEXT, NEXT + 30 * MINUTE, NEXT + HOUR]
    change(rig, schedule_id, cron="15 * * * *", timezone="Asia/Kolkata")
    assert next_fire(rig) == NEXT + HOUR + 45 * MINUTE


def test_a_change_of_something_else_keeps_its_times(embedded: Rig) -> None:
    schedule_id = add(embedded)
    before = stored(embedded, schedule_id)
    change(embedded, schedule_id, task={"work_directory": "/b", "prompt": "other"}, version=1)
    after = stored(embedded, schedule_id)
    assert (after.due_at, after.version) == (before.due_at, 2)
    refused = refusal(embedded, ops.ChangeSchedule(schedule_id=schedule_id, body=UpdateSchedule(version=1, name="x")))
    assert isinstance(refused, Conflict)
    until(embedded, NEXT)
    assert [head.path for head in embedded.heads().values()] == ["/b"]


def test_the_templates_of_one_fire_have_one_budget(embedded: Rig) -> None:
    heavy = "{{ (fire.due_at ~ '" + "a" * 10_000 + "') | replace('a', '" + "b" * 100 + "') | upper | lower | upper | length }}"
    tasks = [{"work_directory": "/a", "prompt": heavy}] * 10
    assert add(embedded, tasks=tasks[:1])
    refused = refusal(embedded, ops.AddSchedule(body=body(name="many", tasks=tasks)))
    assert "takes too much work" in refused.message
