"""A queue, a directory, and a worker that runs in it; a clock that goes on only when told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.worker_client.peer import Peer
from tests.unit.worker_client.queue_peer import Queue
from worker_client.client import AsyncClient
from worker_client.exchange import Retries
from worker_client.runners.script import ScriptRunner
from worker_client.worker import Worker

QUICK = Retries(attempts=3, seconds=5, first=0.01, most=0.02)


class HandClock:
    """Goes on only when told to."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            event = asyncio.Event()
            self._sleepers.append((self._now + seconds, event))
            await event.wait()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for at, event in self._sleepers:
            if at <= self._now:
                event.set()
        self._sleepers = [(at, event) for at, event in self._sleepers if at > self._now]


class Stage:
    """A queue, a directory, a worker that runs in it."""

    def __init__(self, queue: Queue, directory: Path, worker: Worker, serving: asyncio.Task[None]) -> None:
        self.queue, self.directory, self.worker, self.serving = queue, directory, worker, serving

    async def end_of(self, task_id: int) -> tuple[str, dict[str, Any]]:
        await self.queue.until(lambda: task_id in self.queue.ends)
        return self.queue.ends[task_id][0]


@asynccontextmanager
async def on_stage(tmp_path: Path, prepare: Callable[[Worker], object] | None = None, **options: Any) -> AsyncIterator[Stage]:
    queue = Queue()
    with Peer(queue) as peer:
        client = AsyncClient(peer.url, retries=QUICK)
        worker = Worker(client, directories=[tmp_path], **{"runners": [ScriptRunner()], "poll_seconds": 5, **options})
        if prepare is not None:
            prepare(worker)
        serving = asyncio.create_task(worker.serve())
        try:
            yield Stage(queue, tmp_path, worker, serving)
        finally:
            worker.drain()
            worker.drain()
            await asyncio.wait({serving}, timeout=10)
            assert serving.done()


def script(command: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "script", "spec": {"command": command, **spec}}
