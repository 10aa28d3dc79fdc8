"""How large the tables of a database are, what is dead in them, and what autovacuum does about that."""

import asyncio
import time
from typing import Any

from benchmarks.postgres.cluster import Cluster
from benchmarks.report import Report

HOT = {"tasks", "leases", "task_counts"}
"""Rows of these change all the time."""
_SIZES = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), s.n_live_tup, s.n_dead_tup, s.n_tup_upd, s.n_tup_hot_upd,
    s.autovacuum_count
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relkind = 'r' ORDER BY pg_total_relation_size(c.oid) DESC
"""


def dead(cluster: Cluster, url: str) -> int:
    """Dead rows in all tables, as PostgreSQL estimates them."""
    return sum(row[4] for row in cluster.ask(_SIZES, url))


def show(cluster: Cluster, report: Report, title: str, url: str) -> None:
    """The tables that are worth a line."""
    report.table(
        title,
        ["table", "MB", "indexes MB", "live", "dead", "updates", "of them HOT", "autovacuums"],
        [_line(*row) for row in cluster.ask(_SIZES, url) if row[1] + row[2] > 2**17],
    )


def _line(name: str, size: int, indexes: int, *rest: Any) -> list[Any]:
    live, gone, updates, hot, vacuums = rest
    return [name, size / 2**20, indexes / 2**20, live, gone, updates, hot / updates if updates else "-", vacuums]


async def vacuumed(cluster: Cluster, report: Report, url: str, patience: float = 180) -> None:
    """Give autovacuum time, which looks around now and then."""
    before = {row[0]: row[-1] for row in cluster.ask(_SIZES, url)}
    started = time.monotonic()
    while time.monotonic() - started < patience:
        await asyncio.sleep(1)
        if sum(row[4] for row in cluster.ask(_SIZES, url) if row[0] in HOT) < 10_000:
            break
    ran = {row[0]: row[-1] - before[row[0]] for row in cluster.ask(_SIZES, url) if row[-1] > before[row[0]]}
    seconds = round(time.monotonic() - started)
    report.say(f"{seconds} s after the snapshot was gone autovacuum had run: {ran or 'nowhere'}")
