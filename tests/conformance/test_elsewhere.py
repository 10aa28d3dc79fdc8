"""What is in directories that a key does not see is not there for it: not in answers, errors, lists, events or the history."""

import json
from hashlib import sha256
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Changed, Claimed, Created
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, Principal, path_scope
from orchestrator.domain.task import TaskView
from orchestrator.store.veiling import veiled_event
from tests.reading import read
from tests.rig import Rig, claim, enqueue, interest, new_task
from worker_client.contract.tasks import ListTasks
from worker_client.errors import Conflict, NotFound, ValidationFailed

TENANT = Principal("tenant", ALL_SCOPES, path_scope(["/a/**"]))
ALL = Principal("all", ALL_SCOPES)


def after(*parents: int, path: str = "/a", **facts: Any) -> ops.Enqueue:
    """A task of the tenant's that waits for others."""
    inputs = new_task().inputs
    named = type(inputs)(prompt="do it", depends_on=json.dumps(list(parents), separators=(",", ":")))
    return enqueue(new_task(path, inputs=named, depends_on=parents, **facts))


def named(view: TaskView | None) -> list[int]:
    assert view is not None
    found: list[int] = json.loads(view.inputs.depends_on)
    return found


def views_of(rig: Rig, by: Principal) -> list[list[int]]:
    """What a task says of its parents, wherever it is shown: task 3 waits for 1 and 2, 4 for none."""
    view = read(rig, rig.store.reads.task(3, by.paths))
    listed = read(rig, rig.store.reads.tasks(ListTasks(), by.paths)).items
    changed = rig.do(ops.Update(task_id=3, title="t"), by)
    assert isinstance(changed, Changed)
    return [named(view), *(named(one) for one in listed if one.head.id in {3, 4}), named(changed.view)]


def test_a_task_names_only_parents_that_are_seen(rig: Rig) -> None:
    rig.add("/b")
    rig.add("/a/x")
    created = rig.do(after(1, 2), ALL)
    assert isinstance(created, Created)
    assert named(created.views[3]) == [1, 2]
    rig.add("/a/free")
    assert views_of(rig, ALL) == [[1, 2], [], [1, 2], [1, 2]]
    assert views_of(rig, TENANT) == [[2], [], [2], [2]]
    # Who asks in one batch with others gets an answer of its own.
    batch = [ops.Submission(ops.Update(task_id=3, title="x"), by) for by in (ALL, TENANT, ALL)]
    assert [named(outcome.view) for outcome in rig.outcomes(*batch) if isinstance(outcome, Changed)] == [[1, 2], [2], [1, 2]]
    for parent in (1, 2):
        rig.do(ops.Delete(task_id=parent), ALL)
    # Nobody knows any more where they were.
    assert named(read(rig, rig.store.reads.task(3, TENANT.paths))) == []
    assert named(read(rig, rig.store.reads.task(3, EVERYWHERE))) == [1, 2]


def test_a_claimed_or_created_task_names_only_parents_that_are_seen(rig: Rig) -> None:
    for path in ("/b", "/a/x"):
        grant = rig.running(path)
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    rig.do(after(1, 2), ALL)
    claimed = rig.do(claim(interest("/a", by=TENANT)), TENANT)
    assert isinstance(claimed, Claimed)
    assert [named(view) for view in claimed.views.values()] == [[2]]


def test_a_parent_elsewhere_does_not_exist(rig: Rig) -> None:
    rig.add("/b")
    rig.do(ops.Cancel(task_id=1))
    for parent in (1, 99):
        with pytest.raises(ValidationFailed, match=f"names task {parent}, which does not exist"):
            rig.do(after(parent), TENANT)


def test_why_a_task_cannot_be_retried_names_no_parent_elsewhere(rig: Rig) -> None:
    rig.add("/b")
    rig.add("/a/x")
    rig.do(after(1, 2), ALL)
    rig.do(ops.Cancel(task_id=1))
    with pytest.raises(Conflict, match="task 3 depends on a task that you cannot see") as refusal:
        rig.do(ops.Retry(task_id=3), TENANT)
    assert refusal.value.details["parents"] == []
    with pytest.raises(Conflict, match=r"task 3 depends on task 1, .* retry that first"):
        rig.do(ops.Retry(task_id=3), ALL)
    rig.do(ops.Cancel(task_id=2))
    with pytest.raises(Conflict, match=r"depends on task 2, .* retry that first") as refusal:
        rig.do(ops.Retry(task_id=3), TENANT)
    assert refusal.value.details["parents"] == [2]
    rig.do(ops.Delete(task_id=1))
    with pytest.raises(Conflict, match=r"depends on task 1, .* create this one anew"):
        rig.do(ops.Retry(task_id=3), ALL)
    with pytest.raises(Conflict, match="depends on task 2") as refusal:
        rig.do(ops.Retry(task_id=3), TENANT)
    assert refusal.value.details["parents"] == [2]


def test_the_feed_of_a_task_names_no_parent_elsewhere(rig: Rig) -> None:
    rig.add("/b")
    rig.do(after(1), ALL)
    rig.do(ops.Cancel(task_id=1, reason="secret plan"))
    events = read(rig, rig.store.reads.events(0, 10, TENANT.paths))
    assert [event.type for event in events] == ["task.created", "task.cancelled"]
    assert json.loads(events[1].data) == {"reason": "dependency_failed", "parent": 1}
    assert [json.loads(veiled_event(event).data) for event in events] == [{"source": "api"}, {"reason": "dependency_failed"}]
    assert veiled_event(events[0]) is events[0]


def test_a_key_of_a_task_that_was_moved_away_says_nothing_of_it(rig: Rig) -> None:
    mine = enqueue(new_task("/a", key="k", key_hash="h"))
    rig.do(mine, TENANT)
    rig.do(ops.Update(task_id=1, path="/b", inputs={"prompt": "now theirs"}), ALL)
    for body in ("h", "other"):
        with pytest.raises(Conflict, match="has been removed"):
            rig.do(enqueue(new_task("/a", key="k", key_hash=body)), TENANT)
    with pytest.raises(NotFound):
        rig.do(ops.Cancel(task_id=1), TENANT)


def test_attempts_elsewhere_are_not_in_the_history_of_a_task_that_came_from_there(rig: Rig) -> None:
    grant = rig.running("/b", backoff='{"base_seconds": 0}')
    rig.do(ops.Fail(task_id=1, lease=grant.lease, error='{"type": "X", "message": "theirs"}', retry_after_ms=0))
    rig.do(ops.Update(task_id=1, path="/a"), ALL)
    rig.tick()
    rig.take("/a")
    seen = read(rig, rig.store.reads.attempts_of(1, TENANT.paths)) or []
    assert [(one.work_directory, one.outcome) for one in seen] == [("/a", "running")]
    assert len(read(rig, rig.store.reads.attempts_of(1, EVERYWHERE)) or []) == 2


def test_an_asker_gets_nothing_from_elsewhere_whoever_asks_for_it(rig: Rig) -> None:
    for path in ("/a", "/b", "/a/b"):
        rig.add(path)
    claimed = rig.do(claim(interest("/", recursive=True, by=TENANT), limit=9), ALL)
    assert isinstance(claimed, Claimed)
    assert [grant.task_id for grant in claimed.grants] == [1, 3]
    assert (claimed.held_at, rig.status(2)) == (None, "waiting")


def test_scopes_that_look_alike_are_not_the_same(rig: Rig) -> None:
    odd = Principal("odd", ALL_SCOPES, path_scope(["/a\n/b"]))
    both = Principal("both", ALL_SCOPES, path_scope(["/a", "/b"]))
    assert odd.paths.key != both.paths.key
    rig.do(enqueue(new_task("/a", key="k", key_hash="h")), both)
    created = rig.do(enqueue(new_task("/a\n/b", key="k", key_hash="h")), odd)
    assert isinstance(created, Created)
    assert created.tasks == [(2, True)]


def test_who_sees_many_directories_has_keys_of_tasks_too(rig: Rig) -> None:
    paths = [f"/{sha256(str(number).encode()).hexdigest()}" for number in range(100)]
    many = Principal("many", ALL_SCOPES, path_scope(paths))
    for fresh in (True, False):
        created = rig.do(enqueue(new_task(paths[0], key="🎲" * 255, key_hash="h")), many)
        assert isinstance(created, Created)
        assert created.tasks == [(1, fresh)]
