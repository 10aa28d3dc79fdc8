"""Records: rows of tables of their own, as rules see and change them, on every kind of store."""

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain import decide
from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.outcomes import Decision, Done
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Consumer, Dropped, Fire, Kept, Linked, Run, RunStep, Schedule
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from tests.rig import HOUR, START, Rig, new_task
from worker_client.errors import Internal


class Meddle(Operation, frozen=True, kw_only=True):
    """An operation of the test's own."""

    phase = Phase.CHANGE
    act: Any


def _meddle(op: Meddle, _by: Principal, world: World, _rules: Rules) -> Decision:
    changes = op.act(world)
    return Decision(Done(), changes or [])


@pytest.fixture(autouse=True)
def ruled(monkeypatch: pytest.MonkeyPatch) -> None:
    rules: dict[Any, Any] = {**decide.RULES, Meddle: _meddle}
    monkeypatch.setattr(decide, "RULES", rules)


def schedule(world: World, name: str, **facts: Any) -> Schedule:
    given: dict[str, Any] = {
        "id": world.records.new_id(Schedule), "version": 1, "scope": "**", "name": name, "paths": None, "secrets": None,
        "owner": "", "description": None, "cron": "* * * * *", "timezone": "UTC", "work": "{}", "enabled": True,
        "paused_reason": None, "jitter_ms": 0, "starts_at": None, "ends_at": None, "max_runs": None, "overlap": "allow",
        "missed": "once", "missed_window_ms": 0, "pause_after_failures": None, "failures": 0, "runs": 0, "due_at": START,
        "fire_at": START, "last_due_at": None, "last_fire_at": None, "workflow_id": None, "place": None, "managed_by": None,
        "created_at": world.now, "updated_at": world.now,
    }  # fmt: skip
    return Schedule(**given | facts)


def run(world: World, **facts: Any) -> Run:
    given: dict[str, Any] = {
        "id": world.records.new_id(Run), "version": 1, "workflow_id": "wf_1", "workflow_name": "w", "number": 1,
        "status": "running", "paths": None, "input": "{}", "trigger": "{}", "source": "api", "schedule_id": None, "reason": None,
        "traceparent": None, "deadline_at": None, "created_at": world.now, "updated_at": world.now, "finished_at": None,
    }  # fmt: skip
    return Run(**given | facts)


def seen(rig: Rig, look: Any) -> Any:
    found: list[Any] = []
    rig.do(Meddle(act=lambda world: found.append(look(world))))
    return found[0]


def test_a_row_is_made_changed_and_removed(rig: Rig) -> None:
    rig.do(Meddle(act=lambda world: [Kept(schedule(world, "a", enabled=False, fire_at=None), fresh=True)]))
    found = seen(rig, lambda world: world.records.get(Schedule, 1))
    assert (found.name, found.enabled, found.fire_at, found.due_at) == ("a", False, None, START)
    rig.do(Meddle(act=lambda world: [Kept(replace(world.records.get(Schedule, 1), version=2, name="b"))]))
    assert seen(rig, lambda world: world.records.get(Schedule, 1)).name == "b"
    rig.do(Meddle(act=lambda world: [Dropped(world.records.get(Schedule, 1))]))
    assert seen(rig, lambda world: world.records.get(Schedule, 1)) is None
    assert rig.fetch("SELECT * FROM schedules") == []


def test_operations_of_one_batch_see_what_those_before_them_did(rig: Rig) -> None:
    names: list[list[str]] = []

    def look(world: World) -> None:
        rows = world.records.find(Schedule, "load_schedules", 1, such=lambda one: one.fire_at is not None)
        names.append(sorted(row.name for row in rows))

    rig.commit(
        Meddle(act=lambda world: [Kept(schedule(world, name), fresh=True) for name in ("a", "b")]),
        Meddle(act=look),
        Meddle(act=lambda world: [Kept(replace(world.records.get(Schedule, 1), version=2, fire_at=None))]),
        Meddle(act=look),
        Meddle(act=lambda world: [Dropped(world.records.get(Schedule, 2))]),
        Meddle(act=look),
    )
    assert names == [["a", "b"], ["b"], []]
    assert [row[0] for row in rig.fetch("SELECT name FROM schedules")] == ["a"]


def test_ids_are_never_used_twice(rig: Rig) -> None:
    rig.do(Meddle(act=lambda world: [Kept(schedule(world, str(at)), fresh=True) for at in range(600)]))
    rig.do(Meddle(act=lambda world: [Dropped(world.records.get(Schedule, 600))]))
    rig.do(Meddle(act=lambda world: [Kept(schedule(world, "later"), fresh=True)]))
    ids = [row[0] for row in rig.fetch("SELECT id FROM schedules ORDER BY id")]
    assert len(set(ids)) == 600
    assert ids[-1] > 600


def test_a_row_that_somebody_else_changed_is_not_overwritten(rig: Rig) -> None:
    rig.do(Meddle(act=lambda _: [Kept(Consumer(name="x", version=1, last_event=0), fresh=True)]))

    def stale(world: World) -> list[Kept]:
        world.source.records(Consumer, "load_consumers", ("x",))
        transaction: Any = world.source
        transaction._records[Consumer, ("x",)] = Consumer(name="x", version=7, last_event=0)
        return [Kept(Consumer(name="x", version=8, last_event=9))]

    with pytest.raises(Exception) as refused:  # noqa: PT011 - what each store says of it
        rig.do(Meddle(act=stale))
    assert not isinstance(refused.value, Internal)
    assert seen(rig, lambda world: world.records.get(Consumer, "x")).last_event == 0


def test_what_belongs_to_a_row_goes_with_it(rig: Rig) -> None:
    def make(world: World) -> list[Kept]:
        one = run(world)
        step = RunStep(
            run_id=one.id,
            step_id="s",
            version=1,
            status="pending",
            take=1,
            tasks="[]",
            reason=None,
            started_at=None,
            finished_at=None,
        )
        return [Kept(step, fresh=True), Kept(one, fresh=True)]

    rig.do(Meddle(act=make))
    assert len(rig.fetch("SELECT * FROM run_steps")) == 1
    rig.do(Meddle(act=lambda world: [Dropped(world.records.get(Run, 1))]))
    assert rig.fetch("SELECT * FROM run_steps") == []


def test_the_commit_tells_when_a_schedule_is_due_and_a_run_has_to_be_over(rig: Rig) -> None:
    later = rig.commit(Meddle(act=lambda world: [Kept(schedule(world, "a", fire_at=START + HOUR), fresh=True)]))
    assert later.next_fire == START + HOUR
    sooner = rig.commit(
        Meddle(act=lambda world: [Kept(schedule(world, "b", fire_at=START + 1), fresh=True)]),
        Meddle(act=lambda world: [Kept(run(world, deadline_at=START + 5), fresh=True)]),
    )
    assert sooner.next_fire == START + 1
    assert sooner.next_due == START + 5
    rig.commit(Meddle(act=lambda world: [Dropped(world.records.get(Schedule, 2))]))
    assert rig.tick().next_fire == START + HOUR


def test_nothing_is_due_while_the_scheduler_is_stopped(rig: Rig) -> None:
    rig.do(Meddle(act=lambda world: [Kept(schedule(world, "a"), fresh=True)]))

    async def stop() -> None:
        from tests.rig import meddle  # noqa: PLC0415 - next to what it is for

        await meddle(rig.store, "INSERT INTO meta (key, value) VALUES ('scheduler', 'stopped')")

    rig._runner.run(stop())
    assert rig.tick().next_fire is None


def test_events_of_runs_and_schedules_can_be_followed(rig: Rig) -> None:
    rig.add()
    first = rig.add(run_id=5, step_id="s")
    rig.add()
    second = rig.add(schedule_id=7)
    linked = seen(rig, lambda world: world.records.linked(0, 10))
    assert [(one.type, one.task_id, one.run_id, one.schedule_id) for one in linked] == [
        ("task.created", first, 5, None),
        ("task.created", second, None, 7),
    ]
    assert seen(rig, lambda world: world.records.linked(linked[0].id, 10)) == linked[1:]
    assert isinstance(linked[0], Linked)


def test_the_wall_clock_may_go_back(rig: Rig) -> None:
    assert seen(rig, lambda world: world.wall) == START
    rig.time.pass_(HOUR)
    assert seen(rig, lambda world: world.wall) == START + HOUR
    rig.time.at -= HOUR
    rig.time.booted -= HOUR  # the clock was set back, no time was lost
    assert seen(rig, lambda world: world.wall) == START
    assert seen(rig, lambda world: world.now) == START + HOUR
    assert rig.store.wall() == START


def test_a_due_time_fires_once_whoever_says_it(rig: Rig) -> None:
    def fire(world: World) -> Fire:
        return Fire(
            id=world.records.new_id(Fire), version=1, schedule_id=1, kind="due", due_at=START, decided_at=world.now,
            outcome="fired", reason=None, times=1, task_ids="[]", run_id=None,
        )  # fmt: skip

    rig.do(Meddle(act=lambda world: [Kept(schedule(world, "a"), fresh=True)]))
    rig.do(Meddle(act=lambda world: [Kept(fire(world), fresh=True)]))
    with pytest.raises(Exception, match=r"(?i)unique"):
        rig.do(Meddle(act=lambda world: [Kept(fire(world), fresh=True)]))
    assert len(rig.fetch("SELECT * FROM fires")) == 1


def test_new_tasks_of_a_rule_get_ids_of_their_own(rig: Rig) -> None:
    from orchestrator.domain.operations import Enqueue  # noqa: PLC0415 - next to what it is for

    created = rig.do(Enqueue(tasks=tuple(new_task() for _ in range(5))))
    assert len({task_id for task_id, _ in created.tasks}) == 5  # type: ignore[attr-defined]
