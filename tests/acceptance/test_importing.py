"""Jobs of TimerJobs are taken over as a person does it, and done by the worker that the import names."""

import json
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.cli.exits import Exit
from tests.acceptance.programs import PATIENCE_SECONDS, Server, environment, serving
from tests.jobs_elsewhere import SCRIPTS, TIMER_JOBS

WORKER = "orchestrator-worker run "
JOBS = [job for job, _ in TIMER_JOBS]
ODD: list[dict[str, Any]] = [
    {"name": "broken", "cron_expr": "0 0 31 2 *", "mode": "func", "command": "Test"},
    {"name": "unknown key", "cron_expr": "0 0 2 * * *", "mode": "http", "command": "【url】https://a/\n【retry】3"},
    {"name": "no mode", "cron_expr": "0 0 2 * * *", "mode": "shell", "command": "x"},
    {"name": "used up", "cron_expr": "0 0 2 * * *", "mode": "func", "command": "Test", "max_run_count": 3, "run_count": 3},
    {"name": "some left", "cron_expr": "0 0 2 * * *", "mode": "func", "command": "Test", "max_run_count": 3, "run_count": 1},
    {"name": "disabled", "cron_expr": "0 0 2 * * *", "mode": "func", "command": "OwnOne", "state": 2, "allow_mode": 2},
    {"name": "at once", "cron_expr": "0 0 2 * * *", "mode": "func", "command": "Hello 张三", "allow_mode": 2},
    {"name": "at once", "cron_expr": "0 0 2 * * *", "mode": "func", "command": "Test"},
]


def database(path: Path, jobs: list[dict[str, Any]]) -> Path:
    columns = ("name", "desc", "cron_expr", "mode", "command", "state", "allow_mode", "max_run_count", "run_count", "deleted_at")
    with closing(sqlite3.connect(path)) as made, made:
        quoted = ", ".join(f'"{name}"' for name in columns)
        made.execute(f"CREATE TABLE jobs (id INTEGER PRIMARY KEY, {quoted})")
        for job in jobs:
            marks = ", ".join("?" * len(columns))
            made.execute(f"INSERT INTO jobs VALUES (NULL, {marks})", [job.get(name) for name in columns])  # noqa: S608 - marks
    return path


def schedules(server: Server) -> dict[str, dict[str, Any]]:
    found = httpx.get(f"{server.url}/api/v1/schedules", params={"limit": 1000}).json()["data"]["items"]
    return {one["name"]: one for one in found}


def imported(server: Server, *arguments: str, zone: str) -> Result:
    """The command within this process: it starts sooner."""
    return CliRunner().invoke(main, ["import", "timerjobs", *arguments], env={**server.variables, "TZ": zone, "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_all_printed_jobs_are_taken_over_and_done(server: Server, tmp_path: Path) -> None:
    work = tmp_path / "jobs"
    work.mkdir()
    # What this machine does not have: the directory of the scripts.
    jobs = [{"id": n, **job, "command": job["command"].replace(SCRIPTS, str(work))} for n, job in enumerate(JOBS)]
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"code": 200, "data": {"list": jobs, "total": len(jobs)}}))
    line = [str(file), "--work-directory", str(work)]
    looked = imported(server, *line, "--dry-run", zone="Asia/Shanghai")
    assert looked.exit_code == Exit.OK, looked.output
    assert "times are those of Asia/Shanghai; nothing is changed" in looked.stdout
    assert "it looks like a command of Windows" in looked.stdout
    assert schedules(server) == {}

    made = server.run("import", "timerjobs", *line, TZ="Asia/Shanghai")
    assert made.returncode == Exit.OK, made.stderr
    found = schedules(server)
    assert found.keys() == {job["name"] for job in JOBS}
    assert {one["timezone"] for one in found.values()} == {"Asia/Shanghai"}
    assert found["数据同步"]["next_fire_at"].endswith("T18:00:00Z")
    assert found["超时命令"]["task"]["timeout_seconds"] == 60

    again = imported(server, *line, "--json", zone="Asia/Shanghai")
    assert {job["fate"] for job in json.loads(again.stdout)["jobs"]} == {"there already"}
    assert schedules(server) == found

    done = _done(server, next(one for one in made.stdout.splitlines() if WORKER in one), found)
    assert done["数学计算"]["result"]["result"] == 150
    assert done["Dayin测试"]["result"]["args"] == ["1", "hello", "true"]
    assert done["时间显示"]["status"] == "completed"
    assert done["环境变量命令"]["result"]["output_tail"] == "test_value"
    assert (done["数据统计"]["status"], done["数据统计"]["error"]["type"]) == ("failed", "NotSetUp")
    assert (done["文件检查"]["status"], done["文件检查"]["error"]["type"]) == ("failed", "PathRefused")


def _done(server: Server, line: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What became of what can be done without the world outside, by the worker that was named."""
    names = ("数学计算", "Dayin测试", "时间显示", "环境变量命令", "数据统计", "文件检查")
    fires = {name: httpx.post(f"{server.url}/api/v1/schedules/{found[name]['id']}/execute").json()["data"] for name in names}
    words = [*shlex.split(line)[1:], "--once"]
    subprocess.run(
        [sys.executable, "-m", "worker_client.cli", *words],
        env=environment(**server.variables),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    tasks = {name: fire["task_ids"][0] for name, fire in fires.items()}
    return {name: httpx.get(f"{server.url}/api/v1/tasks/{task}").json()["data"] for name, task in tasks.items()}


def test_what_can_not_be_taken_over_is_named(server: Server, tmp_path: Path) -> None:
    file = database(tmp_path / "jobs.db", [*ODD, {**ODD[4], "name": "gone", "deleted_at": "2024-01-01"}])
    ran = imported(server, str(file), "--timezone", "Europe/Berlin", "--json", zone="UTC")
    assert ran.exit_code == Exit.FAILED
    jobs = json.loads(ran.stdout)["jobs"]
    assert [(job["name"], job["fate"]) for job in jobs] == [
        ("broken", "refused"),
        ("unknown key", "refused"),
        ("no mode", "refused"),
        ("used up", "left out"),
        ("some left", "created"),
        ("disabled", "created"),
        ("at once", "created"),
        ("at once", "refused"),
        ("gone", "left out"),
    ]
    assert all(job["reason"] for job in jobs if job["fate"] != "created")
    assert "【retry】" in jobs[1]["reason"]
    assert any("OwnOne=MODULE:FUNCTION" in one for one in jobs[5]["notes"])
    found = schedules(server)
    assert [(found[name]["state"], found[name]["max_runs"]) for name in ("some left", "disabled", "at once")] == [
        ("active", 2),
        ("paused", None),
        ("active", None),
    ]
    fired = httpx.get(f"{server.url}/api/v1/tasks", params={"schedule_id": found["at once"]["id"]}).json()["data"]["items"]
    assert [task["spec"]["args"] for task in fired] == [["张三"]]
    table = imported(server, str(file), "--timezone", "Europe/Berlin", zone="UTC")
    assert table.exit_code == Exit.FAILED
    assert "another job of this file has the same name" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.json",), "nothing.json"),
        (("empty.json",), "neither an SQLite file nor JSON"),
        (("jobs.db", "--table", "none"), "no such table"),
    ],
)
def test_a_file_without_jobs_is_wrong_usage(
    server: Server, tmp_path: Path, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").touch()
    database(tmp_path / "jobs.db", [])
    ran = imported(server, *arguments, zone="UTC")
    assert ran.exit_code == Exit.USAGE
    assert said in " ".join(ran.stderr.split())
