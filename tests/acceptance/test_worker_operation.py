"""`orchestrator-worker run` beside a real server: suspended, drained, and several agents in one process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.agents import Claude, done, refused
from tests.acceptance.programs import PATIENCE_SECONDS, Server, environment, serving, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")


def api(server: Server, method: str, path: str, **body: Any) -> Any:
    answered = httpx.request(method, f"{server.url}/api/v1{path}", json=body or None)
    assert answered.is_success, answered.text
    return answered.json()["data"] if answered.content else None


@contextmanager
def worker(server: Server, repo: Path, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "worker_client.cli", "run", "--dir", str(repo), *arguments]
    with (repo.parent / "worker.log").open("w") as log:
        process = subprocess.Popen(command, env=environment(**server.variables, **variables), stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def logged(repo: Path) -> str:
    return (repo.parent / "worker.log").read_text()


def statuses(server: Server, *tasks: int) -> list[str]:
    return [api(server, "GET", f"/tasks/{task}")["status"] for task in tasks]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as one:
        yield one


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    return tmp_path / "repo"


def test_it_goes_on_after_it_was_suspended(server: Server, repo: Path) -> None:
    """Its lease is over when it wakes up, and its work with it; it asks again, gets the task again, and asks in no hot loop."""
    body = {"kind": "script", "work_directory": str(repo), "backoff": {"base_seconds": 0}, "exclusive": True}
    task = api(server, "POST", "/tasks", **body, spec={"command": "echo $$ >> runs; [ $(wc -l < runs) = 2 ] || sleep 1000"})["id"]
    with worker(server, repo, "--lease-seconds", "2") as process:
        until((repo / "runs").exists)
        process.send_signal(signal.SIGSTOP)
        until(lambda: statuses(server, task) == ["waiting"])
        process.send_signal(signal.SIGCONT)
        until(lambda: statuses(server, task) == ["completed"])
        assert [one["outcome"] for one in api(server, "GET", f"/tasks/{task}/attempts")["items"]] == ["expired", "completed"]
        second = api(server, "POST", "/tasks", **body, spec={"command": "true"})["id"]
        until(lambda: statuses(server, second) == ["completed"])
        (present,) = [one for one in api(server, "GET", "/workers")["items"] if one["work_paths"] == [str(repo)]]
        assert (present["kinds"], present["holds"]) == (["script"], [])
    log = logged(repo)
    assert "the lease is lost, nothing is reported" in log or "stopping the work: expiring" in log
    assert log.count("asking for tasks failed") <= 2
    assert "Traceback" not in log


def test_agents_and_scripts_in_one_process(server: Server, repo: Path) -> None:
    """Each has a Worker of its own, which `/workers` shows; draining one of them drains the process."""
    claude = Claude(repo.parent, done())
    first = api(server, "POST", "/tasks", prompt="fix it", work_directory=str(repo))["id"]
    second = api(server, "POST", "/tasks", kind="script", spec={"command": "true"}, work_directory=str(repo))["id"]
    with worker(server, repo, "--agent", "auto", "--worker-id", "w", "--account", "claude=team", **claude.variables) as process:
        until(lambda: statuses(server, first, second) == ["completed"] * 2)
        here = [one for one in api(server, "GET", "/workers")["items"] if one["work_paths"] == [str(repo)]]
        present = {one["worker_id"]: one for one in here}
        assert {name: (one["kinds"], one["account"]) for name, one in present.items()} == {
            "w": (["script"], None),
            "w-claude": (["agent"], "team"),
        }
        api(server, "POST", "/workers/w-claude/drain")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert "draining: the server says so" in logged(repo)


def test_once_is_until_nothing_waits_for_any_of_them(server: Server, repo: Path) -> None:
    """A script that comes after an agent's task, which is refused at first: both its places are asked again."""
    claude = Claude(repo.parent, done())
    first = api(server, "POST", "/tasks", prompt="fix it", work_directory=str(repo))["id"]
    body = {"kind": "script", "spec": {"command": "echo once >> runs"}, "work_directory": str(repo)}
    last = api(server, "POST", "/tasks", **body, depends_on=[first])["id"]
    with worker(server, repo, "--agent", "claude", "--once", **claude.variables) as process:
        assert process.wait(PATIENCE_SECONDS) == 0
    assert statuses(server, first, last) == ["completed"] * 2


def test_who_is_not_logged_in_says_so_by_its_exit_code(server: Server, repo: Path) -> None:
    claude = Claude(repo.parent, refused(), code=1)
    task = api(server, "POST", "/tasks", prompt="fix it", work_directory=str(repo))["id"]
    with worker(server, repo, "--agent", "claude", "--once", **claude.variables) as process:
        assert process.wait(PATIENCE_SECONDS) == 3
    shown = api(server, "GET", f"/tasks/{task}")
    assert (shown["status"], shown["attempt"]) == ("waiting", 0)
    assert re.search("asks for nothing more: .*Not logged in", logged(repo))
