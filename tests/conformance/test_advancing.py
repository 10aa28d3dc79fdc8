"""The loop that has runs go on: what happened before it began, what happens then, and what nobody told it of."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Begun, Defined
from orchestrator.domain.principal import EVERYWHERE
from orchestrator.loops import advancer
from orchestrator.loops.advancer import Advancer
from tests.flows import HERE, definition, step
from tests.serving import Server
from worker_client.errors import Overloaded

pytestmark = pytest.mark.anyio


async def begun(server: Server) -> int:
    text = json.dumps(msgspec.to_builtins(definition(step("a"), step("b", "a"))))
    saved = await server.do(flow.SaveWorkflow(name=f"w{server.queue.feed.last_id}", definition=text))
    assert isinstance(saved, Defined)
    run = await server.do(flow.BeginRun(workflow_id=saved.workflow.id))
    assert isinstance(run, Begun)
    return run.run.id


@contextlib.asynccontextmanager
async def advancing(server: Server, every: float | None = None) -> AsyncIterator[Advancer]:
    loop = Advancer(server.queue, every=every)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def step_of(server: Server, run_id: int, step_id: str) -> str:
    """How a step stands, once something was done about it."""
    with server.queue.feed.reader() as bell:
        async with asyncio.timeout(20):
            while True:
                view = await server.queue.reads.run(run_id, EVERYWHERE)
                assert view is not None
                if found := [row.status for row in view.steps if row.step_id == step_id]:
                    return found[0]
                await bell.wait()
                bell.clear()


async def test_it_does_what_happened_before_it_began_and_what_happens_then(server: Server) -> None:
    run_id = await begun(server)
    assert await server.queue.reads.unfollowed()
    async with advancing(server):
        assert await step_of(server, run_id, "a") == "running"
        grant = await server.take(HERE)
        await server.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
        assert await step_of(server, run_id, "b") == "running"


class Deaf(asyncio.Event):
    """Nobody rings it."""

    def set(self) -> None:
        """Do nothing."""


async def test_where_there_are_others_it_looks_for_what_a_dead_one_did_not_tell(server: Server) -> None:
    server.queue.feed.stirred = Deaf()
    async with advancing(server, every=0.01):
        run_id = await begun(server)
        assert await step_of(server, run_id, "a") == "running"


async def test_it_goes_on_after_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advancer, "AFTER_ERROR_S", 0)
    errors: list[Exception] = [ValueError("no"), Overloaded("later", retry_after=1.0)]
    submit = server.queue.submit

    def failing(op: Any, *rest: Any, **facts: Any) -> Any:
        if isinstance(op, flow.Follow) and errors:
            raise errors.pop()
        return submit(op, *rest, **facts)

    monkeypatch.setattr(server.queue, "submit", failing)
    run_id = await begun(server)
    async with advancing(server) as loop:
        assert await step_of(server, run_id, "a") == "running"
        assert errors == []
        assert loop.failed is None or "no" in loop.failed
