"""Process trees: start one, follow what it uses, stop all of it."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from msgspec import Struct

from worker_client import guardian

_GUARDIAN = str(Path(guardian.__file__).resolve())
MARK = "ORCHESTRATOR_TREE"
"""Variable that every process of a tree has in its environment, with a value of the tree's own."""
_LINE_LIMIT = 1 << 18
_SAMPLES = (0.1, 5.0)
"""Seconds to the first look at the memory, and the most between two of them."""


class Ended(Struct, frozen=True):
    """How a program ended: `exit_code`, or the name of the `signal` that ended it; CPU seconds and bytes of the whole tree."""

    exit_code: int | None
    signal: str | None
    cpu_seconds: float
    peak_memory_bytes: int


class ProcessTree:
    """A running program and all that it starts; leaving the context ends what is left of it, at once.

    On POSIX systems `worker_client.guardian` stands in between; elsewhere the tree is found by the parents of its processes.
    """

    def __init__(self, process: asyncio.subprocess.Process, status_fd: int | None, mark: str) -> None:
        self._process = process
        self._status_fd = status_fd
        self._mark = mark
        self._seen: set[psutil.Process] = set()
        self._peak = 0
        self._hunting: asyncio.Task[None] | None = None
        self._cpu: dict[psutil.Process, float] = {}
        self._sampler = asyncio.create_task(self._sample())
        self._ended: asyncio.Task[Ended] = asyncio.create_task(self._end())

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, directory: str, environment: Mapping[str, str], stdin: Path | None = None
    ) -> Self:
        """Start a program in a session of its own; a program that can't be started ends with exit code 127 or 126.

        `stdin`: the file that it reads, else it reads nothing.
        """
        mark = secrets.token_hex(8)
        environment = {**environment, MARK: mark}
        pipes = {"stdin": -1, "stdout": -1, "stderr": -1, "limit": _LINE_LIMIT, "cwd": directory, "env": environment}
        if os.name != "posix":
            with (stdin or Path(os.devnull)).open("rb") as source:
                process = await asyncio.create_subprocess_exec(*argv, **{**pipes, "stdin": source})  # type: ignore[arg-type]
            return cls(process, None, mark)
        source_fd = os.open(stdin or os.devnull, os.O_RDONLY)
        status, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _GUARDIAN, str(write), str(source_fd), *argv),
                pass_fds=(write, source_fd),
                start_new_session=True,
                **pipes,  # type: ignore[arg-type]
            )
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(write)
            os.close(source_fd)
        return cls(process, status, mark)

    @property
    def pid(self) -> int:
        """The process that stands for the whole tree."""
        return self._process.pid

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What it prints; read it to the end, or the program stands still."""
        return self._process.stdout  # type: ignore[return-value]

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What it complains about; read it to the end, or the program stands still."""
        return self._process.stderr  # type: ignore[return-value]

    async def wait(self) -> Ended:
        """Wait until the program and everything that it started have ended."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Ended:
        """Ask all of it to end, kill after `grace` seconds what has not; a cancellation kills at once."""
        if self._status_fd is None:
            self._look()
            for process in self._seen:
                # A number that belongs to another process by now isn't signalled: psutil compares the time of its start.
                with contextlib.suppress(psutil.Error):
                    process.terminate()
            asyncio.get_running_loop().call_later(grace, self.kill)
        else:
            self._tell(f"stop {grace}")
        try:
            return await self.wait()
        except asyncio.CancelledError:
            self.kill()
            raise

    def live(self, seconds: float) -> None:
        """Kill all of it after so many seconds even if this process has died, hangs or is stopped by then."""
        self._tell(f"live {guardian.boot_clock()() + seconds}")

    def kill(self) -> None:
        """Kill all of it now."""
        if self._status_fd is None:
            self._hunting = asyncio.create_task(asyncio.to_thread(self._hunt))
        elif self._process.stdin is not None:
            self._process.stdin.close()

    def _tell(self, line: str) -> None:
        control = self._process.stdin
        if self._status_fd is not None and control is not None and not control.is_closing():
            control.write(line.encode() + b"\n")

    async def _end(self) -> Ended:
        if self._status_fd is None:
            code = await self._process.wait()
            self._sampler.cancel()
            await asyncio.to_thread(self._hunt)
            return _ended(code, sum(self._cpu.values()), self._peak)
        # The end of the status pipe is the end of the guardian; the process's own may be told only when its output ends.
        report = await _read_all(self._status_fd)
        self._sampler.cancel()
        if not report:
            await asyncio.to_thread(self._hunt)
            return _ended(-signal.SIGKILL, sum(self._cpu.values()), self._peak)
        _, status, cpu, peak = report.split()
        return _ended(os.waitstatus_to_exitcode(int(status)), float(cpu), max(self._peak, int(peak)))

    def _hunt(self) -> None:
        """Without a guardian, or when somebody killed it: find all of the tree by the mark in its environment, and end it."""
        found = True
        while found:
            found = False
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                        process.kill()
                        found = True

    async def _sample(self) -> None:
        pause, most = _SAMPLES
        while True:
            await asyncio.sleep(pause)
            await asyncio.to_thread(self._look)
            pause = min(2 * pause, most)

    def _look(self) -> None:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self._process.pid)
            self._seen.update(root.children(recursive=True), [root] if self._status_fd is None else [])
        memory = 0
        for process in self._seen:
            with contextlib.suppress(psutil.Error):
                memory += process.memory_info().rss
                used = process.cpu_times()
                self._cpu[process] = used.user + used.system
        self._peak = max(self._peak, memory)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._ended.done():
            self.kill()
        await self.wait()
        # Output that nobody reads any more would keep asyncio from noticing that the process has ended.
        transport: asyncio.SubprocessTransport = self._process._transport  # type: ignore[attr-defined]  # noqa: SLF001  nothing public has it
        for pipe in (1, 2):
            if (output := transport.get_pipe_transport(pipe)) is not None:
                output.close()
        await self._process.wait()
        transport.close()


async def _read_all(fd: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    received = b""
    loop.add_reader(fd, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            chunk = os.read(fd, 4096)
            if not chunk:
                return received
            received += chunk
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _ended(code: int, cpu_seconds: float, peak: int) -> Ended:
    if code >= 0:
        return Ended(code, None, cpu_seconds, peak)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return Ended(None, name, cpu_seconds, peak)
