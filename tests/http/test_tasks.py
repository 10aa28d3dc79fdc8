"""Creating, listing, changing, explaining."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.http.conftest import Running
from worker_client.contract.tasks import ClaimedTask, CreatedTask, Task

pytestmark = pytest.mark.anyio


async def test_all_that_was_given_is_shown(server: Running, directory: str) -> None:
    given: dict[str, Any] = {
        "work_directory": f"{directory}/./sub//x/../",
        "prompt": "Do it",
        "title": "A title",
        "description": "More",
        "priority": "urgent",
        "tags": ["b", "a", "b"],
        "kind": "agent",
        "spec": {"agent": "claude", "budget": {"tokens": 5}},
        "host": "box",
        "run_at": "2100-01-01T02:00:00+02:00",
        "max_attempts": 7,
        "timeout_seconds": 0.5 + 60,
        "backoff": {"base_seconds": 5},
        "exclusive": True,
        "metadata": {"deep": [1, 2.5, None, {"ü": "✓"}], "big": 2**70},
        "environment": {"A": "1"},
        "resource_limits": {"cpu": 2},
    }
    task = await server.post("/tasks", given)
    shown = {
        **given,
        "work_directory": f"{directory}/sub",
        "tags": ["b", "a"],
        "run_at": "2100-01-01T00:00:00Z",
        "backoff": {"base_seconds": 5, "factor": 2, "cap_seconds": 900, "jitter": 0.2},
    }
    assert {name: task[name] for name in given} == shown
    assert (task["status"], task["attempt"], task["lease_no"], task["version"]) == ("scheduled", 0, 0, 1)
    assert task["due_at"] == task["run_at"]
    read = await server.get(f"/tasks/{task['id']}")
    assert read == {name: value for name, value in task.items() if name != "created"}


async def test_a_task_has_the_fields_of_the_contract(server: Running, directory: str) -> None:
    answer = await server.client.post("/tasks", json={"work_directory": directory, "prompt": "x"})
    assert list(answer.json()["data"]) == list(CreatedTask.__struct_fields__)
    claimed = await server.claim(directory)
    assert list(claimed) == list(ClaimedTask.__struct_fields__)
    msgspec.convert(claimed, ClaimedTask)
    read = await server.get(f"/tasks/{claimed['id']}")
    assert list(read) == list(Task.__struct_fields__)


async def test_defaults(server: Running, directory: str) -> None:
    task = await server.task(directory)
    assert (task["max_attempts"], task["timeout_seconds"], task["exclusive"], task["priority"]) == (4, 3600, False, "normal")
    assert task["backoff"] == {"base_seconds": 2, "factor": 2, "cap_seconds": 900, "jitter": 0.2}
    away = await server.post("/tasks", {"kind": "http", "spec": {"url": "http://127.0.0.1/"}})
    assert (away["work_directory"], away["prompt"]) == ("/default", None)


async def test_a_key_creates_once(server: Running, directory: str) -> None:
    body = {"work_directory": directory, "prompt": "x", "key": directory}
    first = await server.client.post("/tasks", json=body)
    again = await server.client.post("/tasks", json=dict(reversed(body.items())))
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["data"]["created"], again.json()["data"]["created"]) == (True, False)
    assert first.json()["data"]["id"] == again.json()["data"]["id"]
    error = await server.refused("POST", "/tasks", 409, json={**body, "prompt": "y"})
    assert (error["code"], error["details"]["field"]) == ("CONFLICT", "key")


async def test_a_batch_is_all_or_none(server: Running, directory: str) -> None:
    good = {"work_directory": directory, "prompt": "x"}
    await server.refused("POST", "/tasks/batch", 400, json={"tasks": [good, {**good, "depends_on": [2**62]}]})
    assert (await server.get("/tasks", work_path=directory))["total"] == 0
    made = await server.client.post("/tasks/batch", json={"tasks": [good, good]})
    assert made.status_code == 201
    assert [task["created"] for task in made.json()["data"]["tasks"]] == [True, True]


async def test_lists_page_by_cursor_and_by_offset(server: Running, directory: str) -> None:
    made = await server.post("/tasks/batch", {"tasks": [{"work_directory": directory, "prompt": str(n)} for n in range(7)]})
    ids = sorted((task["id"] for task in made["tasks"]), reverse=True)
    first = await server.get("/tasks", work_path=directory, limit=3)
    assert (first["total"], first["total_exact"], first["limit"]) == (7, True, 3)
    second = await server.get("/tasks", work_path=directory, limit=3, cursor=first["next_cursor"])
    third = await server.get("/tasks", work_path=directory, limit=3, cursor=second["next_cursor"])
    assert [task["id"] for page in (first, second, third) for task in page["items"]] == ids
    assert third["next_cursor"] is None
    assert [task["id"] for task in (await server.get("/tasks", work_path=directory, offset=5))["items"]] == ids[5:]


async def test_lists_filter(server: Running, directory: str) -> None:
    await server.task(f"{directory}/a", tags=["x", "y"], priority="high")
    await server.task(f"{directory}/b", tags=["x"], prompt="about Zebras")
    assert (await server.get("/tasks", work_path=directory))["total"] == 0
    query: list[tuple[dict[str, Any], int]] = [
        ({}, 2), ({"tag": ["x", "y"]}, 1), ({"tag": "x"}, 2), ({"priority": ["high", "low"]}, 1), ({"status": "running"}, 0),
        ({"q": "zebras"}, 1), ({"created_after": "2000-01-01T00:00:00Z"}, 2), ({"kind": "script"}, 0),
    ]  # fmt: skip
    for more, total in query:
        assert (await server.get("/tasks", work_path=f"{directory}/", recursive=True, **more))["total"] == total, more


async def test_changing_a_task(server: Running, directory: str) -> None:
    task = await server.task(directory)
    path = f"/tasks/{task['id']}"
    change = {"version": 1, "prompt": "Do that", "priority": "low", "metadata": {"a": 1}, "run_at": "2100-01-01T00:00:00Z"}
    answer = await server.client.put(path, json=change)
    changed = answer.json()["data"]
    assert (changed["prompt"], changed["priority"], changed["metadata"], changed["status"]) == (
        "Do that",
        "low",
        {"a": 1},
        "scheduled",
    )
    assert (await server.refused("PUT", path, 409, json=change))["details"]["version"] == 2
    back = (await server.client.put(path, json={"run_at": None, "title": None})).json()["data"]
    assert (back["status"], back["prompt"]) == ("waiting", "Do that")
    assert (await server.refused("PUT", path, 400, json={"spec": {"command": "x"}}))["details"]["field"] == "spec.command"
    assert (await server.refused("PUT", path, 400, json={"prompt": ""}))["details"]["field"] == "prompt"
    assert (await server.refused("PUT", path, 400, json={"depends_on": []}))["details"]["field"] == "depends_on"


async def test_deleting_a_task(server: Running, directory: str) -> None:
    task = await server.task(directory)
    gone = await server.client.delete(f"/tasks/{task['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    await server.refused("GET", f"/tasks/{task['id']}", 404)
    await server.task(directory)
    running = await server.claim(directory)
    assert (await server.refused("DELETE", f"/tasks/{running['id']}", 409))["code"] == "CONFLICT"


@pytest.mark.parametrize("content", [b"", b"{}", b" "])
async def test_bodies_that_need_nothing_may_be_left_out(server: Running, directory: str, content: bytes) -> None:
    task = await server.task(directory, run_at="2100-01-01T00:00:00Z")
    path = f"/tasks/{task['id']}"
    for verb, status in (("execute", "waiting"), ("cancel", "cancelled"), ("retry", "waiting")):
        answer = await server.client.post(f"{path}/{verb}", content=content)
        assert answer.json()["data"]["status"] == status


async def test_questions_and_approvals(server: Running, directory: str) -> None:
    task = await server.task(directory, requires_approval=True)
    path = f"/tasks/{task['id']}"
    nothing: dict[str, Any] = {"until": None, "question": None, "options": [], "account": None, "message": None}
    assert task["parked"] == {"reason": "approval", **nothing}
    assert (await server.post(f"{path}/approve"))["status"] == "waiting"
    claimed = await server.claim(directory)
    question = {"lease": claimed["lease"], "reason": "question", "question": "Which?", "options": ["a", "b"]}
    parked = await server.post(f"{path}/park", question)
    assert (parked["parked"]["question"], parked["parked"]["options"]) == ("Which?", ["a", "b"])
    answered = await server.post(f"{path}/answer", {"answer": "b"})
    assert (answered["status"], answered["answer"], answered["attempt"]) == ("waiting", "b", 0)
    other = await server.task(directory, requires_approval=True)
    rejected = await server.post(f"/tasks/{other['id']}/reject", {"reason": "no"})
    assert (rejected["status"], rejected["reason"]) == ("cancelled", "no")


async def test_many_are_retried_and_cancelled(server: Running, directory: str) -> None:
    tasks = [{"work_directory": directory, "prompt": "x", "max_attempts": 1}] * 3
    await server.post("/tasks/batch", {"tasks": tasks})
    for _ in range(2):
        claimed = await server.claim(directory)
        await server.post(f"/tasks/{claimed['id']}/fail", {"lease": claimed["lease"]})
    assert await server.post("/tasks/retry", work_path=directory) == {"count": 2}
    assert await server.post("/tasks/cancel", {"work_path": [directory]}) == {"count": 3}
    assert await server.post("/tasks/cancel", {"work_path": [directory]}) == {"count": 0}
    assert await server.post("/tasks/retry", work_path=directory) == {"count": 0}
    assert await server.post("/tasks/retry", work_path=directory, status="cancelled") == {"count": 3}


async def test_more_than_one_step_of_many(server: Running, directory: str) -> None:
    bodies = [{"work_directory": directory, "prompt": "x"}] * 600
    await asyncio.gather(*(server.post("/tasks/batch", {"tasks": bodies}) for _ in range(2)))
    assert await server.post("/tasks/cancel", work_path=directory) == {"count": 1200}


async def test_why(server: Running, directory: str) -> None:
    async def codes(task: Any) -> list[str]:
        why = await server.get(f"/tasks/{task['id']}/why")
        assert why["summary"]
        return [obstacle["code"] for obstacle in why["obstacles"]]

    first = await server.task(directory, exclusive=True)
    assert await codes(first) == ["no_worker"]
    assert await server.claim(directory, tags="none such") is None
    held = await server.claim(directory)
    assert await codes(held) == []
    second = await server.task(f"{directory}/below", depends_on=[first["id"]], run_at="2100-01-01T00:00:00Z")
    assert (await codes(second))[0] == "blocked"
    assert "held" in await codes(await server.task(f"{directory}/below"))
    assert await codes(await server.task("/elsewhere", requires_approval=True)) == ["approval", "no_worker"]
    third = await server.task("/elsewhere", delay_seconds=600)
    assert (await codes(third))[0] == "due"
    await server.client.put("/directories", json={"work_directory": directory, "paused": True, "reason": "holidays"})
    why = await server.get(f"/tasks/{(await server.task(directory))['id']}/why")
    assert "holidays" in str(why["obstacles"])
