"""A queue on a real store, with its time in the test's hand."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Created, Grant, Outcome
from orchestrator.domain.principal import OPEN
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import TaskView
from orchestrator.loops.reaper import Reaper
from orchestrator.queue.commit import Queue
from orchestrator.telemetry.metrics import Metrics
from tests.rig import Time, claim, enqueue, interest, make_store, new_task
from worker_client.contract.enums import Status

LONG = 60_000


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


class Server:
    """A queue on a store, with its time in the test's hand."""

    def __init__(self, kind: str, directory: Path, time: Time | None = None, **limits: Any) -> None:
        self.kind = kind
        self.directory = directory
        self.time = time or Time()
        self.store = make_store(kind, directory, self.time)
        self.metrics = Metrics("test")
        self.queue = Queue(self.store, Rules(backoff='{"jitter": 0}'), self.metrics, **limits)
        self.reaper = Reaper(self.queue)

    async def do(self, op: ops.Operation) -> Outcome:
        return await self.queue.submit(op, OPEN)

    async def add(self, path: str = "/a", **facts: Any) -> int:
        created = await self.do(enqueue(new_task(path, **facts)))
        assert isinstance(created, Created)
        return created.tasks[0][0]

    async def take(self, path: str = "/a", **facts: Any) -> Grant:
        claimed = await self.do(claim(interest(path), **facts))
        assert isinstance(claimed, Claimed)
        (grant,) = claimed.grants
        return grant

    async def view(self, task_id: int) -> TaskView:
        view = await self.queue.reads.task(task_id, OPEN.paths)
        assert view is not None
        return view

    async def status(self, task_id: int) -> Status:
        return (await self.view(task_id)).head.status

    async def parked(self, op: ops.Claim) -> "asyncio.Future[Outcome]":
        """A poll that has found nothing and waits."""
        future = self.queue.submit(op, OPEN, wait_ms=LONG)
        await self.do(ops.Tick())
        assert not future.done()
        return future

    async def gathered(self) -> None:
        """Until what was submitted is in the transaction that runs."""
        await until(lambda: not self.queue.backlog)

    async def again(self, *, after_ms: int = 0) -> "Server":
        """Stop, and start on the same data some time later."""
        await self.queue.stop()
        self.time.pass_(after_ms)
        other = Server(self.kind, self.directory, self.time)
        await other.queue.start()
        return other


def grants(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Claimed)
    return [grant.task_id for grant in outcome.grants]
