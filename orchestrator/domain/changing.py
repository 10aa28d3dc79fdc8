"""What people do to tasks and directories: cancel, retry, execute, answer, approve, reject, change, delete, pause."""

from typing import Any, Final

from msgspec import UNSET

from orchestrator.domain import budgets, secrets
from orchestrator.domain import operations as ops
from orchestrator.domain.accounts import usage_of
from orchestrator.domain.dependencies import lost_parents
from orchestrator.domain.ending import FOR_PEOPLE
from orchestrator.domain.lifecycle import Verb, permit
from orchestrator.domain.moves import happened, ready, revise, settle, stood_aside, to_json, visible
from orchestrator.domain.outcomes import (
    BudgetReached,
    Change,
    Changed,
    Decision,
    DirectorySet,
    Done,
    Edited,
    Freed,
    Happened,
    Noted,
    Removed,
    Saved,
    Written,
)
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import DirectorySetting, Head, Outputs
from orchestrator.domain.world import World
from worker_client.contract.enums import ParkReason, Status
from worker_client.errors import Conflict, Forbidden, ValidationFailed

_MOST_HELD: Final = 1_000
"""Those that ran when the budget was used up: seldom more than some tens."""


def cancel(op: ops.Cancel, by: Principal, world: World, _rules: Rules) -> Decision:
    """End a task that does not run; ask the worker of one that does to stop."""
    head = visible(op.task_id, by, world)
    permit(Verb.CANCEL, head.status, head.id)
    if head.status is not Status.RUNNING:
        return _cancelled(head, Verb.CANCEL, op.reason, world)
    if head.cancel_requested_at is not None:
        return Decision(Changed(head.id))
    after = revise(head, world, cancel_requested_at=world.now, reason=op.reason)
    return Decision(Changed(head.id), [Saved(after), happened("cancel_requested", after, reason=op.reason)])


def _cancelled(head: Head, verb: Verb, reason: str | None, world: World) -> Decision:
    hold = ParkReason.APPROVAL if head.hold == ParkReason.APPROVAL else None
    after = revise(
        head, world, status=Status.CANCELLED, finished_at=world.now, hold=hold, hold_until=None, reason=reason, ended_by=str(verb)
    )
    changes: list[Change] = [Saved(after), happened("cancelled", after, reason=reason)]
    then: list[ops.Operation] = [ops.Orphan(task_id=head.id)] if world.dependents(head.id) else []
    return Decision(Changed(head.id), changes, then, stood_aside(head))


def retry(op: ops.Retry, by: Principal, world: World, rules: Rules) -> Decision:
    """Begin again with all attempts; an approval that was never given is still needed."""
    head = visible(op.task_id, by, world)
    permit(Verb.RETRY, head.status, head.id)
    if lost := lost_parents(head, world):
        raise _hopeless(head, lost, by, world)
    # How the last lease ended stays known, for a report of it that is sent again.
    ended_by = None if head.ended_by == Verb.ORPHAN else head.ended_by
    facts = {"attempt": 0, "releases": 0, "due_at": None, "hold_until": None, "reason": None, "ended_by": ended_by}
    after = settle(head, world, rules, ready_at=world.now, **facts)
    changes: list[Change] = [
        Saved(after),
        Written(head.id, Outputs(result="null", error="null", progress="null")),
        happened("retried", after, previous=str(head.status)),
    ]
    then: list[ops.Operation] = [ops.Revive(task_id=head.id)] if world.dependents(head.id) else []
    return Decision(Changed(head.id), changes, then, ready(after))


def _hopeless(head: Head, lost: list[int], by: Principal, world: World) -> Conflict:
    """The refusal to retry a task whose parents ended badly or are gone; those elsewhere are not named."""
    found = {parent: world.head(parent) for parent in lost}
    named = [parent for parent, at in found.items() if by.paths.patterns is None or (at and by.paths.covers(at.path))]
    which = f"task {named[0]}" if named else "a task that you cannot see"
    step = "retry that first" if named and found[named[0]] else "create this one anew"
    return Conflict(f"task {head.id} depends on {which}, which has not completed and never will: {step}", parents=named)


def execute(op: ops.Execute, by: Principal, world: World, rules: Rules) -> Decision:
    """Due now: from scheduled or parked for a time to waiting, from waiting to the head of its directory."""
    head = visible(op.task_id, by, world)
    permit(Verb.EXECUTE, head.status, head.id)
    if head.status is Status.PARKED and head.hold in FOR_PEOPLE:
        step = "answer its question" if head.hold == ParkReason.QUESTION else "approve or reject it"
        raise Conflict(f"task {head.id} is parked for a person: {step}", task_id=head.id, status=str(head.status))
    ready_at = world.now
    if head.status is Status.WAITING:
        first = world.first_rank(head.path)
        ready_at = (head.rank if first is None else first) - 1 + rules.head_start[head.priority]
    after = settle(head, world, rules, due_at=None, hold=None, hold_until=None, ready_at=ready_at, releases=0)
    return Decision(Changed(head.id), [Saved(after), happened("executed", after)], wakes=ready(after))


def answer(op: ops.Answer, by: Principal, world: World, rules: Rules) -> Decision:
    """Bring a task back with the answer to its question; it keeps its place."""
    head = visible(op.task_id, by, world)
    permit(Verb.ANSWER, head.status, head.id)
    if head.hold != ParkReason.QUESTION:
        raise Conflict(f"task {head.id} is parked for {head.hold}, not with a question", task_id=head.id, status=str(head.status))
    after = settle(head, world, rules, hold=None, hold_until=None)
    changes: list[Change] = [Saved(after), Written(head.id, Outputs(answer=op.answer)), happened("answered", after)]
    return Decision(Changed(head.id), changes, wakes=ready(after))


def approve(op: ops.Approve, by: Principal, world: World, rules: Rules) -> Decision:
    """Let a task run that waits for an approval; before its first run the time of approval counts for its rank.

    A task whose budget is used up gets as much again.
    """
    head = _awaiting_approval(Verb.APPROVE, op.task_id, by, world)
    ready_at = head.ready_at if head.lease_no else max(head.ready_at, world.now)
    budget = budgets.granted(head.budget) if head.hold == ParkReason.BUDGET else head.budget
    if head.hold == ParkReason.BUDGET and budgets.used_up(budget) is not None:
        raise Conflict(
            f"task {head.id} was given a budget of nothing, and as much again is nothing: give it another `spec.budget`",
            task_id=head.id,
            status=str(head.status),
        )
    after = settle(head, world, rules, hold=None, hold_until=None, reason=None, ready_at=ready_at, budget=budget)
    return Decision(Changed(head.id), [Saved(after), happened("approved", after)], wakes=ready(after))


def reject(op: ops.Reject, by: Principal, world: World, _rules: Rules) -> Decision:
    """Cancel a task that waits for an approval."""
    head = _awaiting_approval(Verb.REJECT, op.task_id, by, world)
    decision = _cancelled(head, Verb.REJECT, op.reason, world)
    decision.changes = [
        Happened("task.rejected", change.head, change.data) if isinstance(change, Happened) else change
        for change in decision.changes
    ]
    return decision


def _awaiting_approval(verb: Verb, task_id: int, by: Principal, world: World) -> Head:
    head = visible(task_id, by, world)
    permit(verb, head.status, head.id)
    if head.hold not in {ParkReason.APPROVAL, ParkReason.BUDGET}:
        raise Conflict(f"task {head.id} does not wait for an approval", task_id=head.id, status=str(head.status))
    return head


def update(op: ops.Update, by: Principal, world: World, rules: Rules) -> Decision:
    """Change a task that neither runs nor has ended."""
    head = visible(op.task_id, by, world)
    permit(Verb.UPDATE, head.status, head.id)
    if op.version is not None and op.version != head.version:
        raise Conflict(
            f"task {head.id} is at version {head.version}, not {op.version}: read it again and repeat the change on that",
            field="version",
            version=head.version,
        )
    if op.path is not UNSET and not by.paths.covers(op.path):
        raise Forbidden(f"this key may not move tasks to {op.path}", field="work_directory")
    if op.max_attempts is not UNSET and op.max_attempts <= head.attempt:
        raise ValidationFailed(
            f"task {head.id} has begun {head.attempt} attempts: max_attempts must be more than that, not {op.max_attempts}",
            field="max_attempts",
        )
    if op.secrets is not UNSET:
        secrets.check(op.secrets, by, rules, "prompt")
    elif (op.path, op.host) != (UNSET, UNSET):
        # What a command of it comes to depends on where it runs.
        secrets.permit(head.secrets, by, "work_directory")
    names = (
        "path", "host", "title", "priority", "tags", "exclusive", "run_at", "max_attempts", "timeout_ms", "backoff", "secrets",
        "agent",
    )  # fmt: skip
    facts: dict[str, Any] = {name: value for name in names if (value := getattr(op, name)) is not UNSET}
    if "run_at" in facts:
        run_at = facts["run_at"]
        facts["due_at"] = run_at
        facts["ready_at"] = run_at if run_at is not None and run_at > world.now else min(head.ready_at, world.now)
    if op.budget is not UNSET:
        budget = budgets.given(op.budget, head.budget, usage_of(world.outputs(head.id).usage_before))
        if budget != head.budget:
            facts["budget"] = budget
            if head.hold == ParkReason.BUDGET and head.hold_until is None:
                facts |= {"hold": None, "reason": None}
    after = settle(head, world, rules, **facts)
    changed = sorted({*facts, *op.inputs} - {"due_at", "ready_at", "secrets", "agent", "budget", "hold", "reason"})
    changes: list[Change] = [Edited(after, op.inputs), happened("updated", after, fields=changed)]
    return Decision(Changed(head.id), changes, wakes=[*ready(after), *stood_aside(head)])


def delete(op: ops.Delete, by: Principal, world: World, _rules: Rules) -> Decision:
    """Remove a task that does not run; what depended on it is cancelled."""
    head = visible(op.task_id, by, world)
    permit(Verb.DELETE, head.status, head.id)
    then: list[ops.Operation] = [ops.Orphan(task_id=head.id)] if world.dependents(head.id) else []
    return Decision(Done(1), [Removed(head), happened("deleted", head)], then, stood_aside(head))


def set_directory(op: ops.SetDirectory, by: Principal, world: World, rules: Rules) -> Decision:
    """Pause, resume or limit a directory and everything below it, or give it budgets per day."""
    if not by.paths.covers_below(op.path):
        raise Forbidden(f"this key may not change {op.path} and what is below it", field="work_directory")
    before = world.setting(op.path, op.host) or DirectorySetting(
        host=op.host, path=op.path, paused=False, reason=None, max_running=None, updated_at=world.now
    )
    paused = before.paused if op.paused is UNSET else op.paused
    setting = DirectorySetting(
        host=op.host,
        path=op.path,
        paused=paused,
        reason=(before.reason if op.reason is UNSET else op.reason) if paused else None,
        max_running=before.max_running if op.max_running is UNSET else op.max_running,
        updated_at=world.now,
        daily_tokens=before.daily_tokens if op.daily_tokens is UNSET else op.daily_tokens,
        daily_micros=before.daily_micros if op.daily_micros is UNSET else op.daily_micros,
        daily_attempts=before.daily_attempts if op.daily_attempts is UNSET else op.daily_attempts,
        reached_day=before.reached_day,
    )
    decision = Decision(Done(1), [DirectorySet(setting)], wakes=[Freed(op.path)])
    told: dict[str, Any] = {"paused": paused, "reason": setting.reason, "max_running": setting.max_running}
    if budgets.daily(setting):
        told |= {
            "daily_tokens": setting.daily_tokens,
            "daily_cost_usd": None if setting.daily_micros is None else budgets.usd(setting.daily_micros),
            "daily_attempts": setting.daily_attempts,
        }
    decision.changes.append(Noted("directory.changed", to_json(told), op.path, op.host))
    if budgets.allowed(setting) != budgets.allowed(before):
        _begin_anew(setting, decision, world, rules)
    return decision


def _begin_anew(setting: DirectorySetting, decision: Decision, world: World, rules: Rules) -> None:
    """Another budget for the day: whoever was parked for the last one asks whether this one has something left."""
    if setting.reached_day is not None:
        decision.changes.append(BudgetReached(setting.path, setting.host, None))
    for head in world.held_for_the_day(setting.path, setting.host, _MOST_HELD):
        after = settle(head, world, rules, hold=None, hold_until=None, reason=None)
        decision.changes += [Saved(after), happened("ready", after)]
        decision.wakes += ready(after)
