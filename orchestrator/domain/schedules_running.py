"""How people drive schedules: start, stop and restart them, fire them now, make up for due times that are past."""

from typing import Final

from msgspec.structs import replace

from orchestrator.domain import schedule_operations as ops
from orchestrator.domain import schedule_work
from orchestrator.domain.outcomes import Decision, Done, Noted
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Kept, Schedule, SchedulerSet
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_firing import Firing, revised, told
from orchestrator.domain.schedule_outcomes import Backfilled, Executed, Scheduled
from orchestrator.domain.schedule_times import checked, spread_key
from orchestrator.domain.schedules import fitting, visible
from orchestrator.domain.schedules_following import settled
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.errors import Conflict, Forbidden, ValidationFailed

MOST_MADE_UP: Final = 1_000
"""Due times of one backfill."""
MOST_TASKS: Final = 10_000
"""Tasks of one backfill."""


def start(op: ops.StartSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Let a schedule fire again: at times to come, not for those that went by."""
    before = visible(op.schedule_id, by, world)
    if before.enabled and before.fire_at is not None:
        return Decision(Scheduled(before.id))
    after = fitting(revised(before, world, **_FORGIVEN, counted_from=world.now), world)
    if Firing(world, rules, [before]).used_up(after):
        raise _used_up(after)
    if after.fire_at is None:
        raise Conflict(f"schedule {after.id} is past its `ends_at`: change that first", schedule_id=after.id)
    return Decision(Scheduled(after.id), [Kept(after), told("started", after)])


def _used_up(schedule: Schedule) -> Conflict:
    return Conflict(
        f"schedule {schedule.id} has had its {schedule.max_runs} runs, with those that wait:"
        " give it a higher `max_runs`, or restart it",
        schedule_id=schedule.id,
    )


_FORGIVEN: Final = {"enabled": True, "paused_reason": None, "failures": 0}


def stop(op: ops.StopSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Let it fire no more, nor what waits; with `cancel` also end what it has created."""
    before = visible(op.schedule_id, by, world)
    firing = Firing(world, rules, [before])
    if before.enabled:
        firing.leave(before, "the schedule was stopped")
        after = revised(
            before, world, enabled=False, paused_reason=f"stopped by {by.id or 'somebody'}", due_at=None, fire_at=None
        )
        firing.add(Kept(after), told("stopped", after))
    more = op.cancel and firing.cancel(before, "its schedule was stopped", op.limit)
    return Decision(Scheduled(before.id, more=more), firing.decision.changes, firing.decision.then)


def restart(op: ops.RestartSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Begin anew: what has not ended is cancelled, runs and failures are counted from nothing, times from now."""
    before = visible(op.schedule_id, by, world)
    after = fitting(revised(before, world, **_FORGIVEN, runs=0, counted_from=world.now), world)
    if after.fire_at is None:
        raise Conflict(f"schedule {after.id} is past its `ends_at`: change that first", schedule_id=after.id)
    firing = Firing(world, rules, [before])
    firing.leave(before, "the schedule was restarted")
    more = firing.cancel(before, "its schedule was restarted", op.limit)
    firing.add(Kept(after), told("restarted", after))
    return Decision(Scheduled(after.id, more=more), firing.decision.changes, firing.decision.then)


def execute(op: ops.ExecuteSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Fire now: also when it is paused, whatever of it runs. Raises what its work is refused for."""
    before = visible(op.schedule_id, by, world)
    firing = Firing(world, rules, [before])
    if firing.used_up(before):
        raise _used_up(before)
    after, row = firing.execute(before)
    firing.keep(_ended(after, firing), before)
    return Decision(Executed(row), firing.decision.changes, firing.decision.then, firing.decision.wakes)


def _ended(schedule: Schedule, firing: Firing) -> Schedule:
    return replace(schedule, due_at=None, fire_at=None) if firing.used_up(schedule) else schedule


def backfill(op: ops.BackfillSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Fire for the due times of a period that is past, as far as nothing was created for them."""
    before = visible(op.schedule_id, by, world)
    if op.end > world.wall:
        raise ValidationFailed("`end` is still to come: send a period that is over", field="end")
    if op.end <= op.start:
        raise ValidationFailed("`end` is not after `start`: send a later one", field="end")
    firing = Firing(world, rules, [before])
    times = _times(before, op.start, op.end)
    made = firing.made(before, times[0], times[-1]) if times else set()
    if (len(times) - len(made)) * schedule_work.size(before) > MOST_TASKS:
        raise ValidationFailed(
            f"that would create more than {MOST_TASKS} tasks at once: send a shorter period", field="start", most=MOST_TASKS
        )
    after, fired = before, 0
    for due in times:
        if firing.used_up(after):
            break
        if due not in made:
            after, done = firing.make_up(after, due)
            fired += done
    firing.keep(_ended(after, firing), before)
    return Decision(Backfilled(len(times), fired), firing.decision.changes, firing.decision.then, firing.decision.wakes)


def _times(schedule: Schedule, start: Millis, end: Millis) -> list[Millis]:
    """The due times from `start` to before `end`; those that are still to fire are not past."""
    first = start if schedule.starts_at is None else max(start, schedule.starts_at)
    ends_at = None if schedule.ends_at is None else schedule.ends_at + 1
    last = min(at for at in (end, schedule.due_at, ends_at) if at is not None)
    cron = checked(schedule.cron, schedule.timezone, spread_key(schedule.scope, schedule.name))
    times = cron.between(first - 1, last - 1, MOST_MADE_UP + 1)
    if len(times) > MOST_MADE_UP:
        raise ValidationFailed(
            f"there are more than {MOST_MADE_UP} due times between `start` and `end`: send a shorter period", field="start"
        )
    return times


def set_scheduler(op: ops.SetScheduler, by: Principal, world: World, rules: Rules) -> Decision:
    """Let all schedules fire, or none, on all servers; what comes due meanwhile was missed."""
    if by.paths.patterns is not None:
        raise Forbidden("this key is limited to some directories, and this is about all schedules: ask with one that is not")
    if world.source.scheduling() == op.running:
        return Decision(Done(0))
    noted = Noted("scheduler.started" if op.running else "scheduler.stopped", "{}")
    decision = Decision(Done(1), [SchedulerSet(op.running), noted])
    if op.running:
        # What waited for work that has ended meanwhile.
        waiting = world.records.find(Schedule, "schedules_waiting", such=lambda _: True)
        followed = settled(waiting, world, rules, running=True)
        decision.changes += followed.changes
        decision.then += followed.then
        decision.wakes += followed.wakes
    return decision
