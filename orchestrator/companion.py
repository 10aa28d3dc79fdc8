"""The worker that a server runs beside itself: started when the server answers, started again when it dies, ended before it."""

import asyncio
import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from orchestrator.settings import SettingsError
from worker_client.output import LineSplitter

log = structlog.get_logger()
DRAIN_SECONDS: Final = 20.0
"""How long its tasks may go on when the server is told to stop, unless ORCHESTRATOR_DRAIN_SECONDS says otherwise."""
_REPORT_SECONDS: Final = 20.0
"""What it may take after that to end the work and give it back."""
_FIRST_PAUSE: Final = 1.0
_MOST_PAUSE: Final = 60.0
_SOON_SECONDS: Final = 30.0
"""One that ends by itself so soon has not worked at all."""
_MOST_FAILURES: Final = 5
_OVER: Final = {
    0: "it was drained",
    2: "its options are wrong",
    3: "no agent of it can work",
}
"""Exit codes after which another start would change nothing; see `worker_client.crew.Exit`."""
_CHUNK: Final = 65_536


class Manned(Struct, frozen=True, kw_only=True):
    """What the worker is to do: work in these directories, with these agents (`auto`: all that are found)."""

    directories: tuple[Path, ...]
    agents: tuple[str, ...] = ("auto",)

    @property
    def patterns(self) -> list[str]:
        """The directories as a key names them."""
        return [str(Path(os.path.realpath(path), "**")) for path in self.directories]

    def command(self, address: str, *, pretty: bool) -> list[str]:
        """The worker's command line."""
        # Without -P the directory that the server was started in would be searched for modules first.
        line = [sys.executable, "-P", "-m", "worker_client.cli", "run", "--leash", "--url", address]
        line += ["--log-format", "text" if pretty else "json"]
        for directory in self.directories:
            line += ["--dir", os.path.realpath(directory)]
        for agent in self.agents:
            line += ["--agent", agent]
        return line


class Companion:
    """Supervises one worker; all of it is called in the server's event loop. `key`: what it shows to the server.

    Raises SettingsError.
    """

    def __init__(self, manned: Manned, key: str, *, pretty: bool, environ: Mapping[str, str] = os.environ) -> None:
        self._manned = manned
        self._pretty = pretty
        self._drain_seconds = _seconds(environ.get("ORCHESTRATOR_DRAIN_SECONDS"))
        mine = {"ORCHESTRATOR_API_KEY": key, "ORCHESTRATOR_DRAIN_SECONDS": f"{self._drain_seconds:g}"}
        # Lists in the environment would be added to what the command line names.
        dropped = {"ORCHESTRATOR_DIR", "ORCHESTRATOR_AGENT", "ORCHESTRATOR_URL"}
        self._environment = {**{name: value for name, value in environ.items() if name not in dropped}, **mine}
        self._process: asyncio.subprocess.Process | None = None
        self._leaving = asyncio.Event()
        self._supervising: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def begin(self, address: str) -> None:
        """Start it: the server answers."""
        self._supervising = asyncio.create_task(self._supervise(address))

    def leave(self, then: Callable[[], None]) -> None:
        """Have it drain, within bounds, then go on with `then`; called again, it gives everything back at once."""
        self._leaving.set()
        self._signal(signal.SIGTERM)
        if self._ending is None:
            log.info("the worker drains first; told once more, it gives back its tasks at once", seconds=self._drain_seconds)
            self._ending = asyncio.create_task(self._left(then))

    async def end(self) -> None:
        """Leave nothing of it behind."""
        self._leaving.set()
        self._signal(signal.SIGKILL)
        for task in (self._supervising, self._ending):
            if task is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _left(self, then: Callable[[], None]) -> None:
        if self._supervising is not None:
            done, _ = await asyncio.wait({self._supervising}, timeout=self._drain_seconds + _REPORT_SECONDS)
            if not done:
                log.error("the worker did not end in time, and is killed")
                self._signal(signal.SIGKILL)
        then()

    async def _supervise(self, address: str) -> None:
        failures = 0
        while not self._leaving.is_set():
            began = time.monotonic()
            try:
                code = await self._run(address)
            except OSError as error:
                log.error("the worker can't be started", reason=str(error))  # noqa: TRY400 - it says all
                code = 1
            if self._leaving.is_set():
                return
            if (over := _OVER.get(code)) is not None:
                log.error("the worker has ended, and is not started again: the server goes on without", code=code, reason=over)
                return
            soon = time.monotonic() - began < _SOON_SECONDS
            failures = failures + 1 if soon else 1
            if code == 1 and failures >= _MOST_FAILURES:
                reason = "it can't work as it was set up: see its lines above"
                log.error("the worker has ended, and is not started again: the server goes on without", code=code, reason=reason)
                return
            pause = min(_MOST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
            log.warning("the worker has ended, and is started again", code=code, seconds=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._leaving.wait()

    async def _run(self, address: str) -> int:
        """One life of it; its exit code, or minus the signal that ended it."""
        process = await asyncio.create_subprocess_exec(
            *self._manned.command(address, pretty=self._pretty),
            env=self._environment,
            # Its end is the end of this process, however that comes about.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C is for the server, which then ends it in order.
            start_new_session=True,
        )
        self._process = process
        if self._leaving.is_set():
            self._signal(signal.SIGTERM)
        log.info("the worker runs", pid=process.pid, directories=[str(path) for path in self._manned.directories])
        await self._relay(process)
        return await process.wait()

    async def _relay(self, process: asyncio.subprocess.Process) -> None:
        lines = LineSplitter(time.monotonic)
        prefix = "worker | " if self._pretty else ""
        while process.stdout is not None:
            chunk = await process.stdout.read(_CHUNK)
            for line in lines.feed(chunk, final=not chunk):
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(f"{prefix}{line}\n")
                    sys.stderr.flush()
            if not chunk:
                return

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or DRAIN_SECONDS)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"ORCHESTRATOR_DRAIN_SECONDS = {text!r} is no number of seconds to drain for")
    return seconds


def reachable(address: str) -> str:
    """An address at which this machine reaches a server that listens at `address`, which may stand for all there are."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
