"""`orchestrator copy` is killed again and again: each run goes on where the one before was, and no row is lost or doubled."""

import contextlib
import random
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.store.copying.copy import Copy
from orchestrator.store.copying.opening import opened
from orchestrator.store.copying.unfinished import State, state_of
from tests.acceptance.programs import orchestrator, started
from tests.copies import address, connected, copied, dump, full, run
from tests.rig import Rig

KILLS = 3
ROWS = 20_000


def reached(connection: Any) -> State | None:
    """How far a copy is, seen from outside; None when it has not begun."""
    with contextlib.suppress(sqlite3.OperationalError, psycopg.errors.UndefinedTable):
        for (text,) in connection.execute("SELECT value FROM meta WHERE key = 'copying'"):
            return state_of(text)
    return None


def large(directory: Path) -> str:
    source = full("sqlite", directory)
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) "  # noqa: S608 - no input
    run(
        source,
        f"{numbers} INSERT INTO task_logs SELECT 1, i, 1, i, i, 'stdout', printf('line %d', i) FROM n",  # noqa: S608 - no input
        f"{numbers} INSERT INTO events (at, type, task_id, path, host, data) "  # noqa: S608 - no input
        "SELECT i, 'progress', 1, '/' || i, '', '{}' FROM n",
    )
    return source


def rows_of(state: State | None) -> int:
    return sum(state.rows.values()) if state else 0


def kill_at(process: "subprocess.Popen[str]", target: str, rows: int, *, everything: bool) -> None:
    """Kill it as soon as so many rows, or all, are there."""
    with connected(target) as connection:
        while process.poll() is None:
            state = reached(connection)
            if rows_of(state) >= rows and (not everything or (state is not None and state.table is None)):
                break
    process.kill()
    process.wait()


@pytest.mark.timeout(170)
@pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_killed_again_and_again(kind: str, other: str, tmp_path: Path) -> None:
    source = first = large(tmp_path / "first")
    target = address(other, tmp_path / "two")
    (tmp_path / "two").mkdir()
    if kind == "postgres":
        copied(source, address(kind, tmp_path / "one"))
        source = address(kind, tmp_path / "one")
    chance = random.Random(3)
    points = sorted(chance.sample(range(2 * ROWS), KILLS))
    stops = [0]
    for point in [0, *points, 2 * ROWS]:
        with started("copy", "--from", source, "--to", target, cwd=tmp_path) as process:
            kill_at(process, target, max(point, stops[-1]), everything=point == 2 * ROWS)
        # Nobody else is there now, also on a server where the killed one lived on for a moment.
        with opened(source, target) as (one, two):
            state = Copy(one, two).begin()
            assert {table: count for table, count in two.counts().items() if count} == state.rows
        assert rows_of(state) >= stops[-1]
        stops.append(rows_of(state))
    assert len(set(stops)) > 2
    ran = orchestrator("copy", "--from", source, "--to", target, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert f"going on behind {stops[-1]:,} rows that are there already" in ran.stderr
    if kind == "postgres":
        # There and back: this is the file that everything came from.
        assert dump(target) == dump(first)
    rig = Rig(tmp_path / "two", other)
    assert {table: len(rows) for table, rows in dump(target).items()} == state.rows
    rig.close()
