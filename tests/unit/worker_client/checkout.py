"""Real git repositories, and runs in worktrees of them."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.unit.worker_client.peer import NOW, task_json
from worker_client.client import AsyncClient
from worker_client.contract.enums import LogStream
from worker_client.contract.tasks import ClaimedTask, Task
from worker_client.git import environment
from worker_client.runners.base import Notes, RunContext
from worker_client.worktrees import Worktree, Worktrees

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
SERVER = "http://server"


def git(directory: Path | str, *arguments: str, check: bool = True, **variables: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments],
        env={**environment(os.environ), **WHO, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository(path: Path) -> Path:
    """With one commit: `a`, `sub/b`, and `*.log` and `build/` ignored."""
    (path / "sub").mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main")
    (path / "a").write_text("a\n")
    (path / "sub" / "b").write_text("b\n")
    (path / ".gitignore").write_text("*.log\nbuild/\n")
    return commit(path)


def commit(path: Path, message: str = "one") -> Path:
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "-m", message)
    return path


def at(place: Worktree, *names: str) -> Path:
    return Path(place.directory, *names)


class _Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str, stream: LogStream) -> None:
        assert stream is LogStream.SYSTEM
        self.lines.append(text)


def context_of(task_id: int, directory: Path | str, **facts: Any) -> RunContext:
    claimed = {"status": "running", "attempt": 1, "lease_no": 1, "lease": f"{task_id}.1.ab", "delivery_no": 1}
    task = msgspec.convert(task_json(task_id, work_directory=str(directory), **{**claimed, **facts}), ClaimedTask)
    return RunContext(task, directory=str(directory), exclusive=False, server_url=SERVER, logs=_Lines(), notes=Notes())  # type: ignore[arg-type]


def lines_of(context: RunContext) -> list[str]:
    return context.logs.lines  # type: ignore[attr-defined, no-any-return]


def ended(context: RunContext, status: str = "completed") -> Task:
    facts = {"status": status, "created_at": context.task.created_at.isoformat()}
    return msgspec.convert(task_json(context.task.id, work_directory=context.directory, **facts), Task)


@contextlib.asynccontextmanager
async def run_in(worktrees: Worktrees, directory: Path | str, task_id: int = 7, **facts: Any) -> AsyncIterator[Worktree]:
    """A run of a task that isn't over after it."""
    context = context_of(task_id, directory, **facts)
    async with worktrees.open(context) as place:
        yield place


async def finish(worktrees: Worktrees, directory: Path | str, work: str = "true", task_id: int = 7, **facts: Any) -> Worktree:
    """A whole run: a shell command in the worktree, and the end of its task."""
    context = context_of(task_id, directory, **facts)
    async with worktrees.open(context) as place:
        shell = await asyncio.create_subprocess_shell(work, cwd=place.directory, env={**environment(os.environ), **WHO})
        assert await shell.wait() == 0
    await worktrees.settle(ended(context), place)
    return place


def server(answer: Callable[[int], Task | int]) -> AsyncClient:
    """A client of a server that answers so about a task: as it is, or with a status of HTTP."""

    def respond(request: httpx.Request) -> httpx.Response:
        found = answer(int(request.url.path.rpartition("/")[2]))
        if isinstance(found, int):
            error = {"code": {404: "NOT_FOUND", 403: "FORBIDDEN"}[found], "message": "no", "details": {}}
            return httpx.Response(found, json={"success": False, "data": None, "error": error, "timestamp": NOW})
        data = msgspec.to_builtins(found)
        return httpx.Response(200, json={"success": True, "data": data, "error": None, "timestamp": NOW})

    return AsyncClient(SERVER, transport=httpx.MockTransport(respond))
