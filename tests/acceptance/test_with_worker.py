"""`orchestrator serve --with-worker`: a server and its worker, as processes, under kills."""

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from orchestrator.cli.exits import Exit
from tests.acceptance.agents import Claude, done, refused
from tests.acceptance.programs import PATIENCE_SECONDS, Server, orchestrator, serving, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")


def logged(server: Server) -> str:
    return (server.folder / "server.log").read_text()


def worker_pid(server: Server, *, other_than: int = 0) -> int:
    def last() -> int:
        found = [int(pid) for pid in re.findall(r"the worker runs.*?pid\W+(\d+)", logged(server))]
        return found[-1] if found and found[-1] != other_than else 0

    return int(until(last))


def shown(server: Server, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/api/v1/tasks/{task_id}", headers=server_headers(server)).json()["data"]
    return found


def ended(server: Server, task_id: str) -> dict[str, Any]:
    def final() -> dict[str, Any] | None:
        task = shown(server, task_id)
        return task if task["status"] in {"completed", "failed", "cancelled"} else None

    found: dict[str, Any] = until(final)
    return found


def server_headers(server: Server) -> dict[str, str]:
    key = server.variables.get("ORCHESTRATOR_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def add(server: Server, **body: Any) -> str:
    created = httpx.post(f"{server.url}/api/v1/tasks", json=body, headers=server_headers(server)).json()
    return str(created["data"]["id"])


def script(server: Server, command: str, repo: Path) -> str:
    return add(server, kind="script", spec={"command": command}, work_directory=str(repo))


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    return tmp_path / "repo"


def test_one_command_serves_and_works(tmp_path: Path, repo: Path) -> None:
    """As the README has it; Ctrl-C then lets what runs end, while the server still answers."""
    claude = Claude(tmp_path, done())
    with serving(repo, "--with-worker", ".", **claude.variables) as server:
        added = server.run("add", "fix the flaky test", "--dir", ".", "--quiet", cwd=repo).stdout.strip()
        task = ended(server, added)
        assert (task["status"], task["agent"], task["usage"]["cost_usd"]) == ("completed", "claude", 0.25)
        assert task["session_id"]
        (call,) = claude.calls()
        assert call["cwd"] == str(repo)
        assert "fix the flaky test" in call["stdin"]
        assert "ORCHESTRATOR_API_KEY" not in call["env"]
        worker = worker_pid(server)
        script(server, "echo begun > begun; while [ ! -e go ]; do sleep 0.05; done", repo)
        until((repo / "begun").exists)
        server.process.send_signal(signal.SIGINT)
        until(lambda: "the worker drains first" in logged(server))
        assert httpx.get(f"{server.url}/health/ready").status_code == 200
        (repo / "go").touch()
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert gone(worker)
    log = logged(server)
    assert re.search(r"task \d+: done, now completed", log)
    assert not re.search("Traceback|Fatal", log)


def test_the_worker_is_started_again_and_never_left_behind(tmp_path: Path, repo: Path) -> None:
    """It is killed: another one comes. The server is killed: worker, script and the script's children are gone."""
    with serving(tmp_path, "--with-worker", str(repo), HOME=str(tmp_path)) as server:
        first = worker_pid(server)
        os.kill(first, signal.SIGKILL)
        second = worker_pid(server, other_than=first)
        script(server, "echo $$ > pid; trap '' TERM; sleep 1000 & while :; do sleep 1; done", repo)
        until(lambda: (repo / "pid").exists() and (repo / "pid").read_text().strip())
        running = int((repo / "pid").read_text())
        children = [one.pid for one in psutil.Process(running).children(recursive=True)]
        server.process.kill()
        server.process.wait()
        until(lambda: all(map(gone, (second, running, *children))))


def test_told_twice_it_gives_back_at_once(tmp_path: Path, repo: Path) -> None:
    with serving(tmp_path, "--with-worker", str(repo), HOME=str(tmp_path)) as server:
        task = script(server, "echo begun > begun; trap '' TERM; while :; do sleep 1; done", repo)
        until((repo / "begun").exists)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "the worker drains first" in logged(server))
        server.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - told < 15
    assert f"task {task}: released, now waiting" in logged(server)


def test_with_keys_it_has_one_of_its_own(tmp_path: Path, repo: Path) -> None:
    """It may do nothing but work, nowhere but in its directories, and is in no list of keys."""
    made = orchestrator(
        *("keys", "create", "--name", "me", "--scope", "admin", "--database", f"sqlite:///{tmp_path}/tasks.db", "--json"),
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)["key"]
    with serving(tmp_path, "--with-worker", str(repo), HOME=str(tmp_path)) as server:
        mine = server.holding(key)
        assert ended(mine, script(mine, "true", repo))["status"] == "completed"
        keys = httpx.get(f"{server.url}/api/v1/auth/keys", headers=server_headers(mine)).json()["data"]["items"]
        assert [one["name"] for one in keys] == ["me"]
        own = psutil.Process(worker_pid(server)).environ()["ORCHESTRATOR_API_KEY"]
        theirs = {"Authorization": f"Bearer {own}"}
        added = {"work_directory": str(repo), "prompt": "x"}
        assert httpx.post(f"{server.url}/api/v1/tasks", json=added, headers=theirs).status_code == 403
        asked = {"work_path": [str(tmp_path)], "worker_id": "w"}
        assert httpx.post(f"{server.url}/api/v1/tasks/claim", json=asked, headers=theirs).status_code == 403


def test_an_agent_that_can_not_work_is_said_and_not_tried_for_ever(tmp_path: Path, repo: Path) -> None:
    claude = Claude(tmp_path, refused(), code=1)
    kinds = {"ORCHESTRATOR_KIND": "agent"}
    with serving(tmp_path, "--with-worker", str(repo), "--agent", "claude", **claude.variables, **kinds) as server:
        task = add(server, prompt="fix it", work_directory=str(repo))
        until(lambda: "is not started again" in logged(server))
        assert [shown(server, task)[name] for name in ("status", "attempt")] == ["waiting", 0]
        assert "Not logged in" in logged(server)
        assert len(claude.calls()) == 1
        assert httpx.get(f"{server.url}/health").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--with-worker", "missing"], "missing"),
        (["--agent", "claude"], "--with-worker"),
        (["--with-worker", "."], "ORCHESTRATOR_DRAIN_SECONDS = 'soon' is no number of seconds"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], words: str) -> None:
    ran = orchestrator("serve", "--port", "0", *arguments, cwd=tmp_path, ORCHESTRATOR_DRAIN_SECONDS="soon")
    assert (ran.returncode, words in ran.stderr) == (Exit.USAGE, True)


def test_an_unknown_agent_ends_the_worker_alone(tmp_path: Path, repo: Path) -> None:
    with serving(tmp_path, "--with-worker", str(repo), "--agent", "hal", HOME=str(tmp_path)) as server:
        until(lambda: "is not started again" in logged(server))
        assert "no agent is called hal" in logged(server)
        assert httpx.get(f"{server.url}/health").status_code == 200
