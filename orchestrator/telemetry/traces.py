"""The server's spans: of requests that change something, of what its loops begin, of claims and of transactions."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry.trace import SpanKind

from orchestrator.domain.operation import Phase
from orchestrator.domain.operations import Submission
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.task import Head
from orchestrator.telemetry.tracing import SERVICE, logged_trace_id
from worker_client import tracing
from worker_client.spans import Span, Spans, remote, sampled

_HEADER: Final = b"traceparent"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FREQUENT: Final = ("/tasks/next", "/tasks/claim", "/heartbeat", "/logs")
"""Ends of paths that workers ask for all the time: a claim has its span when it gets something."""
_UNTOLD: Final = frozenset({Phase.SHIFT, Phase.EXTEND, Phase.CLAIM})


class Request:
    """The span of a request that goes on."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token = logged_trace_id.set(span.trace_id)

    def over(self, facts: dict[str, Any], method: str, status: int) -> None:
        """It was answered."""
        route = facts.get("path_template")
        self._span.name(f"{method} {route}" if route else method)
        task_id = facts.get("path_params", {}).get("task_id")
        self._span.set({"http.route": route, "http.response.status_code": status, "orchestrator.task.id": task_id})
        if status >= 500 or not status:
            self._span.failed(str(status))
        self._span.end()
        logged_trace_id.reset(self._token)


class Traces:
    """Makes the spans of one server."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    @classmethod
    def sending(cls, endpoint: str) -> "Traces":
        """Send spans to the collector at an address, or where the environment says. Raises ConfigurationError."""
        return cls(tracing.start(SERVICE, endpoint))

    def request(self, facts: dict[str, Any], method: str) -> Request | None:
        """A span of a request: what it has the queue do belongs below it. None for what only looks, and belongs to no trace."""
        headers: list[tuple[bytes, bytes]] = facts["headers"]
        told = next((value.decode("latin-1") for name, value in headers if name == _HEADER), None)
        parent = told if remote(told) else None
        if facts["path"].endswith(_FREQUENT) or (method in _READING and parent is None):
            return None
        span = self._spans.begin(method, parent, {"http.request.method": method}, kind=SpanKind.SERVER)
        facts["headers"] = [*(one for one in headers if one[0] != _HEADER), (_HEADER, span.traceparent.encode())]
        return Request(span)

    def work(self, name: str) -> AbstractContextManager[Span]:
        """A trace of what the server begins by itself."""
        return self._spans.active(name, None, {})

    def claimed(self, head: Head) -> str | None:
        """A span of a claim in the task's trace: what its worker's spans belong below."""
        if head.traceparent is None:
            return None
        span = self._spans.begin(
            "claim",
            head.traceparent,
            {
                "messaging.system": "task-orchestrator",
                "messaging.operation.type": "receive",
                "messaging.operation.name": "claim",
                "messaging.destination.name": head.path,
                "messaging.message.id": str(head.id),
                "messaging.client.id": head.worker_id,
                "orchestrator.task.kind": head.kind,
                "orchestrator.task.attempt": head.attempt,
                "orchestrator.task.lease_no": head.lease_no,
                "orchestrator.task.waited_ms": (head.started_at or head.ready_at) - head.ready_at,
            },
        )
        span.end()
        return span.traceparent

    def committed(self, batch: Sequence[Submission], decisions: Sequence[Decision], began: int) -> None:
        """Spans of a transaction and of what traces had done in it; `began`: in ns."""
        traced = [
            (submission, decision)
            for submission, decision in zip(batch, decisions, strict=True)
            if submission.trace is not None and submission.op.phase not in _UNTOLD and sampled(submission.trace)
        ]
        if not traced:
            return
        commit = self._spans.begin("commit", None, {"orchestrator.commit.operations": len(batch)}, at=began)
        for submission, decision in traced:
            name = type(submission.op).__name__.lower()
            span = self._spans.begin(name, submission.trace, {}, links=[commit.link] if commit.recorded else (), at=began)
            if isinstance(decision.outcome, Exception):
                span.failed(type(decision.outcome).__name__)
            span.end()
        commit.end()

    def close(self) -> None:
        """Send what is left."""
        self._spans.close()
