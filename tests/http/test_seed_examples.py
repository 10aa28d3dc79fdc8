"""What the first users of such a server send and expect, as it was printed for them."""

import re
from datetime import datetime

import httpx
import pytest

from tests.http.conftest import Running

pytestmark = pytest.mark.anyio


async def test_the_life_of_a_task(server: Running) -> None:
    created = await server.client.post(
        "/tasks",
        json={
            "work_directory": "/path/to/work",
            "prompt": "Task description",
            "priority": "high",
            "tags": ["urgent", "production"],
        },
    )
    assert created.status_code == 201
    envelope = created.json()
    assert list(envelope) == ["success", "data", "error", "timestamp"]
    task = envelope["data"]
    assert (task["status"], task["priority"], task["tags"]) == ("waiting", "high", ["urgent", "production"])

    listed = await server.client.get("/tasks?status=waiting&priority=high&limit=10&offset=0")
    assert [one["id"] for one in listed.json()["data"]["items"]] == [task["id"]]

    claimed = await server.client.get("/tasks/next?work_path=/path/to/work&worker_id=worker-1")
    assert claimed.headers["cache-control"] == "no-store"
    assert claimed.json()["data"]["id"] == task["id"]
    assert claimed.json()["data"]["attempt"] == 1
    assert claimed.json()["data"]["lease"]

    result = {"status": "success", "output": "Task completed", "duration": 1500}
    done = await server.client.post(
        f"/tasks/{task['id']}/complete", json={"original_prompt": "Task description", "result": result}
    )
    assert done.status_code == 200
    assert done.json()["data"]["status"] == "completed"

    read = (await server.client.get(f"/tasks/{task['id']}")).json()["data"]
    assert read["result"] == result
    assert read["worker_id"] == "worker-1"


async def test_limits_and_environment(server: Running) -> None:
    limits = {"cpu": "500m", "memory": "256Mi", "timeout": 3600}
    body = {"work_directory": "/path/to/work", "kind": "script", "spec": {"command": "true"}, "resource_limits": limits}
    task = await server.post("/tasks", {**body, "environment": {"BACKUP_PATH": "/data/backup"}})
    assert (task["resource_limits"], task["timeout_seconds"]) == (limits, 3600)
    claimed = await server.claim("/path/to/work")
    assert (claimed["resource_limits"], claimed["environment"]) == (limits, {"BACKUP_PATH": "/data/backup"})


async def test_cancel_and_retry(server: Running) -> None:
    task = await server.task("/path/to/cancel")
    cancelled = await server.post(f"/tasks/{task['id']}/cancel", {"reason": "User requested cancellation"})
    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "User requested cancellation")
    retried = await server.client.post(f"/tasks/{task['id']}/retry")
    assert retried.json()["data"]["status"] == "waiting"


async def test_an_error(server: Running) -> None:
    answer = await server.client.post("/tasks", json={"work_directory": "path/to/work", "prompt": "Task description"})
    assert answer.status_code == 400
    envelope = answer.json()
    assert (envelope["success"], envelope["data"]) == (False, None)
    assert envelope["error"]["code"] == "VALIDATION_ERROR"
    assert envelope["error"]["details"]["field"] == "work_directory"
    assert envelope["error"]["details"]["message"].startswith("Work directory must be an absolute path")
    assert datetime.fromisoformat(envelope["timestamp"]).utcoffset() is not None


async def test_the_header_with_a_key_is_taken(server: Running) -> None:
    answer = await server.client.get("/tasks", headers={"Authorization": "Bearer your-api-key"})
    assert answer.status_code == 200


async def test_health(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.address) as client:
        health = (await client.get("/health")).json()
    assert set(health) == {"status", "timestamp", "version", "uptime", "components", "metrics"}
    assert health["status"] == "healthy"
    assert re.fullmatch(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?", health["uptime"])
    assert set(health["components"]["database"]) >= {"healthy", "response_time", "last_checked"}
    assert re.fullmatch(r"\d+MB", health["metrics"]["memory_usage"])


async def test_statistics_and_metrics(server: Running) -> None:
    assert "by_status" in await server.get("/statistics")
    async with httpx.AsyncClient(base_url=server.address) as client:
        metrics = (await client.get("/metrics")).text
    for name in ("task_created_total", "task_completed_total", "task_failed_total", "response_time_seconds", "active_tasks"):
        assert f"\n{name}" in metrics
