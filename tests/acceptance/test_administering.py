"""`orchestrator addresses`, `audit` and `reload`, as processes."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.programs import Server, orchestrator, serving
from worker_client import Client
from worker_client.contract.tasks import CreateTask

SECOND = 1_100
"""More than one page of 1,000."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "own.toml").write_text("")
    with serving(folder, "--config", "own.toml") as running:
        yield running


def test_addresses_are_allowed_denied_and_forgotten(server: Server) -> None:
    assert "every address that is not denied" in server.run("addresses", "list").stdout
    denied = server.json("addresses", "deny", "192.0.2.7", "2001:db8::/32", "--note", "scans")
    assert {(one["ip"], one["note"]) for one in denied["blacklist"]} == {("192.0.2.7/32", "scans"), ("2001:db8::/32", "scans")}
    locked_out = server.run("addresses", "allow", "198.51.100.0/24")
    assert locked_out.returncode == Exit.CONFLICT
    assert "127.0.0.1" in locked_out.stderr
    assert server.run("addresses", "allow", "127.0.0.0/8").returncode == 0
    assert server.run("addresses", "allow", "198.51.100.0/24").returncode == 0
    shown = server.run("addresses", "list").stdout
    assert all(words in shown for words in ("127.0.0.0/8", "192.0.2.7/32", "scans", "you ask from 127.0.0.1"))
    assert server.run("addresses", "remove", "127.0.0.0/8").returncode == Exit.CONFLICT
    assert server.run("addresses", "remove", "198.51.100.0/24", "127.0.0.1/8", "192.0.2.7").returncode == 0
    assert server.json("addresses", "remove", "2001:db8::/32")["blacklist"] == []
    assert server.run("addresses", "remove", "192.0.2.7").returncode == Exit.NOT_FOUND
    assert server.run("addresses", "deny", "nowhere").returncode == Exit.USAGE


def test_who_is_locked_out_comes_in_by_the_database(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.run("addresses", "deny", "127.0.0.0/8", "--force").returncode == 0
        assert server.run("list").returncode == Exit.FORBIDDEN
    assert orchestrator("addresses", "remove", "127.0.0.0/8", "--database", server.database, cwd=tmp_path).returncode == 0
    with serving(tmp_path) as again:
        assert again.run("list").returncode == 0


def test_every_change_is_told_with_who_from_where_and_what(server: Server, tmp_path: Path) -> None:
    task = server.json("add", "Change", "--dir", str(tmp_path))
    assert server.run("cancel", str(task["id"]), "--reason", "enough").returncode == 0
    rows = server.run("audit", "--task", str(task["id"]), "--json").stdout.splitlines()
    newest, oldest = map(json.loads, rows)
    assert (newest["type"], oldest["type"]) == ("task.cancelled", "task.created")
    assert {(one["origin"], one["actor"], one["work_directory"]) for one in (newest, oldest)} == {
        ("127.0.0.1", "", str(tmp_path))
    }
    assert "Change" not in "".join(rows)
    shown = server.run("audit", "--dir", str(tmp_path), "--type", "task.cancelled").stdout
    assert "enough" in shown
    assert "task.created" not in shown
    assert server.run("audit", "--actor", "nobody").stdout == "nothing was changed\n"
    assert server.run("audit", "--until", "1d").stdout == "nothing was changed\n"
    assert server.run("audit", "--since", "soon").returncode == Exit.USAGE


def test_the_trail_is_exported_whole(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        for count in (1_000, SECOND - 1_000):
            client.create_many(tasks=[CreateTask(work_directory=str(tmp_path), prompt=f'"{n}",\n') for n in range(count)])
    filters = ("audit", "--dir", str(tmp_path), "--since", "1h")
    exported = [json.loads(line) for line in server.run(*filters, "--json").stdout.splitlines()]
    assert len(exported) == len({one["id"] for one in exported}) == SECOND
    assert [one["id"] for one in exported] == sorted((one["id"] for one in exported), reverse=True)
    table = list(csv.DictReader(io.StringIO(server.run(*filters, "--csv").stdout)))
    assert [int(row["task_id"]) for row in table] == [one["task_id"] for one in exported]
    assert [json.loads(row["data"]) for row in table] == [one["data"] for one in exported]
    assert len(server.run(*filters, "--csv", "--limit", "3").stdout.splitlines()) == 4


def test_settings_are_read_anew_or_refused_whole(server: Server) -> None:
    file = server.folder / "own.toml"
    file.write_text('[log]\nlevel = "debug"\n[limits]\nbacklog = 9000\n[database]\nmax_connections = 3\n')
    assert server.json("reload") == {"changed": ["limits.backlog", "log.level"], "needs_restart": ["database.max_connections"]}
    file.write_text('[log]\nlevel = "info"\n[limits]\nbacklog = -1\n')
    refused = server.run("reload")
    assert refused.returncode not in {0, Exit.FAILED}
    assert "limits.backlog" in refused.stderr
    by_its_file = orchestrator("reload", "--database", server.database, cwd=server.folder)
    assert by_its_file.returncode == refused.returncode
    file.write_text('[log]\nlevel = "debug"\n[limits]\nbacklog = 9000\n')
    assert server.run("reload").stdout == "nothing has changed\n"


def test_only_a_server_that_runs_can_read_its_settings(tmp_path: Path) -> None:
    ran = orchestrator("reload", "--database", f"sqlite:///{tmp_path}/tasks.db", cwd=tmp_path)
    assert ran.returncode == Exit.UNREACHABLE
    assert "--url" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_log_of_the_server_is_read_and_followed(server: Server) -> None:
    assert server.run("show", "987654321").returncode == Exit.NOT_FOUND
    assert "request" in server.run("server-logs", "--search", "status=404").stdout
    assert server.run("server-logs", "--level", "critical").stdout == ""
    with server.start("server-logs", "-f", "-n", "1", "--json") as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["level"]
        assert server.run("cancel", "987654321").returncode == Exit.NOT_FOUND
        while json.loads(following.stdout.readline())["facts"].get("method") != "POST":
            pass
