"""The planner: it fires at the time, and does next to nothing in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator.domain import schedule_operations as ops
from orchestrator.loops import planner
from orchestrator.loops.planner import Planner
from tests.cron_rig import body
from tests.rig import HOUR, START
from tests.serving import Server, until
from tests.shared import Replica, replicas

pytestmark = pytest.mark.anyio

NEXT = START - START % HOUR + HOUR


class Counted(Server):
    """A server with a planner that counts how often it asks."""

    def __init__(self, directory: Path) -> None:
        super().__init__("sqlite", directory)
        self.asked = 0
        self.planner = Planner(self.queue, self.time.wall, self.metrics)
        submit = self.queue.submit

        def count(op: Any, *rest: Any, **how: Any) -> Any:
            self.asked += isinstance(op, ops.FireDue)
            return submit(op, *rest, **how)

        self.queue.submit = count  # type: ignore[method-assign]

    async def runs(self) -> int:
        ((count,),) = await self.queue.reads._fetch("SELECT coalesce(sum(runs), 0) FROM schedules", ())
        return int(count)


@asynccontextmanager
async def planning(server: Server, planner: Planner) -> AsyncIterator[None]:
    task = asyncio.create_task(planner.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Counted]:
    server = Counted(tmp_path)
    await server.queue.start()
    yield server
    await server.queue.stop()


async def turns() -> None:
    """Let all that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_it_fires_when_the_time_has_come(server: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "LONGEST_S", 0.01)
    await server.do(ops.AddSchedule(body=body()))
    async with planning(server, server.planner):
        await turns()
        assert server.asked == 0
        for hour in range(3):
            server.time.at = NEXT + hour * HOUR
            await until(lambda: server.queue.next_fire == server.time.at - server.time.at % HOUR + HOUR)
        assert (server.asked, await server.runs()) == (3, 3)
        assert sum(server.metrics.schedule_late_seconds.counts) == 3
        assert server.metrics.schedule_fires["fired"] == 3


async def test_an_earlier_schedule_wakes_it(server: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "LONGEST_S", 3600.0)
    async with planning(server, server.planner):
        await server.do(ops.AddSchedule(body=body(name="late", cron="@yearly")))
        await turns()
        # Half a second before it is due, by a clock that stands still, it sleeps just as long.
        server.time.at = NEXT - 10
        await server.do(ops.AddSchedule(body=body(name="soon")))
        await turns()
        assert server.asked == 0
        server.time.at = NEXT
        await until(lambda: server.metrics.schedule_fires["fired"])
        assert await server.runs() == 1


async def test_it_does_nothing_while_the_scheduler_is_stopped(server: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "LONGEST_S", 0.001)
    await server.do(ops.AddSchedule(body=body()))
    await server.do(ops.SetScheduler(running=False))
    server.time.at = NEXT
    async with planning(server, server.planner):
        await turns()
        assert server.asked == 0
        await server.do(ops.SetScheduler(running=True))
        await until(lambda: server.metrics.schedule_fires["fired"])
        assert await server.runs() == 1


async def test_a_server_that_is_to_fire_none(server: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "LONGEST_S", 0.001)
    server.planner.enabled = False
    await server.do(ops.AddSchedule(body=body()))
    server.time.at = NEXT
    async with planning(server, server.planner):
        await turns()
        assert (server.asked, await server.planner.once()) == (0, 0)
        server.planner.enabled = True
        await until(lambda: server.asked)


async def test_more_than_one_transaction_holds(server: Counted) -> None:
    for number in range(3):
        await server.do(ops.AddSchedule(body=body(name=f"s{number}", missed="all", cron="* * * * * *", tasks=[_TASK] * 500)))
    server.time.at += 5_000
    await server.planner.once()
    assert server.asked > 3
    assert await server.runs() == 15


_TASK = {"work_directory": "/a", "prompt": "x"}


async def test_while_the_database_is_away_it_waits_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "AFTER_ERROR_S", 0.001)
    monkeypatch.setattr(planner, "LONGEST_S", 0.001)
    async with replicas(tmp_path, 1) as (here,):
        await here.hand_in(ops.AddSchedule(body=body()))
        here.cut()
        here.time.at = NEXT
        plans = Planner(here.queue, here.time.wall, here.metrics)
        with capture_logs() as logs:
            async with planning(here, plans):
                await until(lambda: here.metrics.operations_shed > 3)
                await _mended(here)
                await until(lambda: here.metrics.schedule_fires["fired"] == 1)
        assert [entry["log_level"] for entry in logs if entry["log_level"] not in {"debug", "info"}] == ["warning"]


async def _mended(replica: Replica) -> None:
    replica.mend()
    await replica.follower.once()


async def test_it_says_what_else_is_wrong(server: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "LONGEST_S", 0.001)
    await server.do(ops.AddSchedule(body=body()))
    server.time.at = NEXT

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    server.queue.submit = broken  # type: ignore[method-assign]
    with capture_logs() as logs:
        async with planning(server, server.planner):
            await until(lambda: logs)
    assert logs[0]["event"] == "the planner failed and goes on"
