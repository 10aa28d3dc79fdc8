"""The embedded store: one SQLite file in WAL mode, one connection that writes, a few that read."""

import json
import random
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from orchestrator.domain.operations import Recall, Submission, Tick
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.store.batch import decide_batch
from orchestrator.store.clock import Clock
from orchestrator.store.copying.unfinished import COPYING, refuse_unfinished
from orchestrator.store.filling import Dialect, fill
from orchestrator.store.memory import Memory
from orchestrator.store.nonces import Nonces
from orchestrator.store.protocol import Commit, DatabaseInUseError, Folded, UnwritableError
from orchestrator.store.reads import SQLITE, Reads
from orchestrator.store.rows import Row
from orchestrator.store.session import StaleRowError
from orchestrator.store.sql import queries
from orchestrator.store.sqlite import engine, migrate
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.restoring import BACKUP, renumber
from orchestrator.store.transaction import ALIVE_AT, Transaction

DIALECT: Final = Dialect(among="IN (SELECT value FROM json_each(?))", lock="", skip="")
EPOCH: Final = "epoch"
_FAILED: Final = "failed"
"""A transaction that failed; what it is does not matter, only that it differs."""
_VACUUM_PAGES: Final = 100
"""Pages given back to the file system at once: some milliseconds."""
_SPARE_PAGES: Final = 1_000
"""So many unused pages are kept for what is to come: 4 MB."""


class _Session:
    """A SQLite connection within a transaction; ids are counted here, as nobody else writes."""

    def __init__(self, connection: "sqlite3.Connection", last_record_id: str) -> None:
        self._connection = connection
        self._task_id = self._event_id = 0
        self._last_record_id = last_record_id
        self._record_ids: dict[str, int] = {}

    def begin(self, last_task_id: int, last_event_id: int) -> None:
        self._task_id, self._event_id = last_task_id, last_event_id

    def fetch(self, query: str, *params: Any) -> list[Row]:
        return self._connection.execute(query, params).fetchall()

    def ask(self, query: str, *params: Any) -> Callable[[], list[Row]]:
        rows = self.fetch(query, *params)
        return lambda: rows

    def many(self, query: str, rows: Sequence[Sequence[Any]], *, exactly: bool = False) -> None:
        if rows and self._connection.executemany(query, rows).rowcount != len(rows) and exactly:
            raise StaleRowError

    def listed(self, values: Iterable[Any]) -> str:
        return json.dumps(list(values))

    def spaced(self, words: str) -> str:
        return words

    def task_id(self) -> int:
        self._task_id += 1
        return self._task_id

    def record_id(self, table: str) -> int:
        if table not in self._record_ids:
            ((self._record_ids[table],),) = self.fetch(self._last_record_id, table)
        self._record_ids[table] += 1
        return self._record_ids[table]

    def add_events(self, query: str, rows: Sequence[Sequence[Any]]) -> Callable[[], list[int]]:
        ids = list(range(self._event_id + 1, self._event_id + 1 + len(rows)))
        self.many(query, [(number, *row) for number, row in zip(ids, rows, strict=True)])
        return lambda: ids


class SQLiteStore:
    """`path` of the file; made and migrated when it is opened. `chance` and `nonce` are what the rules get of randomness."""

    def __init__(
        self,
        path: Path,
        *,
        readers: int = 4,
        busy_ms: int = 30_000,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        nonce: Callable[[], str] | None = None,
    ) -> None:
        self.path = path
        self.epoch = ""
        self.asleep_ms = 0
        self._clock = clock or Clock()
        self._chance = chance
        self._nonce = nonce or Nonces()
        self._readers = readers
        self._busy_ms = busy_ms
        self._sql = fill(queries("common", "runs", "notifications", "usage", "sqlite"), DIALECT)
        self._lock = FileLock(f"{path}.lock")
        self._memory = Memory()
        self._writer: engine.Connection | None = None
        self._pool: engine.ReaderPool | None = None

    @property
    def reads(self) -> Reads:
        """Queries outside the queue."""
        return self._reads

    async def open(self) -> Commit:
        """Take the file, migrate it, connect; the (empty) commit says what time it is and what is due.

        `asleep_ms` is then how long no server has committed. Raises DatabaseInUseError, also for an unfinished copy.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise DatabaseInUseError(
                f"{self.path} is served by another process (it holds {self._lock.lock_file}); stop that one, or use another file"
            ) from None
        try:
            migrate.migrate(self.path)
            self._writer = await engine.connect(self.path, busy_ms=self._busy_ms, writes=True)
            pool = [await engine.connect(self.path, busy_ms=self._busy_ms) for _ in range(self._readers)]
            self._pool = engine.ReaderPool(pool)
            self._reads = Reads(self._pool.fetch, SQLITE)
            return await self._writer.run(self._begin)
        except BaseException:
            await self.close()
            raise

    def _begin(self, connection: "sqlite3.Connection") -> Commit:
        session = _Session(connection, self._sql["last_record_id"])
        refuse_unfinished(session.fetch(self._sql["get_meta"], COPYING))
        connection.execute("BEGIN IMMEDIATE")
        epoch = session.fetch(self._sql["get_meta"], EPOCH)
        self.epoch = epoch[0][0] if epoch else secrets.token_hex(6)
        alive_at = session.fetch(self._sql["get_meta"], ALIVE_AT)
        if alive_at:
            self._clock.not_before(int(alive_at[0][0]))
        now = self._clock.now()
        self.asleep_ms = now - int(alive_at[0][0]) if alive_at else 0
        backup = session.fetch(self._sql["get_meta"], BACKUP)
        if backup:
            self.epoch = secrets.token_hex(6)
            renumber(session.fetch, int(backup[0][0]), now)
        session.many(self._sql["set_meta"], [(EPOCH, self.epoch)])
        session.begin(*session.fetch(self._sql["last_ids"])[0])
        transaction = Transaction(session, self._sql, now, self._clock.wall())
        batch = [Submission(Recall(), SYSTEM)] if backup else []
        decide_batch(batch, transaction, Rules(), chance=self._chance, nonce=self._nonce)
        transaction.finish()
        connection.execute("COMMIT")
        return Commit(now, [], [], *transaction.next_due())

    def now(self) -> Millis:
        """The store's time."""
        return self._clock.now()

    def wall(self) -> Millis:
        """The wall clock that schedules follow."""
        return self._clock.wall()

    async def commit(self, batch: Sequence[Submission], rules: Rules) -> Commit:
        """Decide and save a batch in one transaction; on return it is on disk. Raises UnwritableError."""
        if self._writer is None:
            raise RuntimeError("the store is not open")
        return await self._writer.run(lambda connection: self._commit(connection, batch, rules))

    def _commit(self, connection: "sqlite3.Connection", batch: Sequence[Submission], rules: Rules) -> Commit:
        now = self._clock.now()
        session = _Session(connection, self._sql["last_record_id"])
        committing = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            session.begin(*session.fetch(self._sql["last_ids"])[0])
            transaction = Transaction(session, self._sql, now, self._clock.wall(), self._memory)
            decisions = decide_batch(batch, transaction, rules, chance=self._chance, nonce=self._nonce)
            due = transaction.next_due()
            events = transaction.finish()
            wrote = transaction.wrote or any(isinstance(submission.op, Tick) for submission in batch)
            if wrote:
                session.many(self._sql["set_meta"], [(ALIVE_AT, str(now))])
            committing = True
            connection.execute("COMMIT")
        except BaseException as error:
            self._memory.clear()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if committing:
                self._overwrite(session)
            if engine.unwritable(error):
                raise UnwritableError(str(error)) from error
            raise
        self._memory.remember(transaction.saved, transaction.inputs)
        return Commit(now, decisions, events(), *due, wrote)

    def _overwrite(self, session: _Session) -> None:
        """Write over what a failed sync left in the log: a server that is started now would take it for committed."""
        with suppress(sqlite3.OperationalError):
            session.many(self._sql["set_meta"], [(_FAILED, secrets.token_hex(6))])

    async def shrink(self) -> bool:
        """Give a little of the unused room back to the file system; whether there is more."""
        if self._writer is None:
            return False
        try:
            return await self._writer.run(_shrink)
        except sqlite3.OperationalError:
            # The disk is full, or another program has the file: the next time is early enough.
            return False

    async def fold(self) -> Folded:
        """Put into the database what can be put there of the log, without waiting for who reads older rows."""
        if self._writer is None:
            return Folded(0, 0)
        try:
            ((_, pages, done),) = await self._writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall())
        except sqlite3.OperationalError:
            # That the disk is full or fails, those tell who write.
            return Folded(0, 0)
        return Folded(pages, done)

    def hurry(self) -> None:
        """A commit takes a moment at the most."""

    async def wal_bytes(self) -> int:
        """The size of the write-ahead log."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        return wal.stat().st_size if wal.exists() else 0

    async def close(self) -> None:
        """Close the connections and let go of the file."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        self._lock.release()


def _shrink(connection: "sqlite3.Connection") -> bool:
    ((unused,),) = connection.execute("PRAGMA freelist_count")
    if unused <= _SPARE_PAGES:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({min(_VACUUM_PAGES, unused - _SPARE_PAGES)})").fetchall()
    return True
