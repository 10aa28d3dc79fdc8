"""What this server did, as its metrics count it."""

from collections.abc import Iterable

from orchestrator.domain.budgets import usd
from orchestrator.domain.outcomes import AttemptEnded, Decision, UsageCounted
from orchestrator.store.protocol import Commit, FeedEvent
from orchestrator.telemetry.metrics import Metrics


def count(commit: Commit, metrics: Metrics) -> None:
    """Count what became of tasks and schedules in a transaction, and what was used."""
    _events(commit.events, metrics)
    _work(commit.decisions, metrics)


def _work(decisions: Iterable[Decision], metrics: Metrics) -> None:
    for decision in decisions:
        for change in decision.changes:
            if type(change) is AttemptEnded:
                head, ended_at = change.head, change.ended_at
                began = head.started_at or ended_at
                metrics.attempted(head.kind, change.outcome, (began - head.ready_at) / 1000, (ended_at - began) / 1000)
            elif type(change) is UsageCounted and (change.micros or change.input_tokens or change.output_tokens):
                tokens = {"input": change.input_tokens, "output": change.output_tokens, "cached": change.cached_tokens}
                metrics.used(change.agent or "unknown", tokens, usd(change.micros))


def _events(events: Iterable[FeedEvent], metrics: Metrics) -> None:
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
