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
from worker_client.contract.limits import ResourceLimits
from worker_client.entering import opened
from worker_client.guardian.clock import boot_clock
from worker_client.guardian.orders import Orders
from worker_client.locks import Held
from worker_client.remains import MARK, end_remains

_GUARDIAN = str(Path(guardian.__file__).resolve().parent)
_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""All that a guardian gets of our environment: where to find what Python itself may need."""
_LINE_LIMIT = 1 << 18
_SAMPLES = (0.1, 5.0)
"""Seconds to the first look at the memory, and the most between two of them."""


class Ended(Struct, frozen=True):
    """How a program ended: `exit_code`, or the name of the `signal` that ended it; CPU seconds and bytes of the whole tree.

    `exceeded`: the bytes of memory for which the guardian ended it, being more than its limit; else 0.
    """

    exit_code: int | None
    signal: str | None
    cpu_seconds: float
    peak_memory_bytes: int
    exceeded: int = 0


class ProcessTree:
    """A running program and all that it starts; leaving the context ends what is left of it, at once.

    On POSIX systems `worker_client.guardian` stands in between; elsewhere the tree is found by the parents of its processes.
    """

    def __init__(self, process: asyncio.subprocess.Process, status_fd: int | None, mark: str, lock: Held | None = None) -> None:
        self._process = process
        self._status_fd = status_fd
        self._mark = mark
        self._lock = lock
        self._seen: set[psutil.Process] = set()
        self._peak = 0
        self._hunting: asyncio.Task[None] | None = None
        self._cpu: dict[psutil.Process, float] = {}
        self._sampler = asyncio.create_task(self._sample())
        self._ended: asyncio.Task[Ended] = asyncio.create_task(self._end())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        stdin: Path | None = None,
        alive_for: float | None = None,
        limits: ResourceLimits | None = None,
        lock: Held | None = None,
    ) -> Self:
        """Start a program in a session of its own; a program that can't be started ends with exit code 127 or 126.

        `directory`: its real name; a symlink in it raises CannotBegin, also one that has been put there a moment ago.
        `stdin`: the file that it reads, else it reads nothing. `alive_for`: seconds after which all of it is killed, until
        `live` says otherwise. `lock` is passed on to it.
        """
        mark = secrets.token_hex(8) if lock is None else lock.mark
        environment = {**environment, MARK: mark}
        pipes = {"stdin": -1, "stdout": -1, "stderr": -1, "limit": _LINE_LIMIT}
        if os.name != "posix":
            with (stdin or Path(os.devnull)).open("rb") as file:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    cwd=directory,
                    env=environment,
                    **{**pipes, "stdin": file},  # type: ignore[arg-type]
                )
            return cls(process, None, mark, lock)
        until = None if alive_for is None else boot_clock()() + alive_for
        with contextlib.ExitStack() as ours:
            if lock is not None:
                ours.callback(lock.passed_on)
            place = opened(directory)
            ours.callback(os.close, place)
            source = os.open(stdin or os.devnull, os.O_RDONLY)
            ours.callback(os.close, source)
            status, write = os.pipe()
            ours.callback(os.close, write)
            orders = Orders(
                environment=environment,
                report=write,
                directory=place,
                source=source,
                until=until,
                lock=None if lock is None else lock.fd,
                record=None if lock is None else str(lock.record),
                memory=None if limits is None else limits.memory_bytes,
                cpu=None if limits is None else limits.cores,
            )
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", _GUARDIAN, mark, *argv),
                    pass_fds=[fd for fd in (write, place, source, orders.lock) if fd is not None],
                    start_new_session=True,
                    env={name: os.environ[name] for name in _LOADER if name in os.environ},
                    **pipes,  # type: ignore[arg-type]
                )
            except BaseException:
                os.close(status)
                raise
            process.stdin.write(orders.line())  # type: ignore[union-attr]
            return cls(process, status, mark, lock)

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
        self._tell(f"live {boot_clock()() + seconds}")

    def kill(self) -> None:
        """Kill all of it now."""
        if self._status_fd is None:
            self._hunting = asyncio.create_task(asyncio.to_thread(end_remains, self._mark))
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
            await asyncio.to_thread(end_remains, self._mark)
            return _ended(code, sum(self._cpu.values()), self._peak)
        # The end of the status pipe is the end of the guardian; the process's own may be told only when its output ends.
        report = await _read_all(self._status_fd)
        self._sampler.cancel()
        if not report or sys.platform != "linux":
            await asyncio.to_thread(end_remains, self._mark)
            if self._lock is not None:
                self._lock.forget()
        if not report:
            return _ended(-signal.SIGKILL, sum(self._cpu.values()), self._peak)
        _, status, cpu, peak, exceeded = report.split()
        return _ended(os.waitstatus_to_exitcode(int(status)), float(cpu), max(self._peak, int(peak)), int(exceeded))

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


def _ended(code: int, cpu_seconds: float, peak: int, exceeded: int = 0) -> Ended:
    if code >= 0:
        return Ended(code, None, cpu_seconds, peak, exceeded)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return Ended(None, name, cpu_seconds, peak, exceeded)
