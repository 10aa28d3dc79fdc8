"""The span of an attempt: what it tells, and what it does not."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from worker_client import tracing
from worker_client.attempts import attempt
from worker_client.contract.enums import Priority, Status
from worker_client.contract.reports import Usage
from worker_client.contract.tasks import ClaimedTask
from worker_client.runners.outcomes import Done, Failed, Outcome, Released
from worker_client.spans import Spans

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET = "hunter2"
NOTHING: dict[str, Any] = {
    name: None for name in ClaimedTask.__struct_fields__ if name not in {"agent", "budget", "question", "traceparent"}
}


def claimed(**facts: Any) -> ClaimedTask:
    """A task, as far as its span looks at it."""
    given = {"id": 7, "kind": "agent", "status": Status.RUNNING, "priority": Priority.NORMAL, "work_directory": "/srv/shop"}
    secret = {"prompt": SECRET, "title": SECRET, "environment": {"A": SECRET}, "lease": SECRET}
    traced = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "attempt": 2, "worker_id": "w", "agent": "claude"}
    return ClaimedTask(**{**NOTHING, **given, **secret, **traced, "spec": {"model": "opus"}, **facts})


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    found = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(tracing, "spans", lambda: Spans(provider.get_tracer("test")))
    return found


def run(exporter: InMemorySpanExporter, outcome: Outcome | None, **facts: Any) -> tuple[ReadableSpan, dict[str, Any]]:
    with attempt(claimed(**facts), "AgentRunner") as told:
        told.ended(outcome)
    (span,) = exporter.get_finished_spans()
    exporter.clear()
    assert SECRET not in span.to_json()
    return span, dict(span.attributes or {})


def test_an_attempt_of_an_agent_tells_its_model_and_usage(exporter: InMemorySpanExporter) -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cached_tokens=3, cost_usd=0.5, model="opus-5")
    span, told = run(exporter, Done(SECRET, usage, {"said": SECRET}))
    assert span.name == "attempt claude"
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, "00f067aa0ba902b7")
    assert span.status.status_code is StatusCode.UNSET
    assert told["orchestrator.attempt.outcome"] == "completed"
    assert (told["gen_ai.agent.name"], told["gen_ai.request.model"], told["gen_ai.response.model"]) == (
        "claude",
        "opus",
        "opus-5",
    )
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (10, 5)
    assert told["orchestrator.usage.cost_usd"] == 0.5
    assert (told["messaging.message.id"], told["orchestrator.task.attempt"]) == ("7", 2)


@pytest.mark.parametrize(
    ("outcome", "ended", "error"),
    [
        (Failed(type="Timeout", message=SECRET, details={"x": SECRET}), "failed", "Timeout"),
        (Released(SECRET), "released", None),
        (None, "lost", "LeaseLost"),
    ],
)
def test_how_an_attempt_ended_is_told_without_its_words(
    exporter: InMemorySpanExporter, outcome: Outcome | None, ended: str, error: str | None
) -> None:
    span, told = run(exporter, outcome, kind="script", agent=None, spec={"command": SECRET, "model": SECRET})
    assert (span.name, told["orchestrator.attempt.outcome"], told.get("error.type")) == ("attempt script", ended, error)
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)
    assert span.status.description is None
    assert not [name for name in told if name.startswith("gen_ai")]


def test_what_an_attempt_does_belongs_below_it_and_an_abandoned_one_is_failed(exporter: InMemorySpanExporter) -> None:
    async def abandoned() -> None:
        with attempt(claimed(), "AgentRunner"):
            seen.append(await asyncio.create_task(_current()))
            raise asyncio.CancelledError(SECRET)

    seen: list[str | None] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(abandoned())
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    assert (seen[0] or "").split("-")[1:3] == [TRACE, f"{span.context.span_id:016x}"]
    assert (span.attributes or {})["error.type"] == "CancelledError"
    assert SECRET not in span.to_json()


async def _current() -> str | None:
    return tracing.current()
