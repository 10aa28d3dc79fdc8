"""How leases end: completed, failed, given back, parked, run out."""

from msgspec.structs import replace

from orchestrator.domain import backoff, budgets, daily
from orchestrator.domain import operations as ops
from orchestrator.domain.accounts import account
from orchestrator.domain.holding import hold
from orchestrator.domain.lifecycle import Verb, permit
from orchestrator.domain.moves import (
    finish,
    freed,
    happened,
    leased,
    lost,
    pinned,
    ready,
    revise,
    settle,
    to_json,
    unlease,
    visible,
)
from orchestrator.domain.outcomes import Change, Changed, Decision, Done, Saved, Wake
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, Lease, Millis, Outputs
from orchestrator.domain.world import World
from worker_client.contract.enums import AttemptOutcome, ParkReason, Status
from worker_client.contract.reports import TaskError
from worker_client.errors import Conflict, ValidationFailed

FOR_PEOPLE = frozenset({ParkReason.QUESTION, ParkReason.APPROVAL, ParkReason.BUDGET})
"""Holds that a person ends; every other one needs a time."""


def complete(op: ops.Complete, by: Principal, world: World, rules: Rules) -> Decision:
    """End a task well, also one whose cancellation was asked for: the work is done."""
    head = _by_prompt(op, by, world) if op.lease is None else leased(op.task_id, op.lease, Verb.COMPLETE, by, world)
    head, books = account(
        head, AttemptOutcome.COMPLETED, world, outputs=Outputs(result=op.result), usage=op.usage, evidence=op.evidence
    )
    done = finish(head, world, Status.COMPLETED, releases=0, reason=None, **unlease(Verb.COMPLETE))
    changes: list[Change] = [
        Saved(done),
        *books,
        happened("completed", done, attempt=head.attempt, worker_id=head.worker_id),
    ]
    then: list[ops.Operation] = [ops.Satisfy(task_id=head.id)] if world.dependents(head.id) else []
    return Decision(Changed(head.id), changes, then, [freed(head, world, rules)])


def _by_prompt(op: ops.Complete, by: Principal, world: World) -> Head:
    head = visible(op.task_id, by, world)
    if op.original_prompt is None:
        raise ValidationFailed("send `lease` from the claim, or `original_prompt` as it was delivered", field="lease")
    if head.status is not Status.RUNNING:
        if head.ended_by == Verb.COMPLETE:
            raise lost(head, Verb.COMPLETE, same=True)
        raise Conflict(f"task {head.id} is {head.status}, so nobody works on it: claim it, and send `lease` from the claim")
    if head.lease_no != 1 or head.claimed_by != by.id:
        raise Conflict(
            f"task {head.id} is on lease number {head.lease_no}, so the prompt cannot tell who asks: send `lease` from the claim",
            field="lease",
        )
    if op.original_prompt != world.source.prompt(head.id):
        raise Conflict(
            f"`original_prompt` is not the prompt of task {head.id} as delivered: send `lease` from the claim",
            field="original_prompt",
        )
    return head


def fail(op: ops.Fail, by: Principal, world: World, rules: Rules) -> Decision:
    """End an attempt badly: again after the backoff, or for good."""
    head = leased(op.task_id, op.lease, Verb.FAIL, by, world)
    head, changes = account(
        head, AttemptOutcome.FAILED, world, outputs=Outputs(error=op.error), usage=op.usage, error=op.error, evidence=op.evidence
    )
    return _lose(head, Verb.FAIL, world, rules, changes, retryable=op.retryable, delay=op.retry_after_ms, message=op.message)


def _lose(
    head: Head,
    verb: Verb,
    world: World,
    rules: Rules,
    changes: list[Change],
    *,
    retryable: bool = True,
    delay: int | None = None,
    message: str = "",
) -> Decision:
    """An attempt is used up: what becomes of the task."""
    kind = "expired" if verb is Verb.EXPIRE else "failed"
    then: list[ops.Operation] = []
    if head.cancel_requested_at is not None:
        after = finish(head, world, Status.CANCELLED, releases=0, **unlease(verb))
        kind = "cancelled"
    elif retryable and head.attempt < head.max_attempts:
        if delay is None:
            delay = backoff.delay_ms(backoff.parse(head.backoff or rules.backoff), head.attempt, world.chance())
        due_at = world.now + delay
        after = settle(head, world, rules, due_at=due_at, ready_at=due_at, releases=0, reason=None, **unlease(verb))
    else:
        after = finish(head, world, Status.FAILED, releases=0, reason=None, **unlease(verb))
    if after.status.final and world.dependents(head.id):
        then.append(ops.Orphan(task_id=head.id))
    event = happened(
        kind, after, attempt=head.attempt, worker_id=head.worker_id, message=message[:500] or None, due_at=_due(after)
    )
    wakes: list[Wake] = [freed(head, world, rules), *ready(after)]
    return Decision(Changed(head.id), [Saved(after), *changes, event], then, wakes)


def _due(head: Head) -> int | None:
    return head.due_at if head.status is Status.SCHEDULED else None


def release(op: ops.Release, by: Principal, world: World, rules: Rules) -> Decision:
    """Give back: no attempt counted, the place in the queue kept; who only ever gives back is slowed down."""
    head = leased(op.task_id, op.lease, Verb.RELEASE, by, world)
    releases = 0 if head.used else head.releases + 1
    due_at, ready_at = op.not_before, head.ready_at
    if due_at is not None:
        ready_at = max(ready_at, due_at)
    if releases > rules.free_releases:
        delay = min(rules.release_delay << min(releases - rules.free_releases - 1, 30), rules.release_delay_cap)
        due_at = max(due_at or 0, world.now + delay)
    hold = ParkReason.RELEASES if releases >= rules.max_releases else None
    head, changes = account(head, AttemptOutcome.RELEASED, world, usage=op.usage, reason=op.reason, evidence=op.evidence)
    return _give_back(
        head,
        Verb.RELEASE,
        world,
        rules,
        changes,
        due_at=due_at,
        ready_at=ready_at,
        releases=releases,
        reason=op.reason,
        hold=hold,
        hold_until=world.now + rules.releases_hold if hold else None,
    )


def park(op: ops.Park, by: Principal, world: World, rules: Rules) -> Decision:
    """Give back until something outside happens; the slot is free meanwhile."""
    head = leased(op.task_id, op.lease, Verb.PARK, by, world)
    until = _until(op, world, rules)
    head = replace(head, agent=pinned(head, op.agent, op.outputs))
    head, changes = account(
        head, AttemptOutcome.PARKED, world, outputs=op.outputs, usage=op.usage, reason=op.hold, evidence=op.evidence
    )
    used_up = budgets.used_up(head.budget) if op.hold == ParkReason.BUDGET else None
    if until is None and op.hold == ParkReason.BUDGET and used_up is None and _spent_today(head, world):
        until = budgets.tomorrow(world.now)
    account_name = op.account or head.account
    if op.hold == ParkReason.QUOTA and account_name and until is not None:
        changes += hold(account_name, until, op.message, by, world)
    return _give_back(
        head,
        Verb.PARK,
        world,
        rules,
        changes,
        hold=op.hold,
        hold_until=until,
        due_at=None,
        releases=0,
        account=account_name,
        reason=op.message or used_up,
    )


def _spent_today(head: Head, world: World) -> bool:
    """Whether it was the budget of a directory that is used up: then nobody need decide, a new day will do."""
    return daily.overspent(head.path, head.lease_host or "", head.kind, world) is not None


def _until(op: ops.Park, world: World, rules: Rules) -> Millis | None:
    """When a parked task comes back by itself; None: when a person says so."""
    if op.hold in FOR_PEOPLE:
        return op.not_before
    if op.not_before is None:
        return world.now + rules.quota_hold
    # A reset that should have been is said again and again by an account that still has none.
    return op.not_before if op.not_before > world.now else world.now + rules.quota_least


def undeliver(op: ops.Undeliver, by: Principal, world: World, rules: Rules) -> Decision:
    """Take a claim back when none of its deliveries reached anybody, and nobody has used it since."""
    head = world.head(op.task_id)
    sent = Lease.parse(op.lease)
    current = head and head.status is Status.RUNNING and sent == Lease(head.id, head.lease_no, head.nonce or "")
    if head is None or not current or head.used or head.claimed_by != by.id:
        return Decision(Done())
    if head.delivery_no > 1:
        # Which of them arrived, an earlier or a later one, nobody can tell: what is left of them counts.
        return Decision(Done(), [Saved(revise(head, world, delivery_no=head.delivery_no - 1))])
    return _give_back(head, Verb.UNDELIVER, world, rules, [])


def _give_back(head: Head, verb: Verb, world: World, rules: Rules, changes: list[Change], **facts: object) -> Decision:
    """A lease ends without an attempt being used up."""
    then: list[ops.Operation] = []
    if head.cancel_requested_at is not None:
        after = finish(head, world, Status.CANCELLED, attempt=head.attempt - 1, **unlease(verb))
        kind = "cancelled"
        if world.dependents(head.id):
            then.append(ops.Orphan(task_id=head.id))
    else:
        after = settle(head, world, rules, attempt=head.attempt - 1, **facts, **unlease(verb))
        kind = {Verb.PARK: "parked", Verb.UNDELIVER: "undelivered"}.get(verb, "released")
    event = happened(
        kind,
        after,
        worker_id=head.worker_id,
        reason=after.hold if verb is Verb.PARK else facts.get("reason") or after.hold,
        message=after.reason and after.reason[:500] if verb is Verb.PARK else None,
        due_at=after.hold_until if after.status is Status.PARKED else _due(after),
    )
    return Decision(Changed(head.id), [Saved(after), *changes, event], then, [freed(head, world, rules), *ready(after)])


def recall(_op: ops.Recall, _by: Principal, world: World, rules: Rules) -> Decision:
    """Take all leases back, whoever holds them."""
    decided = Decision(Done())
    reason = "the server was restored from a backup"
    for head in world.running():
        charged, changes = account(head, AttemptOutcome.RELEASED, world, reason=reason)
        _add(decided, _give_back(charged, Verb.RELEASE, world, rules, changes, reason=reason), world)
    return decided


def _add(decided: Decision, step: Decision, world: World) -> None:
    """Let what follows from one task be seen by those after it."""
    world.apply(step.changes)
    decided.changes += step.changes
    decided.then += step.then
    decided.wakes += step.wakes


def expire(op: ops.Expire, _by: Principal, world: World, rules: Rules) -> Decision:
    """End the leases whose time is over: a death costs the attempt, a claim that nobody ever confirmed does not."""
    rows = world.expired(op.limit)
    decided = Decision(Done(more=len(rows) >= op.limit))
    for head in rows:
        if head.status is not Status.RUNNING or head.expire_at is None or head.expire_at > world.now:
            continue
        permit(Verb.EXPIRE, head.status, head.id)
        _add(decided, _expire_one(head, world, rules), world)
    if isinstance(decided.outcome, Done):
        decided.outcome.count = len(rows)
    return decided


def _expire_one(head: Head, world: World, rules: Rules) -> Decision:
    if head.confirm_by is not None and head.confirm_by <= world.now and not head.used:
        return _give_back(head, Verb.UNDELIVER, world, rules, [])
    timed_out = head.lease_deadline is not None and (head.lease_ends_at or 0) >= head.lease_deadline
    error = TaskError(
        type="Timeout" if timed_out else "LeaseExpired",
        message=(
            f"the attempt did not end within its time-out of {head.timeout_ms / 1000:g} s"
            if timed_out
            else f"the worker {head.worker_id} let its lease run out: it died, hung or was cut off"
        ),
    )
    text = to_json(error)
    head, changes = account(head, AttemptOutcome.EXPIRED, world, outputs=Outputs(error=text), error=text)
    return _lose(head, Verb.EXPIRE, world, rules, changes, message=error.message)
