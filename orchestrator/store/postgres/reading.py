"""Connections that read: a pool in which nobody waits long for a database that is away."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from orchestrator.store.postgres.engine import PATIENCE_S, adapt, native, options
from orchestrator.store.protocol import StoreAwayError

QUERY_S: Final = 30.0
"""A query that takes longer is given up: a server that has stopped looks like this, too."""
SETTINGS: Final = {
    # What is read is little, and found row by row: no plan begins with a whole table or index, whatever statistics say.
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    # A plan for any parameters takes every directory for an average one.
    "plan_cache_mode": "force_custom_plan",
}
_TRY_S: Final = 0.5
"""How often a connection is tried again while somebody waits for one."""


class Readers:
    """Up to `most` connections to `url`, of which `least` are kept; each is used by one query at a time."""

    def __init__(
        self, url: str, *, least: int = 1, most: int = 4, patience_s: float = PATIENCE_S, query_s: float = QUERY_S
    ) -> None:
        self._url = url
        self._sizes = (min(least, most), most)
        self._patience_s = patience_s
        self._query_s = query_s
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None
        self._asked: set[asyncio.Task[list[tuple[Any, ...]]]] = set()
        self._drained = 0.0

    async def open(self) -> None:
        """Connect. Raises StoreAwayError; ValueError when the address cannot be read."""
        try:
            conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:
            # What psycopg says holds a part of the address, and that may be the password.
            raise ValueError("the database's address is not of the form postgresql://user:password@host:port/name") from None
        least, most = self._sizes
        self._pool = AsyncConnectionPool(
            self._url,
            name="readers",
            open=False,
            min_size=least,
            max_size=most,
            timeout=self._patience_s,
            reconnect_timeout=_TRY_S,
            configure=_configure,
            kwargs={
                "autocommit": True,
                "cursor_factory": AsyncRawCursor,
                "options": options(SETTINGS),
                "application_name": "task-orchestrator",
                "connect_timeout": PATIENCE_S,
                "keepalives_idle": PATIENCE_S,
                "tcp_user_timeout": PATIENCE_S * 1000,
            },
        )
        try:
            await self._pool.open()
            await self.fetch("SELECT 1")
        except BaseException:
            await self.close()
            raise

    async def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one query with `?` placeholders. Raises StoreAwayError."""
        # Of its own, so that whoever asks may be cancelled at any time, and often: the query is cancelled once, and its
        # connection comes back.
        task = asyncio.create_task(self._retried(native(sql), params))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        try:
            async with asyncio.timeout(self._query_s):
                return await asyncio.shield(task)
        except TimeoutError:
            raise StoreAwayError(f"the database did not answer within {self._query_s:g} s") from None
        finally:
            task.cancel()

    async def _retried(self, query: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._pool is None:
            raise StoreAwayError("the database is not open")
        loop = asyncio.get_running_loop()
        began = loop.time()
        rows = await self._try(self._pool, query, params)
        if rows is None:
            # What broke one connection broke the others: a reading may be asked again, of one that is new.
            if began > self._drained:
                self._drained = loop.time()
                await self._pool.drain()
            rows = await self._try(self._pool, query, params)
        if rows is None:
            raise StoreAwayError("the database broke off the connection, twice")
        return rows

    async def _try(
        self, pool: "AsyncConnectionPool[AsyncConnection[Any]]", query: str, params: Sequence[Any]
    ) -> list[tuple[Any, ...]] | None:
        """The rows; None when the connection broke."""
        try:
            connection = await pool.getconn()
        except psycopg.OperationalError:
            raise StoreAwayError(f"the database gave no connection within {self._patience_s:g} s") from None
        try:
            return await (await connection.execute(query, params)).fetchall()
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            return None
        finally:
            # Cancelled in here, the pool would miss a connection for ever.
            await asyncio.shield(pool.putconn(connection))

    async def close(self) -> None:
        """Close all connections; who still waits for one gets a StoreAwayError."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(self._patience_s)
        if self._asked:
            await asyncio.wait(self._asked, timeout=self._patience_s)


async def _configure(connection: "AsyncConnection[Any]") -> None:
    adapt(connection.adapters)
