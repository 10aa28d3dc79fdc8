"""How PostgreSQL is connected to, and how it is told the queries that both dialects share."""

import re
from functools import lru_cache
from typing import Any, Final

from psycopg import Connection, OperationalError, RawCursor
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg.types.bool import BoolDumper
from psycopg.types.numeric import Int8Dumper

SERVED: Final = 0x6F72_6368_7365_7276
"""The advisory lock that every serving process shares: who moves a database takes it alone."""
PATIENCE_S: Final = 2
"""A server that does not answer for so long while one connects is away."""
TRANSACTION_S: Final = 4
"""A transaction that takes longer is broken off, wherever its server stands still: the others wait for what it has locked."""
_MARK: Final = re.compile(r"\?(\d*)")
_TRANSACTION_TIMEOUT_SINCE: Final = 170_000

SETTINGS: Final = {
    # A server that stands still within a transaction must not hold up the others.
    "idle_in_transaction_session_timeout": "2s",
    # Statistics of a queue are always old: no plan may begin with a whole table or index, whatever they say.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Planning a statement takes longer than most of ours run.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "timezone": "UTC",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@lru_cache(maxsize=2000)
def native(query: str) -> str:
    """A query with PostgreSQL's own placeholders: `?` counts up, `?2` is the second."""
    count = 0

    def number(mark: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${mark[1] or count}"

    return _MARK.sub(number, query)


class _Flag(BoolDumper):
    """Flags are 0 or 1 in the tables, as in SQLite."""

    oid = Int8Dumper.oid

    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


def adapt(adapters: AdaptersMap) -> None:
    """Bind numbers as bigint, whatever their size: a statement that is prepared once stays one."""
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(bool, _Flag)


def options(settings: dict[str, str] | None = None) -> str:
    """Settings of a session as libpq's `options`."""
    return " ".join(f"-c {name}={value}" for name, value in (SETTINGS | (settings or {})).items())


def connect(url: str) -> "Connection[Any]":
    """The connection that writes. Raises psycopg.OperationalError."""
    connection: Connection[Any] = Connection.connect(
        url,
        autocommit=True,
        cursor_factory=RawCursor,
        connect_timeout=PATIENCE_S,
        # A machine that is gone without a word would be waited for for hours.
        tcp_user_timeout=PATIENCE_S * 1000,
        keepalives_idle=PATIENCE_S,
        keepalives_interval=1,
        options=options(),
        application_name="task-orchestrator",
        prepare_threshold=0,
    )
    connection.prepared_max = 1000
    if connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
        connection.execute(f"SET transaction_timeout = '{TRANSACTION_S}s'".encode())
    adapt(connection.adapters)
    return connection


def roll_back(connection: "Connection[Any]") -> None:
    """Let go of what a transaction has locked; a connection that breaks meanwhile does so, too."""
    if connection.closed or connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        connection.execute("ROLLBACK")
    except OperationalError:
        connection.close()
