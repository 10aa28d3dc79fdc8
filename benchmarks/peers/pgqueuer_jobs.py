"""pgqueuer doing the same work: jobs enqueued one by one, then taken and finished one by one.

Run with the Python of the peers' environment. As its documentation has it: asyncpg, the faster of its drivers, one connection for
each producer and each worker, the tables durable; batches of one.
"""

import asyncio
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode

from benchmarks.peers.together import arguments, tell


async def _measured(url: str, count: int, workers: int) -> tuple[float, float]:
    connections = [await asyncpg.connect(url) for _ in range(workers)]
    queries = [Queries(AsyncpgDriver(connection)) for connection in connections]
    if not await queries[0].schema_is_installed():
        await queries[0].install()
    numbers = iter(range(count))

    async def enqueue(into: Queries) -> None:
        for _ in numbers:
            await into.enqueue("nothing", b'{"prompt": "Make the tests pass."}')

    started = time.monotonic()
    await asyncio.gather(*(enqueue(into) for into in queries))
    created = time.monotonic()
    done = 0
    managers = [PgQueuer(AsyncpgDriver(connection)) for connection in connections]

    async def nothing(_: Job) -> None:
        nonlocal done
        done += 1

    for manager in managers:
        manager.entrypoint("nothing")(nothing)
    await asyncio.gather(
        *(
            manager.qm.run(
                batch_size=1,
                max_concurrent_tasks=2,
                mode=QueueExecutionMode.drain,
                dequeue_timeout=timedelta(seconds=0.1),
            )
            for manager in managers
        )
    )
    finished = time.monotonic()
    for connection in connections:
        await connection.close()
    if done != count:
        raise SystemExit(f"pgqueuer ran {done} of {count} jobs")
    return created - started, finished - created


def main() -> None:
    url, count, workers = arguments()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tell(*runner.run(_measured(url, count, workers)))


main()
