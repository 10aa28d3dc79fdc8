"""Idempotency keys and batches: created once, all or none."""

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Created
from orchestrator.domain.principal import OPEN, PathScope, Pattern, Principal
from tests.rig import HOUR, Rig, enqueue, new_task
from worker_client.errors import Conflict, Forbidden, ValidationFailed


def created(rig: Rig, *keys: tuple[str | None, str], path: str = "/a", by: Principal = OPEN) -> list[tuple[int, bool]]:
    outcome = rig.do(enqueue(*(new_task(path, key=key, key_hash=digest) for key, digest in keys)), by)
    assert isinstance(outcome, Created)
    return outcome.tasks


def test_the_same_key_with_the_same_body_is_the_first_task(rig: Rig) -> None:
    assert created(rig, ("k", "h")) == [(1, True)]
    before = rig.dump()
    assert created(rig, ("k", "h")) == [(1, False)]
    assert rig.dump() == before


def test_the_same_key_with_another_body_is_refused(rig: Rig) -> None:
    created(rig, ("k", "h"))
    with pytest.raises(Conflict, match="another body"):
        created(rig, ("k", "other"))


def test_the_same_key_twice_in_one_commit(rig: Rig) -> None:
    body = enqueue(new_task(key="k", key_hash="h"))
    first, second, third = rig.outcomes(body, body, enqueue(new_task(key="k", key_hash="other")))
    assert isinstance(first, Created)
    assert isinstance(second, Created)
    assert (first.tasks, second.tasks) == ([(1, True)], [(1, False)])
    assert isinstance(third, Conflict)


def test_the_same_key_twice_in_one_batch_of_tasks(rig: Rig) -> None:
    assert created(rig, ("k", "h"), (None, ""), ("k", "h")) == [(1, True), (2, True), (1, False)]
    with pytest.raises(Conflict):
        created(rig, ("n", "h"), ("n", "other"))
    assert created(rig, ("n", "h"))[0][1]


def test_the_key_of_a_removed_task_is_never_a_second_task(rig: Rig) -> None:
    created(rig, ("k", "h"))
    rig.do(ops.Delete(task_id=1))
    with pytest.raises(Conflict, match="removed"):
        created(rig, ("k", "h"))


def test_the_key_of_a_pruned_task_is_kept_for_its_time(rig: Rig) -> None:
    grant = rig.running("/a", key="k", key_hash="h")
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    rig.time.pass_(HOUR)
    rig.do(ops.Prune(before=rig.time.at, keys_before=rig.time.at - 2 * HOUR))
    assert rig.heads() == {}
    with pytest.raises(Conflict, match="removed"):
        created(rig, ("k", "h"))
    rig.time.pass_(2 * HOUR)
    rig.do(ops.Prune(before=rig.time.at, keys_before=rig.time.at - 2 * HOUR))
    ((again, new),) = created(rig, ("k", "h"))
    assert new
    assert again > grant.task_id


def test_the_key_of_a_live_task_is_never_forgotten(rig: Rig) -> None:
    created(rig, ("k", "h"))
    rig.time.pass_(1_000 * HOUR)
    rig.do(ops.Prune(before=rig.time.at, keys_before=rig.time.at))
    assert created(rig, ("k", "h")) == [(1, False)]


def test_a_key_is_of_its_scope(rig: Rig) -> None:
    narrow = Principal("n", OPEN.scopes, PathScope((Pattern("/a", below=True),)))
    also = Principal("m", OPEN.scopes, PathScope((Pattern("/a", below=True),)))
    assert created(rig, ("k", "h"))[0][1]
    ((mine, new),) = created(rig, ("k", "h"), by=narrow)
    assert new
    assert created(rig, ("k", "h"), by=also) == [(mine, False)]


def test_a_batch_is_all_or_none(rig: Rig) -> None:
    before = rig.dump()
    with pytest.raises(ValidationFailed) as refusal:
        rig.do(enqueue(new_task(), new_task(key="k", key_hash="h"), new_task(depends_on=(99,))))
    assert refusal.value.details["field"] == "tasks[2].depends_on"
    only_a = Principal("n", OPEN.scopes, PathScope((Pattern("/a", below=True),)))
    with pytest.raises(Forbidden):
        rig.do(enqueue(new_task("/a"), new_task("/b")), only_a)
    assert rig.dump() == before
    assert created(rig, ("k", "h"))[0][1]


def test_ids_are_never_used_again(rig: Rig) -> None:
    first = rig.add()
    rig.do(ops.Delete(task_id=first))
    assert rig.add() > first


def test_a_thousand_at_once(rig: Rig) -> None:
    outcome = rig.do(enqueue(*(new_task(f"/d/{n % 7}") for n in range(1_000))))
    assert isinstance(outcome, Created)
    assert [task_id for task_id, _ in outcome.tasks] == list(range(1, 1_001))
    assert [outcome.views[task_id].head.path for task_id, _ in outcome.tasks[:8]] == [f"/d/{n % 7}" for n in range(8)]
