"""What an earlier release left is whole after an upgrade, also when that is interrupted, and has the schema of a new database."""

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from orchestrator.settings import Database
from orchestrator.store import choice
from orchestrator.store.rows import HEAD_COLUMNS, head_of
from tests.acceptance.programs import ADDRESS, environment, orchestrator, started
from tests.copies import address
from tests.properties import invariants
from tests.rig import STORES
from tests.upgrading.comparing import Rows, kind, schema
from tests.upgrading.dumps import connected
from tests.upgrading.loading import grow, load
from tests.upgrading.releases import RELEASES
from worker_client.contract.enums import Status

pytestmark = pytest.mark.system
releases = pytest.mark.parametrize("release", RELEASES)
stores = pytest.mark.parametrize("store", STORES)
MANY = {RELEASES[0]: 100_000}
SOME = 5_000
KILLED = """
import os, signal, sys
from orchestrator.settings import Database
from orchestrator.store import choice

left = int(sys.argv[2])

def counted(does):
    def counting(*arguments, **named):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return does(*arguments, **named)
    return counting

if sys.argv[1].startswith("sqlite"):
    import sqlite_utils
    sqlite_utils.Database.execute = counted(sqlite_utils.Database.execute)
else:
    import psycopg
    psycopg.Connection.execute = counted(psycopg.Connection.execute)
choice.migrate(Database(url=sys.argv[1]))
"""
"""A program that brings a database up to date, and is killed before its n-th statement."""


def fresh(store: str, folder: Path) -> str:
    """The address of a new database."""
    url = address(store, folder / "fresh")
    choice.migrate(Database(url=url))
    return url


def pending(url: str) -> list[str]:
    return choice.pending(Database(url=url))


@stores
@releases
def test_every_row_is_there_and_the_schema_is_that_of_a_new_database(release: str, store: str, tmp_path: Path) -> None:
    url = load(release, store, tmp_path)
    grow(url, MANY.get(release, SOME))
    before, lacking = Rows(url), pending(url)
    assert choice.migrate(Database(url=url)) == lacking
    assert before.changed(url) == []
    assert len(before) > 5 * SOME
    assert schema(url) == schema(fresh(store, tmp_path))
    check(url, at_least=MANY.get(release, SOME))


def check(url: str, at_least: int) -> None:
    """The promises hold of what is stored."""
    with connected(url) as connection:
        rows = connection.execute(f"SELECT {HEAD_COLUMNS} FROM tasks t").fetchall()  # noqa: S608 - names are ours
        edges = connection.execute("SELECT child_id, parent_id, satisfied FROM dependencies").fetchall()
        attempts = connection.execute("SELECT task_id, lease_no, outcome FROM attempts").fetchall()
        kept = connection.execute("SELECT path, host, status, priority, n FROM task_counts WHERE n > 0").fetchall()
        counted = connection.execute("SELECT path, host, status, priority, count(*) FROM tasks GROUP BY 1, 2, 3, 4").fetchall()
    heads = {head.id: head for head in map(head_of, rows)}
    assert len(heads) >= at_least
    assert {head.status for head in heads.values()} == set(Status)
    invariants.check_states(heads, edges)
    invariants.check_budgets(heads)
    invariants.check_attempts(heads, attempts, {})
    invariants.check_leases({task_id: head for task_id, head in heads.items() if task_id < 1_000})
    assert sorted(kept) == sorted(counted)


@stores
def test_who_is_killed_at_any_statement_leaves_nothing_half_done(store: str, tmp_path: Path) -> None:
    url = load(RELEASES[0], store, tmp_path)
    before, lacking, kills = Rows(url), pending(url), 0
    for after in range(4 if store == "sqlite" else 5, 400, 7 if store == "sqlite" else 3):
        line = [sys.executable, "-c", KILLED, url, str(after)]
        ended = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        kills += 1
        left = pending(url)
        assert left == lacking[len(lacking) - len(left) :]
    assert kills > 3
    assert pending(url) == []
    assert before.changed(url) == []
    assert schema(url) == schema(fresh(store, tmp_path))


@stores
def test_servers_that_start_at_once_do_it_once(store: str, tmp_path: Path) -> None:
    url = load(RELEASES[0], store, tmp_path)
    before = Rows(url)
    line = ["serve", "--port", "0", "--database", url]
    with ExitStack() as stack:
        servers = [stack.enter_context(started(*line, cwd=tmp_path, stderr=subprocess.STDOUT)) for _ in range(2)]
        said = []
        for server in servers:
            assert server.stdout is not None
            said.append(next(found for found in server.stdout if ADDRESS.search(found) or "Error" in found))
        refused = [server for server, words in zip(servers, said, strict=True) if "Error" in words]
        assert [server.wait(30) for server in refused] == ([Exit.CONFLICT] if store == "sqlite" else [])
    table = {"sqlite": "_sqlite_migrations", "postgres": "_migrations"}[store]
    with connected(url) as connection:
        names = [name for (name,) in connection.execute(f"SELECT name FROM {table} ORDER BY name")]  # noqa: S608 - names are ours
    assert names == sorted({*names})
    assert pending(url) == []
    told = "but for leases that were given the time back, and what has become due"
    assert {"tasks", "task_counts", "events", "meta"} >= set(before.changed(url)), told
    assert schema(url) == schema(fresh(store, tmp_path))


@stores
def test_an_older_program_says_what_it_met_and_what_to_do(store: str, tmp_path: Path) -> None:
    url = fresh(store, tmp_path)
    row = {
        "sqlite": "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) SELECT 'orchestrator', '9999_later', '2'",
        "postgres": "INSERT INTO _migrations (name) VALUES ('9999_later')",
    }
    with connected(url) as connection:
        connection.execute(row[store])
        connection.execute("UPDATE meta SET value = '9.8.7' WHERE key = 'migrated_by'")
    lines = [["serve", "--port", "0", "--database", url], ["migrate", "--database", url], ["keys", "list", "--database", url]]
    lines += [["backup", str(tmp_path / "backup.db"), "--database", url]] if store == "sqlite" else []
    lines += [["copy", "--from", url, "--to", f"sqlite:///{tmp_path / 'other.db'}"]]
    for line in lines:
        ran = orchestrator(*line, cwd=tmp_path)
        words = " ".join(ran.stderr.split())
        assert ran.returncode == Exit.CONFLICT, f"{line}: {ran.stdout}{ran.stderr}"
        assert re.search(r"was brought up to date by version 9\.8\.7 \(migration 9999_later\); this is version \d", words), line
        assert words.endswith("use version 9.8.7, or serve a backup that was made before the upgrade"), line
    assert not {"backup.db", "other.db"} & {path.name for path in tmp_path.iterdir()}


@stores
def test_what_is_to_be_done_is_asked_for_first(store: str, tmp_path: Path) -> None:
    url = load("0.4.0", store, tmp_path)
    before = schema(url)
    asked = orchestrator("migrate", "--check", "--database", url, cwd=tmp_path)
    assert asked.returncode == Exit.DIFFERS
    assert asked.stdout.splitlines()[:2] == ["to be applied: 0007_notifications", "to be applied: 0008_search"]
    assert schema(url) == before
    done = orchestrator("migrate", "--database", url, cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "applied 0007_notifications"
    again = orchestrator("migrate", "--check", "--database", url, cwd=tmp_path)
    assert (again.returncode, again.stdout.split()[-4:]) == (0, ["is", "up", "to", "date"])
    assert kind(url) == store
