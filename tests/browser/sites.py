"""A server process of a test, that may be stopped, killed and started again at the same address."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from tests.acceptance import programs
from worker_client import Client


class Site:
    """`orchestrator serve` on a file in a folder, on a port of its own; `url` stays the same over restarts.

    `module`: what is run in place of the command line.
    """

    def __init__(self, folder: Path, *arguments: str, module: str = "orchestrator.cli", **variables: str) -> None:
        self.folder = folder
        self._module = module
        self.url = ""
        self._arguments = arguments
        self._variables = variables
        self._process: subprocess.Popen[str] | None = None

    @property
    def database(self) -> Path:
        """The file."""
        return self.folder / "tasks.db"

    @cached_property
    def client(self) -> Client:
        """The SDK's client of it, with the key of an administrator where there is one."""
        return Client(self.url, self._variables.get("APP_AUTH_BOOTSTRAP_KEY"))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        port = self.url.rpartition(":")[2] or "0"
        line = [sys.executable, "-m", self._module, "serve", "--port", port, "--database", f"sqlite:///{self.database}"]
        with (self.folder / "server.log").open("a") as log:
            self._process = self._open([*line, *self._arguments], log)
        assert self._process.stdout is not None
        found = programs.ADDRESS.search(self._process.stdout.readline())
        assert found, (self.folder / "server.log").read_text()
        self.url = found[0]

    def _open(self, line: list[str], log: IO[str]) -> "subprocess.Popen[str]":
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        return subprocess.Popen(line, cwd=self.folder, env=programs.environment(**self._variables), **options)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, in good order or by SIGKILL."""
        assert self._process is not None
        programs.end(self._process, number)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def end(self) -> None:
        """Stop it if it runs, and let go of it."""
        if self._process is not None:
            self.stop()
        if "client" in self.__dict__:
            self.client.close()


@contextmanager
def site(folder: Path, *arguments: str, module: str = "orchestrator.cli", **variables: str) -> Iterator[Site]:
    """A server that runs; ended afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Site(folder, *arguments, module=module, **variables)
    try:
        made.start()
        yield made
    finally:
        made.end()
