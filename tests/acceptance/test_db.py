"""`orchestrator db`: sqlite-utils on the server's file, which a running server keeps to itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.programs import Server, orchestrator, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served")) as running:
        assert running.run("add", "Look").returncode == 0
        yield running


def db(server: Server, *arguments: str) -> tuple[int, str]:
    ran = orchestrator("db", "--database", server.database, *arguments, cwd=server.folder)
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout or ran.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tables", "--counts"], '"tasks"'),
        (["rows", "tasks", "--limit", "1"], '"id"'),
        (["schema", "tasks"], "CREATE TABLE"),
        (["query", "select count(*) as n from tasks"], '[{"n": 1}]'),
        (["select count(*) as n from tasks"], '[{"n": 1}]'),
        (["pragma table_info(tasks)"], '"id"'),
        (["dump"], "CREATE TABLE"),
    ],
)
def test_reading_works_while_it_is_served(server: Server, arguments: list[str], words: str) -> None:
    code, output = db(server, *arguments)
    assert code == 0, output
    assert words in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "delete from tasks"],
        ["with x as (select 1) delete from tasks"],
        ["query", "drop table tasks"],
        ["query", "pragma query_only = off"],
        ["query", "pragma journal_mode = delete"],
        ["query", "pragma wal_checkpoint(truncate)"],
        ["query", "pragma wal_checkpoint"],
        ["query", "--attach", "again", "tasks.db", "delete from again.tasks"],
        ["drop-table", "tasks"],
        ["vacuum"],
        ["insert", "tasks", "/dev/null"],
        ["rows", "tasks", "--where", "1) ; delete from tasks; --"],
    ],
)
def test_nothing_can_be_written_while_it_is_served(server: Server, arguments: list[str]) -> None:
    code, output = db(server, *arguments)
    assert code in {Exit.FAILED, Exit.CONFLICT}, output
    assert db(server, "select count(*) as n from tasks") == (0, '[{"n": 1}]\n')
    if "where" not in str(arguments):
        assert code == Exit.CONFLICT
        assert "is being served" in output


def test_a_stopped_server_leaves_the_file_to_be_changed(tmp_path: Path) -> None:
    assert orchestrator("migrate", "--database", "sqlite:///tasks.db", cwd=tmp_path).returncode == 0
    said = orchestrator("db", "insert into meta values ('a', 'b')", cwd=tmp_path, APP_DATABASE_URL="sqlite:///tasks.db")
    assert said.returncode == 0, said.stderr
    rows = orchestrator("db", "--database", "sqlite:///tasks.db", "rows", "meta", cwd=tmp_path)
    assert {"key": "a", "value": "b"} in json.loads(rows.stdout)


def test_commands_that_only_read_never_write(tmp_path: Path) -> None:
    assert orchestrator("migrate", "--database", "sqlite:///tasks.db", cwd=tmp_path).returncode == 0
    said = orchestrator("db", "--database", "sqlite:///tasks.db", "tables", "--load-extension", "missing", cwd=tmp_path)
    assert said.returncode != 0
    (tmp_path / "tasks.db").chmod(0o444)
    assert orchestrator("db", "--database", "sqlite:///tasks.db", "tables", cwd=tmp_path).returncode == 0


def test_no_file_and_no_such_command_are_said(tmp_path: Path) -> None:
    missing = orchestrator("db", "tables", cwd=tmp_path)
    assert missing.returncode == Exit.FAILED
    assert "no database at data/tasks.db" in missing.stderr
    assert orchestrator("db", "install", "x", cwd=tmp_path).returncode == Exit.USAGE
    helped = orchestrator("db", "rows", "--help", cwd=tmp_path)
    assert helped.returncode == 0
    assert "orchestrator db rows [OPTIONS] DBTABLE" in helped.stdout
    assert "sqlite-utils" not in helped.stdout
