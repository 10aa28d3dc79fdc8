"""Schedules as the contract shows them."""

from typing import Any

import msgspec

from orchestrator.domain.cron import CronError
from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.records import Fire, Schedule
from orchestrator.domain.schedule_times import cron_of
from worker_client.contract import schedules as contract
from worker_client.contract.enums import FireKind, FireOutcome, Missed, Overlap, ScheduleState


def schedule(found: Schedule) -> contract.Schedule:
    """A Schedule."""
    work: dict[str, Any] = msgspec.json.decode(found.work)
    return contract.Schedule(
        id=found.id,
        version=found.version,
        name=found.name,
        description=found.description,
        cron=found.cron,
        words=words(found),
        timezone=found.timezone,
        task=work.get("task"),
        tasks=work.get("tasks"),
        workflow=work.get("workflow"),
        command=work.get("command"),
        state=state(found),
        enabled=found.enabled,
        paused_reason=found.paused_reason,
        jitter_seconds=found.jitter_ms / 1000,
        starts_at=perhaps(found.starts_at),
        ends_at=perhaps(found.ends_at),
        max_runs=found.max_runs,
        overlap=Overlap(found.overlap),
        missed=Missed(found.missed),
        missed_window_seconds=found.missed_window_ms / 1000,
        pause_after_failures=found.pause_after_failures,
        next_fire_at=perhaps(found.fire_at),
        last_fire_at=perhaps(found.last_fire_at),
        runs=found.runs,
        failures=found.failures,
        workflow_id=found.workflow_id,
        created_at=moment(found.created_at),
        updated_at=moment(found.updated_at),
        created_by=found.owner,
        managed_by=found.managed_by,
    )


def words(found: Schedule) -> str:
    """Its expression in words, or as it is when this machine no longer knows its zone."""
    try:
        return cron_of(found).words
    except CronError:
        return found.cron


def state(found: Schedule) -> ScheduleState:
    """Whether it has times to come."""
    if found.fire_at is not None:
        return ScheduleState.ACTIVE
    return ScheduleState.FINISHED if found.enabled else ScheduleState.PAUSED


def fire(found: Fire) -> contract.Fire:
    """A Fire."""
    return contract.Fire(
        id=found.id,
        schedule_id=found.schedule_id,
        kind=FireKind(found.kind),
        due_at=moment(found.due_at),
        decided_at=moment(found.decided_at),
        outcome=FireOutcome(found.outcome),
        reason=found.reason,
        times=found.times,
        task_ids=msgspec.json.decode(found.task_ids),
        run_id=found.run_id,
    )
