"""What people do to schedules: make, change and delete them."""

from datetime import datetime
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from orchestrator.domain import schedule_operations as ops
from orchestrator.domain import schedule_work
from orchestrator.domain.holders import patterns
from orchestrator.domain.moments import instant
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Decision, Done
from orchestrator.domain.principal import Principal
from orchestrator.domain.records import Dropped, Kept, Schedule
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_firing import Firing, revised, told
from orchestrator.domain.schedule_outcomes import Scheduled
from orchestrator.domain.schedule_times import aimed, checked, next_due, spread_key
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.schedules import CreateSchedule, UpdateSchedule
from worker_client.errors import Conflict, NotFound, ValidationFailed

_AS_SENT: Final = ("name", "description", "max_runs", "pause_after_failures")
_TIMING: Final = ("name", "cron", "timezone", "starts_at", "ends_at", "jitter_ms")
"""What a change of asks for another next due time."""


def add(op: ops.AddSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Make a schedule; with `fires` it fires at once as well."""
    body = op.body
    work = schedule_work.required(schedule_work.sent(body))
    facts = _facts(body)
    schedule = Schedule(
        id=world.records.new_id(Schedule),
        version=1,
        scope=by.paths.key,
        paths=_column(patterns(by.paths)),
        secrets=_column(None if by.secrets is None else sorted(by.secrets)),
        owner=by.id,
        timezone=facts.pop("timezone", rules.timezone),
        work=schedule_work.as_text(work),
        paused_reason=None,
        failures=0,
        runs=0,
        due_at=None,
        fire_at=None,
        last_due_at=None,
        last_fire_at=None,
        counted_from=world.now,
        workflow_id=None,
        place=None,
        managed_by=body.managed_by,
        created_at=world.now,
        updated_at=world.now,
        **facts,
    )
    _check_name(schedule, world)
    schedule = fitting(schedule_work.checked(schedule, by, world, rules), world)
    if schedule.enabled and schedule.fire_at is None:
        raise ValidationFailed("`ends_at` is before the first due time: send a later one", field="ends_at")
    decision = Decision(Scheduled(schedule.id))
    if op.fires:
        firing = Firing(world, rules)
        schedule, _ = firing.execute(schedule)
        decision.changes += firing.decision.changes
        decision.wakes += firing.decision.wakes
    decision.changes[:0] = [Kept(schedule, fresh=True), told("created", schedule)]
    return decision


def _facts(body: CreateSchedule | UpdateSchedule) -> dict[str, Any]:
    """The columns that a body says; what is left out is left out."""
    sent = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}
    facts: dict[str, Any] = {name: sent[name] for name in _AS_SENT if name in sent}
    facts |= {name: str(sent[name]) for name in ("overlap", "missed") if name in sent}
    if (expression := sent.get("cron")) is not None:
        facts["cron"] = expression.strip()
    if (zone := sent.get("timezone")) is not None:
        facts["timezone"] = zone
    if "enabled" in sent:
        facts["enabled"] = sent["enabled"]
    for name, column in (("jitter_seconds", "jitter_ms"), ("missed_window_seconds", "missed_window_ms")):
        if name in sent:
            facts[column] = round(sent[name] * 1000)
    for name in ("starts_at", "ends_at"):
        if name in sent:
            facts[name] = instant(sent[name], name) if isinstance(sent[name], datetime) else None
    return facts


def _column(names: Any) -> str | None:
    return None if names is None else to_json(names)


def _check_name(schedule: Schedule, world: World) -> None:
    """Names are unique for those who see the same directories."""
    found = world.records.find(
        Schedule,
        "schedule_named",
        schedule.scope,
        schedule.name,
        such=lambda one: (one.scope, one.name) == (schedule.scope, schedule.name),
    )
    if other := next((one for one in found if one.id != schedule.id), None):
        raise Conflict(
            f"schedule {other.id} has the name {schedule.name!r} already: use another, or change that one",
            field="name",
            schedule_id=other.id,
        )


def fitting(schedule: Schedule, world: World, since: Millis | None = None) -> Schedule:
    """A schedule that is saved anew, with its next due time after `since` (now). Raises ValidationFailed when it has none."""
    cron = checked(schedule.cron, schedule.timezone, spread_key(schedule.scope, schedule.name))
    after = world.wall if since is None else min(since, world.wall)
    if None not in {schedule.starts_at, schedule.ends_at} and (schedule.ends_at or 0) < (schedule.starts_at or 0):
        raise ValidationFailed("`ends_at` is before `starts_at`: send a later one", field="ends_at")
    if next_due(cron, after, schedule.starts_at, None) is None:
        raise ValidationFailed(
            f"`cron` is {schedule.cron!r}, for which no time will ever come: correct it", field="cron", value=schedule.cron
        )
    return aimed(schedule, cron, after) if schedule.enabled else replace(schedule, due_at=None, fire_at=None)


def visible(schedule_id: int, by: Principal, world: World) -> Schedule:
    """The schedule, or NotFound when there is none or who asks does not see all of its directories."""
    schedule = world.records.get(Schedule, schedule_id)
    if schedule is None or not schedule_work.seen(schedule).within(by.paths):
        raise NotFound(f"there is no schedule {schedule_id}", schedule_id=schedule_id)
    return schedule


def _own(schedule_id: int, by: Principal, world: World) -> Schedule:
    """A schedule that is changed here, and not by deploying its workflow."""
    schedule = visible(schedule_id, by, world)
    if schedule.workflow_id is not None:
        raise Conflict(
            f"schedule {schedule.id} belongs to the deployment of workflow {schedule.workflow_id}: "
            "change the workflow's trigger and deploy it again, or undeploy it",
            workflow_id=schedule.workflow_id,
        )
    return schedule


def change(op: ops.ChangeSchedule, by: Principal, world: World, rules: Rules) -> Decision:
    """Change what is sent; a due time that has come and not fired yet is not lost by it."""
    before = _own(op.schedule_id, by, world)
    body = op.body
    if body.version is not None and body.version != before.version:
        raise Conflict(
            f"schedule {before.id} is at version {before.version}, not {body.version}: read it again and repeat the change",
            field="version",
            version=before.version,
        )
    facts = _facts(body)
    if (work := schedule_work.sent(body)) is not None:
        facts["work"] = schedule_work.as_text(work)
    after = revised(before, world, **facts)
    if after.name != before.name:
        _check_name(after, world)
    if work is not None:
        after = schedule_work.checked(after, by, world, rules)
    if after.enabled and not before.enabled:
        after = replace(after, paused_reason=None, failures=0, counted_from=world.now)
    if any(getattr(before, name) != getattr(after, name) for name in (*_TIMING, "enabled")):
        since = None if before.due_at is None else before.due_at - 1
        after = fitting(after, world, since)
    elif after.enabled and before.fire_at is None and before.max_runs != after.max_runs:
        after = fitting(after, world)
    firing = Firing(world, rules, [before])
    if before.enabled and not after.enabled:
        firing.leave(after, "the schedule was stopped")
    if firing.used_up(after):
        after = replace(after, due_at=None, fire_at=None)
    firing.add(Kept(after), told("changed", after, fields=sorted({name for name in facts if _differs(name, before, after)})))
    return Decision(Scheduled(after.id), firing.decision.changes)


def _differs(name: str, before: Schedule, after: Schedule) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def delete(op: ops.DeleteSchedule, by: Principal, world: World, _rules: Rules) -> Decision:
    """Remove a schedule with its history."""
    schedule = _own(op.schedule_id, by, world)
    return Decision(Done(1), [Dropped(schedule), told("deleted", schedule)])
