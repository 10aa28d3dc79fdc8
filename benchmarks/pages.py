"""How long the server takes for the pages of the dashboard with a million tasks, 100,000 of which wait in 10,000 directories.

Asked over HTTP by one client, all pages in turn, so that none has everything of its own in a cache; the time until the last byte.
"""

import re
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
from msgspec import Struct

from benchmarks import bulk
from benchmarks.report import Report
from benchmarks.servers import orchestrator
from orchestrator.dashboard.routes import PAGES
from worker_client import Client
from worker_client.contract.tasks import CreateTask
from worker_client.contract.workflows import Step

MOST_MS: Final = 150.0
MOST_BYTES: Final = 100_000
_PLACE: Final = "/bulk/7"
_QUERIES: Final = {
    "/directory": f"?path={_PLACE}",
    "/command": "?name=review",
}


class Sizes(Struct, frozen=True):
    """How many tasks there are, and how often each page is asked for."""

    waiting: int = 100_000
    finished: int = 900_000
    directories: int = 10_000
    rounds: int = 15


SMALL: Final = Sizes(waiting=1_000, finished=9_000, directories=100, rounds=3)


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    """Fill a database, and open all pages again and again."""
    sizes = SMALL if small else Sizes()
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        folder = Path(name)
        bulk.fill(folder / "tasks.db", waiting=sizes.waiting, finished=sizes.finished, directories=sizes.directories)
        with orchestrator(folder, pinned=False) as (host, port), httpx.Client(base_url=f"http://{host}:{port}") as browser:
            paths = _paths(f"http://{host}:{port}")
            times: dict[str, list[float]] = {path: [] for path in paths}
            weights: dict[str, int] = {}
            for _ in range(sizes.rounds + 1):
                for path in paths:
                    started = time.perf_counter()
                    answer = browser.get(path, headers={"accept": "text/html"}).raise_for_status()
                    times[path].append(1000 * (time.perf_counter() - started))
                    weights[path] = len(answer.content)
    for path, found in times.items():
        # The first time templates are read.
        rows.append([re.sub(r"\d+", "1", path), found[0], median(found[1:]), max(found[1:]), weights[path]])
    slowest, heaviest = max(rows, key=lambda row: row[2]), max(rows, key=lambda row: row[4])
    report.bound(f"slowest page ({slowest[0]}), median", slowest[2], " ms", most=MOST_MS)
    report.bound("slowest answer of any page", max(row[3] for row in rows), " ms")
    report.bound(f"heaviest page ({heaviest[0]})", heaviest[4] / 1000, " kB", most=MOST_BYTES / 1000)
    report.table("Pages", ["page", "first ms", "p50 ms", "slowest ms", "bytes"], rows)


def _paths(url: str) -> list[str]:
    """All pages, with something to be shown on each."""
    task = CreateTask(work_directory=_PLACE, prompt="Do it", title="Do it")
    step = Step(id="a", task={"work_directory": _PLACE, "prompt": "x"})
    with Client(url) as client:
        client.create_command(name="review", body="Review $ARGUMENTS")
        flow = client.create_workflow(name="flow", steps=[step])
        known = {
            "task_id": client.create(work_directory=_PLACE, prompt="Do it").id,
            "schedule_id": client.create_schedule(name="nightly", cron="@daily", task=task).id,
            "workflow_id": flow.id,
            "run_id": client.execute_workflow(flow.id).id,
        }
    named = [re.sub(r"{(\w+)}", lambda found: str(known[found[1]]), path) + _QUERIES.get(path, "") for path in PAGES]
    return [*named, "/tasks?status=waiting&q=do", f"/tasks?work_path={_PLACE}&status=completed"]
