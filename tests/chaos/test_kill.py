"""The real server is killed and stopped under load: nothing acknowledged is lost, nothing is leased twice."""

import asyncio
import contextlib
import random
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.programs import started

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(170)]

KILLS = 20
WORKERS = 6
AGAIN = (httpx.TransportError,)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """A server that answers; whatever happened to it, it is gone afterwards."""
    line = ["serve", "--port", str(port), "--database", f"sqlite:///{folder / 'tasks.db'}"]
    with (folder / "server.log").open("a") as log, started(*line, cwd=folder, stderr=log) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert str(port) in said, (folder / "server.log").read_text()
        yield process


class Load:
    """Clients that create, claim and complete, and know what they were told."""

    def __init__(self, port: int) -> None:
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30)
        self.created: dict[int, str] = {}
        self.holding: dict[int, str] = {}
        self.completed: set[int] = set()
        self.acknowledged = 0
        self.moved = asyncio.Condition()
        self.creating = True
        self.answers: dict[int, int] = {}

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Until it is answered: the server may be gone for a while."""
        while True:
            try:
                answer = await self.http.request(method, path, **request)
            except AGAIN:
                await asyncio.sleep(0.02)
                continue
            if answer.status_code == 503:
                await asyncio.sleep(0.02)
                continue
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            async with self.moved:
                self.acknowledged += 1
                self.moved.notify_all()
            return answer

    async def acknowledge(self, more: int) -> None:
        """Until so many further requests have been answered."""
        target = self.acknowledged + more
        async with self.moved:
            await self.moved.wait_for(lambda: self.acknowledged >= target)

    async def create(self, name: str) -> None:
        number = 0
        while self.creating:
            number += 1
            body = {"work_directory": f"/load/{number % 5}", "prompt": name, "key": f"{name}-{number}"}
            answer = await self.send("POST", "/tasks", json=body)
            assert answer.status_code in {200, 201}, answer.text
            self.created[answer.json()["data"]["id"]] = body["key"]
            async with self.moved:
                await self.moved.wait_for(lambda: not self.creating or len(self.created) - len(self.completed) < 200)

    async def work(self, worker: str) -> None:
        number = 0
        while self.creating or len(self.completed) < len(self.created):
            number += 1
            query = {"work_path": "/load", "recursive": "true", "worker_id": worker, "wait": 0.2, "poll_id": f"{worker}-{number}"}
            answer = await self.send("GET", "/tasks/next", params=query)
            assert answer.status_code == 200, answer.text
            task = answer.json()["data"]
            if task is None:
                continue
            task_id = task["id"]
            assert task_id not in self.holding, f"{task_id} is leased to {self.holding[task_id]} and to {worker}"
            assert task_id not in self.completed
            self.holding[task_id] = worker
            done = await self.send("POST", f"/tasks/{task_id}/complete", json={"lease": task["lease"], "result": worker})
            if done.status_code != 200:
                assert done.json()["error"]["details"]["reason"] == "already_applied", done.text
            del self.holding[task_id]
            self.completed.add(task_id)


@pytest.mark.system
async def test_killed_twenty_times_under_load(tmp_path: Path) -> None:
    chance = random.Random(1)
    port = free_port()
    load = Load(port)
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(load.create(f"client{n}")) for n in range(3)]
        clients += [group.create_task(load.work(f"worker{n}")) for n in range(WORKERS)]
        for _ in range(KILLS):
            with server(tmp_path, port) as process:
                await load.acknowledge(chance.randrange(5, 60))
                process.kill()
                process.wait()
        load.creating = False
        with server(tmp_path, port):
            async with asyncio.timeout(60):
                await asyncio.wait(clients)
    await load.http.aclose()
    assert set(load.answers) <= {200, 201, 409}
    assert len(load.created) > KILLS
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as database:
        stored = dict(database.execute("SELECT id, status FROM tasks"))
        attempts = database.execute("SELECT task_id, outcome FROM attempts").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT max(attempt) FROM tasks").fetchone() == (1,)
    assert load.created.keys() == stored.keys()
    assert set(stored.values()) == {"completed"}
    assert sorted(attempts) == [(task_id, "completed") for task_id in sorted(stored)]


async def test_stopped_for_longer_than_a_lease_expires_nobody(tmp_path: Path) -> None:
    port = free_port()
    lease_s = 4
    with server(tmp_path, port) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as http:
            bodies = [{"work_directory": f"/stop/{n}", "prompt": "x"} for n in range(30)]
            (await http.post("/tasks/batch", json={"tasks": bodies})).raise_for_status()
            asked = {"work_path": ["/stop"], "recursive": True, "worker_id": "w", "limit": 30, "lease_seconds": lease_s}
            claimed = (await http.post("/tasks/claim", json=asked)).json()["data"]["tasks"]
            assert len(claimed) == 30
            process.send_signal(signal.SIGSTOP)
            # The one thing that is tested here is that real time passes.
            await asyncio.sleep(lease_s + 2.5)
            process.send_signal(signal.SIGCONT)
            # The lapsed leases are given the time back before anything ends them: the reaper has had every chance.
            beats = [{"id": task["id"], "lease": task["lease"]} for task in claimed]
            for _ in range(3):
                answer = (await http.post("/tasks/heartbeat", json={"items": beats})).json()["data"]["items"]
                assert [item for item in answer if item.get("error")] == []
            states = (await http.get("/tasks", params={"limit": 100})).json()["data"]["items"]
            assert {(task["status"], task["attempt"]) for task in states} == {("running", 1)}
