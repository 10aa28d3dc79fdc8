"""What every request gets: an id, a place in the metrics, and no details of our own defects."""

import httpx
import pytest
from litestar import get
from structlog.testing import capture_logs

from orchestrator.http.envelope import Answer
from orchestrator.http.scope import Asked
from tests.http.conftest import Running
from tests.http.raw import Raw, request
from worker_client.errors import Overloaded

pytestmark = pytest.mark.anyio


async def test_the_request_id_is_taken_or_made(server: Running) -> None:
    sent = await server.client.get("/tasks", headers={"X-Request-ID": "mine-1"})
    assert sent.headers["x-request-id"] == "mine-1"
    made = {(await server.client.get("/tasks")).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    unfit = await server.client.get("/tasks", headers={"X-Request-ID": "no good " + "x" * 200})
    assert "no good" not in unfit.headers["x-request-id"]


async def test_a_refusal_is_one_line_without_what_was_sent(server: Running) -> None:
    with capture_logs() as lines:
        await server.refused("POST", "/tasks", 400, json={"work_directory": "secret", "prompt": "hidden"})
    assert [(line["log_level"], line["status"], line["path"]) for line in lines] == [("info", 400, "/api/v1/tasks")]
    assert "secret" not in str(lines)
    assert "hidden" not in str(lines)


@get("/api/v1/defect", public=True)
async def defect(request: Asked) -> Answer:
    raise ZeroDivisionError("the password is hunter2")


@get("/api/v1/busy", public=True)
async def busy(request: Asked) -> Answer:
    raise Overloaded("the server has more to do than it can; try again", retry_after=2.4)


async def test_a_defect_shows_an_id_and_nothing_else(server: Running) -> None:
    server.app.register(defect)
    with capture_logs() as lines:
        error = await server.refused("GET", "/defect", 500, headers={"X-Request-ID": "find-me"})
    assert error["code"] == "INTERNAL"
    assert error["details"] == {"id": "find-me"}
    assert "hunter2" not in str(error)
    assert any(isinstance(line.get("exc_info"), ZeroDivisionError) for line in lines)


async def test_what_helps_to_come_back(server: Running) -> None:
    server.app.register(busy)
    answer = await server.client.get("/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")


async def test_metrics_are_by_template_and_leave_held_answers_out(server: Running) -> None:
    task = await server.task("/metrics")
    await server.get(f"/tasks/{task['id']}")
    await server.claim("/metrics/none", wait=0.01)
    async with httpx.AsyncClient(base_url=server.address) as client:
        text = (await client.get("/metrics")).text
    assert 'route="/api/v1/tasks/{task_id}",status="2xx"' in text
    assert f"/tasks/{task['id']}" not in text
    assert 'route="/api/v1/tasks/next"' not in text


async def test_requests_that_come_at_once_are_answered_in_their_order(server: Running) -> None:
    ids = [f"at-once-{number}" for number in range(20)]
    paths = ["/api/v1/tasks", "/health/live", "/api/v1/tasks/0", "/api/v1/nowhere"]
    async with Raw.open(server.address) as raw:
        await raw.send(b"".join(request("GET", paths[at % 4], f"x-request-id: {one}") for at, one in enumerate(ids)))
        answers = [await raw.answer() for _ in ids]
    assert [headers["x-request-id"] for _, headers, _ in answers] == ids
    assert [status for status, _, _ in answers] == [200, 200, 400, 404] * 5


@pytest.mark.parametrize(("version", "more"), [(b"HTTP/1.0", ()), (b"HTTP/1.1", ("connection: close",))])
async def test_a_connection_that_is_to_end_ends_with_the_answer(server: Running, version: bytes, more: tuple[str, ...]) -> None:
    async with Raw.open(server.address) as raw:
        await raw.send(request("GET", "/health/live", *more).replace(b"HTTP/1.1", version))
        assert (await raw.answer())[0] == 200
        assert await raw.rest() == b""
