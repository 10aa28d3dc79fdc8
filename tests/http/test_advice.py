"""Advice over HTTP: the path of a real failure, hostile output, and keys that are limited."""

import time
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator.domain.advice.facts import Line, TaskFacts
from orchestrator.domain.advice.symptoms import SYMPTOMS, symptoms
from orchestrator.domain.advice.tasks import of_task
from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from worker_client import AsyncClient
from worker_client.contract.enums import Status
from worker_client.contract.reports import TaskError

pytestmark = pytest.mark.anyio
READ: Final = 1_000
PATIENCE_S: Final = 2.0
"""What the slowest of these takes is a tenth of it; of what is not linear it would be minutes."""


async def failed(server: Running, directory: str, *lines: str, **error: Any) -> int:
    """A task that has failed for good, having said something."""
    await server.task(directory, kind="script", spec={"command": "x"}, max_attempts=1)
    task = await server.claim(directory, kinds="script")
    if lines:
        await server.post(f"/tasks/{task['id']}/logs", {"lease": task["lease"], "lines": list(lines)})
    said = {"type": "ExitCode", "message": "it ended", "details": {"exit_code": 1}, **error}
    await server.post(f"/tasks/{task['id']}/fail", {"lease": task["lease"], "error": said})
    return int(task["id"])


async def test_why_a_task_failed(server: Running, directory: str) -> None:
    task = await failed(server, directory, "$ make test", "FAILED tests/test_x.py::test_y - boom", "1 failed, 3 passed in 2s")
    told = await server.get(f"/tasks/{task}/advice")
    assert (told["id"], told["status"], told["summary"]) == (task, "failed", "Tests failed: tests/test_x.py::test_y.")
    (item,) = told["items"]
    assert (item["code"], item["facts"]["tests"], item["task_id"]) == ("tests_failed", ["tests/test_x.py::test_y"], task)
    assert [one["line"] for one in item["evidence"]] == [2, 3]
    async with AsyncClient(server.address) as client:
        assert (await client.task_advice(task)).items[0].code == "tests_failed"
        assert await client.advice(work_path=[directory]) is not None
    waiting = await server.task(directory)
    assert (await server.get(f"/tasks/{waiting['id']}/advice"))["items"] == []


async def test_a_page_of_advice_and_what_is_refused(server: Running, directory: str) -> None:
    for number in range(5):
        await failed(server, f"{directory}/{number}")
        for _ in range(4):
            await failed(server, f"{directory}/{number}")
    query = {"work_path": directory, "recursive": True, "code": "never_succeeds"}
    page = await server.get("/advice", **query, limit=2)
    assert (page["total"], [one["code"] for one in page["items"]]) == (5, ["never_succeeds"] * 2)
    rest = await server.get("/advice", **query, limit=9, cursor=page["next_cursor"])
    assert len({one["work_directory"] for one in [*page["items"], *rest["items"]]}) == 5
    assert (await server.get("/advice", work_path=directory, code="never_succeeds"))["items"] == []
    for path, status in (
        ("/tasks/999999/advice", 404),
        ("/tasks/x/advice", 400),
        ("/advice?work_path=x", 400),
        ("/advice?cod=x", 400),
    ):
        await server.refused("GET", path, status)


HOSTILE: Final = {
    "one character": "a" * READ,
    "nearly a pattern": "no such file or directory: " + "'" * READ,
    "names without an end": "permission denied: " + "./" * READ,
    "many beginnings": "econnrefused " * 100,
    "escapes without an end": "\x1b[" * 500 + "permission denied",
    "an escape of digits": "\x1b[" + "0;" * 500,
    "titles without an end": "\x1b]0;" * 200,
    "names of tests": "FAILED " + "a[" * 500,
    "numbers": "1" * 500 + " failed" * 70,
    "what nobody sees": "\u202e\u200b\ufeff" * 300 + "disk full",
    "halves of characters": "\ud800\udfff" * 400,
    "ports": "eaddrinuse " + "port " * 190,
    "spaces": " " * READ,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_output_makes_looking_take_long(name: str) -> None:
    line = HOSTILE[name]
    error = TaskError(type="x" * 255, message=line * 100, details={"output_tail": line * 1000, "exit_code": 1})
    facts = TaskFacts(id=1, status=Status.FAILED, kind="script", error=error, lines=[Line(line, n) for n in range(200)])
    started = time.process_time()
    for advice in (*symptoms(facts.lines), *of_task(facts).items):
        assert all(len(one.text) <= 500 for one in advice.evidence)
        assert all("\x1b" not in one.text for one in advice.evidence)
    assert time.process_time() - started < PATIENCE_S


def test_the_slowest_line_for_each_pattern_is_read_in_no_time() -> None:
    started = time.process_time()
    for symptom in SYMPTOMS:
        for pattern in symptom.patterns:
            for piece in ("a", "a:", "/", "'", "[", " ", "a ", ".", "port ", "not found: "):
                pattern.search(symptom.words[0] + piece * (READ // len(piece)))
    assert time.process_time() - started < PATIENCE_S


async def test_hostile_output_is_quoted_as_text(server: Running, directory: str) -> None:
    lines = [
        "\x1b[31m<script>alert(1)</script> Permission denied\x1b[0m",
        "\u202egnp.exe",
        "x" * 60_000,
        "{command} {0.__class__}",
    ]
    task = await failed(server, directory, *lines, message="{facts} %s \x1b[2J command not found: {x}", type="<b>")
    told = {one["code"]: one for one in (await server.get(f"/tasks/{task}/advice"))["items"]}
    (quoted,) = told["permission_denied"]["evidence"]
    assert quoted == {"text": "<script>alert(1)</script> Permission denied", "line": 1}
    assert "command_not_found" in told


async def test_a_limited_key_is_told_nothing_of_others(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        keys = Keys(server)
        mine = await keys.make("mine", "read", "submit", "work", paths=["/mine/**"])
        server.client.headers.update(bearer(BOOTSTRAP))
        hidden = [await failed(server, "/theirs/marked", "marked: Permission denied") for _ in range(5)]
        work = {"work_directory": "/theirs/marked", "prompt": "p"}
        for name in ("marked", "marked too", "marked as well"):
            await server.post("/schedules", {"name": name, "cron": "0 * * * *", "task": work})
        own = await failed(server, "/mine/a")
        everything = await server.get("/advice")
        assert [one["code"] for one in everything["items"]] == ["never_succeeds", "schedules_collide_there"]
        server.client.headers.update(bearer(mine))
        assert (await server.get("/advice"))["items"] == []
        for query in ("", "?work_path=/theirs/marked", "?work_path=/theirs&recursive=true", "?code=never_succeeds"):
            assert "marked" not in (await server.client.get(f"/advice{query}")).text
        await server.refused("GET", f"/tasks/{hidden[0]}/advice", 404)
        told = await server.client.get(f"/tasks/{own}/advice")
        assert (told.status_code, "marked" in told.text) == (200, False)
        no_reader = await keys.make("works", "work")
        for path in ("/advice", f"/tasks/{own}/advice"):
            await server.refused("GET", path, 403, headers=bearer(no_reader))
