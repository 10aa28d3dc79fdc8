"""The store for several servers: one PostgreSQL database, which they all write to."""

import asyncio
import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
import structlog
from psycopg import errors

from orchestrator.domain.operations import Submission, Tick
from orchestrator.domain.outcomes import Decision
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.store.batch import decide_batch
from orchestrator.store.clock import Clock
from orchestrator.store.copying.unfinished import COPYING, refuse_unfinished
from orchestrator.store.filling import Dialect, fill
from orchestrator.store.nonces import Nonces
from orchestrator.store.postgres import engine, migrate
from orchestrator.store.postgres.listening import Listener
from orchestrator.store.postgres.looking import Looking
from orchestrator.store.postgres.reading import Readers
from orchestrator.store.postgres.session import PostgresSession, Statements
from orchestrator.store.postgres.standing import Standing
from orchestrator.store.postgres.timing import ALIVE_MS, Time
from orchestrator.store.postgres.transaction import PostgresTransaction
from orchestrator.store.protocol import (
    Asker,
    BusyError,
    Commit,
    DatabaseInUseError,
    FeedEvent,
    Look,
    StoreAwayError,
    UnsettledError,
    UnwritableError,
)
from orchestrator.store.reads import Reads
from orchestrator.store.reads.dialect import POSTGRES
from orchestrator.store.session import StaleRowError
from orchestrator.store.sql import queries
from orchestrator.store.transaction import AHEAD, ALIVE_AT

T = TypeVar("T")
log = structlog.get_logger()

DIALECT: Final = Dialect(among="= ANY (?)", lock="FOR NO KEY UPDATE", skip="FOR NO KEY UPDATE SKIP LOCKED")
EPOCH: Final = "epoch"
TRIES: Final = 20
"""Runs of a batch that finds changed what it has read; past that each of its operations runs alone."""
HELD_S: Final = 0.3
"""A transaction that goes on holds a row for a shorter time."""
WAIT_S: Final = 6.0
"""For what others hold: longer than one who stands still can hold it."""
SETTLE_S: Final = 120.0
_HELD: Final = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_CHANGED: Final = (errors.UniqueViolation, errors.ExclusionViolation, StaleRowError)
_UNWRITABLE: Final = (errors.DiskFull, errors.IoError, errors.ReadOnlySqlTransaction)
_LEAVE_S: Final = 10.0


class CommitFailedError(Exception):
    """PostgreSQL refused a transaction; it had no effect."""


def _given_up(error: Exception, connection: "psycopg.Connection[Any]") -> Exception:
    """Who waited in vain for others may come again; anything else is a defect."""
    return (BusyError if isinstance(error, _HELD) or connection.closed else CommitFailedError)(_words(error))


class _DoubtError(Exception):
    """The connection broke while a transaction was being committed."""

    def __init__(self, xid: str, transaction: PostgresTransaction, decisions: list[Decision]) -> None:
        super().__init__(xid)
        self.xid = xid
        self.transaction = transaction
        self.decisions = decisions


class PostgresStore:
    """`url`: postgresql://...; made and migrated when it is opened.

    `chance` and `nonce` are what the rules get of randomness; `clock` stands in for the database's.
    """

    shared = True

    def __init__(
        self,
        url: str,
        *,
        readers: int = 4,
        kept: int = 1,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        nonce: Callable[[], str] | None = None,
    ) -> None:
        self.url = url
        self.epoch = ""
        self.asleep_ms = 0
        self._clock = clock
        self._time = Time()
        self._chance = chance
        self._nonce = nonce or Nonces()
        self._pool = Readers(url, least=kept, most=readers)
        # Of its own: however much is read, the look that tells whether the database is there has its turn.
        self._window = Readers(url, most=1)
        self._sql = fill(queries("common", "runs", "notifications", "usage", "postgres"), DIALECT)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres")
        self._writer: psycopg.Connection[Any] | None = None
        self._statements: Statements | None = None
        self._closing = threading.Event()
        self._end_by = math.inf
        self._standing = Standing()
        self._looking = Looking(self._window.fetch, self._sql, secrets.token_hex(8), self._standing, self._time.read)
        self._listener: Listener | None = None
        self._writer_pid: int | None = None

    @property
    def reads(self) -> Reads:
        """Queries outside the queue."""
        return self._reads

    # Life

    async def open(self) -> Commit:
        """Migrate the database, connect; the (empty) commit says what time it is and what is due.

        `asleep_ms` is then how long no server has committed. Raises DatabaseInUseError, psycopg.Error.
        """
        try:
            opened = await self._run(self._open)
            await self._pool.open()
            await self._window.open()
        except BaseException:
            await self.close()
            raise
        self._reads = Reads(self._pool.fetch, POSTGRES)
        return opened

    def _open(self) -> Commit:
        migrate.migrate(self.url)
        connection = self._connected()
        connection.execute(engine.native(self._sql["first_meta"]), [EPOCH, secrets.token_hex(6)])
        self._time.asks()
        at, alive_at, ahead = self._row(connection, "clock")
        if alive_at is not None and self._clock is not None:
            self._clock.not_before(int(alive_at))
        now, _ = self._heard(at + self._ahead(at, int(alive_at or 0), int(ahead or 0)))
        for key, value in ((ALIVE_AT, now), (AHEAD, 0)):
            connection.execute(engine.native(self._sql["first_meta"]), [key, str(value)])
        (self.epoch,) = self._row(connection, "get_meta", EPOCH)
        self.asleep_ms = 0 if alive_at is None else max(0, now - int(alive_at))
        self._wall(at)
        self._standing.looked(self._standing.begin(), now, *self._row(connection, "next_due", 0))
        return Commit(now, [], [], self._standing.due, self._standing.leases, self._standing.fires)

    def _row(self, connection: "psycopg.Connection[Any]", name: str, *params: Any) -> tuple[Any, ...]:
        (row,) = connection.execute(engine.native(self._sql[name]), params).fetchall()
        found: tuple[Any, ...] = row
        return found

    def _ahead(self, at: Millis, alive_at: Millis, agreed: Millis) -> Millis:
        return self._time.ahead(at, alive_at, agreed) if self._clock is None else agreed

    def _heard(self, at: Millis) -> tuple[Millis, Millis]:
        return self._time.heard(at) if self._clock is None else (self._clock.now(), 0)

    def _wall(self, at: Millis) -> Millis:
        return self._time.read(at) if self._clock is None else self._clock.wall()

    def wall(self) -> Millis:
        """The database's clock, which schedules follow."""
        return self._time.wall() if self._clock is None else self._clock.wall()

    def now(self) -> Millis:
        """The store's time."""
        return self._time.now() if self._clock is None else self._clock.now()

    # The other servers

    async def listen(self, tell: Callable[[tuple[int, ...]], None]) -> None:
        """From now on, call `tell` soon after another server committed events, or lines of output of tasks with these ids.

        Raises StoreAwayError.
        """
        listener = Listener(self.url, tell, self._own_pid)
        try:
            await listener.start()
        except psycopg.OperationalError as error:
            raise StoreAwayError(_words(error)) from None
        self._listener = listener

    def _own_pid(self) -> int | None:
        writer = self._writer
        return None if writer is None or writer.closed else self._writer_pid

    async def look(self, paths: Sequence[str], roots: Sequence[str]) -> Look:
        """Look at the database, at what waits in `paths` and in or below `roots`. Raises StoreAwayError."""
        return await self._looking.look(paths, roots)

    async def servers(self) -> int:
        """How many servers there are on this database, this one included."""
        return await self._looking.servers()

    async def share(self, askers: Sequence[Asker]) -> None:
        """Tell the other servers who asks here."""
        await self._looking.share(askers)

    async def askers(self, since: Millis) -> list[Asker]:
        """Who has asked at other servers since a time."""
        return await self._looking.askers(since)

    async def wal_bytes(self) -> None:
        """The log is the database server's business."""

    def hurry(self) -> None:
        """The server stops: a commit whose answer was lost is asked about for some seconds more."""
        self._end_by = time.monotonic() + _LEAVE_S

    async def close(self) -> None:
        """Close the connections; to do so twice is harmless."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._listener is not None:
            await self._listener.stop()
        await self._pool.close()
        await self._window.close()
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # Writing

    async def commit(self, batch: Sequence[Submission], rules: Rules) -> Commit:
        """Decide and save a batch in one transaction; on return it is on disk.

        Raises StoreAwayError when it cannot be reached, UnwritableError when it takes no writes, and UnsettledError when it went
        away in the commit and stays away.
        """
        return await self._run(self._commit, batch, rules)

    def _commit(self, batch: Sequence[Submission], rules: Rules) -> Commit:
        began, number, careful = time.monotonic(), 0, False
        while True:
            number += 1
            late = time.monotonic() - began > WAIT_S
            connection = self._connected()
            try:
                return self._attempt(connection, batch, rules, careful=careful)
            except (*_HELD, *_CHANGED) as error:
                if late or (number >= TRIES and isinstance(error, _CHANGED)):
                    raise _given_up(error, connection) from None
                # Who holds a row for so long stands still: others are not to wait for it.
                careful = careful or (isinstance(error, errors.LockNotAvailable) and time.monotonic() - began > HELD_S)
                # Whoever holds what this batch wants needs a moment to commit, and may want what this one holds.
                engine.roll_back(connection)
                self._closing.wait(random.uniform(0, min(0.1, 0.002 * number)))  # noqa: S311 - no secret
            except _DoubtError as doubt:
                if self._committed(doubt):
                    # Its events are found in the feed.
                    return self._done(doubt.transaction, doubt.decisions, [])
                doubt.transaction.abandon()
            except _UNWRITABLE as error:
                # The address may lead elsewhere by now.
                connection.close()
                raise UnwritableError(_words(error)) from None
            except psycopg.Error as error:
                if late or not connection.closed:
                    raise _given_up(error, connection) from None
                log.warning("the database hung up, the transaction is run again", error=_words(error))
            finally:
                engine.roll_back(connection)

    def _attempt(
        self, connection: "psycopg.Connection[Any]", batch: Sequence[Submission], rules: Rules, *, careful: bool
    ) -> Commit:
        """One transaction; what is sent together is answered together."""
        session = PostgresSession(connection, self._known(connection), (self._sql["new_ids"], self._sql["new_record_ids"]))
        transaction = PostgresTransaction(
            session, self._sql, (self._ahead, self._heard, self._wall), self._standing, careful=careful
        )
        committing = False
        self._time.asks()
        try:
            with connection.pipeline() as session.pipeline:
                connection.execute("BEGIN")
                decisions = decide_batch(batch, transaction, rules, chance=self._chance, nonce=self._nonce)
                transaction.settle()
                events = transaction.finish()
                if transaction.wrote or any(isinstance(submission.op, Tick) for submission in batch):
                    transaction.tell_alive(ALIVE_MS)
                committing = True
                connection.execute("COMMIT")
        except BaseException as error:
            if committing and isinstance(error, psycopg.Error) and connection.closed and transaction.xid is not None:
                raise _DoubtError(transaction.xid, transaction, decisions) from None
            transaction.abandon()
            raise
        return self._done(transaction, decisions, events())

    def _done(self, transaction: PostgresTransaction, decisions: list[Decision], events: list[FeedEvent]) -> Commit:
        self._time.committed()
        return Commit(transaction.now, decisions, events, *transaction.next_due(), transaction.wrote)

    def _known(self, connection: "psycopg.Connection[Any]") -> Statements:
        if self._statements is None:
            self._statements = Statements(dict(connection.execute(engine.native(self._sql["columns"])).fetchall()))
        return self._statements

    def _connected(self) -> "psycopg.Connection[Any]":
        if self._writer is None or self._writer.closed:
            try:
                connection = engine.connect(self.url)
            except psycopg.OperationalError as error:
                raise StoreAwayError(_words(error)) from None
            try:
                self._check_free(connection)
            except DatabaseInUseError as error:
                connection.close()
                if not self.epoch:
                    raise
                raise StoreAwayError(error.message) from None
            except BaseException:
                connection.close()
                raise
            self._writer = connection
            self._writer_pid = connection.info.backend_pid
        return self._writer

    def _check_free(self, connection: "psycopg.Connection[Any]") -> None:
        """Raise DatabaseInUseError when the database is being copied, or is half a copy."""
        (free,) = self._row(connection, "serve", engine.SERVED)
        if not free:
            raise DatabaseInUseError("the database is being copied; wait until that is done")
        refuse_unfinished(connection.execute(engine.native(self._sql["get_meta"]), [COPYING]).fetchall())

    def _committed(self, doubt: _DoubtError) -> bool:
        """What became of a transaction whose commit was not answered."""
        xid, there = doubt.xid, None
        log.warning("the database hung up in a commit; asking what became of it", transaction=xid)
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < min(end, self._end_by) and not self._closing.wait(0.05):
            try:
                connection = self._connected()
                (status,) = self._row(connection, "transaction_status", xid)
                if status == "committed":
                    there = doubt.transaction.there(partial(self._row, connection))
            except errors.DataError:
                # Another database has taken over, which never saw it.
                return False
            except (StoreAwayError, psycopg.OperationalError):
                self._closing.wait(0.2)
                continue
            if status in {"committed", "aborted"}:
                log.info("the transaction is settled", transaction=xid, status=status, there=there)
                if status == "aborted" or there is not None:
                    return bool(there)
                break
        raise UnsettledError(f"the database did not tell what became of transaction {xid}")


def _words(error: Exception) -> str:
    """What is wrong in a line, without the row that it is about, which may hold what nobody else is to see."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__}: {primary or next(iter(str(error).splitlines()), '')}".rstrip(": ")
