"""Far more is asked than can be done: new work is refused at once, who holds a lease is served, and nothing told is lost."""

import asyncio
import json
import os
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.acceptance.programs import end, serving
from tests.http.raw import Raw, request

SECONDS: Final = float(os.environ.get("SECONDS", "4"))
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120 + SECONDS)]

BACKLOG: Final = 8
HAMMERS: Final = 200
"""Of whom each second one creates; nobody waits before asking again."""
HOLDERS: Final = 10
POLLS: Final = 100
PATIENCE_S: Final = 70
MOST_RSS: Final = 150 * 2**20


class Load:
    """Clients of one server, and what they were told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.until = 0.0
        self.answers: Counter[tuple[str, int]] = Counter()
        self.created: set[int] = set()
        self.claimed: list[int] = []
        self.finished: set[int] = set()

    @property
    def going(self) -> bool:
        return time.monotonic() < self.until

    async def ask(self, raw: Raw, what: str, method: str, path: str, body: Any = None) -> Any:
        """The data of the answer; None when it was a 503, which tells when to come again."""
        content = b"" if body is None else json.dumps(body).encode()
        await raw.send(request(method, f"/api/v1{path}", body=content))
        status, headers, answer = await raw.answer(PATIENCE_S)
        self.answers[what, status] += 1
        told = json.loads(answer)
        if status == 503:
            assert told["error"]["code"] == "OVERLOADED", told
            assert int(headers["retry-after"]) >= 1
            return None
        assert status in {200, 201}, told
        return told["data"]

    async def create(self, raw: Raw, path: str) -> Any:
        return await self.ask(raw, "create", "POST", "/tasks", {"work_directory": path, "prompt": "Make the tests pass."})

    async def claim(self, raw: Raw, what: str, path: str, worker: str, wait: int = 0) -> Any:
        query = f"work_path={path}&worker_id={worker}&wait={wait}&lease_seconds=3600"
        return await self.ask(raw, what, "GET", f"/tasks/next?{query}")

    async def hammer(self, number: int) -> None:
        async with Raw.open(self.address) as raw:
            while self.going:
                path = f"/hammered/{number // 2}"
                if number % 2:
                    task = await self.claim(raw, "claim", path, f"hammer-{number}")
                    if task is not None:
                        self.claimed.append(task["id"])
                elif (task := await self.create(raw, path)) is not None:
                    self.created.add(task["id"])

    async def lease(self, number: int) -> Any:
        async with Raw.open(self.address) as raw:
            await self.create(raw, f"/held/{number}")
            return await self.claim(raw, "first", f"/held/{number}", f"holder-{number}")

    async def hold(self, task: Any) -> None:
        """A lease from before the load, until its end."""
        at, lease = f"/tasks/{task['id']}", {"lease": task["lease"]}
        async with Raw.open(self.address) as raw:
            while self.going:
                beat = await self.ask(raw, "heartbeat", "POST", f"{at}/heartbeat", lease)
                assert beat["directive"] == "continue"
                await self.ask(raw, "logs", "POST", f"{at}/logs", {**lease, "lines": [{"text": "still here"}]})
            done = await self.ask(raw, "complete", "POST", f"{at}/complete", {**lease, "result": "done"})
            assert done["status"] == "completed"
            self.finished.add(task["id"])

    async def poll(self, number: int) -> Any:
        """Wait for a task of its own, however long."""
        task = None
        async with Raw.open(self.address) as raw:
            while task is None:
                task = await self.claim(raw, "poll", f"/parked/{number}", f"poll-{number}", wait=50)
        return task

    async def probe(self) -> None:
        async with Raw.open(self.address) as raw:
            while self.going:
                await raw.send(request("GET", "/health/ready"))
                assert (await raw.answer())[0] == 200
                await asyncio.sleep(0.05)

    async def parked(self) -> int:
        async with Raw.open(self.address) as raw:
            await raw.send(request("GET", "/metrics"))
            _, _, text = await raw.answer()
            found = re.search(rb"^parked_polls (\S+)", text, re.MULTILINE)
            assert found
            return int(float(found[1]))


async def test_overload_is_refused_and_ends_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path, APP_LIMITS_BACKLOG=str(BACKLOG)) as server:
        load, process = Load(server.url), psutil.Process(server.process.pid)
        polls = []
        for number in range(POLLS):
            polls.append(asyncio.create_task(load.poll(number)))
            while await load.parked() < len(polls):
                pass
        held = [await load.lease(number) for number in range(HOLDERS)]
        load.until = time.monotonic() + SECONDS
        async with asyncio.TaskGroup() as clients:
            clients.create_task(load.probe())
            for task in held:
                clients.create_task(load.hold(task))
            for number in range(HAMMERS):
                clients.create_task(load.hammer(number))
            largest = 0
            while load.going:
                await asyncio.sleep(0.1)
                largest = max(largest, process.memory_info().rss)
        told = f"{dict(load.answers)}, {largest / 2**20:.0f} MB"
        assert load.answers["create", 503] > 0, told
        assert load.answers["claim", 503] > 0, told
        assert load.answers["create", 201] > HOLDERS, told
        assert load.answers["claim", 200] > 0, told
        assert not any(load.answers[what, 503] for what in ("heartbeat", "logs", "complete")), told
        assert largest < MOST_RSS, told
        while await load.parked() < POLLS:
            assert not any(poll.done() for poll in polls), told
        # Nothing is in hand any more, so that the first who asks is served.
        async with Raw.open(server.url) as raw:
            for number, poll in enumerate(polls):
                task = await load.create(raw, f"/parked/{number}")
                assert (await poll)["id"] == task["id"]
        end(server.process, 9)
    assert len(load.claimed) == len(set(load.claimed)), "two leases of one task"
    with closing(sqlite3.connect(tmp_path / "tasks.db")) as database:
        kept = dict(database.execute("SELECT id, status FROM tasks"))
    assert load.created <= kept.keys()
    assert {kept[one] for one in load.claimed} == {"running"}
    assert {kept[one] for one in load.finished} == {"completed"}
    assert len(load.finished) == HOLDERS
