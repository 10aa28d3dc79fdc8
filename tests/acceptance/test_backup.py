"""`orchestrator backup` while clients write, as the page about it says; then the backup is served."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.programs import ROOT, Server, environment, orchestrator, serving
from tests.postgres import free_port

BLOCK = re.compile(r"```sh\n(mkdir -p backups\n.*?)```", re.DOTALL)


class Load:
    """A client that creates tasks and completes some of them, and knows what it was told."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=30)
        self.created: list[int] = []
        self.held: dict[int, str] = {}
        self.completed: set[int] = set()
        self.lives = threading.Semaphore(0)
        self.over = False

    def run(self) -> None:
        """Until the server is gone."""
        with contextlib.suppress(httpx.TransportError), self._http:
            while not self.over:
                self._live()
                self.lives.release()

    def _live(self) -> None:
        """Two tasks are created, two claimed, one of them completed."""
        for _ in range(2):
            task = self._ask("POST", "/tasks", json={"work_directory": f"/{self._name}", "prompt": "x"})
            self.created.append(task["id"])
        for _ in range(2):
            params = {"work_path": f"/{self._name}", "worker_id": self._name, "wait": 0}
            task = self._ask("GET", "/tasks/next", params=params)
            self.held[task["id"]] = task["lease"]
        self._ask("POST", f"/tasks/{task['id']}/complete", json={"lease": task["lease"]})
        del self.held[task["id"]]
        self.completed.add(task["id"])

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        answer = self._http.request(method, path, **request)
        answer.raise_for_status()
        return answer.json()["data"]


@contextlib.contextmanager
def loaded(server: Server) -> Iterator[list[Load]]:
    """Four clients at work."""
    loads = [Load(server.url, f"client{n}") for n in range(4)]
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    try:
        yield loads
    finally:
        for load in loads:
            load.over = True
        for thread in threads:
            thread.join()


def lived(loads: list[Load], times: int) -> None:
    for load in loads:
        for _ in range(times):
            assert load.lives.acquire(timeout=60)


def first_event(url: str, headers: dict[str, str]) -> str:
    """What a reader of the feed is told first."""
    told = ""
    with httpx.stream("GET", f"{url}/api/v1/events", headers=headers, timeout=30) as stream:
        for line in stream.iter_lines():
            told += f"{line}\n"
            if line.startswith("id:"):
                break
    return told


@pytest.mark.timeout(120)
def test_a_backup_under_load_is_restored(tmp_path: Path) -> None:
    (block,) = BLOCK.findall((ROOT / "docs" / "operating.md").read_text(encoding="utf-8"))
    with serving(tmp_path) as server:
        with loaded(server) as loads:
            lived(loads, 5)
            begun = [(set(load.created), set(load.completed)) for load in loads]
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            variables = environment(APP_DATABASE_URL=server.database, PATH=path)
            subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env=variables, check=True, timeout=60)
            lived(loads, 5)
            last = re.findall(r"id: (\S+)", first_event(server.url, {}))[0]
            server.process.kill()
        later = max(task_id for load in loads for task_id in load.created)
        held = {task_id: lease for load in loads for task_id, lease in load.held.items()}
    (copy,) = (tmp_path / "backups").iterdir()
    checked = orchestrator("db", "--database", f"sqlite:///{copy}", "query", "PRAGMA integrity_check", cwd=tmp_path)
    assert '"ok"' in checked.stdout
    assert copy.stat().st_mode & 0o077 == 0

    restored = tmp_path / "restored"
    restored.mkdir()
    copy.rename(restored / "tasks.db")
    with serving(restored) as server, httpx.Client(base_url=f"{server.url}/api/v1", timeout=30) as http:
        for created, completed in begun:
            for task_id in created:
                task = http.get(f"/tasks/{task_id}").json()["data"]
                assert task["status"] == "completed" or task_id not in completed
                assert task["status"] != "running"
        for task_id, lease in held.items():
            refused = http.post(f"/tasks/{task_id}/complete", json={"lease": lease})
            assert refused.status_code in {404, 409}
            assert refused.json()["error"]["code"] == ("LEASE_LOST" if refused.status_code == 409 else "NOT_FOUND")
        assert "event: reset" in first_event(server.url, {"Last-Event-ID": last})
        assert http.post("/tasks", json={"work_directory": "/new", "prompt": "x"}).json()["data"]["id"] > later + 1_000_000
        ask: dict[str, str | int | bool] = {"work_path": "/", "recursive": True, "worker_id": "new", "wait": 0}
        while (task := http.get("/tasks/next", params=ask).json()["data"]) is not None:
            assert task["attempt"] == 1
            assert http.post(f"/tasks/{task['id']}/complete", json={"lease": task["lease"]}).status_code == 200
        by_status = http.get("/statistics").json()["data"]["by_status"]
        assert {status for status, count in by_status.items() if count} == {"completed"}


def test_a_backup_says_why_not(tmp_path: Path) -> None:
    url = f"postgresql://ada:secret@127.0.0.1:{free_port()}/tasks"
    elsewhere = orchestrator("backup", "copy.db", "--database", url, cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert "pg_dump" in elsewhere.stderr
    assert "secret" not in elsewhere.stderr
    nothing = orchestrator("backup", "copy.db", "--database", "sqlite:///none.db", "--json", cwd=tmp_path)
    assert nothing.returncode == 3
    assert not (tmp_path / "copy.db").exists()
    (tmp_path / "other.db").write_text("no database")
    other = orchestrator("backup", "copy.db", "--database", "sqlite:///other.db", cwd=tmp_path)
    assert other.returncode == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "other.db"]
