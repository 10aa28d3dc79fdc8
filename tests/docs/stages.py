"""What a page needs around it, beside a server: `<!-- stage: server receiver -->` near its top."""

import contextlib
import http.server
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import psycopg

from tests.docs.github import prepare
from tests.postgres import own_server

if TYPE_CHECKING:
    from tests.docs.story import Story


class _Receiver(http.server.ThreadingHTTPServer):
    """`texts`: what Slack was told."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.texts = texts


class _Hook(http.server.BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/slack":
            self.server.texts.append(body["text"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def _receiver(story: "Story") -> Iterator[None]:
    """Somebody who is told: `https://example.org/hook`, and `$SLACK_URL`, also a secret of the server."""
    with _Receiver(story.texts) as receiver:
        threading.Thread(target=receiver.serve_forever).start()
        story.places["https://example.org/hook"] = f"http://127.0.0.1:{receiver.server_port}/hook"
        story.variables["SLACK_URL"] = story.variables["APP_SECRET_SLACK_URL"] = f"http://127.0.0.1:{receiver.server_port}/slack"
        story.variables["APP_NOTIFY_ALLOW_PRIVATE"] = "127.0.0.0/8"
        yield
        receiver.shutdown()


@contextlib.contextmanager
def _postgres(story: "Story") -> Iterator[None]:
    """PostgreSQL, as `db.example.org`, where a user `tasks` needs no password; its programs are asked as usual."""
    memory = Path("/dev/shm")  # noqa: S108 - a file system, not a file
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.exists() else None) as folder,
        own_server(Path(folder), durable=False) as server,
    ):
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE tasks SUPERUSER LOGIN")
        story.places["db.example.org"] = f"127.0.0.1:{server.port}"
        story.variables |= {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "tasks", "PGDATABASE": "tasks"}
        story.variables["PATH"] += f":{server.programs}"
        yield


@contextlib.contextmanager
def _alone(story: "Story") -> Iterator[None]:
    """No server is named: what can be done in the database is done there."""
    del story.variables["ORCHESTRATOR_URL"]
    yield


@contextlib.contextmanager
def _secrets(story: "Story") -> Iterator[None]:
    """What the server can be asked for."""
    story.variables["APP_SECRET_NPM_TOKEN"] = "npm_0123456789"
    yield


def _failed(story: "Story") -> None:
    """Twenty tasks, of which the one with the id 17 has failed."""
    task = {"kind": "script", "work_directory": str(story.shop), "spec": {"command": "make tset"}, "max_attempts": 1}
    tasks = {"tasks": [task] * 20}
    with httpx.Client(base_url=f"{story.variables['ORCHESTRATOR_URL']}/api/v1") as client:
        client.post("/tasks/batch", json=tasks).raise_for_status()
        taken = client.post("/tasks/claim", json={"work_path": [str(story.shop)], "worker_id": "w", "limit": 20}).json()["data"][
            "tasks"
        ]
        (lease,) = (task["lease"] for task in taken if task["id"] == 17)
        error = {"type": "ExitCode", "message": "make: *** No rule to make target 'tset'.  Stop."}
        client.post("/tasks/17/fail", json={"lease": lease, "error": error}).raise_for_status()


def install(folder: Path) -> None:
    """A stand-in for pip, pipx and uv: knows what may be asked for, and installs nothing, as all is there already."""
    for name in ("pip", "pipx", "uv"):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.docs.installer {name} "$@"\n')
        (folder / name).chmod(0o755)


@contextlib.contextmanager
def _prompts(story: "Story") -> Iterator[None]:
    """Prompts that others have."""
    (story.shop / "commands.json").write_text('[{"name": "Fix Issue", "prompt": "Fix issue $1"}]')
    (story.shop / "more.yaml").write_text("commands: {tidy: {body: Tidy up}}")
    slash = story.folder / "home/.claude/commands/optimize.md"
    slash.parent.mkdir(parents=True)
    slash.write_text("Optimize $ARGUMENTS")
    yield


STAGES: Final[Mapping[str, Callable[["Story"], AbstractContextManager[None]]]] = {
    "github": prepare, "receiver": _receiver, "postgres": _postgres, "alone": _alone, "secrets": _secrets, "prompts": _prompts,
}  # fmt: skip
LATER: Final[Mapping[str, Callable[["Story"], None]]] = {"failed": _failed}
"""What is done once the server answers."""
