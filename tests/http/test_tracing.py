"""The server's spans, in memory: what hangs together, what is left alone, and that nothing secret is in them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.trace import SpanContext
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from orchestrator.settings import Tracing
from tests.http.conftest import Running, serving
from worker_client import tracing
from worker_client.spans import Spans

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"00-{TRACE}-00f067aa0ba902b7-01"
UNWANTED = f"00-{TRACE}-00f067aa0ba902b7-00"
TASK: dict[str, Any] = {"work_directory": "/traced", "prompt": "hunter2"}


class Traced:
    """What was exported so far."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.spans = Spans(provider.get_tracer("test"))

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


def context_of(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def trace_of(span: ReadableSpan) -> str:
    return f"{context_of(span).trace_id:032x}"


def id_of(span: ReadableSpan) -> str:
    return f"{context_of(span).span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Traced:
    found = Traced()
    monkeypatch.setattr(tracing, "start", lambda *_: found.spans)
    return found


@pytest.fixture
async def server(told: Traced, tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path / "tasks.db", tracing=Tracing(enabled=True)) as running:
        yield running


async def test_a_task_and_its_end_are_in_the_trace_that_was_sent(server: Running, told: Traced) -> None:
    made = await server.client.post("/tasks", json=TASK, headers={"traceparent": SENT})
    claimed = await server.claim("/traced")
    assert claimed["id"] == made.json()["data"]["id"]
    below = {"traceparent": claimed["traceparent"]}
    lease = {"lease": claimed["lease"]}
    for call in ("heartbeat", "logs"):
        body = lease | ({"lines": [{"text": "x", "stream": "stdout"}]} if call == "logs" else {})
        assert (await server.client.post(f"/tasks/{claimed['id']}/{call}", json=body, headers=below)).is_success
    ended = await server.client.post(f"/tasks/{claimed['id']}/complete", json={**lease, "result": "hunter2"}, headers=below)
    assert ended.is_success
    post, claim = told.one("POST /api/v1/tasks"), told.one("claim")
    done, complete = told.one("POST /api/v1/tasks/{task_id}/complete"), told.one("complete")
    assert parent_of(post) == "00f067aa0ba902b7"
    assert parent_of(told.one("enqueue")) == id_of(post) == parent_of(claim)
    assert claimed["traceparent"].split("-")[1:3] == [TRACE, id_of(claim)]
    assert (parent_of(done), parent_of(complete)) == (id_of(claim), id_of(done))
    assert {trace_of(span) for span in (post, claim, done, complete)} == {TRACE}
    linked = {link.context.span_id for span in (complete, told.one("enqueue")) for link in span.links}
    assert linked == {context_of(span).span_id for span in told.named("commit")}
    assert len(told.all()) == 7, "a heartbeat and a log are no spans, and a claim that gets nothing is none"
    assert done.attributes is not None
    assert done.attributes["http.response.status_code"] == 200
    assert "hunter2" not in "".join(span.to_json() for span in told.all())


async def test_a_retried_attempt_is_a_span_of_its_own_in_the_same_trace(server: Running, told: Traced) -> None:
    await server.client.post("/tasks", json={**TASK, "backoff": {"base_seconds": 0.001}}, headers={"traceparent": SENT})
    first = await server.claim("/traced")
    error = {"type": "Test", "message": "hunter2"}
    await server.post(f"/tasks/{first['id']}/fail", {"lease": first["lease"], "error": error})
    second = await server.claim("/traced", wait=20)
    assert second["id"] == first["id"]
    assert first["traceparent"] != second["traceparent"]
    attempts = [span.attributes["orchestrator.task.attempt"] for span in told.named("claim") if span.attributes]
    assert attempts == [1, 2]
    assert {trace_of(span) for span in told.named("claim")} == {TRACE}
    assert len({parent_of(span) for span in told.named("claim")}) == 1


async def test_a_task_without_a_trace_begins_one_and_looking_begins_none(server: Running, told: Traced) -> None:
    task = await server.task("/traced")
    for path in ("/tasks", f"/tasks/{task['id']}", "/statistics"):
        await server.get(path)
    assert [span.name for span in told.all() if span.parent is None and span.name != "commit"] == ["POST /api/v1/tasks"]
    await server.client.head(f"/tasks/{task['id']}")
    assert (await server.client.post("/tasks//1", json=TASK)).status_code == 404, "who is turned away at the door is no span"
    assert len([span for span in told.all() if span.parent is None]) == 2
    await server.client.get(f"/tasks/{task['id']}", headers={"traceparent": SENT})
    assert trace_of(told.one("GET /api/v1/tasks/{task_id}")) == TRACE


async def test_what_nobody_wants_to_see_goes_on_unseen(server: Running, told: Traced) -> None:
    await server.client.post("/tasks", json=TASK, headers={"traceparent": UNWANTED})
    claimed = await server.claim("/traced")
    assert claimed["traceparent"].split("-")[1] == TRACE
    assert int(claimed["traceparent"].split("-")[3], 16) & 1 == 0
    assert told.all() == []


async def test_a_sampler_that_wants_nothing_gets_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = Traced(ParentBased(ALWAYS_OFF))
    monkeypatch.setattr(tracing, "start", lambda *_: told.spans)
    async with serving(tmp_path / "tasks.db", tracing=Tracing(enabled=True)) as server:
        await server.task("/traced")
        claimed = await server.claim("/traced")
        assert claimed["traceparent"] is not None
    assert told.all() == []


async def test_a_broken_traceparent_is_none(server: Running, told: Traced) -> None:
    nothing = f"00-{'0' * 32}-{'0' * 16}-01"
    for sent in ("", "00", "00-0-0-01", nothing, "\xfc", SENT.replace("4", "g"), "-" * 1000):
        headers = {b"traceparent": sent.encode("latin-1")}
        assert (await server.client.post("/tasks", json=TASK, headers=headers)).status_code == 201
        assert (await server.claim("/traced"))["traceparent"]
    posts = told.named("POST /api/v1/tasks")
    assert [span.parent for span in posts] == [None] * 7
    assert len({trace_of(span) for span in posts}) == 7


async def test_steps_of_a_run_and_what_a_schedule_fires_hang_together(server: Running, told: Traced) -> None:
    steps = [
        {"id": "a", "task": TASK},
        {"id": "b", "depends_on": ["a"], "task": TASK},
    ]
    made = await server.post("/workflows", {"name": "two", "steps": steps})
    for name in ("one", "other"):
        work = {"workflow": {"id": made["id"]}}
        await server.post("/schedules", {"name": name, "cron": "* * * * * *", "max_runs": 1, **work})
    traces: dict[int, set[str]] = {}
    async with asyncio.timeout(30):
        for _ in range(4):
            task = await server.claim("/traced", wait=20)
            traces.setdefault(task["run_id"], set()).add(task["traceparent"].split("-")[1])
            await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})
    assert [len(found) for found in traces.values()] == [1, 1], "a run is one trace"
    assert len(set().union(*traces.values())) == 2, "each fire is one of its own"
    assert set().union(*traces.values()) <= {trace_of(span) for span in told.named("fire")}


async def test_lines_of_a_request_and_of_a_fire_tell_their_trace(server: Running, told: Traced) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        await server.client.post("/tasks", json={"work_directory": "/a"}, headers={"traceparent": SENT})
        trigger = {"type": "cron", "cron": "* * * * * *", "max_runs": 1}
        made = await server.post("/workflows", {"name": "logged", "steps": [{"id": "a", "task": TASK}], "triggers": [trigger]})
        assert (await server.client.put(f"/deployment/workflows/{made['id']}/deploy")).is_success
        task = await server.claim("/traced", wait=20)
    (refused,) = (line for line in lines if line.get("status") == 400)
    assert refused["trace_id"] == TRACE
    (fired,) = (line for line in lines if line["event"] == "trigger_fired")
    assert fired["trace_id"] == task["traceparent"].split("-")[1]
    assert {line.get("trace_id") for line in lines if line.get("route") == "/api/v1/tasks/next"} <= {None}


async def test_without_tracing_a_task_keeps_the_trace_that_was_sent(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        await server.client.post("/tasks", json=TASK, headers={"traceparent": SENT})
        assert (await server.claim("/traced"))["traceparent"] == SENT
        await server.task("/traced")
        assert (await server.claim("/traced"))["traceparent"] is None
