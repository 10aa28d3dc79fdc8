"""Probes: what monitors and orchestrators of processes act on."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.http.health import lasting
from orchestrator.queue.commit import Queue
from orchestrator.store.protocol import StoreAwayError
from orchestrator.store.reads import Reads
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio


async def asked(server: Running, path: str) -> tuple[int, Any]:
    async with httpx.AsyncClient(base_url=server.address) as client:
        answer = await client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


async def test_a_server_that_works_says_so(server: Running) -> None:
    await server.task("/health")
    status, health = await asked(server, "/health")
    assert (status, health["status"]) == (200, "healthy")
    assert list(health) == ["status", "timestamp", "version", "uptime", "components", "metrics"]
    assert health["components"]["database"]["healthy"]
    assert health["components"]["database"]["response_time"] > 0
    assert "message" not in health["components"]["database"]
    assert set(health["metrics"]) == {"memory_usage", "cpu_usage", "active_connections", "queue_size"}
    assert health["metrics"]["queue_size"] >= 1
    assert await asked(server, "/health/live") == (200, {"status": "alive"})
    assert await asked(server, "/health/ready") == (200, {"status": "ready"})


async def test_what_monitors_add_is_ignored(server: Running) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert (await asked(server, f"{path}?_=1732&verbose"))[0] == 200


async def test_a_database_that_fails_is_unhealthy(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Reads) -> None:
        raise OSError("disk I/O error")

    monkeypatch.setattr(Reads, "ping", broken)
    status, health = await asked(server, "/health")
    assert (status, health["status"]) == (503, "unhealthy")
    assert health["components"]["database"]["message"] == "the database cannot be read: disk I/O error"
    assert health["components"]["queue"]["healthy"]
    status, probe = await asked(server, "/health/ready")
    assert (status, probe["status"]) == (503, "not ready")
    assert "disk I/O error" in probe["reason"]
    assert (await asked(server, "/health/live"))[0] == 200


async def test_a_database_that_does_not_answer_is_unhealthy(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_: Reads) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Reads, "ping", silent)
    monkeypatch.setattr("orchestrator.http.health._PATIENCE_S", 0.01)
    status, health = await asked(server, "/health")
    assert (status, health["components"]["database"]["healthy"]) == (503, False)


async def test_a_committer_that_fails_is_not_ready(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.queue, "failing", "database or disk is full")
    status, health = await asked(server, "/health")
    assert (status, health["components"]["queue"]["message"]) == (503, "the last transaction failed: database or disk is full")
    assert (await asked(server, "/health/ready"))[0] == 503
    assert (await asked(server, "/health/live"))[0] == 200


async def test_a_database_that_is_away_is_not_ready_but_alive(server: Running, directory: str) -> None:
    server.queue.lost(StoreAwayError("postgresql://me:secret@db refused"))
    try:
        status, probe = await asked(server, "/health/ready")
        assert (status, probe["status"]) == (503, "not ready")
        assert probe["reason"] == "the database cannot be reached, for 0s now: postgresql://me:***@db refused"
        status, health = await asked(server, "/health")
        assert (status, health["components"]["queue"]["message"]) == (503, probe["reason"])
        assert (await asked(server, "/health/live"))[0] == 200
        answer = await server.client.post("/tasks", json={"work_directory": directory, "prompt": "Do it"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"]["code"] == "OVERLOADED"
    finally:
        server.queue._returned()
    assert (await asked(server, "/health/ready"))[0] == 200


async def test_a_read_of_a_database_that_is_away_is_to_be_tried_again(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise StoreAwayError("refused")

    monkeypatch.setattr(Reads, "task", gone)
    answer = await server.client.get("/tasks/1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "the database cannot be reached" in answer.json()["error"]["message"]


async def test_a_committer_that_is_gone_needs_a_restart(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "alive", property(lambda _: False))
    assert await asked(server, "/health/live") == (503, {"status": "not alive", "reason": "the committer has ended"})
    assert (await asked(server, "/health"))[0] == 503


async def test_a_server_that_drains_gets_nothing_new(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        server.queue.drain()
        assert await asked(server, "/health/ready") == (503, {"status": "not ready", "reason": "the server is stopping"})
        assert (await asked(server, "/health/live"))[0] == 200


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0s"), (999, "0s"), (59_999, "59s"), (60_000, "1m"), (5_400_000, "1h30m"), (3_600_000, "1h"),
        (86_400_000, "1d"), (2 * 86_400_000 + 4 * 3_600_000 + 1_800_000, "2d4h30m"),
    ],
)  # fmt: skip
def test_a_duration_is_written_as_people_write_it(milliseconds: int, text: str) -> None:
    assert lasting(milliseconds) == text
