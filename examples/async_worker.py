"""A worker within a program that has an event loop of its own, and does twenty tasks at a time.

    python examples/async_worker.py /srv/shop

Each task of kind `fetch` has an address as its prompt. A handler that is a coroutine is cancelled when its task is.
"""

import asyncio
import signal
import sys

import httpx

from worker_client import AsyncClient, Failed, RunContext, Worker


async def main(*directories: str) -> None:
    """Work until SIGTERM, beside whatever else the program does."""
    worker = Worker(AsyncClient(), directories=directories, concurrency=20)
    async with httpx.AsyncClient(follow_redirects=True, timeout=30) as http:

        @worker.handler("fetch")
        async def fetch(context: RunContext) -> dict[str, object] | Failed:
            answer = await http.get(context.task.prompt or "")
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                wait = float(answer.headers.get("retry-after", 60))
                return Failed(type="TooManyRequests", message=str(answer.url), retry_after=wait)
            answer.raise_for_status()
            return {"status": answer.status_code, "bytes": len(answer.content)}

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
        await worker.serve()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
