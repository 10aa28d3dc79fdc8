"""How PostgreSQL is connected to, and how it is told the queries that both dialects share."""

import re
from functools import cache
from typing import Any, Final

from psycopg.adapt import AdaptersMap
from psycopg.types.bool import BoolDumper
from psycopg.types.numeric import Int8Dumper

from orchestrator.domain.task import Millis

_MARK: Final = re.compile(r"\?(\d*)")

SETTINGS: Final = {
    # A server that stands still within a transaction must not hold up the others.
    "idle_in_transaction_session_timeout": "2s",
    # Statistics of a queue are always old: without them the planner would now and then read whole tables.
    "enable_seqscan": "off",
    "jit": "off",
    "timezone": "UTC",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@cache
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


NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
"""The database's clock, in ms: everybody's."""

__all__ = ["NOW", "SETTINGS", "Millis", "adapt", "native", "options"]
