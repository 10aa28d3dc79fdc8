"""`orchestrator serve`, `migrate` and `openapi`, as processes."""

import json
import signal
from pathlib import Path

import httpx
import pytest

from orchestrator import __version__
from orchestrator.cli.exits import Exit
from tests.acceptance.programs import ADDRESS, end, orchestrator, serving, started


def test_serve_prints_its_address_alone_when_it_answers(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert end(server.process) == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_drains_on_a_signal_and_keeps_what_was_queued(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        task_id = server.run("add", "Keep", "--quiet").stdout.strip()
        assert end(server.process, number) == 0
    with serving(tmp_path) as again:
        assert again.json("show", task_id)["prompt"] == "Keep"


def test_settings_come_from_flags_over_variables_over_files(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[log]\nlevel = "debug"\n[task]\nmax_task_retries = 6\n')
    with serving(tmp_path, "--config", "own.toml", "--host", "localhost") as server:
        assert server.json("add", "Often")["max_attempts"] == 7


def test_an_unknown_variable_is_a_warning(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/tasks.db"
    variables = {"APP_SERVR_PORT": "1", "APP_SERVER_PORT": "0", "APP_DATABASE_URL": database, "APP_LOG_FORMAT": "json"}
    with started("serve", cwd=tmp_path, variables=variables) as server:
        assert ADDRESS.search(server.stdout.readline() if server.stdout else "")
        assert end(server) == 0
        assert server.stderr is not None
        assert "APP_SERVR_PORT" in server.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "orchestrator keys create"),  # noqa: S104 - that it is refused is the point
        (["--port", "70000"], "70000"),
        (["--database", "mysql://me:hunter2@db/tasks"], "postgresql://user@host/name"),
        (["--config", "missing.toml"], "missing.toml"),
    ],
)
def test_a_wrong_setting_ends_serve_with_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    ran = orchestrator("serve", *arguments, cwd=tmp_path)
    assert ran.returncode == Exit.USAGE
    assert words in ran.stderr
    assert "hunter2" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_database_that_is_away_ends_serve_in_words(tmp_path: Path) -> None:
    ran = orchestrator("serve", "--port", "0", "--database", "postgresql://me:hunter2@127.0.0.1:1/tasks", cwd=tmp_path)
    assert ran.returncode == Exit.FAILED
    assert "postgresql://me:***@127.0.0.1:1/tasks cannot be used" in ran.stderr
    assert "hunter2" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_is_taken_is_said(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        second = orchestrator("serve", "--port", "0", "--database", server.database, cwd=tmp_path)
        assert second.returncode == Exit.CONFLICT
        assert "tasks.db" in second.stderr
        port = server.url.rpartition(":")[2]
        third = orchestrator("serve", "--port", port, "--database", f"sqlite:///{tmp_path}/other.db", cwd=tmp_path)
        assert third.returncode == Exit.CONFLICT
        assert port in third.stderr
        assert "Traceback" not in second.stderr + third.stderr


def test_migrate_says_what_it_applied(tmp_path: Path) -> None:
    first = orchestrator("migrate", "--database", "sqlite:///data/x.db", cwd=tmp_path)
    assert (first.returncode, "applied 0001_" in first.stdout) == (0, True), first.stderr
    again = orchestrator("migrate", cwd=tmp_path, APP_DATABASE_URL="sqlite:///data/x.db")
    assert again.stdout == "data/x.db is up to date\n"


def test_openapi_is_printed_without_a_server(tmp_path: Path) -> None:
    ran = orchestrator("openapi", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "/api/v1/tasks" in json.loads(ran.stdout)["paths"]
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_told(tmp_path: Path) -> None:
    assert orchestrator("--version", cwd=tmp_path).stdout == f"orchestrator {__version__}\n"
