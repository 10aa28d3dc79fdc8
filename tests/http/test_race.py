"""Many connections after the tasks of one directory: each is handed out once, in rank order, none is left."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.domain.principal import EVERYWHERE
from tests.http.conftest import serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(170)]

CONNECTIONS = 64
TASKS = 5_000
PRIORITIES = ("low", "normal", "high", "urgent")


async def test_connections_racing_for_one_directory(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        ids: list[int] = []
        for start in range(0, TASKS, 1_000):
            bodies = [
                {"work_directory": "/race", "prompt": "x", "priority": PRIORITIES[n % 4]} for n in range(start, start + 1_000)
            ]
            created = await server.post("/tasks/batch", {"tasks": bodies})
            ids += [task["id"] for task in created["tasks"]]
        got: list[int] = []
        leases: set[str] = set()

        async def worker(number: int) -> None:
            params: dict[str, str | int] = {"work_path": "/race", "worker_id": f"w{number}", "wait": 0}
            async with httpx.AsyncClient(base_url=server.client.base_url, timeout=60) as client:
                while (task := _data(await client.get("/tasks/next", params=params))) is not None:
                    assert task["attempt"] == task["lease_no"] == 1
                    leases.add(task["lease"])
                    got.append(task["id"])

        await asyncio.gather(*(worker(number) for number in range(CONNECTIONS)))
        assert sorted(got) == ids
        assert len(leases) == TASKS
        claimed: list[int] = []
        after = 0
        while page := await server.queue.reads.events(after, 5_000, EVERYWHERE):
            claimed += [event.task_id for event in page if event.type == "task.claimed"]
            after = page[-1].id
        priority = {task_id: PRIORITIES[n % 4] for n, task_id in enumerate(ids)}
        # All became ready within seconds, the head starts are hours: by priority, then by age.
        assert claimed == sorted(ids, key=lambda task_id: (-PRIORITIES.index(priority[task_id]), task_id))
        statistics = await server.get("/statistics")
        assert statistics["by_status"] == {"running": TASKS} | {
            status: 0 for status in statistics["by_status"] if status != "running"
        }


def _data(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]
