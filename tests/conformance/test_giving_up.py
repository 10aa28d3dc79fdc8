"""One run or schedule that can't be understood stops none of the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator.domain import schedule_operations as cron
from orchestrator.domain.principal import EVERYWHERE, OPEN, Principal, path_scope
from orchestrator.domain.schedule_outcomes import Scheduled
from orchestrator.loops import advancer, planner
from orchestrator.loops.advancer import Advancer
from orchestrator.loops.planner import Planner
from tests.conformance.test_advancing import begun, step_of
from tests.cron_rig import add, body, fire, fired, history
from tests.rig import HOUR, START, Rig, meddle
from tests.serving import Server, until

pytestmark = pytest.mark.anyio
NEXT = START - START % HOUR + HOUR


@contextlib.asynccontextmanager
async def working(run: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    with capture_logs():
        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_run_with_which_nobody_can_go_on_fails_and_the_others_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advancer, "AFTER_ERROR_S", 0.0)
    first, bad, last = [await begun(server) for _ in range(3)]
    await meddle(
        server.store,
        "INSERT INTO run_steps (run_id, step_id, version, status, take, tasks)"  # noqa: S608 - a number of ours
        f" VALUES ({bad}, 'a', 1, 'running', 1, 'spoiled')",
    )
    loop = Advancer(server.queue)
    async with working(loop.run):
        assert await step_of(server, first, "a") == "running"
        assert await step_of(server, last, "a") == "running"
        await until(lambda: loop.failed is None)
    ((status, reason),) = await server.queue.reads._fetch("SELECT status, reason FROM runs WHERE id = ?", (bad,))
    assert (status, reason) == ("failed", "the server cannot go on with it: its log says why")


async def test_a_schedule_that_nobody_can_fire_is_paused_and_the_others_fire(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "AFTER_ERROR_S", 0.0)
    ids = []
    for name in ("first", "bad", "last"):
        made = await server.do(cron.AddSchedule(body=body(name=name)))
        assert isinstance(made, Scheduled)
        ids.append(made.schedule_id)
    await meddle(server.store, "UPDATE schedules SET runs = 9223372036854775807 WHERE name = 'bad'")
    server.time.at = NEXT
    loop = Planner(server.queue, server.time.wall, server.metrics)
    async with working(loop.run):
        await until(lambda: server.queue.next_fire == NEXT + HOUR)
    first, bad, last = [await server.queue.reads.schedule(one, EVERYWHERE) for one in ids]
    assert first is not None
    assert bad is not None
    assert last is not None
    assert [one.runs for one in (first, last)] == [1, 1]
    assert (bad.enabled, bad.paused_reason) == (False, "the server cannot fire it: its log says why")


def test_work_that_cannot_be_read_any_more_is_a_failure_of_its_schedule(rig: Rig) -> None:
    limited = Principal(id="k1", scopes=OPEN.scopes, paths=path_scope(["/a/**"]))
    bad, good = add(rig, limited, name="bad"), add(rig, name="good")
    rig._runner.run(meddle(rig.store, "UPDATE schedules SET work = '{\"task\": 5}' WHERE name = 'bad'"))
    rig.time.at = NEXT
    fire(rig)
    assert (fired(rig, good), history(rig, bad)) == ([NEXT], [("failed", NEXT, 1)])
