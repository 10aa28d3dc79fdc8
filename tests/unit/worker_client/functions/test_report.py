"""Report: what the worker's key sees of the attempts of a period."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from worker_client.client import AsyncClient
from worker_client.exchange import Retries
from worker_client.runners.functions.machine import Reports
from worker_client.runners.functions.refusing import answering
from worker_client.runners.outcomes import Failed

NOW = datetime.now(UTC).isoformat()


def attempt(task_id: int, outcome: str, **facts: Any) -> dict[str, Any]:
    error = {"type": "ExitCode", "message": "x" * 500} if outcome == "failed" else None
    known = {"id": task_id, "task_id": task_id, "lease_no": 1, "attempt": 1, "outcome": outcome, "work_directory": "/a"}
    known |= {"host": "", "kind": "script", "started_at": NOW, "duration_ms": 10 * task_id, "error": error}
    return {**known, **dict.fromkeys(("ended_at", "worker_id", "session_id", "usage", "reason")), **facts}


def report(kind: str, answer: Any) -> tuple[Any, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        status, data, error = answer(len(asked))
        return httpx.Response(status, json={"success": error is None, "data": data, "error": error, "timestamp": NOW})

    def client() -> AsyncClient:
        return AsyncClient("http://server", transport=httpx.MockTransport(respond), retries=Retries(attempts=1))

    return asyncio.run(answering(Reports(client).report)(kind)), asked


def page(*items: dict[str, Any], cursor: str | None = None) -> tuple[int, Any, None]:
    return (
        200,
        {"items": list(items), "total": len(items), "total_exact": True, "next_cursor": cursor, "limit": 1000, "offset": 0},
        None,
    )


def test_all_pages_of_a_period_are_counted() -> None:
    pages = {
        1: page(attempt(1, "completed"), attempt(2, "failed", kind="http"), cursor="c"),
        2: page(attempt(3, "completed", duration_ms=None), attempt(4, "expired")),
    }
    found, asked = report(" Weekly ", lambda number: pages[number])
    since = datetime.fromisoformat(asked[0].url.params["started_after"])
    assert datetime.now(UTC) - since - timedelta(days=7) < timedelta(minutes=1)
    assert asked[1].url.params["cursor"] == "c"
    assert (found["attempts"], found["by_outcome"], found["cut"]) == (4, {"completed": 2, "failed": 1, "expired": 1}, False)
    assert (found["by_kind"], found["by_directory"], found["mean_ms"]) == ({"script": 3, "http": 1}, {"/a": 4}, 23)
    first, second = found["failures"]
    assert (first["task_id"], first["type"], len(first["message"])) == (2, "ExitCode", 200)
    assert (second["task_id"], second["type"], second["message"]) == (4, "expired", "")


def test_no_more_than_ten_thousand_are_looked_at() -> None:
    found, asked = report("daily", lambda number: page(*(attempt(number, "completed") for _ in range(1000)), cursor="c"))
    assert (found["attempts"], found["cut"], len(asked)) == (10_000, True, 10)


@pytest.mark.parametrize(
    ("kind", "status", "code", "refusal"),
    [
        ("yearly", 200, "", "InvalidArgument"),
        ("daily", 403, "FORBIDDEN", "NotAllowed"),
        ("daily", 500, "INTERNAL", "ReportError"),
    ],
)
def test_what_can_not_be_reported(kind: str, status: int, code: str, refusal: str) -> None:
    found, _ = report(kind, lambda _: (status, None, {"code": code, "message": "no", "details": {}}))
    assert isinstance(found, Failed)
    assert (found.type, found.retryable) == (refusal, refusal == "ReportError")
