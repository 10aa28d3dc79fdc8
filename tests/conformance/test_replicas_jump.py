"""The database's clock is set while servers give out leases: none of them ends early."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.needs import Needs
from orchestrator.domain.outcomes import Claimed
from orchestrator.domain.principal import OPEN, SYSTEM
from orchestrator.domain.rules import Rules
from orchestrator.store.postgres.store import PostgresStore
from orchestrator.store.postgres.timing import Time
from orchestrator.store.postgres.transaction import PostgresTransaction
from tests import postgres
from tests.rig import HOUR, claim, enqueue, interest, new_task
from tests.serving import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
_WAITING: Final = b"SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"


class Two:
    """Two servers' stores on one database, whose clock can be set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stores = [PostgresStore(url, readers=1) for _ in range(2)]
        self.aside = psycopg.connect(url, autocommit=True)

    async def do(self, which: int, op: ops.Operation) -> Any:
        by = SYSTEM if isinstance(op, ops.Tick | ops.Expire) else OPEN
        (decision,) = (await self.stores[which].commit([ops.Submission(op, by)], Rules())).decisions
        return decision.outcome

    def set_forward(self, ms: int = HOUR) -> None:
        postgres.set_forward(self.aside, ms)

    async def somebody_waits(self) -> None:
        await until(lambda: self.aside.execute(_WAITING).fetchall() != [(0,)])

    def left(self) -> int:
        """Milliseconds until the end of the only lease."""
        now = "(extract(epoch FROM setable.clock_timestamp()) * 1000)::bigint"
        query = f"SELECT lease_ends_at - {now} FROM tasks WHERE status = 'running'"  # noqa: S608 - all of it is ours
        ((left,),) = self.aside.execute(query.encode()).fetchall()
        return int(left)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    url = postgres.database(tmp_path)
    postgres.make_clock_setable(url)
    servers = Two(url)
    for store in servers.stores:
        await store.open()
    await servers.do(0, enqueue(new_task("/a")))
    yield servers
    servers.aside.close()
    for store in servers.stores:
        await store.close()


async def test_a_lease_that_is_being_given_is_not_missed(two: Two) -> None:
    """One claims and is about to commit; the other one notices the jump, and gives back what it sees of leases."""
    connection: Any = two.stores[0]._connected()
    execute = connection.execute
    loop = asyncio.get_running_loop()
    ticks: list[Future[Any]] = []

    def last(query: Any, *rest: Any, **options: Any) -> Any:
        if query == "COMMIT" and not ticks:
            two.set_forward()
            ticks.append(asyncio.run_coroutine_threadsafe(two.do(1, ops.Tick()), loop))
            asyncio.run_coroutine_threadsafe(two.somebody_waits(), loop).result(20)
        return execute(query, *rest, **options)

    connection.execute = last
    claimed = await two.do(0, claim(interest("/a"), lease_ms=10_000))
    assert isinstance(claimed, Claimed)
    assert len(claimed.grants) == 1
    await asyncio.wrap_future(ticks[0])
    assert two.left() > 5_000
    await two.do(0, ops.Tick())
    assert 5_000 < two.left() <= 11_000


async def test_a_claim_that_had_to_wait_takes_the_time_of_afterwards(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reads the clock; it is set; the other one gives back what it sees of leases; only then has the first its turn."""
    waited = PostgresTransaction.expect_claims
    loop = asyncio.get_running_loop()
    tries: list[None] = []

    def wait(transaction: PostgresTransaction, needs: Needs) -> None:
        if not tries:
            two.set_forward()
            asyncio.run_coroutine_threadsafe(two.do(1, ops.Tick()), loop).result(20)
        tries.append(None)
        waited(transaction, needs)

    monkeypatch.setattr(PostgresTransaction, "expect_claims", wait)
    claimed = await two.do(0, claim(interest("/a"), lease_ms=10_000))
    assert (len(claimed.grants), len(tries)) == (1, 2)
    await two.do(0, ops.Tick())
    assert 5_000 < two.left() <= 11_000


async def test_who_knows_how_long_the_database_was_away_and_who_does_not_agree(two: Two) -> None:
    """The clock is set back while nobody reaches the database; the first that comes has just begun."""
    stayed, begun = two.stores[0]._time, Time()
    await two.do(0, ops.Tick())
    two.set_forward(-HOUR)
    steady = stayed._steady
    stayed._steady = lambda: steady() + 4_000
    two.stores[1]._time = begun
    claimed = await two.do(1, claim(interest("/a"), lease_ms=2_000))
    assert len(claimed.grants) == 1
    await two.do(0, ops.Expire())
    assert two.aside.execute("SELECT status FROM tasks").fetchall() == [("running",)]
    assert abs(stayed.now() - begun.now()) < 1_000
