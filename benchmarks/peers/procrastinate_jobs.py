"""procrastinate doing the same work: jobs deferred one by one, then taken and finished one by one.

Run with the Python of the peers' environment. As its documentation has it: an async app over psycopg's pool, which has room for
all at once, and its own defaults for the rest (finished jobs stay, LISTEN is on). uvloop, as we have it.
"""

import asyncio
import time

import procrastinate
import uvloop

from benchmarks.peers.together import arguments, tell


async def _measured(url: str, count: int, workers: int) -> tuple[float, float]:
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=workers, max_size=2 * workers + 4)
    app = procrastinate.App(connector=connector)
    done = 0

    @app.task(name="nothing")
    async def nothing(prompt: str) -> None:
        nonlocal done
        done += bool(prompt)

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        numbers = iter(range(count))

        async def defer() -> None:
            for _ in numbers:
                await nothing.defer_async(prompt="Make the tests pass.")

        started = time.monotonic()
        await asyncio.gather(*(defer() for _ in range(workers)))
        created = time.monotonic()
        await asyncio.gather(
            *(
                app.run_worker_async(concurrency=1, wait=False, install_signal_handlers=False, name=f"bench-{n}")
                for n in range(workers)
            )
        )
        finished = time.monotonic()
    if done != count:
        raise SystemExit(f"procrastinate ran {done} of {count} jobs")
    return created - started, finished - created


def main() -> None:
    url, count, workers = arguments()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tell(*runner.run(_measured(url, count, workers)))


main()
