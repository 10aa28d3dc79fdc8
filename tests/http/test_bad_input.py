"""Whatever is sent, the answer is a 4xx with the code, the field and a sentence."""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.http.conftest import Running, serving
from worker_client.contract.enums import Status

pytestmark = pytest.mark.anyio

GOOD = {"work_directory": "/bad/input", "prompt": "Do it"}
TIME = "expected an RFC 3339 time with an offset, for example 2030-01-31T18:00:00Z"
TOO_LARGE = "has a number that is out of range: expected a number from 0 to 315360000"
NEXT = "/tasks/next?work_path=/bad/input&worker_id=w"


def body(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


class Case(NamedTuple):
    method: str
    path: str
    content: bytes
    field: str
    says: str
    status: int = 400
    code: str = "VALIDATION_ERROR"


def create(content: bytes, field: str, says: str, status: int = 400, code: str = "VALIDATION_ERROR") -> Case:
    return Case("POST", "/tasks", content, field, says, status, code)


def ask(query: str, field: str, says: str) -> Case:
    return Case("GET", query, b"", field, says)


FILTERS: dict[str, dict[str, Any]] = {
    "/tasks": {"status": "waiting", "priority": "low", "kind": "agent", "tag": "a", "work_path": "/a"},
    "/events": {"work_path": "/a", "type": "task.created", "task_id": 1},
    "/audit": {"work_path": "/a", "type": "task.created", "task_id": 1, "actor": "local"},
    "/execution-logs": {"work_path": "/a", "outcome": "failed"},
}
"""Lists that filters have."""
CASES = {
    "unknown field": create(body(promt="x"), "promt", "did you mean `prompt`?"),
    "wrong type": create(body(max_attempts="three"), "max_attempts", '"three": expected integer'),
    "nested unknown field": create(body(backoff={"base": 1}), "backoff.base", "did you mean `base_seconds`?"),
    "nested bound": create(body(backoff={"base_seconds": -1}), "backoff.base_seconds", "-1: expected number >= 0"),
    "relative path": create(body(work_directory="repo"), "work_directory", "must be an absolute path"),
    "no path": create(b'{"prompt": "x"}', "work_directory", "is missing"),
    "long path": create(body(work_directory="/" + "a" * 1024), "work_directory", "1024"),
    "NUL in path": create(body(work_directory="/a\0b"), "work_directory", "NUL byte"),
    "NUL in prompt": create(body(prompt="a\0b"), "prompt", "NUL byte"),
    "NUL deep inside": create(body(metadata={"a": [{"b": "\0"}]}), "metadata.a[0].b", "NUL byte"),
    "NUL in a key": create(body(environment={"A\0": "b"}), "environment", "NUL byte"),
    "empty prompt": create(body(prompt=""), "prompt", "is empty"),
    "blank prompt": create(body(prompt=" \n"), "prompt", "is empty"),
    "no prompt": create(b'{"work_directory": "/a"}', "prompt", "is missing"),
    "2 MiB prompt": create(body(prompt="x" * (2 << 20)), "prompt", "1048576", 413, "PAYLOAD_TOO_LARGE"),
    "large body": create(body(metadata={"x": "x" * (5 << 20)}), "", "4194304 bytes", 413, "PAYLOAD_TOO_LARGE"),
    "priority": create(body(priority="asap"), "priority", '"asap": expected one of low, normal, high, urgent'),
    "negative delay": create(body(delay_seconds=-1), "delay_seconds", ">= 0"),
    "delay and time": create(body(delay_seconds=1, run_at="2040-01-01T00:00:00Z"), "delay_seconds", "not both"),
    "time without offset": create(body(run_at="2040-01-01T00:00:00"), "run_at", TIME),
    "time before 1970": create(body(run_at="0001-01-01T00:00:00+14:00"), "run_at", "1970 to 9999"),
    "time after 9999": create(body(run_at="9999-12-31T23:59:59-14:00"), "run_at", "1970 to 9999"),
    "dependency that is not there": create(body(depends_on=[2**62]), "depends_on", "does not exist"),
    "dependency past the ids": create(body(depends_on=[2**63]), "depends_on[0]", "9223372036854775807"),
    "variable with =": create(body(environment={"A=B": "c"}), "environment", "A=B"),
    "empty tag": create(body(tags=["ok", ""]), "tags[1]", "length >= 1"),
    "kind": create(body(kind="Agent!"), "kind", '"Agent!": expected the name of a kind: a lower-case letter'),
    "script without command": create(body(kind="script"), "spec.command", "is missing"),
    "http with a wrong address": create(
        body(kind="http", spec={"url": "ftp://x"}), "spec.url", '"ftp://x": expected an address that begins with http'
    ),
    "agent with a wrong spec": create(body(spec={"budget": {"tokens": -1}}), "spec.budget.tokens", ">= 0"),
    "share of a core": create(
        body(resource_limits={"cpu": "half"}), "resource_limits.cpu", 'is "half": expected cores such as 2, 0.5 or "0.5", or'
    ),
    "no core": create(body(resource_limits={"cpu": 0}), "resource_limits.cpu", "is 0: expected integer >= 1"),
    "memory in thousandths": create(
        body(resource_limits={"memory": "256m"}), "resource_limits.memory", 'is "256m": expected bytes, or an amount such as'
    ),
    "memory for nothing": create(body(resource_limits={"memory": 64}), "resource_limits.memory", "is 64: expected integer >= "),
    "no time": create(body(resource_limits={"timeout": "1h"}), "resource_limits.timeout", 'is "1h": expected number'),
    "unknown limit": create(body(resource_limits={"memroy": "1Gi"}), "resource_limits.memroy", "did you mean `memory`?"),
    "no JSON": create(b"{", "", "not JSON"),
    "no body": create(b"", "", "it is empty"),
    "an array": create(b"[]", "", "an array"),
    "invalid UTF-8": create(b'{"work_directory": "/a", "prompt": "\xff"}', "", "not UTF-8"),
    "half a surrogate": create(rb'{"work_directory": "/a", "prompt": "\ud800"}', "", r"\ud800 is half of a surrogate pair"),
    "the other half": create(rb'{"prompt": "\ud83d\ude00 \uDE01"}', "", r"\uDE01 is half of a surrogate pair"),
    "a wrong type nested too deeply": create(b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}", "", "body is nested too deeply"),
    "a wrong type before broken JSON": create(b'{"prompt": 7, "title": tru}', "", "not JSON"),
    "a time in words": create(body(run_at="tomorrow"), "run_at", TIME),
    "a time as a number": create(body(run_at=7), "run_at", f"is 7: {TIME}"),
    "nested too deeply": create(body(metadata=1).replace(b"1", b'{"a":' * 5000 + b"1" + b"}" * 5000), "", "nested"),
    "a number past all bounds": create(body().replace(b'"Do it"', b'"x", "delay_seconds": 1e999'), "delay_seconds", TOO_LARGE),
    "a wrong type before such a number": create(
        b'{"prompt": 7, "delay_seconds": 1e999}', "prompt", "cannot be used: expected string"
    ),
    "1001 tasks": Case("POST", "/tasks/batch", json.dumps({"tasks": [GOOD] * 1001}).encode(), "tasks", "1000"),
    "tasks with too many parents": Case(
        "POST",
        "/tasks/batch",
        json.dumps({"tasks": [{**GOOD, "depends_on": [*range(1, 52)]}] * 1000}).encode(),
        "tasks",
        "51000 others",
        413,
        "PAYLOAD_TOO_LARGE",
    ),
    "no tasks": Case("POST", "/tasks/batch", b'{"tasks": []}', "tasks", ">= 1"),
    "one of many": Case(
        "POST",
        "/tasks/batch",
        json.dumps({"tasks": [GOOD, {**GOOD, "prompt": 7}]}).encode(),
        "tasks[1].prompt",
        "7: expected string",
    ),
    "one of many, by rule": Case(
        "POST", "/tasks/batch", json.dumps({"tasks": [GOOD, {**GOOD, "prompt": ""}]}).encode(), "tasks[1].prompt", "is empty"
    ),
    "wait of 1e9": ask(f"{NEXT}&wait=1e9", "wait", "<= 50"),
    "wait of nan": ask(f"{NEXT}&wait=nan", "wait", '"nan": expected number'),
    "wait of inf": ask(f"{NEXT}&wait=inf", "wait", "<= 50"),
    "no worker": ask("/tasks/next?work_path=/a", "worker_id", "is missing"),
    "relative work path": ask("/tasks/next?work_path=a&worker_id=w", "work_path", "absolute"),
    "unknown parameter": ask(f"{NEXT}&waits=1", "waits", "did you mean `wait`?"),
    "parameter twice": ask(f"{NEXT}&wait=1&wait=2", "wait", "twice"),
    "query that is not UTF-8": ask(f"{NEXT}&host=%ff", "host", "UTF-8"),
    "NUL in the query": ask(f"{NEXT}&host=%00", "host", "NUL"),
    "status": ask("/tasks?status=done", "status", '`status` is "done": expected one of waiting'),
    "limit": ask("/tasks?limit=1001", "limit", "<= 1000"),
    **{
        f"too many of {name} at {path}": ask(f"{path}?{'&'.join([f'{name}={value}'] * 101)}", name, "length <= ")
        for path, names in FILTERS.items()
        for name, value in names.items()
    },
    "too many in a body": Case("POST", "/tasks/cancel", json.dumps({"tag": ["a"] * 5000}).encode(), "tag", "length <= 50"),
    "cursor": ask("/tasks?cursor=x", "cursor", "next_cursor"),
    "format": ask("/tasks/1/logs?format=xml", "format", '"xml": expected json or text'),
    "kind in a query": ask("/tasks?kind=A!", "kind", "expected the name of a kind"),
    "filter before 1970": ask("/tasks?created_after=0001-01-01T00:00:00Z", "created_after", "1970"),
    "a number for a time": ask("/tasks?created_after=1700000000", "created_after", TIME),
    "null in words": ask("/tasks?schedule_id=Null", "schedule_id", "leave it out"),
    "parameters where there are none": ask("/tasks/1?x=1", "x", "nothing is expected"),
    "parameters beside a body": Case("POST", "/tasks?priority=high", body(), "priority", "nothing is expected"),
    "parameters of a change": Case("PUT", "/tasks/{id}?title=x", b"{}", "title", "nothing is expected"),
    "parameters of a cancel": Case("POST", "/tasks/{id}/cancel?reason=x", b"", "reason", "nothing is expected"),
    "parameters of a removal": Case("DELETE", "/tasks/{id}?force=true", b"", "force", "nothing is expected"),
    "id of 2^63": ask(f"/tasks/{2**63}", "task_id", "9223372036854775807"),
    "id of zero": ask("/tasks/0", "task_id", "whole numbers"),
    "id in words": ask("/tasks/first", "task_id", "whole numbers"),
    "id in other digits": ask("/tasks/%D9%A1", "task_id", "whole numbers"),
    "lease that is none": Case("POST", "/tasks/{id}/fail", b'{"lease": "x"}', "lease", "no lease"),
    "no lease": Case("POST", "/tasks/{id}/heartbeat", b"{}", "lease", "is missing"),
    "neither lease nor prompt": Case("POST", "/tasks/{id}/complete", b"", "lease", "original_prompt"),
    "negative usage": Case(
        "POST", "/tasks/{id}/heartbeat", b'{"lease": "1.1.a", "usage": {"input_tokens": -1}}', "usage.input_tokens", ">= 0"
    ),
    "body where there is none": Case("POST", "/tasks/{id}/retry", b'{"now": true}', "now", "nothing is expected"),
    "cancel without a filter": Case("POST", "/tasks/cancel", b"", "", "at least one criterion"),
    "retry without a filter": Case("POST", "/tasks/retry", b"{}", "", "at least one criterion"),
    "filter that is empty": Case("POST", "/tasks/cancel?recursive=true&q=", b"", "", "at least one criterion"),
    "filter of empty lists": Case("POST", "/tasks/cancel", b'{"tag": [], "work_path": []}', "", "at least one criterion"),
    "filter twice": Case("POST", "/tasks/retry?q=a", b'{"q": "b"}', "", "not both"),
}


@pytest.mark.parametrize("name", CASES)
async def test_bad_input(server: Running, name: str) -> None:
    case = CASES[name]
    task = await server.task("/bad/input/task") if "{id}" in case.path else {"id": 0}
    path = case.path.replace("{id}", str(task["id"]))
    error = await server.refused(case.method, path, case.status, content=case.content)
    assert error["code"] == case.code
    assert error["details"].get("field", "") == case.field
    assert case.says in error["message"]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/status"), ("GET", "/why"), ("GET", "/attempts"), ("GET", "/logs"),
        ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/execute"), ("POST", "/approve"), ("POST", "/reject"),
    ],
)  # fmt: skip
async def test_a_task_that_is_not_there(server: Running, method: str, rest: str) -> None:
    error = await server.refused(method, f"/tasks/{2**62}{rest}", 404, content=b"{}" if method == "PUT" else b"")
    assert error["code"] == "NOT_FOUND"
    assert error["details"]["task_id"] == 2**62


async def test_a_body_that_is_streamed_is_bounded_too(server: Running) -> None:
    async def endless() -> Any:
        for _ in range(80):
            yield b" " * 65_536

    error = await server.refused("POST", "/tasks", 413, content=endless())
    assert error["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_body_that_is_announced_too_large_is_not_waited_for(server: Running) -> None:
    parts = urlsplit(server.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tasks//cancel"),
        ("POST", "/tasks//retry"),
        ("POST", "/tasks/%2F/cancel"),
        ("GET", "//tasks"),
        ("GET", "/tasks//"),
    ],
)
async def test_an_empty_part_of_a_path_is_not_folded(server: Running, directory: str, method: str, path: str) -> None:
    task = await server.task(directory)
    error = await server.refused(method, f"{server.address}/api/v1{path}", 404)
    assert (error["code"], "is empty" in error["message"]) == ("NOT_FOUND", True)
    assert (await server.get(f"/tasks/{task['id']}"))["status"] == "waiting"


async def test_all_statuses_mean_all_tasks(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        await server.task("/all")
        assert await server.post("/tasks/cancel", {"status": list(Status)}) == {"count": 1}


async def test_an_unknown_path_and_a_wrong_method(server: Running) -> None:
    assert (await server.refused("GET", "/nothing", 404))["code"] == "NOT_FOUND"
    answer = await server.client.delete("/tasks")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) >= {"GET", "POST"}
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_what_is_not_http(server: Running) -> None:
    parts = urlsplit(server.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET /\xff\xff HTTP/1.1\r\nhost: localhost\r\n\r\n")
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(content)["error"]["code"] == "VALIDATION_ERROR"


async def test_options_name_all_methods(server: Running) -> None:
    answer = await server.client.options("/tasks/1")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    # RFC 9110, 8.6: never with a 204.
    assert "content-length" not in answer.headers
