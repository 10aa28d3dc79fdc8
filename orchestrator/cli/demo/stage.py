"""What the demo stands on: a temporary folder with a git repository, a server and a worker; all of it goes again."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ADDRESS: Final = re.compile(rb"https?://\S+")
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
FILES: Final = {
    "README.md": "# Moonbase\n\nA small program to try things on.\n",
    "index.txt": "Welcome, everbody.\n",
    "moonbase.py": '"""How much air there is."""\n\n\ndef hours_of_air(tanks: int) -> int:\n    return tanks * 6\n',
    "test_moonbase.py": (
        "import unittest\n\nfrom moonbase import hours_of_air\n\n\nclass Air(unittest.TestCase):\n"
        "    def test_two_tanks(self):\n        self.assertEqual(hours_of_air(2), 12)\n"
    ),
    ".gitignore": "__pycache__/\n*.tar\n",
}
_GIT_SETTINGS: Final = {
    "user.name": "Demo",
    "user.email": "demo@localhost",
    "commit.gpgsign": "false",
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
}


class StageError(RuntimeError):
    """The demo cannot go on; the message says what is missing or went wrong."""


class Stage:
    """Makes everything when entered and removes it when left, whatever happened in between."""

    def __init__(self) -> None:
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="orchestrator-demo-")))
        self.repository = self.folder / "moonbase"
        self._processes: dict[str, Process] = {}

    async def make_repository(self) -> None:
        """A small git repository with one commit."""
        if shutil.which("git") is None:
            raise StageError("the demo works on a git repository, and there is no git on this machine's PATH")
        self.repository.mkdir()
        for name, text in FILES.items():
            (self.repository / name).write_text(text, encoding="utf-8")
        await self._git("init", "--quiet", "--initial-branch=main")
        for name, value in _GIT_SETTINGS.items():
            await self._git("config", name, value)
        await self._git("add", "--all")
        await self._git("commit", "--quiet", "--message=The moonbase")

    async def start_server(self, port: int) -> str:
        """`orchestrator serve` on a fresh file; its address, once it answers."""
        database = f"sqlite:///{self.folder / 'tasks.db'}"
        server = await self._start("server", "orchestrator.cli", "serve", "--port", str(port), "--database", database)
        try:
            async with asyncio.timeout(START_SECONDS):
                while line := await self._output(server).readline():
                    if found := ADDRESS.search(line):
                        return found[0].decode()
        except TimeoutError:
            raise StageError(f"the server did not answer within {START_SECONDS:.0f} s{self.log('server')}") from None
        raise StageError(f"the server ended before it answered{self.log('server')}")

    async def start_worker(self, url: str, concurrency: int) -> None:
        """`orchestrator-worker run` in the repository."""
        options = ["--dir", str(self.repository), "--concurrency", str(concurrency), "--drain-seconds", "0", "--url", url]
        await self._start("worker", "worker_client.cli", "run", *options)

    async def fallen(self) -> str:
        """Which of the processes has ended, as soon as one has."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[done.pop()]
        finally:
            for wait in waits:
                wait.cancel()

    def log(self, name: str) -> str:
        """The last lines that a process logged, indented, to be put after a sentence."""
        file = self.folder / f"{name}.log"
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if file.is_file() else []
        return "".join(f"\n  {line}" for line in [":" if lines else "", *lines]).replace("\n  :", ":", 1)

    async def _start(self, name: str, module: str, *arguments: str) -> Process:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", module, *arguments),
                cwd=self.folder,
                env={**_environment(), "ORCHESTRATOR_STATE_DIR": str(self.folder / "state")},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=log,
                # Ctrl-C is for the demo, which then ends them in order.
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def _output(self, process: Process) -> asyncio.StreamReader:
        if process.stdout is None:
            raise StageError("a process without output")
        return process.stdout

    async def _git(self, *arguments: str) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        git = await asyncio.create_subprocess_exec(
            "git", *arguments, cwd=self.repository, env=environment, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await git.communicate()
        if git.returncode != 0:
            raise StageError(f"git {arguments[0]} failed: {output.decode(errors='replace').strip()}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # The worker first, so that it can give its tasks back.
        for process in reversed(self._processes.values()):
            await _stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)


async def _stop(process: Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
                return


def _environment() -> dict[str, str]:
    """This process's environment without settings for another server or client."""
    ours = ("APP_", "ORCHESTRATOR_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONUNBUFFERED": "1"}
