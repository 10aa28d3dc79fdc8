"""Several servers fire the same schedules: each due time once, whoever is first, and whatever breaks."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import errors

from orchestrator.domain import schedule_operations as cron
from orchestrator.domain.flow_operations import Follow
from orchestrator.domain.operation import Operation
from orchestrator.domain.operations import Submission
from orchestrator.domain.principal import SYSTEM
from tests.cron_rig import add, body, fire, fired, history, made, stored
from tests.properties.pairs import done
from tests.properties.replicas import Pause, Replicas, batch_of, store_of
from tests.rig import HOUR, START
from worker_client.contract.schedules import UpdateSchedule
from worker_client.errors import Conflict

NEXT = START - START % HOUR + HOUR
FIRE = Submission(cron.FireDue(), SYSTEM)
FOLLOW = Submission(Follow(), SYSTEM)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path)
    yield replicas
    replicas.close()


def test_two_servers_fire_at_once(replicas: Replicas) -> None:
    one, _ = replicas.rigs
    ids = [add(one, name=f"s{n}", overlap="skip" if n % 2 else "allow") for n in range(20)]
    for hour in range(4):
        replicas.time.at = NEXT + hour * HOUR
        commits = replicas.together([FIRE], [FIRE])
        told = [event for commit in commits for event in commit.events if event.type in {"schedule.fired", "schedule.skipped"}]
        assert len(told) == len(ids)
    assert all(len(history(one, schedule_id)) == 4 for schedule_id in ids)
    assert [len(made(one, schedule_id)) for schedule_id in ids] == [4, 1] * 10
    assert replicas.deadlocks() == 0


def test_a_transaction_that_is_cut_fires_once(replicas: Replicas) -> None:
    one, other = replicas.rigs
    schedule_id = add(one)
    connection = store_of(one)._connected()
    execute = connection.execute
    broken: list[str] = []

    def once(query: Any, *rest: Any, **options: Any) -> Any:
        if query == "COMMIT" and len(broken) < 2:
            broken.append(query)
            raise errors.SerializationFailure("once more")
        return execute(query, *rest, **options)

    connection.execute = once  # type: ignore[method-assign]
    replicas.time.at = NEXT
    fire(one)
    fire(other)
    assert len(broken) == 2
    assert fired(one, schedule_id) == [NEXT]
    assert len(made(one, schedule_id)) == 1


def test_work_that_ends_while_a_fire_begins_to_wait_for_it(replicas: Replicas) -> None:
    """Whoever looks for what waits sees it, or who lets it wait sees that the work has ended."""
    one, other = replicas.rigs
    for step in itertools.count():
        replicas.looker.execute("DELETE FROM consumers; DELETE FROM schedules")
        replicas.empty()
        schedule_id = add(one, overlap="queue_one")
        replicas.time.at = NEXT
        fire(one)
        grant = one.take("/a")
        one.commit(FOLLOW)
        replicas.time.at = NEXT + HOUR
        pause = Pause(one, step)
        firing = replicas.start(0, [FIRE])
        firing.add_done_callback(pause.over)
        assert pause.reached.wait(10)
        if pause.passed <= step:
            break
        ending = replicas.start(1, batch_of(done(grant)))
        ending.result(10)
        following = replicas.start(1, [FOLLOW])
        pause.go_on.set()
        firing.result(10)
        following.result(10)
        pause.remove()
        # What another server held just then, its planner comes back for.
        fire(one)
        other.commit(FOLLOW)
        assert len(made(one, schedule_id)) == 2, f"held before statement {step}"
    assert step > 3


CHANGES: list[Operation] = [
    cron.ChangeSchedule(schedule_id=1, body=UpdateSchedule(cron="30 * * * *")),
    cron.StopSchedule(schedule_id=1, cancel=True),
    cron.RestartSchedule(schedule_id=1),
    cron.ExecuteSchedule(schedule_id=1),
    cron.DeleteSchedule(schedule_id=1),
    cron.BackfillSchedule(schedule_id=1, start=NEXT - 3 * HOUR, end=NEXT),
    cron.SetScheduler(running=False),
]


@pytest.mark.parametrize("op", CHANGES, ids=lambda op: type(op).__name__)
def test_people_and_time_meet(replicas: Replicas, op: Operation) -> None:
    one, _ = replicas.rigs
    assert add(one, overlap="cancel_previous") == 1
    replicas.time.at = NEXT
    fire(one)
    replicas.time.at = NEXT + HOUR
    commits = replicas.together(batch_of(op), [FIRE])
    refusals = [
        decision.outcome for commit in commits for decision in commit.decisions if isinstance(decision.outcome, Exception)
    ]
    assert not refusals
    due = one.fetch("SELECT kind, due_at FROM fires WHERE schedule_id = 1 AND outcome = 'fired'")
    assert len(due) == len(set(due))
    if not isinstance(op, cron.DeleteSchedule):
        assert len(made(one, 1)) == len(due)
        assert stored(one, 1).version >= 2


def test_two_schedules_of_one_name_are_made_at_once(replicas: Replicas) -> None:
    one, _ = replicas.rigs
    batch = batch_of(cron.AddSchedule(body=body()))
    try:
        commits = replicas.together(batch, batch)
    except errors.UniqueViolation:
        # A queue runs what failed once more.
        commits = replicas.together(batch)
    assert any(isinstance(decision.outcome, Conflict) for commit in commits for decision in commit.decisions)
    assert one.fetch("SELECT count(*) FROM schedules") == [(1,)]
