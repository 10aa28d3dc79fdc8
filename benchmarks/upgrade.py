"""Upgrading a database of each earlier release with 100,000 tasks in every status: how long `migrate` takes, and the first start.

Each was written by its own release and grown by copying its rows: attempts, output, events, dependencies and keys with them. The
start is that of `orchestrator serve`, until it says that it answers. Durable, on this machine's disk.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.report import Report
from orchestrator.settings import Database
from orchestrator.store import choice
from tests import postgres
from tests.acceptance.programs import ADDRESS, started
from tests.rig import STORES
from tests.upgrading.dumps import connected
from tests.upgrading.loading import grow, load
from tests.upgrading.releases import RELEASES, variables

MOST_S: Final = 10.0
TASKS: Final = 100_000
_TABLES: Final = ("tasks", "task_inputs", "task_outputs", "attempts", "task_logs", "events", "dependencies", "task_counts")


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - as all parts are called
    """Fill the report; `small`: with 2,000 tasks."""
    tasks, rows = 2_000 if small else TASKS, []
    for store in STORES:
        for release in RELEASES:
            with tempfile.TemporaryDirectory(prefix="orchestrator-upgrade-") as folder, _durable(store, Path(folder)):
                url = load(release, store, Path(folder) / "database")
                grow(url, tasks)
                begun = time.monotonic()
                done = choice.migrate(Database(url=url))
                took = time.monotonic() - begun
                rows.append([store, release, len(done), took, _start(url, Path(folder)), _rows(url)])
                report.bound(f"{tasks:,} tasks of {release} on {store}, migrated", took, " s", most=MOST_S)
    heads = ["store", "release", "migrations", "migrate s", "start s", "rows"]
    report.table("What upgrading takes", heads, rows)


def _start(url: str, folder: Path) -> float:
    begun = time.monotonic()
    line = ["serve", "--port", "0", "--database", url]
    with started(*line, cwd=folder, variables=variables("9"), stderr=subprocess.DEVNULL) as server:
        if server.stdout is None or not ADDRESS.search(server.stdout.readline()):
            raise RuntimeError(f"the server on {url} does not start")
        return time.monotonic() - begun


def _rows(url: str) -> int:
    with connected(url) as connection:
        counts = [connection.execute("SELECT count(*) FROM " + table).fetchone()[0] for table in _TABLES]  # noqa: S608 - names are ours
    return sum(counts)


@contextmanager
def _durable(store: str, folder: Path) -> Iterator[None]:
    """A PostgreSQL server of its own whose commits reach the disk, where one is needed."""
    if store == "sqlite":
        yield
        return
    place = Path(tempfile.mkdtemp(prefix="orchestrator-cluster-", dir=folder.parent))
    try:
        with postgres.own_server(place) as server, postgres.standing_in(server):
            yield
    finally:
        shutil.rmtree(place)
