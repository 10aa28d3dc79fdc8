"""A PostgreSQL database at one end of a copy."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import RawCursor, errors

from orchestrator.domain.paths import span
from orchestrator.settings import without_password
from orchestrator.store.copying.end import CopyFailedError, End
from orchestrator.store.copying.tables import KEYS, NUMBERED, UNREAD
from orchestrator.store.postgres.engine import PATIENCE_S, SERVED, adapt, native, options
from orchestrator.store.postgres.migrate import migrate, pending
from orchestrator.store.protocol import DatabaseInUseError
from orchestrator.store.schema import MIGRATED_BY
from orchestrator.store.sql import queries
from worker_client.errors import Conflict

_NAME: Final = "task-orchestrator copy"
_CHUNK: Final = 8
"""Rows in one piece of an answer: many are faster, but each may be as long as a prompt."""
_INTEGER: Final = range(-(1 << 31), 1 << 31)
# One walk along the primary key; a sort would be as large as the table.
_SETTINGS: Final = dict.fromkeys(("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"), "0")
_SETTINGS["enable_sort"] = "off"

# Who holds an advisory lock: a bigint is listed there in halves.
_USERS: Final = (
    "SELECT coalesce(a.application_name, 'somebody'), coalesce(host(a.client_addr), 'an unknown address'), l.pid FROM pg_locks l "
    "LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32) | l.objid::bigint = ?"
)


class PostgresEnd(End):
    """Holds the database alone. `writes`: it is the target, and migrated if need be.

    Raises DatabaseInUseError, NewerSchemaError.
    """

    holds_nul = False

    def __init__(self, url: str, *, writes: bool) -> None:
        super().__init__(without_password(url))
        self._url = url
        self._passwords = [text for text in (urlsplit(url).password, *re.findall("password=([^&]*)", url)) if text]
        with self._words():
            self._connection: psycopg.Connection[Any] = psycopg.connect(
                url,
                autocommit=True,
                cursor_factory=RawCursor,
                connect_timeout=PATIENCE_S,
                options=options(_SETTINGS),
                application_name=_NAME,
                prepare_threshold=None,
            )
        adapt(self._connection.adapters)
        try:
            self._own()
            if writes:
                with self._words():
                    migrate(url)
        except BaseException:
            self._connection.close()
            raise

    def _own(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self.fetch("SELECT pg_try_advisory_lock(?)", [SERVED])[0][0]:
            users = self.fetch(_USERS, [SERVED])
            # What was killed lives on at the server for a moment.
            if time.monotonic() > end or any(name != _NAME for name, *_ in users):
                named = ", ".join(f"{name} from {address} (process {pid})" for name, address, pid in users)
                raise DatabaseInUseError(f"{self.shown} is used by {named or 'another process'}: stop all its servers first")
            time.sleep(0.05)

    @contextmanager
    def _words(self, what: str = "") -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            said = " ".join((str(error) or type(error).__name__).split())
            for password in self._passwords:
                said = said.replace(password, "***")
            raise CopyFailedError(f"{self.shown}{what}: {said}") from error

    def refuse_newer(self) -> None:
        """Raise NewerSchemaError if a later version has changed the tables, of which this one would leave something out."""
        with self._words():
            pending(self._url)

    def columns(self, table: str) -> list[str]:
        """The columns of a table; none when there is no such table."""
        return list(self._types(table))

    def _types(self, table: str) -> dict[str, str]:
        return dict(
            self.fetch(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
                [table],
            )
        )

    def read(self, query: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query as they come."""
        with self._words(), self._connection.cursor() as cursor:
            yield from cursor.stream(native(query), params, size=_CHUNK if psycopg.capabilities.has_stream_chunked() else 1)

    def fetch(self, query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The few rows of a query."""
        with self._words():
            return self._connection.execute(native(query), params).fetchall()

    def last_ids(self) -> dict[str, int]:
        """The highest id that each of the NUMBERED tables ever gave out."""
        found = {}
        for table in NUMBERED:
            ((sequence,),) = self.fetch("SELECT pg_get_serial_sequence(?, 'id')", [table])
            ((found[table],),) = self.fetch(f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}")
        return found

    def put(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], meta: Mapping[str, str]) -> None:
        """Add rows and set `meta`, in one transaction."""
        rows = list(rows)
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                self._set(cursor, meta)
        except errors.NumericValueOutOfRange:
            self._too_large(table, columns, rows)
            raise
        except psycopg.Error:
            with self._words(f", {table}"):
                raise

    def _set(self, cursor: "psycopg.Cursor[Any]", meta: Mapping[str, str]) -> None:
        for pair in meta.items():
            cursor.execute(
                "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", pair
            )

    def _too_large(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        narrow = {name for name, kind in self._types(table).items() if kind == "integer"}
        for row in rows:
            named = dict(zip(columns, row, strict=True))
            for name in narrow:
                if named[name] is not None and named[name] not in _INTEGER:
                    key = ", ".join(f"{part} {named[part]}" for part in KEYS[table])
                    raise CopyFailedError(
                        f"{table}, {key}: {name} is {named[name]}, and PostgreSQL takes at most {_INTEGER[-1]} there: "
                        "correct it in the source, then copy again"
                    )

    def conclude(self, meta: Mapping[str, str], last_ids: Mapping[str, int]) -> None:
        """Make it a database to be served, in one transaction."""
        with self._words():
            for table in KEYS:
                self._connection.execute(f"ANALYZE {table}")
            leases = self._leases()
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.execute(native(queries("common", "postgres")["add_lease"]), [json.dumps(leases)])
                if cursor.rowcount != len(leases):
                    raise Conflict(
                        f"{len(leases) - cursor.rowcount} leases of running tasks touch each other, which cannot be stored: "
                        "give one of them back in the source, then copy again to an empty database"
                    )
                for table, last in last_ids.items():
                    if last:
                        sequence = "pg_get_serial_sequence($1, 'id')"
                        cursor.execute(f"SELECT setval({sequence}, greatest($2, nextval({sequence}) - 1))", [table, last])
                cursor.execute(UNREAD)
                cursor.execute("DELETE FROM meta WHERE key <> $1", [MIGRATED_BY])
                self._set(cursor, meta)

    def _leases(self) -> list[dict[str, Any]]:
        held = self.fetch("SELECT id, lease_host, path, lease_mode FROM tasks WHERE status = 'running' AND lease_mode > 0")
        found = []
        for task_id, host, path, mode in held:
            low, high = span(path)
            found.append({"task_id": task_id, "host": host or "", "low": low, "high": high, "mode": mode})
        return found

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
