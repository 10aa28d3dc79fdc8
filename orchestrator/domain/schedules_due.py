"""What time does to schedules: whatever is due fires, each due time once."""

from typing import Final

from msgspec.structs import replace

from orchestrator.domain import schedule_operations as ops
from orchestrator.domain.cron import Cron, CronError
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Schedule
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_firing import Firing
from orchestrator.domain.schedule_times import Passed, aimed, cron_of, passed
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import FireKind, Missed

MOST_TASKS: Final = 2_000
"""Created in one transaction: what is left is done in the next one."""
MOST_MISSED: Final = 20_000
"""Counted in one transaction."""


def fire_due(op: ops.FireDue, _by: Principal, world: World, rules: Rules) -> Decision:
    """Fire up to `limit` due times that have come; none while the scheduler is stopped."""
    wall = world.wall
    found = world.records.find(
        Schedule, "schedules_due", wall, op.limit, such=lambda one: one.fire_at is not None and one.fire_at <= wall
    )
    due = sorted(found, key=lambda one: (one.fire_at or 0, one.id)) if world.source.scheduling() else []
    firing = Firing(world, rules, due)
    firing.outcome.more = len(due) >= op.limit
    room = op.limit
    for schedule in due:
        if op.gives_up:
            firing.keep(firing.pause(schedule, "the server cannot fire it: its log says why"), schedule)
            continue
        if room <= 0 or firing.outcome.created >= MOST_TASKS or firing.outcome.missed >= MOST_MISSED:
            firing.outcome.more = True
            break
        try:
            room -= _advance(schedule, cron_of(schedule), firing, wall, room)
        except CronError as error:
            # A zone that was there when it was saved, on another machine perhaps.
            firing.keep(firing.pause(schedule, str(error)), schedule)
    return firing.decision


def _advance(schedule: Schedule, cron: Cron, firing: Firing, wall: Millis, room: int) -> int:
    """Fire a schedule for the due times that have come, and say when the next one does; how many there were."""
    found = passed(schedule, cron, wall, room)
    known = firing.decided(schedule, [due for due in (found.missed, *found.fired) if due is not None])
    firing.outcome.missed += found.count
    if found.missed is not None and found.missed not in known:
        firing.skipped(schedule, found.missed, found.count, _why(schedule, found))
    after, reached = schedule, found.missed
    for due in found.fired:
        if firing.used_up(after) or not after.enabled:
            break
        if firing.outcome.created >= MOST_TASKS:
            firing.outcome.more = True
            break
        reached = due
        if due not in known:
            after = firing.pause_failing(firing.due(after, FireKind.DUE, due))
    firing.outcome.more |= found.rest
    if reached is not None:
        after = replace(after, last_due_at=max(reached, schedule.last_due_at or reached))
    if firing.used_up(after) or not after.enabled:
        after = replace(after, due_at=None, fire_at=None)
    elif reached is not None:
        after = aimed(after, cron, reached)
    firing.keep(after, schedule)
    return max(1, len(found.fired))


def _why(schedule: Schedule, found: Passed) -> str:
    if found.fired and schedule.missed == Missed.ONCE:
        return "missed: a later due time stands for it"
    if schedule.missed == Missed.SKIP:
        return "missed: nobody could fire it in time"
    return f"missed: it is older than {schedule.missed_window_ms / 1000:g} seconds"
