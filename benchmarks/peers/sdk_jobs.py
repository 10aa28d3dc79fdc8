"""Our own Python client doing the same work: create, claim and complete one by one, so many at once in one process."""

import asyncio
import time

from benchmarks.peers.together import arguments, share, tell
from worker_client import AsyncClient

PATH = "/bench/sdk"
PROMPT = "Make the tests pass."


async def _measured(url: str, count: int, at_once: int) -> tuple[float, float]:
    async with AsyncClient(url) as client:
        await client.health()

        async def create(number: int) -> None:
            for _ in range(share(count, at_once, number)):
                await client.create(work_directory=PATH, prompt=PROMPT)

        async def work(number: int) -> int:
            done = 0
            while task := await client.claim(work_path=[PATH], worker_id=f"bench-{number}", wait=0):
                await client.complete(task.id, lease=task.lease)
                done += 1
            return done

        started = time.monotonic()
        await asyncio.gather(*map(create, range(at_once)))
        created = time.monotonic()
        done = sum(await asyncio.gather(*map(work, range(at_once))))
        finished = time.monotonic()
    if done != count:
        raise SystemExit(f"{done} of {count} tasks were done")
    return created - started, finished - created


def main() -> None:
    url, count, at_once = arguments()
    tell(*asyncio.run(_measured(url, count, at_once)))


main()
