"""A database that takes no writes, but can be read: nothing is acknowledged, nobody loses a lease, and it ends by itself."""

import asyncio
from typing import Final

import pytest
from structlog.testing import capture_logs

from orchestrator.domain import operations as ops
from orchestrator.queue.pulse import GAP_MS
from tests.rig import claim, enqueue, interest, meddle, new_task
from tests.serving import Server, grants, until
from worker_client.contract.enums import Status
from worker_client.errors import Overloaded

pytestmark = pytest.mark.anyio

FULL: Final = {
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
    "postgres": (
        """
        CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION no_space();
        CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON meta FOR EACH STATEMENT EXECUTE FUNCTION no_space();
        """,
        "DROP FUNCTION no_space CASCADE",
    ),
}
WORDS: Final = {"sqlite": "attempt to write a readonly database", "postgres": "DiskFull: No space left on device"}


async def fill(server: Server) -> None:
    await meddle(server.store, FULL[server.kind][0])


async def empty(server: Server) -> None:
    await meddle(server.store, FULL[server.kind][1])


async def test_nothing_is_acknowledged_and_all_can_be_read(server: Server) -> None:
    task_id = await server.add()
    grant = await server.take()
    await fill(server)
    with capture_logs() as logs:
        writes = (enqueue(new_task()), enqueue(new_task("/b")), ops.Heartbeat(task_id=task_id, lease=grant.lease))
        for _ in range(2):
            outcomes = await asyncio.gather(*map(server.do, writes), return_exceptions=True)
            assert [(type(one), str(one)) for one in outcomes] == [
                (Overloaded, "the database takes no writes at the moment, nothing was changed; try again")
            ] * len(writes)
    assert [entry["event"] for entry in logs].count("the database takes no writes") == 1
    assert server.queue.failing == WORDS[server.kind]
    assert await server.status(task_id) is Status.RUNNING
    await empty(server)
    await server.do(writes[0])
    assert server.queue.failing is None


async def test_it_is_found_out_by_itself_when_it_is_over(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.loops.reaper.AFTER_ERROR_S", 0.01)
    reaper = asyncio.create_task(server.reaper.run())
    poll = await server.parked(claim())
    await fill(server)
    with pytest.raises(Overloaded):
        await server.do(enqueue(new_task("/elsewhere")))
    server.time.pass_(GAP_MS)
    await until(lambda: server.reaper.failed)
    await empty(server)
    await until(lambda: server.queue.failing is None)
    task_id = await server.add()
    assert grants(await poll) == [task_id]
    reaper.cancel()
    await asyncio.gather(reaper, return_exceptions=True)


async def test_leases_get_the_time_back(server: Server) -> None:
    task_id = await server.add()
    grant = await server.take(lease_ms=10_000)
    ends = (await server.view(task_id)).head.lease_ends_at
    await fill(server)
    for _ in range(10):
        server.time.pass_(GAP_MS)
        await asyncio.gather(server.do(claim(interest("/nothing"))), return_exceptions=True)
        with pytest.raises(Overloaded):
            await server.do(ops.Heartbeat(task_id=task_id, lease=grant.lease))
    await empty(server)
    await asyncio.gather(server.do(ops.Tick()), server.do(ops.Expire()))
    head = (await server.view(task_id)).head
    assert (head.status, head.lease_ends_at) == (Status.RUNNING, ends and ends + 10 * GAP_MS)
