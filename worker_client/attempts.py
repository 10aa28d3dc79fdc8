"""The span of an attempt: what a task's trace gets to know of its work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from worker_client import tracing
from worker_client.contract.tasks import ClaimedTask
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released

if TYPE_CHECKING:
    from worker_client.spans import Span

_NAMED = 100
_ENDS = {Done: "completed", Failed: "failed", Parked: "parked", Released: "released"}


class Attempt:
    """What is noted down of an attempt as it goes on; nothing without tracing."""

    def __init__(self, span: "Span | None" = None) -> None:
        self._span = span

    def ended(self, outcome: Outcome | None) -> None:
        """How it ended; None: its lease was lost, and nobody is told."""
        if self._span is None:
            return
        self._span.set({"orchestrator.attempt.outcome": _ENDS[type(outcome)] if outcome else "lost", **_used(outcome)})
        if outcome is None:
            self._span.failed("LeaseLost")
        elif isinstance(outcome, Failed):
            self._span.failed(outcome.type[:_NAMED])


@contextmanager
def attempt(task: ClaimedTask, runner: str) -> Iterator[Attempt]:
    """What is done inside belongs to the task's trace, below a span of the attempt where this process traces."""
    with tracing.within(task.traceparent):
        spans = tracing.spans()
        if spans is None:
            yield Attempt()
            return
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - there are spans, so it is loaded

        name = f"attempt {task.agent or task.kind}"
        with spans.active(name, task.traceparent, _about(task, runner), kind=SpanKind.CONSUMER) as span:
            yield Attempt(span)


def _about(task: ClaimedTask, runner: str) -> dict[str, Any]:
    agent = task.agent if task.kind == "agent" else None
    model = task.spec.get("model") if agent and isinstance(task.spec, dict) else None
    return {
        "messaging.system": "task-orchestrator",
        "messaging.operation.type": "process",
        "messaging.operation.name": "attempt",
        "messaging.destination.name": task.work_directory,
        "messaging.message.id": str(task.id),
        "messaging.client.id": task.worker_id,
        "gen_ai.operation.name": "invoke_agent" if task.kind == "agent" else None,
        "gen_ai.agent.name": agent,
        "gen_ai.request.model": model if isinstance(model, str) else None,
        "orchestrator.task.kind": task.kind,
        "orchestrator.task.attempt": task.attempt,
        "orchestrator.run.id": task.run_id,
        "orchestrator.step.id": task.step_id,
        "orchestrator.runner": runner,
    }


def _used(outcome: Outcome | None) -> dict[str, Any]:
    usage = outcome.usage if outcome else None
    if usage is None:
        return {}
    return {
        "gen_ai.response.model": usage.model,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "orchestrator.usage.cost_usd": usage.cost_usd,
    }
