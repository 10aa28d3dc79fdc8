"""Cascades along dependencies, in the same transaction as their cause."""

from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.lifecycle import Verb, permit
from orchestrator.domain.moves import DEPENDENCY_FAILED, finish, happened, ready, settle
from orchestrator.domain.outcomes import Decision, Done, EdgeSatisfied, Saved
from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head
from orchestrator.domain.world import World
from worker_client.contract.enums import Status

_ENDED_BADLY = {Status.FAILED, Status.CANCELLED}


def _dependents(parent: int, world: World) -> list[Head]:
    children = list(world.dependents(parent))
    world.load(children)
    return [head for child in children if (head := world.head(child)) is not None]


def satisfy(op: ops.Satisfy, _by: Principal, world: World, rules: Rules) -> Decision:
    """A parent completed: fulfil the edges to its dependents, for good, and free those that waited for it alone."""
    decision = Decision(Done())
    for child in _dependents(op.task_id, world):
        world.parents(child)
        edge = EdgeSatisfied(child.id, op.task_id)
        world.apply([edge])
        decision.changes.append(edge)
        if child.status is Status.BLOCKED and not world.has_open_parents(child):
            permit(Verb.SATISFY, child.status, child.id)
            after = settle(child, world, rules, ready_at=max(child.ready_at, world.now))
            decision.changes += [Saved(after), happened("unblocked", after, parent=op.task_id)]
            decision.wakes += ready(after)
    return decision


def orphan(op: ops.Orphan, _by: Principal, world: World, _rules: Rules) -> Decision:
    """A parent ended badly or is gone: cancel its dependents, and theirs."""
    decision = Decision(Done())
    for child in _dependents(op.task_id, world):
        if child.status is not Status.BLOCKED:
            continue
        permit(Verb.ORPHAN, child.status, child.id)
        # An approval that was never given is asked for again when the task comes back.
        after = replace(
            finish(child, world, Status.CANCELLED, reason=DEPENDENCY_FAILED, ended_by=str(Verb.ORPHAN)), hold=child.hold
        )
        decision.changes += [Saved(after), happened("cancelled", after, reason=DEPENDENCY_FAILED, parent=op.task_id)]
        if world.dependents(child.id):
            decision.then.append(ops.Orphan(task_id=child.id))
    return decision


def revive(op: ops.Revive, _by: Principal, world: World, rules: Rules) -> Decision:
    """A parent is retried: dependents that were cancelled for its sake come back if no other parent stands against it."""
    decision = Decision(Done())
    for child in _dependents(op.task_id, world):
        if child.status is not Status.CANCELLED or child.ended_by != Verb.ORPHAN or lost_parents(child, world):
            continue
        permit(Verb.REVIVE, child.status, child.id)
        after = settle(child, world, rules, reason=None, ended_by=None)
        decision.changes += [Saved(after), happened("revived", after, parent=op.task_id)]
        decision.wakes += ready(after)
        if world.dependents(child.id):
            decision.then.append(ops.Revive(task_id=child.id))
    return decision


def lost_parents(head: Head, world: World) -> list[int]:
    """Open parents of a task that have ended badly or are gone, so that it could never run."""
    still_open = [parent for parent, done in world.parents(head).items() if not done]
    world.load(still_open)
    return [parent for parent in still_open if (found := world.head(parent)) is None or found.status in _ENDED_BADLY]
