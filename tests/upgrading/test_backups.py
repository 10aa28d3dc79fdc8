"""Commands of the page about backups that need what a story has not: they are done here, one by one."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.acceptance.programs import ADDRESS, ROOT, orchestrator, serving, started
from tests.docs.blocks import blocks

pytestmark = pytest.mark.system
PAGE = ROOT / "docs" / "howto" / "backups.md"
MOVE, DUMP, RESTORE = [block.text for block in blocks(PAGE) if block.kind == "tested"]


def test_a_backup_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "backups").mkdir()
    with serving(tmp_path / "data") as server:
        assert server.run("add", "Before it").returncode == 0
        assert server.run("backup", "../backups/2030-01-31.db", "--database", server.database).returncode == 0
        assert server.run("add", "After it").returncode == 0
        server.process.kill()
        server.process.wait()
    *lines, serve = MOVE.splitlines()
    assert serve == "orchestrator serve"
    subprocess.run(["sh", "-ec", "\n".join(lines)], cwd=tmp_path, check=True)
    with serving(tmp_path / "data" / "old") as server:
        # The log is there as well: what was acknowledged is not lost by putting it aside.
        assert server.json("list")["total"] == 2
    with serving(tmp_path / "data") as server:
        assert [task["title"] or task["prompt"] for task in server.json("list")["items"]] == ["Before it"]


def test_a_dump_of_postgresql_and_what_is_restored_from_it(tmp_path: Path) -> None:
    url = postgres.database(tmp_path)
    restored = postgres.at(postgres.server(), "tasks_restored")
    with started("serve", "--port", "0", "--database", url, cwd=tmp_path, stderr=None) as server:
        assert server.stdout is not None
        found = ADDRESS.search(server.stdout.readline())
        assert found is not None
        assert orchestrator("add", "Before it", cwd=tmp_path, ORCHESTRATOR_URL=found[0].rstrip(".")).returncode == 0
        dump = DUMP.replace("pg_dump", postgres.program("pg_dump")).replace("postgresql://tasks@db.example.org/tasks", url)
        subprocess.run(["sh", "-ec", dump], cwd=tmp_path, check=True)
    create, restore, serve = RESTORE.splitlines()
    assert create == "createdb tasks_restored"
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS tasks_restored")
        connection.execute("CREATE DATABASE tasks_restored")
    restore = restore.replace("pg_restore", postgres.program("pg_restore"), 1)
    restore = restore.replace("postgresql://tasks@db.example.org/tasks_restored", restored)
    subprocess.run(["sh", "-ec", restore], cwd=tmp_path, check=True)
    assert serve.split()[:3] == ["orchestrator", "serve", "--database"]
    with started("serve", "--port", "0", "--database", restored, cwd=tmp_path, stderr=None) as server:
        assert server.stdout is not None
        found = ADDRESS.search(server.stdout.readline())
        assert found is not None
        listed = orchestrator("list", "--json", cwd=tmp_path, ORCHESTRATOR_URL=found[0].rstrip("."))
        assert "Before it" in listed.stdout
