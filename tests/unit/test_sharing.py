"""The workers of all servers are known at each."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator.loops import sharing
from orchestrator.queue.presence import UNSEEN_MS
from orchestrator.store.protocol import StoreAwayError
from tests.rig import interest
from tests.serving import until
from tests.shared import Replica, replicas

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replicas(tmp_path) as (here, there):
        yield here, there


async def round_of(*servers: Replica) -> None:
    for server in servers:
        await server.sharing.once(server.queue.now())


def known(server: Replica) -> list[str]:
    return [worker.worker_id for worker in server.queue.presence.list(server.queue.now())]


async def test_a_worker_is_known_at_all_servers(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    here.queue.presence.seen("one", interest("/a"), None, here.queue.now())
    await round_of(here, there, here)
    assert (known(here), known(there)) == (["one"], ["one"])
    assert there.queue.presence.asks_for("/a", "", "agent", (), there.queue.now())
    here.time.pass_(UNSEEN_MS + 1)
    await round_of(here, there)
    assert (known(here), known(there)) == ([], [])


async def test_a_server_that_joins_hears_of_all_and_later_of_what_is_new(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    here.queue.presence.seen("one", interest("/a"), None, here.queue.now())
    await round_of(here)
    here.time.pass_(UNSEEN_MS // 2)
    await round_of(there)
    here.queue.presence.seen("two", interest("/a"), None, here.queue.now())
    await round_of(here, there)
    assert known(there) == ["one", "two"]


async def test_what_could_not_be_told_is_told_later(pair: tuple[Replica, Replica]) -> None:
    here, there = pair
    here.queue.presence.seen("one", interest("/a"), None, here.queue.now())
    here.cut()
    with pytest.raises(StoreAwayError):
        await round_of(here)
    here.mend()
    await round_of(here, there)
    assert known(there) == ["one"]


async def test_who_follows_output_looks_whether_a_ring_was_missed(pair: tuple[Replica, Replica]) -> None:
    here, _ = pair
    with here.queue.bells.listen(1) as one, here.queue.bells.listen(2) as other:
        await round_of(here)
        assert one.is_set()
        assert other.is_set()
    assert here.queue.bells._waiting == {}


async def test_a_bell_for_each_who_follows_a_task(pair: tuple[Replica, Replica]) -> None:
    bells = pair[0].queue.bells
    with bells.listen(1) as one:
        with bells.listen(1) as other:
            bells.ring(1)
            assert other.is_set()
        one.clear()
        bells.ring(1)
        assert one.is_set()


async def test_sharing_goes_on_after_an_error(pair: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = pair
    monkeypatch.setattr(sharing, "EVERY_S", 0.001)
    here.queue.presence.seen("one", interest("/a"), None, here.queue.now())
    here.seat.away = OSError("no")
    with capture_logs() as logs:
        task = asyncio.create_task(here.sharing.run())
        await until(lambda: logs)
        here.cut()
        await until(lambda: logs[-1]["log_level"] == "debug")
        here.mend()
        await until(lambda: here.seat.database.askers)
        task.cancel()
    assert logs[0]["event"] == "sharing failed and goes on"
    await round_of(there)
    assert known(there) == ["one"]
