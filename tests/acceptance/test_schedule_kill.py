"""A server is killed while a schedule fires each second: every second has exactly one task, those of its absence, too."""

import contextlib
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from orchestrator.store.sqlite.engine import sqlite3
from tests import postgres
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


def look(server: Server, query: str) -> list[tuple[Any, Any]]:
    with closing(sqlite3.connect(server.folder / "tasks.db")) as file:
        return file.execute(query).fetchall()


def check(rows: Callable[[str], list[tuple[Any, Any]]]) -> int:
    """How many seconds there were; each of them has fired once, with one task of its own."""
    fires = rows("SELECT due_at, task_ids FROM fires WHERE outcome = 'fired' ORDER BY due_at")
    times = [due_at for due_at, _ in fires]
    assert times == list(range(times[0], times[-1] + 1, 1000))
    made = {
        task_id: f"It is {datetime.fromtimestamp(at / 1000, UTC):%FT%TZ}." for at, ids in fires for task_id in json.loads(ids)
    }
    assert len(made) == len(times)
    assert dict(rows("SELECT task_id, prompt FROM task_inputs")) == made
    return len(times)


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
            seconds = check(partial(look, server))


@pytest.mark.system
def test_every_second_has_one_task_of_three_replicas(tmp_path: Path) -> None:
    """One after the other is killed, and another one takes its place."""
    database = postgres.database(tmp_path)
    with contextlib.ExitStack() as stack, psycopg.connect(database, autocommit=True) as aside:

        def start(number: int) -> Server:
            (tmp_path / str(number)).mkdir()
            return stack.enter_context(serving(tmp_path / str(number), "--database", database))

        replicas = [start(number) for number in range(3)]
        httpx.post(f"{replicas[0].url}/api/v1/schedules", json=SCHEDULE).raise_for_status()
        seconds = 0
        for number in range(3, 9):
            until(partial(more_than, seconds + 1, replicas[-1]))
            killed = replicas.pop(0)
            killed.process.kill()
            killed.process.wait()
            replicas.append(start(number))
            ((seconds,),) = aside.execute("SELECT count(*) FROM tasks").fetchall()
        for replica in replicas:
            assert end(replica.process) == 0
        assert check(lambda query: aside.execute(query.encode()).fetchall()) >= seconds
