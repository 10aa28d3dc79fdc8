"""New tasks."""

from orchestrator.domain import budgets, secrets
from orchestrator.domain import operations as ops
from orchestrator.domain.lifecycle import derive
from orchestrator.domain.moves import happened, ready
from orchestrator.domain.outcomes import Created, Decision, Inserted, KeyTaken
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, NewTask
from orchestrator.domain.world import World
from worker_client.contract.enums import ParkReason, Status
from worker_client.errors import Conflict, Forbidden, ValidationFailed


def enqueue(op: ops.Enqueue, by: Principal, world: World, rules: Rules) -> Decision:
    """Create the tasks, all or none; a key that stands for a task with the same body finds that one."""
    scope = op.key_scope or by.paths.key
    created = Created([])
    decision = Decision(created)
    fresh: dict[str, tuple[int, str]] = {}
    for index, task in enumerate(op.tasks):
        at = f"tasks[{index}]." if op.many else ""
        if not by.paths.covers(task.path):
            raise Forbidden(f"this key may not create tasks in {task.path}", field=f"{at}work_directory")
        if task.key is not None and (known := fresh.get(task.key) or _stored(op, scope, task.key, world)):
            created.tasks.append((_known(task, known, by, world, at, in_batch=task.key in fresh), False))
            continue
        if task.unusable is not None:
            raise task.unusable
        if task.secrets:
            secrets.check(task.secrets, by, rules, f"{at}prompt")
        parents = _parents(task, by, world, at)
        head = _head(world.new_id(), task, parents, world, rules)
        decision.changes += [Inserted(head, task.inputs, parents), happened("created", head, source=head.source)]
        if task.key is not None:
            fresh[task.key] = (head.id, task.key_hash or "")
            decision.changes.append(KeyTaken(scope, task.key, head.id, task.key_hash or ""))
        decision.wakes += ready(head)
        created.tasks.append((head.id, True))
    return decision


def _stored(op: ops.Enqueue, scope: str, key: str, world: World) -> tuple[int, str] | None:
    """Whoever has keys of its own knows which it has used; the table would refuse one that is used twice."""
    return None if op.key_scope else world.key(scope, key)


def _known(  # each of them decides
    task: NewTask, known: tuple[int, str], by: Principal, world: World, at: str, *, in_batch: bool
) -> int:
    task_id, digest = known
    head = world.head(task_id)
    if not in_batch and (head is None or not by.paths.covers(head.path)):
        raise Conflict(f"key {task.key!r} stands for task {task_id}, which has been removed; use a new key", field=f"{at}key")
    if digest != task.key_hash:
        raise Conflict(
            f"key {task.key!r} stands for task {task_id}, which was created with another body; use a new key", field=f"{at}key"
        )
    return task_id


def _parents(task: NewTask, by: Principal, world: World, at: str) -> dict[int, bool]:
    parents: dict[int, bool] = {}
    for parent in task.depends_on:
        head = world.head(parent)
        if head is None or not by.paths.covers(head.path):
            raise ValidationFailed(f"depends_on names task {parent}, which does not exist", field=f"{at}depends_on", value=parent)
        if head.status in {Status.FAILED, Status.CANCELLED}:
            raise Conflict(
                f"depends_on names task {parent}, which is {head.status}: retry it first", field=f"{at}depends_on", value=parent
            )
        parents[parent] = head.status is Status.COMPLETED
    return parents


def _head(task_id: int, task: NewTask, parents: dict[int, bool], world: World, rules: Rules) -> Head:
    now = world.now
    run_at = task.run_at if task.delay_ms is None else now + task.delay_ms
    ready_at = max(now, run_at or 0)
    hold = ParkReason.APPROVAL if task.requires_approval else ParkReason.BUDGET if budgets.used_up(task.budget) else None
    status = derive(open_parents=not all(parents.values()), held=hold is not None, due_at=run_at, now=now)
    return Head(
        id=task_id,
        version=1,
        status=status,
        host=task.host,
        path=task.path,
        kind=task.kind,
        priority=task.priority,
        tags=task.tags,
        exclusive=task.exclusive,
        title=task.title,
        rank=rules.rank(ready_at, task.priority),
        ready_at=ready_at,
        run_at=run_at,
        due_at=run_at,
        has_parents=bool(parents),
        hold=hold,
        hold_until=None,
        max_attempts=task.max_attempts,
        timeout_ms=task.timeout_ms,
        backoff=task.backoff,
        attempt=0,
        releases=0,
        lease_no=0,
        nonce=None,
        lease_mode=0,
        lease_host=None,
        lease_ms=0,
        lease_ends_at=None,
        lease_deadline=None,
        confirm_by=None,
        expire_at=None,
        used=False,
        worker_id=None,
        account=None,
        claimed_by=None,
        poll_key=None,
        poll_hash=None,
        delivery_no=0,
        ended_by=None,
        cancel_requested_at=None,
        reason=None,
        created_at=now,
        updated_at=now,
        started_at=None,
        finished_at=None,
        source=task.source,
        schedule_id=task.schedule_id,
        workflow_id=task.workflow_id,
        run_id=task.run_id,
        step_id=task.step_id,
        traceparent=world.trace,
        secrets=task.secrets,
        agent=task.agent,
        budget=task.budget,
    )
