"""Tasks created one by one, then taken and finished one by one, over HTTP."""

import asyncio
import time
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.traffic import Connection, Request, connect

DIRECTORY = "/bench/repository"
RESULT = {"ok": True}


class Phases(Struct, frozen=True):
    """Seconds that `count` tasks took."""

    count: int
    create: float
    work: float

    def rates(self) -> dict[str, float]:
        """Tasks a second: created; taken and finished; all of it."""
        return {
            "enqueue": self.count / self.create,
            "take + finish": self.count / self.work,
            "lifecycle": self.count / (self.create + self.work),
        }


async def lifecycle(addresses: list[tuple[str, int]], count: int, workers: int, directories: int = 1) -> Phases:
    """`workers` at once, spread over servers and directories: first they all create, then they all work."""
    pools = [await connect(addresses[n % len(addresses)], 1) for n in range(workers)]
    connections = [connection for (connection,) in pools]
    paths = [DIRECTORY] if directories == 1 else [f"{DIRECTORY}/{n}" for n in range(directories)]
    numbers = iter(range(count))

    async def create(connection: Connection) -> None:
        for n in numbers:
            await add(connection, paths[n % len(paths)])

    started = time.perf_counter()
    await asyncio.gather(*map(create, connections))
    created = time.perf_counter()
    done = sum(await asyncio.gather(*(work(one, f"bench-{n}", paths[n % len(paths)]) for n, one in enumerate(connections))))
    finished = time.perf_counter()
    for connection in connections:
        connection.close()
    if done != count:
        raise SystemExit(f"{done} of {count} tasks were done")
    return Phases(count, created - started, finished - created)


async def add(connection: Connection, path: str) -> int:
    """Create a task; its id."""
    body = msgspec.json.encode({"work_directory": path, "prompt": "Make the tests pass."})
    task: dict[str, Any] = msgspec.json.decode(await connection.send(Request.build("POST", "/api/v1/tasks", body)))["data"]
    return int(task["id"])


async def take(connection: Connection, worker: str, path: str, wait: int = 0) -> dict[str, Any] | None:
    """The next task of a directory, if there is one."""
    ask = Request.build("GET", f"/api/v1/tasks/next?work_path={path}&wait={wait}&worker_id={worker}")
    task: dict[str, Any] | None = msgspec.json.decode(await connection.send(ask))["data"]
    return task


async def finish(connection: Connection, task: dict[str, Any]) -> None:
    """Complete a task."""
    body = msgspec.json.encode({"lease": task["lease"], "result": RESULT})
    await connection.send(Request.build("POST", f"/api/v1/tasks/{task['id']}/complete", body))


async def work(connection: Connection, worker: str, path: str) -> int:
    """Take and finish until there is nothing; how many those were."""
    done = 0
    while task := await take(connection, worker, path):
        await finish(connection, task)
        done += 1
    return done
