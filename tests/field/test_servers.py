"""How other servers lose work, or stop to hand it out; each test is named after the failure.

Shutdown with parked polls is in tests/http/test_shutdown.py, one task among a thousand polls in tests/properties/test_waiting.py,
killed servers under load in tests/chaos/test_kill.py.
"""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from orchestrator.domain import operations as ops
from orchestrator.queue.waiting import Poll
from orchestrator.store.sqlite.store import SQLiteStore
from tests.acceptance import programs
from tests.conformance.test_reads_cost import FINISHED, Steps
from tests.http.conftest import serving, until
from tests.http.raw import Raw, request
from tests.rig import Rig, claim, enqueue, interest, new_task

pytestmark = pytest.mark.anyio


async def test_a_poll_whose_client_has_gone_takes_nothing(tmp_path: Path) -> None:
    """It claims for nobody, and the task is lost until its time-out: camunda#2979, #3631, litestar#2490."""
    async with serving(tmp_path / "tasks.db") as server:
        async with Raw.open(server.address) as raw:
            await raw.send(request("GET", "/api/v1/tasks/next?work_path=/a&worker_id=gone&wait=50"))
            await until(lambda: server.queue.parked)
            raw.writer.transport.abort()
        task = await server.task("/a")
        taken = await server.claim("/a", wait=20)
        assert (taken["id"], taken["attempt"]) == (task["id"], 1)
        history = await server.get(f"/tasks/{task['id']}/attempts")
        assert "gone" not in str(history)


async def test_one_waker_for_one_task(tmp_path: Path) -> None:
    """All workers woken for one task: River PR 1150."""
    async with serving(tmp_path / "tasks.db") as server:
        polls = [asyncio.create_task(server.claim("/a", wait=50, worker_id=f"w{n}")) for n in range(50)]
        await until(lambda: server.queue.parked == len(polls))
        ask = server.queue._parked._ask
        woken: list[Poll] = []

        def asks(poll: Poll) -> None:
            woken.append(poll)
            ask(poll)

        server.queue._parked.room._ask = asks
        await server.task("/a")
        await until(lambda: server.queue.parked == len(polls) - 1)
        assert len(woken) == 1
        server.queue.drain()
        assert sum(one is not None for one in await asyncio.gather(*polls)) == 1


async def test_eight_askers_one_winner(tmp_path: Path) -> None:
    """A race on claim, seven winners: beads#4657."""
    async with serving(tmp_path / "tasks.db") as server:
        for number in range(25):
            task = await server.task(f"/race/{number}")
            answers = await asyncio.gather(*(server.claim(f"/race/{number}", worker_id=f"w{n}") for n in range(8)))
            assert [one["id"] for one in answers if one is not None] == [task["id"]]


async def test_the_database_is_never_locked(tmp_path: Path) -> None:
    """ "Database is locked", as readers and writers meet: huey#445."""
    path = tmp_path / "tasks.db"
    async with serving(path) as server:
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN")
            foreign.execute("SELECT count(*) FROM tasks").fetchall()
            calls = [server.client.post("/tasks", json={"work_directory": "/a", "prompt": "Do it"}) for _ in range(100)]
            calls += [server.client.get("/tasks") for _ in range(50)] + [server.client.get("/statistics") for _ in range(20)]
            answers = await asyncio.gather(*calls)
            foreign.execute("ROLLBACK")
        assert {answer.status_code for answer in answers} == {200, 201}


@pytest.mark.parametrize("loop", ["Reaper", "Pruner", "Doorkeeper"])
async def test_the_rescuers_death_is_noticed(tmp_path: Path, loop: str) -> None:
    """It dies quietly, and nobody is rescued any more: procrastinate#1408."""
    async with serving(tmp_path / "tasks.db") as server:
        root = server.address
        assert (await server.client.get(f"{root}/health/live")).status_code == 200
        (task,) = [one for one in asyncio.all_tasks() if one.get_name() == loop]
        task.cancel()
        await until(task.done)
        for path in ("/health/live", "/health/ready", "/health"):
            answer = await server.client.get(f"{root}{path}")
            assert answer.status_code == 503, path
            assert f"the {loop.lower()} has ended" in answer.text


def test_finished_rows_do_not_slow_a_claim(tmp_path: Path) -> None:
    """They bloat the index that claims look into: River#59. In steps of SQLite's machine, not in time."""
    rig = Rig(tmp_path)
    done = rig.running()
    rig.do(ops.Complete(task_id=done.task_id, lease=done.lease))
    hundreds = 0

    def step() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    def cost() -> int:
        nonlocal hundreds
        assert isinstance(rig.store, SQLiteStore)
        assert rig.store._writer is not None
        rig._runner.run(rig.store._writer.run(lambda database: database.set_progress_handler(step, 100)))
        hundreds = 0
        rig.outcomes(*(enqueue(new_task("/a")) for _ in range(20)), *(claim(interest("/", recursive=True)) for _ in range(20)))
        return hundreds

    cost()
    few = cost()
    past = Steps(tmp_path)
    past.finish_more()
    past.close()
    many = cost()
    rig.close()
    assert FINISHED > 100 * 20
    assert many <= few + 5, (few, many)


def test_what_was_taken_when_the_process_crashed_is_not_lost(tmp_path: Path) -> None:
    """Deleted when it was taken: huey#253. Here the lease outlives the server."""
    with programs.serving(tmp_path) as server, httpx.Client(base_url=f"{server.url}/api/v1") as client:
        created = client.post("/tasks", json={"work_directory": "/a", "prompt": "Do it"}).json()["data"]
        task = client.get("/tasks/next", params={"work_path": "/a", "worker_id": "w", "wait": 0}).json()["data"]
        assert task["id"] == created["id"]
        programs.end(server.process, signal.SIGKILL)
    with programs.serving(tmp_path) as server, httpx.Client(base_url=f"{server.url}/api/v1") as client:
        assert client.get("/tasks/next", params={"work_path": "/a", "worker_id": "w2", "wait": 0}).json()["data"] is None
        assert client.get(f"/tasks/{task['id']}").json()["data"]["status"] == "running"
        assert client.post(f"/tasks/{task['id']}/complete", json={"lease": task["lease"]}).status_code == 200
