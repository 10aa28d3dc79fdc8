"""Starts the real programs, as their users do, and ends them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

ROOT: Final = Path(__file__).parents[2]
ADDRESS: Final = re.compile(r"https?://\S+")
PATIENCE_SECONDS: Final = 60
T = TypeVar("T")


def until(condition: Callable[[], T | None]) -> T:
    """What the condition is once it is something; processes elsewhere have no event to wait for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return found


def environment(**more: str) -> dict[str, str]:
    """Ours, without settings for any other server; colourless, so that text can be compared."""
    ours = ("APP_", "ORCHESTRATOR_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "120", **more}


def command(*arguments: str) -> list[str]:
    """`orchestrator ...`, from this checkout."""
    return [sys.executable, "-m", "orchestrator.cli", *arguments]


def orchestrator(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def started(*arguments: str, cwd: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A running command; ended, if it has not by itself, with SIGTERM."""
    variables = options.pop("variables", {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    process = subprocess.Popen(command(*arguments), cwd=cwd, env=environment(**variables), text=True, **pipes)
    try:
        yield process
    finally:
        end(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> int:
    """Send a signal and return the exit code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


class Server:
    """A running server, and commands that talk to it, with a key or without."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, folder: Path, key: str = "") -> None:
        self.process = process
        self.url = url
        self.folder = folder
        self.database = f"sqlite:///{folder / 'tasks.db'}"
        self.variables = {"ORCHESTRATOR_URL": url, **({"ORCHESTRATOR_API_KEY": key} if key else {})}

    def holding(self, key: str) -> "Server":
        """The same server, asked with a key."""
        return Server(self.process, self.url, self.folder, key)

    def run(self, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command that talks to this server."""
        return orchestrator(*arguments, cwd=cwd or self.folder, **self.variables, **variables)

    def json(self, *arguments: str, cwd: Path | None = None) -> Any:
        """What a command prints with --json."""
        ran = self.run(*arguments, "--json", cwd=cwd)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def start(self, *arguments: str, **options: Any) -> Any:
        """A command that talks to this server and goes on."""
        return started(*arguments, cwd=self.folder, variables=self.variables, **options)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """`orchestrator serve` on a file in `folder`."""
    database = f"sqlite:///{folder / 'tasks.db'}"
    line = ["serve", "--port", "0", "--database", database, *arguments]
    with (folder / "server.log").open("w") as log, started(*line, cwd=folder, stderr=log, variables=variables) as process:
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found, (folder / "server.log").read_text()
        yield Server(process, found[0], folder)


@contextlib.contextmanager
def working(server: Server, directory: Path) -> Iterator[None]:
    """`orchestrator-worker run` in a directory."""
    arguments = ["--dir", str(directory), "--drain-seconds", "0"]
    with (server.folder / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker_client.cli", "run", *arguments],
            env=environment(**server.variables),
            stderr=log,
            text=True,
        )
        try:
            yield
        finally:
            end(process)


def mentioning(words: str) -> list[str]:
    """The command lines of all processes that name `words`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if words in line and process.pid != os.getpid():
                found.append(line)
    return found
