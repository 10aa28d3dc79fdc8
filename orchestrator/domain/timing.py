"""What time does to tasks."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain import runs
from orchestrator.domain.budgets import DAY
from orchestrator.domain.holding import lift
from orchestrator.domain.lifecycle import Verb, permit
from orchestrator.domain.moves import happened, ready, settle
from orchestrator.domain.outcomes import (
    BudgetReached,
    Change,
    Decision,
    Done,
    Forgotten,
    Freed,
    LogsTrimmed,
    Noted,
    Removed,
    Saved,
)
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Dropped
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head, Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import Status

_USAGE_KEPT: Final = 400 * DAY
"""A year, to compare with, and a month: what was spent is asked for long after the tasks are gone."""


def promote(op: ops.Promote, _by: Principal, world: World, rules: Rules) -> Decision:
    """Bring tasks back whose due time has come: the rank is that of the due time, not of the promoter's clock.

    So with accounts whose quota has come back; and with a new day those can be claimed again that a budget of the day before kept
    back. Runs whose time is over end.
    """
    rows, accounts = world.due(op.limit), world.holds.lapsed(world.now, op.limit)
    found = len(rows) + len(accounts)
    decision = Decision(Done())
    for account in accounts:
        changes, wakes = lift(account, world)
        decision.changes += changes
        decision.wakes += wakes
    for head in rows:
        if not _is_due(head, world.now):
            continue
        permit(Verb.PROMOTE, head.status, head.id)
        facts = {"hold": None, "hold_until": None} if head.status is Status.PARKED else {}
        after = settle(head, world, rules, **facts)
        decision.changes += [Saved(after), happened("parked" if after.status is Status.PARKED else "ready", after)]
        decision.wakes += ready(after)
    late = runs.overdue(op.limit, decision, world, rules)
    decision.outcome = Done(found + late, more=max(len(rows), len(accounts), late) >= op.limit)
    for setting in world.renewable():
        decision.changes += [
            BudgetReached(setting.path, setting.host, None),
            Noted("directory.budget_renewed", "{}", setting.path, setting.host),
        ]
        decision.wakes.append(Freed(setting.path))
    return decision


def _is_due(head: Head, now: Millis) -> bool:
    due_at = {Status.SCHEDULED: head.due_at, Status.PARKED: head.hold_until}.get(head.status)
    return due_at is not None and due_at <= now


def shift(op: ops.Shift, _by: Principal, world: World, _rules: Rules) -> Decision:
    """Give every live lease the time back in which no server could have taken its heartbeat."""
    # Of several servers that woke up the first has done it for all.
    gap = min(op.by_ms, world.now - world.source.alive_at())

    def later(at: Millis | None) -> Millis | None:
        return None if at is None else at + gap

    decision = Decision(Done())
    for head in world.running() if gap > 0 else ():
        if head.status is Status.RUNNING:
            after = replace(
                head,
                version=head.version + 1,
                lease_ends_at=later(head.lease_ends_at),
                lease_deadline=later(head.lease_deadline),
                confirm_by=later(head.confirm_by),
                expire_at=later(head.expire_at),
            )
            decision.changes.append(Saved(after))
    decision.outcome = Done(len(decision.changes))
    return decision


def prune(op: ops.Prune, _by: Principal, world: World, _rules: Rules) -> Decision:
    """Remove what is past its retention, a little at a time; nobody waits for a task that has ended, nor for a run."""
    ended = world.ended(op.before, op.limit)
    rows = [head for head in ended if head.status.final]
    changes = _removals(rows, world.source.last_lines(head.id for head in rows), op.rows) if rows else []
    count = sum(isinstance(change, Removed) for change in changes)
    # The rollups are asked about the last 24 hours.
    forgotten = Forgotten(op.before, op.keys_before, min(op.before, world.now - DAY), world.now - _USAGE_KEPT, op.rows)
    past = runs.past(op.before, op.limit, world)
    changes += map(Dropped, past)
    more = len(ended) >= op.limit or len(rows) > count or len(past) >= op.limit or world.source.more_to_forget(forgotten)
    # A run goes when its tasks are gone.
    more = more or any(head.run_id is not None for head in rows)
    changes.append(replace(forgotten, last=not more))
    return Decision(Done(count, more=more), changes)


def _removals(rows: Sequence[Head], lines: Mapping[int, int], room: int) -> list[Change]:
    """As many tasks as have no more lines of output than there is room for; of the one after them only the end of its output."""
    changes: list[Change] = []
    for head in rows:
        last = lines.get(head.id, 0)
        if last > room:
            changes.append(LogsTrimmed(head.id, last - room))
            break
        changes.append(Removed(head))
        room -= last
    return changes


def tick(_op: ops.Tick, _by: Principal, _world: World, _rules: Rules) -> Decision:
    """Nothing but the time of the commit itself."""
    return Decision(Done())
