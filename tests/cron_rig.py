"""Schedules on a store of a test, with its time in the test's hand."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from orchestrator.domain import decide
from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.operations import Complete, Fail
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.principal import OPEN, SYSTEM, Principal
from orchestrator.domain.records import Schedule
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_outcomes import Fires, Scheduled
from orchestrator.domain.schedules_following import settle
from orchestrator.domain.world import World
from orchestrator.store.rows import RECORD_COLUMNS, record_of
from tests.rig import Rig, claim, interest
from worker_client.contract.schedules import CreateSchedule, UpdateSchedule
from worker_client.errors import OrchestratorError

DAY = 86_400_000


def at(text: str) -> int:
    """A time (UTC) in ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def body(**facts: Any) -> CreateSchedule:
    """An hourly schedule, unless it is said otherwise."""
    given: dict[str, Any] = {"name": "nightly", "cron": "0 * * * *"} | facts
    if not {"task", "tasks", "workflow", "command"} & given.keys():
        given["task"] = {"work_directory": "/a", "prompt": "do it"}
    return msgspec.convert(given, CreateSchedule)


def add(rig: Rig, by: Principal = OPEN, *, fires: bool = False, **facts: Any) -> int:
    """Make a schedule; its id."""
    made = rig.do(ops.AddSchedule(body=body(**facts), fires=fires), by)
    assert isinstance(made, Scheduled)
    return made.schedule_id


def change(rig: Rig, schedule_id: int, by: Principal = OPEN, **facts: Any) -> None:
    rig.do(ops.ChangeSchedule(schedule_id=schedule_id, body=msgspec.convert(facts, UpdateSchedule)), by)


def fire(rig: Rig, limit: int = ops.MOST_FIRES) -> Fires:
    """Fire what is due."""
    done = rig.do(ops.FireDue(limit=limit), SYSTEM)
    assert isinstance(done, Fires)
    return done


def until(rig: Rig, when: int) -> None:
    """Let time pass and fire at each due time, as a server does that is never late."""
    while (due := next_fire(rig)) is not None and due <= when:
        rig.time.at = max(rig.time.at, due)
        fire(rig)
    rig.time.at = when


def next_fire(rig: Rig) -> int | None:
    """When the next schedule fires."""
    ((found,),) = rig.fetch("SELECT min(fire_at) FROM schedules")
    return None if found is None else int(found)


def stored(rig: Rig, schedule_id: int) -> Schedule:
    """A schedule as it is stored."""
    columns = RECORD_COLUMNS["schedules"]
    (row,) = rig.fetch(f"SELECT {columns} FROM schedules r WHERE id = ?", [schedule_id])  # noqa: S608 - names are ours
    return record_of(Schedule, row)


def history(rig: Rig, schedule_id: int) -> list[tuple[Any, ...]]:
    """What became of its due times: (outcome, due_at, times), the oldest first."""
    rows = rig.fetch("SELECT outcome, due_at, times FROM fires WHERE schedule_id = ? ORDER BY due_at, id", [schedule_id])
    return [tuple(row) for row in rows]


def fired(rig: Rig, schedule_id: int) -> list[int]:
    """The due times for which it created something."""
    return [due for outcome, due, _ in history(rig, schedule_id) if outcome == "fired"]


def made(rig: Rig, schedule_id: int) -> list[int]:
    """Ids of its tasks."""
    return [row[0] for row in rig.fetch("SELECT id FROM tasks WHERE schedule_id = ? ORDER BY id", [schedule_id])]


def work(rig: Rig, *, fails: bool = False) -> int:
    """Do one task of /a, or fail it for good; its id."""
    (grant,) = rig.do(claim(interest("/a"))).grants  # type: ignore[attr-defined]
    if fails:
        rig.do(Fail(task_id=grant.task_id, lease=grant.lease, error='{"type": "x"}', retryable=False))
    else:
        rig.do(Complete(task_id=grant.task_id, lease=grant.lease))
    return int(grant.task_id)


class Following(Operation, frozen=True, kw_only=True):
    """What a consumer of the feed does for a schedule, without the others that it does it for."""

    phase = Phase.TIME
    schedule_id: int


def _follow(op: Following, _by: Principal, world: World, rules: Rules) -> Decision:
    return settle([op.schedule_id], world, rules)


def follow(rig: Rig, schedule_id: int) -> int:
    """Have the end of its work followed; how much has changed by that."""
    with pytest.MonkeyPatch.context() as patch:
        rules: dict[type[Operation], decide.Rule] = {**decide.RULES, Following: _follow}
        patch.setattr(decide, "RULES", rules)
        return len(rig.commit(Following(schedule_id=schedule_id), by=SYSTEM).decisions[0].changes)


def refusal(rig: Rig, op: Any, by: Principal = OPEN) -> OrchestratorError:
    """What an operation is refused with."""
    (outcome,) = rig.outcomes(op, by=by)
    assert isinstance(outcome, OrchestratorError), outcome
    return outcome
