"""What people do with schedules, and what the end of their work means for them."""

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.command import Command
from orchestrator.domain.flow_operations import Follow, SaveWorkflow
from orchestrator.domain.operations import Cancel, Prune
from orchestrator.domain.principal import OPEN, SYSTEM, Principal, path_scope
from tests.cron_rig import DAY, add, body, change, fire, fired, follow, history, made, next_fire, refusal, stored, until, work
from tests.rig import HOUR, MINUTE, START, Rig
from worker_client.contract.enums import Status
from worker_client.contract.schedules import UpdateSchedule
from worker_client.errors import Conflict, Forbidden, NotFound, ValidationFailed

NEXT = START - START % HOUR + HOUR
"""The first full hour of a test."""
LIMITED = Principal(id="k1", scopes=OPEN.scopes, paths=path_scope(["/a/**"]))


def test_skipping_while_the_work_goes_on(embedded: Rig) -> None:
    schedule_id = add(embedded, overlap="skip")
    until(embedded, NEXT + HOUR)
    assert [row[0] for row in history(embedded, schedule_id)] == ["fired", "skipped"]
    work(embedded)
    until(embedded, NEXT + 2 * HOUR)
    assert [row[0] for row in history(embedded, schedule_id)] == ["fired", "skipped", "fired"]


@pytest.mark.parametrize(("overlap", "outcomes"), [("queue_one", "fqss"), ("one_at_a_time", "fqqq")])
def test_waiting_for_the_work_before(rig: Rig, overlap: str, outcomes: str) -> None:
    schedule_id = add(rig, overlap=overlap)
    until(rig, NEXT + 3 * HOUR)
    assert "".join(row[0][0] for row in history(rig, schedule_id)) == outcomes
    assert len(made(rig, schedule_id)) == 1
    assert not follow(rig, schedule_id)
    for count in range(2, 2 + outcomes.count("q")):
        work(rig)
        follow(rig, schedule_id)
        follow(rig, schedule_id)
        assert len(made(rig, schedule_id)) == count
    work(rig)
    assert not follow(rig, schedule_id)
    assert stored(rig, schedule_id).runs == outcomes.count("q") + 1
    due = fired(rig, schedule_id)
    assert due == sorted(due)


def test_cancelling_the_previous(rig: Rig) -> None:
    schedule_id = add(rig, overlap="cancel_previous", tasks=[{"work_directory": "/a", "prompt": "x"}] * 2)
    until(rig, NEXT)
    rig.add("/b", depends_on=(made(rig, schedule_id)[0],))
    until(rig, NEXT + HOUR)
    statuses = [head.status for head in rig.heads().values()]
    assert statuses == [Status.CANCELLED] * 3 + [Status.WAITING] * 2


def test_stopping_with_what_runs(rig: Rig) -> None:
    schedule_id = add(rig, overlap="one_at_a_time")
    until(rig, NEXT + HOUR)
    rig.do(ops.StopSchedule(schedule_id=schedule_id, cancel=True))
    assert [head.status for head in rig.heads().values()] == [Status.CANCELLED]
    assert [row[0] for row in history(rig, schedule_id)] == ["fired", "skipped"]
    assert not follow(rig, schedule_id)


def test_after_failures_it_pauses(rig: Rig) -> None:
    schedule_id = add(rig, pause_after_failures=2)
    for fails, failures in ((True, 1), (False, 0), (True, 1)):
        until(rig, (next_fire(rig) or 0))
        work(rig, fails=fails)
        follow(rig, schedule_id)
        assert (stored(rig, schedule_id).failures, stored(rig, schedule_id).enabled) == (failures, True)
    until(rig, next_fire(rig) or 0)
    rig.do(Cancel(task_id=made(rig, schedule_id)[-1]))
    follow(rig, schedule_id)
    assert stored(rig, schedule_id).failures == 1
    until(rig, next_fire(rig) or 0)
    work(rig, fails=True)
    follow(rig, schedule_id)
    found = stored(rig, schedule_id)
    assert (found.enabled, found.fire_at) == (False, None)
    assert "2 fires failed" in (found.paused_reason or "")
    rig.pass_(MINUTE)
    rig.do(ops.StartSchedule(schedule_id=schedule_id))
    follow(rig, schedule_id)
    found = stored(rig, schedule_id)
    assert (found.enabled, found.failures) == (True, 0)


def test_what_is_refused_is_a_failure_that_stops_nobody_else(embedded: Rig) -> None:
    bad = add(embedded, name="bad", pause_after_failures=2, task={"work_directory": "/a", "prompt": "x", "depends_on": [99]})
    good = add(embedded, name="good")
    until(embedded, NEXT + 3 * HOUR)
    assert len(fired(embedded, good)) == 4
    assert [row[0] for row in history(embedded, bad)] == ["failed", "failed"]
    ((reason,), _) = embedded.fetch("SELECT reason FROM fires WHERE schedule_id = ?", [bad])
    assert "task 99, which does not exist" in reason
    assert not stored(embedded, bad).enabled
    assert isinstance(refusal(embedded, ops.ExecuteSchedule(schedule_id=bad)), ValidationFailed)


def test_now_and_at_once(embedded: Rig) -> None:
    schedule_id = add(embedded, fires=True, overlap="skip")
    assert len(made(embedded, schedule_id)) == 1
    embedded.do(ops.StopSchedule(schedule_id=schedule_id))
    embedded.do(ops.ExecuteSchedule(schedule_id=schedule_id))
    assert len(made(embedded, schedule_id)) == 2
    assert stored(embedded, schedule_id).runs == 2
    assert embedded.fetch("SELECT DISTINCT kind FROM fires") == [("manual",)]


def test_making_up_for_what_is_past(rig: Rig) -> None:
    until(rig, NEXT)
    schedule_id = add(rig)
    until(rig, NEXT + 2 * HOUR)
    op = ops.BackfillSchedule(schedule_id=schedule_id, start=NEXT - 3 * HOUR, end=NEXT + 2 * HOUR)
    done = rig.do(op)
    assert (done.due, done.fired) == (5, 4)  # type: ignore[attr-defined]
    assert fired(rig, schedule_id) == [NEXT + hour * HOUR for hour in range(-3, 3)]
    again = rig.do(op)
    assert (again.due, again.fired) == (5, 0)  # type: ignore[attr-defined]
    for start, end, field in (
        (NEXT, NEXT + 3 * HOUR, "end"),
        (NEXT, NEXT, "end"),
        (NEXT - 2000 * HOUR, NEXT, "start"),
    ):
        refused = refusal(rig, ops.BackfillSchedule(schedule_id=schedule_id, start=start, end=end))
        assert isinstance(refused, ValidationFailed)
        assert refused.details["field"] == field


def test_a_backfill_that_failed_can_be_repeated(embedded: Rig) -> None:
    schedule_id = add(embedded, task={"work_directory": "/a", "prompt": "x", "depends_on": [1]})
    op = ops.BackfillSchedule(schedule_id=schedule_id, start=NEXT - 3 * HOUR, end=NEXT - HOUR)
    assert embedded.do(op).fired == 0  # type: ignore[attr-defined]
    assert embedded.add("/a") == 1
    assert embedded.do(op).fired == 2  # type: ignore[attr-defined]
    assert len(history(embedded, schedule_id)) == 2


def test_one_at_a_time_also_when_it_makes_up(embedded: Rig) -> None:
    schedule_id = add(embedded, overlap="one_at_a_time")
    op = ops.BackfillSchedule(schedule_id=schedule_id, start=NEXT - 4 * HOUR, end=NEXT - HOUR)
    assert embedded.do(op).fired == 1  # type: ignore[attr-defined]
    work(embedded)
    follow(embedded, schedule_id)
    assert len(made(embedded, schedule_id)) == 2
    assert embedded.do(op).fired == 0  # type: ignore[attr-defined]


def test_the_scheduler_is_stopped_for_all(rig: Rig) -> None:
    waits = add(rig, name="waits", overlap="queue_one")
    until(rig, NEXT + HOUR)
    assert rig.commit(ops.SetScheduler(running=False)).decisions[0].changes
    assert not rig.commit(ops.SetScheduler(running=False)).decisions[0].changes
    work(rig)
    assert not follow(rig, waits)
    rig.time.at = NEXT + 4 * HOUR
    commit = rig.commit(ops.FireDue(), by=SYSTEM)
    assert commit.next_fire is None
    assert len(made(rig, waits)) == 1
    assert isinstance(refusal(rig, ops.SetScheduler(running=True), LIMITED), Forbidden)
    rig.do(ops.SetScheduler(running=True))
    assert len(made(rig, waits)) == 2
    assert rig.commit(ops.FireDue(), by=SYSTEM).next_fire == NEXT + 5 * HOUR


def test_a_key_of_some_directories_makes_nothing_elsewhere(rig: Rig) -> None:
    for facts in ({"task": {"work_directory": "/b", "prompt": "x"}}, {"task": {"work_directory": "/a/../b", "prompt": "x"}}):
        assert isinstance(refusal(rig, ops.AddSchedule(body=body(**facts)), LIMITED), Forbidden)
    mine = add(rig, LIMITED, name="mine", task={"work_directory": "/a/x", "prompt": "x"})
    alls = add(rig, name="mine")
    assert isinstance(refusal(rig, ops.ExecuteSchedule(schedule_id=alls), LIMITED), NotFound)
    assert isinstance(refusal(rig, ops.DeleteSchedule(schedule_id=alls), LIMITED), NotFound)
    elsewhere = UpdateSchedule(task=body(task={"work_directory": "/b", "prompt": "x"}).task or body().task)  # type: ignore[arg-type]
    for by in (OPEN, LIMITED):
        assert isinstance(refusal(rig, ops.ChangeSchedule(schedule_id=mine, body=elsewhere), by), Forbidden)
    until(rig, NEXT)
    assert sorted(head.path for head in rig.heads().values()) == ["/a", "/a/x"]


def test_names_are_unique_for_those_who_see_the_same(rig: Rig) -> None:
    add(rig, LIMITED, name="x", task={"work_directory": "/a", "prompt": "x"})
    add(rig, name="x")
    assert isinstance(refusal(rig, ops.AddSchedule(body=body(name="x"))), Conflict)
    other = add(rig, name="y")
    assert isinstance(refusal(rig, ops.ChangeSchedule(schedule_id=other, body=UpdateSchedule(name="x"))), Conflict)
    first, second = rig.outcomes(ops.AddSchedule(body=body(name="z")), ops.AddSchedule(body=body(name="z")))
    assert not isinstance(first, Exception)
    assert isinstance(second, Conflict)


IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"cron": "0 0 31 2 *"}, "cron"),
    ({"cron": "61 * * * *"}, "cron"),
    ({"cron": "* * *"}, "cron"),
    ({"timezone": "Europe/Nowhere"}, "timezone"),
    ({"ends_at": "2000-01-01T00:00:00Z"}, "ends_at"),
    ({"task": {"work_directory": "/a", "prompt": "x", "key": "same"}}, "task.key"),
    ({"task": {"work_directory": "/a", "prompt": "x", "key": "{{ schedule.id }}"}}, "task.key"),
    ({"task": {"work_directory": "/a", "prompt": "x", "run_at": "2030-01-01T00:00:00Z"}}, "task.run_at"),
    ({"task": {"work_directory": "/a", "prompt": "{{ fire.nothing }}"}}, "task.prompt"),
    ({"task": {"work_directory": "/a"}}, "task.prompt"),
    ({"tasks": [{"work_directory": "/a", "prompt": "x"}, {"work_directory": "a", "prompt": "x"}]}, "tasks[1].work_directory"),
    ({"task": {"work_directory": "/a", "prompt": "{{ secrets.X }}"}}, "task.prompt"),
    ({"task": {"work_directory": "/a", "prompt": "x"}, "workflow": {"id": "wf_1"}}, "workflow"),
]


def test_what_cannot_be_is_refused_and_nothing_stored(embedded: Rig) -> None:
    before = embedded.dump()
    for facts, field in IMPOSSIBLE:
        refused = refusal(embedded, ops.AddSchedule(body=body(**facts)))
        assert refused.details["field"] == field, refused
    assert embedded.dump() == before


def test_texts_about_the_fire(embedded: Rig) -> None:
    task = {"work_directory": "/a", "key": "nightly-{{ fire.due_at }}", "title": "{{ schedule.name }} {{ fire.number }}"}
    schedule_id = add(embedded, task={**task, "prompt": "docker ps --format '{{.Names}}' {{ other }}"})
    until(embedded, NEXT + HOUR)
    titles = [head.title for head in embedded.heads().values()]
    assert titles == ["nightly 1", "nightly 2"]
    keys = [key for (key,) in embedded.fetch("SELECT key FROM task_keys ORDER BY task_id")]
    assert keys == ["nightly-2027-01-15T09:00:00Z", "nightly-2027-01-15T10:00:00Z"]
    assert embedded.fetch("SELECT DISTINCT prompt FROM task_inputs") == [("docker ps --format '{{.Names}}' {{ other }}",)]
    assert len(fired(embedded, schedule_id)) == 2


def test_a_schedule_goes_and_its_work_stays(rig: Rig) -> None:
    schedule_id = add(rig)
    until(rig, NEXT)
    rig.do(ops.DeleteSchedule(schedule_id=schedule_id))
    assert rig.fetch("SELECT count(*) FROM fires") == [(0,)]
    assert len(rig.heads()) == 1
    rig.time.at += DAY
    assert not fire(rig).fires
    assert isinstance(refusal(rig, ops.StartSchedule(schedule_id=schedule_id)), NotFound)


def test_the_feed_tells_of_it(embedded: Rig) -> None:
    schedule_id = add(embedded, overlap="skip")
    until(embedded, NEXT + HOUR)
    change(embedded, schedule_id, description="x")
    embedded.do(ops.StopSchedule(schedule_id=schedule_id))
    embedded.do(ops.DeleteSchedule(schedule_id=schedule_id))
    kinds = [event.type for event in embedded.events if event.type.startswith("schedule.")]
    assert kinds == [
        "schedule.created", "schedule.fired", "schedule.skipped", "schedule.changed", "schedule.stopped", "schedule.deleted",
    ]  # fmt: skip


def test_nothing_follows_for_what_is_not_there(embedded: Rig) -> None:
    assert not follow(embedded, 77)


def test_old_history_goes_and_what_waits_stays(rig: Rig) -> None:
    schedule_id = add(rig, overlap="one_at_a_time")
    until(rig, NEXT + 2 * HOUR)
    rig.time.at += 10 * DAY
    prune = Prune(before=rig.time.at - DAY, keys_before=0)
    rig.commit(prune, by=SYSTEM)
    assert [row[0] for row in history(rig, schedule_id)] == ["queued", "queued"]


def test_a_command_is_read_when_it_fires(embedded: Rig) -> None:
    review = Command(name="review", description="", arguments=(), body="Review $ARGUMENTS", settings={}, updated_at=0)
    known = replace(embedded.rules.defaults, commands={"review": review}, work_directory="/default")
    refused = refusal(embedded, ops.AddSchedule(body=body(command={"name": "review"})))
    assert (refused.details["field"], "review" in str(refused)) == ("command", True)
    embedded.rules = replace(embedded.rules, defaults=known)
    schedule_id = add(embedded, command={"name": "review", "arguments": "of {{ fire.due_at }}"})
    until(embedded, NEXT)
    changed = replace(known, commands={"review": replace(review, body="Look at $ARGUMENTS")})
    embedded.rules = replace(embedded.rules, defaults=changed)
    until(embedded, NEXT + HOUR)
    embedded.rules = replace(embedded.rules, defaults=replace(known, commands={}))
    until(embedded, NEXT + 2 * HOUR)
    assert [head.path for head in embedded.heads().values()] == ["/default"] * 2
    prompts = [prompt for (prompt,) in embedded.fetch("SELECT prompt FROM task_inputs ORDER BY task_id")]
    assert prompts == ["Review of 2027-01-15T09:00:00Z", "Look at of 2027-01-15T10:00:00Z"]
    assert [row[0] for row in history(embedded, schedule_id)] == ["fired", "fired", "failed"]


def test_a_run_of_a_workflow(rig: Rig) -> None:
    refused = refusal(rig, ops.AddSchedule(body=body(workflow={"id": "wf_none"})))
    assert refused.details["field"] == "workflow.id"
    step = {"id": "a", "task": {"work_directory": "/a", "prompt": "of {{ input.n }} {{ trigger.due_at }}"}}
    definition = msgspec.json.encode({"steps": [step], "triggers": [], "input": {"n": 1}}).decode()
    saved = rig.do(SaveWorkflow(name="w", definition=definition))
    workflow_id = saved.workflow.id  # type: ignore[attr-defined]
    schedule_id = add(rig, workflow={"id": workflow_id, "input": {"n": 2}}, overlap="queue_one", pause_after_failures=2)
    until(rig, NEXT + HOUR)
    assert [row[0] for row in history(rig, schedule_id)] == ["fired", "queued"]
    rig.commit(Follow(), by=SYSTEM)
    assert rig.fetch("SELECT prompt FROM task_inputs") == [("of 2 2027-01-15T09:00:00Z",)]
    for _ in range(2):
        work(rig, fails=True)
        for _ in range(3):
            rig.commit(Follow(), by=SYSTEM)
    assert rig.fetch("SELECT status FROM runs ORDER BY id") == [("failed",), ("failed",)]
    found = stored(rig, schedule_id)
    assert (found.runs, found.enabled) == (2, False)
    rig.do(ops.StartSchedule(schedule_id=schedule_id))
    until(rig, NEXT + 2 * HOUR)
    rig.do(ops.StopSchedule(schedule_id=schedule_id, cancel=True))
    assert rig.fetch("SELECT status FROM runs ORDER BY id") == [("failed",), ("failed",), ("cancelled",)]


def test_what_waits_counts_when_one_is_fired_now(embedded: Rig) -> None:
    schedule_id = add(embedded, overlap="one_at_a_time", max_runs=2)
    until(embedded, NEXT + HOUR)
    assert isinstance(refusal(embedded, ops.ExecuteSchedule(schedule_id=schedule_id)), Conflict)
    work(embedded)
    follow(embedded, schedule_id)
    assert stored(embedded, schedule_id).runs == 2
