"""A server is killed while a schedule fires each second: every second has exactly one task, those of its absence, too."""

import json
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest

from orchestrator.store.sqlite.engine import sqlite3
from tests.acceptance.programs import Server, end, serving, until

SCHEDULE = {
    "name": "each second",
    "cron": "* * * * * *",
    "missed": "all",
    "task": {"work_directory": "/seconds", "prompt": "It is {{ fire.due_at }}."},
}


def more_than(count: int, server: Server) -> bool:
    answer = httpx.get(f"{server.url}/api/v1/tasks", params={"limit": 1}).raise_for_status()
    return int(answer.json()["data"]["total"]) > count


def rows(server: Server, query: str) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(server.folder / "tasks.db")) as file:
        return file.execute(query).fetchall()


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.system)])
def test_every_second_has_one_task(tmp_path: Path, kills: int) -> None:
    seconds = 0
    for number in range(kills + 1):
        with serving(tmp_path) as server:
            if number == 0:
                httpx.post(f"{server.url}/api/v1/schedules", json=SCHEDULE).raise_for_status()
            until(partial(more_than, seconds + 1, server))
            if number < kills:
                server.process.kill()
                server.process.wait()
            else:
                assert end(server.process) == 0
            seconds = check(server)


def check(server: Server) -> int:
    """How many seconds there were; each of them has fired once, with one task of its own."""
    fires = rows(server, "SELECT due_at, task_ids FROM fires WHERE outcome = 'fired' ORDER BY due_at")
    times = [due_at for due_at, _ in fires]
    assert times == list(range(times[0], times[-1] + 1, 1000))
    made = {
        task_id: f"It is {datetime.fromtimestamp(at / 1000, UTC):%FT%TZ}." for at, ids in fires for task_id in json.loads(ids)
    }
    assert len(made) == len(times)
    assert dict(rows(server, "SELECT task_id, prompt FROM task_inputs")) == made
    return len(times)
