"""What this server did, as its metrics count it."""

from collections.abc import Iterable

from orchestrator.store.protocol import FeedEvent
from orchestrator.telemetry.metrics import Metrics


def count(events: Iterable[FeedEvent], metrics: Metrics) -> None:
    """Count what became of tasks and schedules in a transaction."""
    for event in events:
        match event.type:
            case "task.created":
                metrics.tasks_created += 1
            case "task.completed":
                metrics.tasks_completed += 1
            case "task.expired":
                metrics.leases_expired += 1
            case "schedule.fired" | "schedule.skipped" | "schedule.failed":
                metrics.schedule_fires[event.type.removeprefix("schedule.")] += 1
            case "run.completed" | "run.failed" | "run.cancelled":
                metrics.runs_ended[event.type.removeprefix("run.")] += 1
            case _:
                pass
        if event.status == "failed" and event.type in {"task.failed", "task.expired"}:
            metrics.tasks_failed += 1
