"""A PostgreSQL database with a past and a queue of millions."""

from typing import Any

import psycopg

from benchmarks import past
from orchestrator.store.postgres.migrate import migrate


def fill(url: str, *, waiting: int, finished: int, directories: int) -> None:
    """Fill an empty database; `/bulk/0` and so on are the directories."""
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        indexes = _indexes(connection)
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        for name, statement in past.statements(
            now="(extract(epoch FROM now()) * 1000)::bigint",
            numbers="generate_series(1::bigint, {most}) n",
            waiting=waiting,
            finished=finished,
            directories=directories,
        ):
            print(f"  {name}: {connection.execute(statement.encode()).rowcount:,}", flush=True)
        for _, definition in indexes:
            connection.execute(definition.encode())
        for table in ("tasks", "attempts", "events"):
            last = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"  # noqa: S608 - ours
            connection.execute(last.encode())
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _indexes(connection: "psycopg.Connection[Any]") -> list[tuple[str, str]]:
    """Those that no constraint needs: filled at the end, they cost a third."""
    return connection.execute(
        "SELECT i.indexname, i.indexdef FROM pg_indexes i WHERE i.schemaname = current_schema() "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)"
    ).fetchall()
