"""What workers report, one by one and many at once."""

from typing import Any

import pytest

from tests.http.conftest import Running

pytestmark = pytest.mark.anyio


async def claimed(server: Running, directory: str, count: int) -> Any:
    await server.post("/tasks/batch", {"tasks": [{"work_directory": directory, "prompt": "x"}] * count})
    claim = {"work_path": [directory], "worker_id": "w", "limit": count, "lease_seconds": 60}
    return (await server.post("/tasks/claim", claim))["tasks"]


async def test_a_report_sent_again(server: Running, directory: str) -> None:
    (task,) = await claimed(server, directory, 1)
    report = {"lease": task["lease"], "result": None}
    assert (await server.post(f"/tasks/{task['id']}/complete", report))["result"] is None
    error = await server.refused("POST", f"/tasks/{task['id']}/complete", 409, json=report)
    assert (error["code"], error["details"]["reason"]) == ("LEASE_LOST", "already_applied")


async def test_failing(server: Running, directory: str) -> None:
    (task,) = await claimed(server, directory, 1)
    error = {"type": "Boom", "message": "it broke", "details": {"at": 3}}
    report = {"lease": task["lease"], "error": error, "retry_after_seconds": 60, "usage": {"output_tokens": 3}}
    failed = await server.post(f"/tasks/{task['id']}/fail", report)
    assert (failed["status"], failed["error"], failed["usage"]) == ("scheduled", error, {"output_tokens": 3})
    await server.post(f"/tasks/{task['id']}/execute")
    again = await server.claim(directory)
    assert again["attempt"] == 2
    final = await server.post(f"/tasks/{task['id']}/fail", {"lease": again["lease"], "retryable": False})
    assert (final["status"], final["usage"]) == ("failed", {"output_tokens": 3})
    attempts = await server.get(f"/tasks/{task['id']}/attempts")
    assert [attempt["outcome"] for attempt in attempts["items"]] == ["failed", "failed"]


async def test_giving_back(server: Running, directory: str) -> None:
    (task,) = await claimed(server, directory, 1)
    released = await server.post(f"/tasks/{task['id']}/release", {"lease": task["lease"], "reason": "drain"})
    assert (released["status"], released["attempt"]) == ("waiting", 0)
    again = await server.claim(directory)
    later = {"lease": again["lease"], "reason": "quota", "account": "team", "not_before": "2100-01-01T00:00:00Z"}
    parked = await server.post(f"/tasks/{task['id']}/park", later)
    assert (parked["status"], parked["attempt"], parked["parked"]["account"]) == ("parked", 0, "team")
    assert parked["parked"]["until"] == "2100-01-01T00:00:00Z"


async def test_many_at_once_have_an_outcome_each(server: Running, directory: str) -> None:
    one, two, three = await claimed(server, directory, 3)
    beats = [{"id": task["id"], "lease": task["lease"], "progress": {"percent": 5}} for task in (one, two)]
    told = (await server.post("/tasks/heartbeat", {"items": [*beats, {"id": 2**62, "lease": one["lease"]}]}))["items"]
    assert [list(outcome) for outcome in told] == [["task"], ["task"], ["error"]]
    assert (told[0]["task"]["directive"], told[2]["error"]["code"]) == ("continue", "NOT_FOUND")

    done = {"items": [{"id": task["id"], "lease": task["lease"], "result": 1} for task in (one, two, one)]}
    told = (await server.post("/tasks/complete", done))["items"]
    assert [outcome["task"]["status"] for outcome in told[:2]] == ["completed", "completed"]
    assert told[2]["error"]["details"]["reason"] == "already_applied"

    failed = {"items": [{"id": three["id"], "lease": three["lease"], "retryable": False}]}
    assert (await server.post("/tasks/fail", failed))["items"][0]["task"]["status"] == "failed"
    error = await server.refused("POST", "/tasks/complete", 400, json={"items": [{"id": 0}]})
    assert error["details"]["field"] == "items[0].id"


async def test_the_prompt_in_place_of_the_lease(server: Running, directory: str) -> None:
    (task,) = await claimed(server, directory, 1)
    path = f"/tasks/{task['id']}/complete"
    error = await server.refused("POST", path, 409, json={"original_prompt": "another"})
    assert "send `lease` from the claim" in error["message"]
    assert (await server.post(path, {"original_prompt": "x"}))["status"] == "completed"
