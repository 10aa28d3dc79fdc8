"""Where the jobs of TimerJobs are found: in its SQLite file, in the answer of its list; and the zone of a machine."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.host_zone import host_zone
from orchestrator.cli.jobs_file import UnreadableFile, read

JOB = {"id": 1, "name": "n", "cron_expr": "0 0 2 * * *", "mode": "func", "command": "Test", "run_count": 2}


def database(path: Path, *tables: str, columns: str = 'id, name, "desc", cron_expr, mode, command') -> Path:
    with closing(sqlite3.connect(path)) as made, made:
        for table in tables:
            made.execute(f'CREATE TABLE "{table}" ({columns})')
            made.execute(f'INSERT INTO "{table}" (name, command) VALUES (?, CAST(? AS TEXT))', (table, b"a\xffb"))  # noqa: S608 - the test's own names
    return path


@pytest.mark.parametrize("table", ["jobs", "job", "xiaohus_jobs", "odd [name]"])
def test_the_table_is_found_by_its_columns(tmp_path: Path, table: str) -> None:
    file = database(tmp_path / "x.db", table)
    database(file, "admins", columns="id, name, command")
    database(file, "like", columns="name, cron_expr, command")
    (row,) = read(file).rows
    assert (row["name"], row["command"], row["desc"]) == (table, "a\ufffdb", None)


def test_of_several_tables_one_is_called_jobs(tmp_path: Path) -> None:
    assert read(database(tmp_path / "a.db", "archive", "jobs")).rows[0]["name"] == "jobs"
    file = database(tmp_path / "b.db", "old_jobs", "jobs")
    with pytest.raises(UnreadableFile, match="say which with --table; there are jobs, old_jobs"):
        read(file)
    assert read(file, "old_jobs").rows[0]["name"] == "old_jobs"
    with pytest.raises(UnreadableFile, match="no such table"):
        read(file, 'x"; DROP TABLE jobs')


@pytest.mark.parametrize(
    ("document", "rows", "missing"),
    [
        ([JOB], 1, 0),
        ([], 0, 0),
        ({"code": 200, "msg": "ok", "data": {"list": [JOB, JOB], "total": 2}}, 2, 0),
        ({"data": {"tags": [], "items": [JOB], "total": 53}}, 1, 52),
        ({"count": 3, "data": [JOB]}, 1, 2),
        ({"data": {"list": []}}, 0, 0),
    ],
)
def test_the_answer_of_a_list(tmp_path: Path, document: Any, rows: int, missing: int) -> None:
    file = tmp_path / "jobs.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    found = read(file)
    assert (len(found.rows), found.missing) == (rows, missing)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"data": {"name": "x"}}', b'[{"name": "x"}]', b"[" * 100_000, b"\xff"])
def test_what_has_no_jobs_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnreadableFile):
        read(tmp_path / "x")


def test_a_broken_or_empty_database(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    database(tmp_path / "other.db", "users", columns="id, name, command")
    for name in ("broken.db", "other.db", "none.db"):
        with pytest.raises(UnreadableFile, match=name):
            read(tmp_path / name)


def test_the_zone_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "usr" / "zoneinfo" / "Asia").mkdir(parents=True)
    (tmp_path / "usr" / "zoneinfo" / "Asia" / "Shanghai").touch()
    (tmp_path / "localtime").symlink_to(tmp_path / "usr" / "zoneinfo" / "Asia" / "Shanghai")
    monkeypatch.setenv("TZ", "")
    assert host_zone(tmp_path) == "Asia/Shanghai"
    (tmp_path / "timezone").write_text("Europe/Berlin\n")
    assert host_zone(tmp_path) == "Europe/Berlin"
    for name, zone in ((":America/New_York", "America/New_York"), ("No/Such", "Europe/Berlin"), ("../../x", "Europe/Berlin")):
        monkeypatch.setenv("TZ", name)
        assert host_zone(tmp_path) == zone
    monkeypatch.setenv("TZ", "No/Such")
    assert host_zone(tmp_path / "empty") in {"UTC", None}
