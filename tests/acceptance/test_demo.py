"""`orchestrator demo`: what it promises, and that nothing of it stays behind."""

import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from orchestrator.cli.demo.scenario import ACTS, LONG, broken
from orchestrator.cli.exits import Exit
from tests.acceptance.programs import end, mentioning, orchestrator, started
from worker_client.contract.enums import Priority, Status
from worker_client.contract.tasks import Task


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo makes its own folder; empty again afterwards, and named by no process."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    assert mentioning(str(tmp_path)) == []


def test_the_demo_keeps_its_promises_and_leaves_nothing(folder: Path) -> None:
    ran = orchestrator("demo", "--exit", cwd=folder, TMPDIR=str(folder))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert "every outcome was checked" in ran.stdout
    report = ran.stdout[ran.stdout.index("WHAT TO NOTICE") :]
    assert re.search(r"flaky mirror +normal +completed +3 ", report)
    assert re.search(r"Train for an hour +normal +cancelled ", report)
    assert report.count("completed ") >= len(ACTS) - 1
    claimed = re.findall(r" (\d+)  [^\n]+  claimed +attempt 1", ran.stdout)
    assert claimed[0] == str(len(ACTS)), "the urgent task, queued last, is claimed first"


def test_the_server_listens_on_until_ctrl_c(folder: Path) -> None:
    with started("demo", cwd=folder, variables={"TMPDIR": str(folder)}) as demo:
        assert demo.stdout is not None
        said = next(line for line in demo.stdout if "still listens on" in line)
        url = said.split("still listens on ")[1].split()[0]
        assert httpx.get(f"{url}/health").status_code == 200
        assert len(mentioning(str(folder))) >= 2
        assert end(demo, signal.SIGINT) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("You see a real server", signal.SIGINT),
        ("answers on", signal.SIGHUP),
        ("are queued", signal.SIGTERM),
        ("again in", signal.SIGINT),
    ],
)
def test_it_may_be_ended_at_any_time(folder: Path, moment: str, number: int) -> None:
    with started("demo", "--exit", cwd=folder, variables={"TMPDIR": str(folder)}) as demo:
        assert demo.stdout is not None
        assert next(line for line in demo.stdout if moment in line)
        assert end(demo, number) == Exit.INTERRUPTED
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()


def test_on_a_terminal_it_shows_a_table_that_moves(folder: Path) -> None:
    leader, follower = os.openpty()
    with started("demo", "--exit", cwd=folder, variables={"TMPDIR": str(folder)}, stdout=follower, stderr=follower) as demo:
        os.close(follower)
        seen = b""
        while True:
            try:
                seen += os.read(leader, 65_536)
            except OSError:
                break
        assert demo.wait(30) == 0
    os.close(leader)
    assert b"since" in seen
    assert b"WHAT TO NOTICE" in seen


def test_a_taken_port_is_said(folder: Path) -> None:
    with started("demo", cwd=folder, variables={"TMPDIR": str(folder)}) as demo:
        assert demo.stdout is not None
        url = next(line for line in demo.stdout if "answers on" in line).split("answers on ")[1].split()[0]
        second = orchestrator("demo", "--exit", "--port", url.rpartition(":")[2], cwd=folder, TMPDIR=str(folder))
        assert second.returncode == Exit.FAILED
        assert "ended before it answered" in second.stderr
        end(demo, signal.SIGINT)


def played() -> dict[str, Task]:
    """How the tasks look when all went well."""
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    ids = {act.name: number for number, act in enumerate(ACTS, 1)}
    order = {"hotfix": 0, "publish": 8, "tidy": 9}
    tasks = {}
    for act in ACTS:
        body = act.body("/repo", ids)
        start = begin + timedelta(seconds=order.get(act.name, ids[act.name]))
        facts: dict[str, Any] = {field.name: None for field in msgspec.structs.fields(Task)} | msgspec.structs.asdict(body)
        facts |= {"id": ids[act.name], "status": Status.COMPLETED, "attempt": 3 if act.name == "flaky" else 1}
        facts |= {"started_at": start, "finished_at": start + timedelta(seconds=1)}
        if act.name == LONG:
            facts |= {"status": Status.CANCELLED, "cancel_requested_at": start}
        tasks[act.name] = Task(**{field.name: facts[field.name] for field in msgspec.structs.fields(Task)})
    return tasks


def test_a_good_run_breaks_no_promise() -> None:
    assert broken(played()) == []


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("tests", {"status": Status.FAILED}),
        ("tests", {"attempt": 2}),
        ("flaky", {"attempt": 1}),
        ("flaky", {"status": Status.FAILED}),
        ("hotfix", {"started_at": datetime(2031, 1, 1, tzinfo=UTC)}),
        ("tidy", {"started_at": datetime(2029, 1, 1, tzinfo=UTC)}),
        ("publish", {"started_at": datetime(2029, 12, 31, tzinfo=UTC)}),
        (LONG, {"status": Status.COMPLETED}),
        (LONG, {"finished_at": datetime(2031, 1, 1, tzinfo=UTC)}),
        (LONG, {"started_at": None}),
    ],
)
def test_every_promise_can_be_broken(name: str, spoil: dict[str, Any]) -> None:
    tasks = played()
    tasks[name] = msgspec.structs.replace(tasks[name], **spoil)
    found = broken(tasks)
    assert any(f"task {tasks[name].id} " in sentence for sentence in found), found
    assert Priority.URGENT in {task.priority for task in tasks.values()}


def test_missing_git_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = orchestrator("demo", "--exit", cwd=folder, TMPDIR=str(folder), PATH="/nowhere")
    assert ran.returncode == Exit.FAILED
    assert "no git" in ran.stderr
