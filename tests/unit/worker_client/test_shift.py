"""Several Workers of one process: when they are done together."""

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.worker_client.peer import Peer
from tests.unit.worker_client.queue_peer import Queue
from tests.unit.worker_client.stage import QUICK, script
from worker_client.client import AsyncClient
from worker_client.runners.base import RunContext
from worker_client.runners.script import ScriptRunner
from worker_client.shift import Shift
from worker_client.worker import Worker


class Kinds(Queue):
    """Gives each asker only what is of its kinds."""

    async def _claim(self, body: dict[str, Any]) -> Any:
        mine = [task for task in self._waiting if task["kind"] in body["kinds"]]
        taken = mine[: body.get("limit", 1)]
        self._waiting = [task for task in self._waiting if task not in taken]
        held, self._waiting = self._waiting, taken
        try:
            return await super()._claim(body)
        finally:
            self._waiting = held


def together(tmp_path: Path, queue: Queue, shift: Shift, others: Any) -> None:
    async def scenario() -> None:
        with Peer(queue) as peer:
            common: dict[str, Any] = {"directories": [tmp_path], "shift": shift}
            script_worker = Worker(AsyncClient(peer.url, retries=QUICK), runners=[ScriptRunner()], **common)
            other = Worker(AsyncClient(peer.url, retries=QUICK), **common)
            other.handler("other")(others)
            async with asyncio.timeout(20):
                await asyncio.gather(script_worker.serve(), other.serve())

    asyncio.run(scenario())


def test_they_end_when_nothing_waits_for_any_of_them(tmp_path: Path) -> None:
    """What one does makes work for the other, twice; whoever found nothing at first asks again."""
    queue = Kinds()
    queue.add(1, tmp_path, kind="other")

    async def work(context: RunContext) -> None:
        number = context.task.id
        if number < 5:
            queue.add(number + 1, tmp_path, **script("true"))
            queue.add(number + 2, tmp_path, kind="other")

    together(tmp_path, queue, Shift(until_idle=True), work)
    assert set(queue.ends) == {1, 2, 3, 4, 5}
    assert len(queue.polls) < 30


def test_they_begin_so_many_tasks_together(tmp_path: Path) -> None:
    queue = Kinds()
    for number in range(1, 9):
        queue.add(number, tmp_path, **(script("true") if number % 2 else {"kind": "other"}))

    async def work(context: RunContext) -> None:
        pass

    together(tmp_path, queue, Shift(max_tasks=3), work)
    begun = [verb for ends in queue.ends.values() for verb, _ in ends]
    assert begun.count("complete") == 3
    assert set(begun) <= {"complete", "release"}
