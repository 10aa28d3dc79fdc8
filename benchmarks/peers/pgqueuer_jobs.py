"""pgqueuer doing the same work: jobs enqueued one by one, then taken and finished one by one.

Run with the Python of the peers' environment. As its documentation has it: asyncpg, the faster of its drivers, one connection for
each producer and each worker, the tables durable; batches of one.
"""

import asyncio
import json
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode


async def _measured(url: str, count: int, at_once: int, workers: int) -> dict[str, float]:
    connections = [await asyncpg.connect(url) for _ in range(at_once)]
    queries = [Queries(AsyncpgDriver(connection)) for connection in connections]
    if not await queries[0].schema_is_installed():
        await queries[0].install()
    numbers = iter(range(count))

    async def enqueue(into: Queries) -> None:
        for _ in numbers:
            await into.enqueue("nothing", b'{"prompt": "Make the tests pass."}')

    started = time.perf_counter()
    await asyncio.gather(*(enqueue(into) for into in queries))
    created = time.perf_counter()
    done = 0
    managers = [PgQueuer(AsyncpgDriver(connection)) for connection in connections[:workers]]

    async def nothing(_: Job) -> None:
        nonlocal done
        done += 1

    for manager in managers:
        manager.entrypoint("nothing")(nothing)
    await asyncio.gather(
        *(
            manager.qm.run(
                batch_size=1,
                max_concurrent_tasks=max(at_once // workers, 2),
                mode=QueueExecutionMode.drain,
                dequeue_timeout=timedelta(seconds=0.1),
            )
            for manager in managers
        )
    )
    finished = time.perf_counter()
    for connection in connections:
        await connection.close()
    if done != count:
        raise SystemExit(f"pgqueuer ran {done} of {count} jobs")
    return {"create": created - started, "work": finished - created}


def main() -> None:
    url, count, at_once, workers = sys.argv[1], *map(int, sys.argv[2:5])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_measured(url, count, at_once, workers))))


main()
