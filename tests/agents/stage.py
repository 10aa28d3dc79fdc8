"""A server, a directory, a scripted model, and a worker that runs a real agent there."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil

from tests.acceptance.programs import ROOT, Server, end, serving
from tests.agents.homes import Home
from tests.agents.model import Model, scripted

PATIENCE_SECONDS: Final = 100
SETTINGS: Final = """\
[agents.claude]
args = ["--allowedTools", "Bash"]

[agents.codex]
inherit = ["SCRIPTED_KEY"]

[agents.opencode]
inherit = ["SCRIPTED_KEY", "OPENCODE_DISABLE_DEFAULT_PLUGINS"]
"""


class Stage:
    """Everything that one task of an agent needs, for real."""

    def __init__(self, server: Server, model: Model, home: Home, directory: Path) -> None:
        self.server, self.model, self.home, self.directory = server, model, home, directory

    def add(self, prompt: str, **facts: Any) -> int:
        """Create a task for an agent."""
        task = self.ask("POST", "/tasks", {"work_directory": str(self.directory), "prompt": prompt, "max_attempts": 1, **facts})
        return int(task["id"])

    def task(self, task_id: int) -> dict[str, Any]:
        """The task as it is now."""
        found: dict[str, Any] = self.ask("GET", f"/tasks/{task_id}")
        return found

    def attempts(self, task_id: int) -> list[dict[str, Any]]:
        """Its attempts, in order."""
        found: list[dict[str, Any]] = self.ask("GET", f"/tasks/{task_id}/attempts")["items"]
        return found

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the server answers."""
        request = urllib.request.Request(  # noqa: S310 - the server that this test has started
            f"{self.server.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - see above
            return json.load(answer)["data"]

    def worker(self, agent: str, *arguments: str) -> "subprocess.Popen[str]":
        """`orchestrator-worker run` with an agent; its log is in `worker.log`."""
        line = [sys.executable, "-m", "worker_client.cli", "run", "--dir", str(self.directory), "--agent", agent]
        environment = {**self.home.environment, "PYTHONPATH": str(ROOT), **self.server.variables}
        with (self.server.folder / "worker.log").open("a") as log:
            return subprocess.Popen([*line, *arguments], env=environment, stdin=subprocess.DEVNULL, stderr=log, text=True)

    def work(self, agent: str, *arguments: str) -> int:
        """Have a worker do what waits; its exit code."""
        worker = self.worker(agent, "--once", *arguments)
        try:
            return worker.wait(PATIENCE_SECONDS)
        finally:
            end(worker)

    def left(self) -> list[psutil.Process]:
        """Processes that belong to the user whose home this is, all of them started by the worker."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("HOME") == str(self.home.path):
                    found.append(process)
        return found

    def log(self) -> str:
        """What the workers wrote."""
        return (self.server.folder / "worker.log").read_text()


@contextlib.contextmanager
def staged(folder: Path, home: Home) -> Iterator[Stage]:
    """All of it, on loopback."""
    directory = folder / "project"
    directory.mkdir()
    subprocess.run(["git", "init", "-q", str(directory)], check=True)
    home.write(".config/task-orchestrator/worker.toml", SETTINGS)
    with serving(folder) as server, scripted() as model:
        home.ask(model.url)
        yield Stage(server, model, home, directory)
        assert model.unknown == []
