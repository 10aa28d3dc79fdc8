"""procrastinate doing the same work: jobs deferred one by one, then taken and finished one by one.

Run with the Python of the peers' environment. As its documentation has it: an async app over psycopg's pool, which has room for
all at once, and its own defaults for the rest (finished jobs stay, LISTEN is on). uvloop, as we have it.
"""

import asyncio
import json
import sys
import time

import procrastinate
import uvloop


async def _measured(url: str, count: int, at_once: int, workers: int) -> dict[str, float]:
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=at_once, max_size=at_once + workers + 4)
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

        started = time.perf_counter()
        await asyncio.gather(*(defer() for _ in range(at_once)))
        created = time.perf_counter()
        await asyncio.gather(
            *(
                app.run_worker_async(concurrency=at_once // workers, wait=False, install_signal_handlers=False, name=f"bench-{n}")
                for n in range(workers)
            )
        )
        finished = time.perf_counter()
    if done != count:
        raise SystemExit(f"procrastinate ran {done} of {count} jobs")
    return {"create": created - started, "work": finished - created}


def main() -> None:
    url, count, at_once, workers = sys.argv[1], *map(int, sys.argv[2:5])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_measured(url, count, at_once, workers))))


main()
