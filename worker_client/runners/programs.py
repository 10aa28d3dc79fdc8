"""Running one program for a task: what it sees of the environment, its output into the log, how it ended."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from worker_client import tracing
from worker_client.contract.enums import LogStream
from worker_client.contract.limits import ResourceLimits
from worker_client.locks import Locks
from worker_client.output import LineSplitter, Tail
from worker_client.processes import Ended, ProcessTree
from worker_client.runners.base import RunContext
from worker_client.state import state_folder

CHUNK: Final = 65_536
INHERITED: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TMP", "TEMP"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
)
"""What a program sees of the worker's environment: enough to work, none of its secrets."""
MOST_ARGUMENT_BYTES: Final = 128 * 1024 - 1
"""What Linux allows, also for a variable with its name."""
MOST_ENVIRONMENT_BYTES: Final = 512 * 1024
"""All variables and arguments together may have four times as much."""
NOT_FOUND: Final = 127
_MEANINGS: Final = {126: "the command can't be executed", NOT_FOUND: "the command was not found"}


class Splitter(Protocol):
    """Turns bytes into lines."""

    def feed(self, chunk: bytes, *, final: bool = False) -> list[str]:
        """The lines that this chunk ends."""


class Ran(Struct, frozen=True):
    """A program that has ended; `tail` is the end of what it printed."""

    ended: Ended
    duration_ms: int
    tail: str

    def result(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "exit_code": self.ended.exit_code,
            "signal": self.ended.signal,
            "duration_ms": self.duration_ms,
            "cpu_seconds": round(self.ended.cpu_seconds, 3),
            "peak_memory_bytes": self.ended.peak_memory_bytes,
            "output_tail": self.tail,
        }

    def told(self, what: str) -> str:
        """How `what` ended, in words."""
        code = self.ended.exit_code
        if self.ended.exceeded:
            used = self.ended.exceeded / 2**20
            return f"{what} was ended: it had {used:.0f} MiB of memory, more than `resource_limits.memory` allows"
        how = f"was ended by {self.ended.signal}" if code is None else f"ended with exit code {code}"
        if code in _MEANINGS:
            how += f": {_MEANINGS[code]}"
        last = self.tail.rpartition("\n")[2][:500]
        return f"{what} {how}" + (f"; it last printed: {last}" if last else "")


Take = Callable[[str, LogStream], Iterable[str]]
"""Gets each line of output; returns what of it goes into the log."""
Watch = Callable[[ProcessTree], Awaitable[None]]
"""Runs beside a program, and may stop it."""
Stop = Callable[[ProcessTree, float], Awaitable[Any]]
"""Ends a program within so many seconds."""


def inherited(names: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What programs see of the worker's environment, with the further `names`."""
    return {name: environ[name] for name in (*INHERITED, *names) if name in environ}


def plain_lines() -> Splitter:
    """Lines as a terminal would show them."""
    return LineSplitter(time.monotonic)


async def execute(  # noqa: PLR0913  what a run can be given
    context: RunContext,
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    own: Mapping[str, str | None] | None = None,
    stdin: Path | None = None,
    splitter: Callable[[], Splitter] = plain_lines,
    take: Take = lambda line, _: (line,),
    watch: Watch | None = None,
    stop: Stop = ProcessTree.stop,
) -> Ran:
    """Run a program to the end of all that it started; when cancelled, end it within `context.grace` seconds and raise on.

    Waits until no other run is in the way, raises CannotBegin when one stays, and holds the program to the task's limits.
    `environment` is what it inherits; the task's own and facts about the task come on top, and over all of them `own`: what no
    task may change, None for what isn't to be there. `stdin`: a file to read from.
    """
    tail = Tail()
    started = time.monotonic()

    def note(line: str, stream: LogStream) -> None:
        for shown in take(line, stream):
            tail.add(shown)
            context.log(shown, stream)

    mixed = {**environment, **_of_task(context), **_about(context), **(own or {})}
    whole = {name: value for name, value in mixed.items() if value is not None}
    limits = _limits(context)
    lock = await Locks(state_folder() / "locks").take(
        context.directory, exclusive=context.exclusive, waiting=lambda what: context.log(what, LogStream.SYSTEM)
    )
    async with await ProcessTree.start(
        argv,
        directory=context.directory,
        environment=whole,
        stdin=stdin,
        alive_for=context.lease_left(),
        limits=limits,
        lock=lock,
    ) as tree:
        output = asyncio.gather(
            _pump(tree.stdout, splitter(), LogStream.STDOUT, context, note),
            _pump(tree.stderr, plain_lines(), LogStream.STDERR, context, note),
        )
        watching = None if watch is None else asyncio.ensure_future(watch(tree))
        try:
            context.follow_lease(tree.live)
            ended = await tree.wait()
            await asyncio.shield(output)
        except asyncio.CancelledError:
            await stop(tree, context.grace)
            await output
            raise
        finally:
            if watching is not None:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watching
    return Ran(ended, int((time.monotonic() - started) * 1000), str(tail))


def _of_task(context: RunContext) -> dict[str, str]:
    """What the task has in its environment; raises ValueError for what no program can be given, whichever it is."""
    given = context.task.environment
    sizes = {name: len(f"{name}={value}".encode()) for name, value in given.items()}
    for name, size in sizes.items():
        if "\0" in name + given[name] or size > MOST_ARGUMENT_BYTES:
            words = f"{name!r} has {size} bytes; it may have {MOST_ARGUMENT_BYTES}, and no NUL"
            raise ValueError(f"`environment` of the task can't be passed on: {words}")
    if (size := sum(sizes.values())) > MOST_ENVIRONMENT_BYTES:
        raise ValueError(
            f"`environment` of the task can't be passed on: it has {size} bytes, of {MOST_ENVIRONMENT_BYTES} at most"
        )
    return given


def _limits(context: RunContext) -> ResourceLimits:
    try:
        limits = msgspec.convert(context.task.resource_limits, ResourceLimits)
    except msgspec.ValidationError as error:
        raise ValueError(f"`resource_limits` of the task can't be kept: {error}") from error
    if sys.platform != "linux" and (limits.cpu or limits.memory):
        context.log("`resource_limits` of cpu and memory hold on Linux only: this run is not limited", LogStream.SYSTEM)
    return limits


def _about(context: RunContext) -> dict[str, str]:
    traceparent = tracing.current()
    return {
        **({tracing.VARIABLE: traceparent} if traceparent else {}),
        "ORCHESTRATOR_URL": context.server_url,
        "ORCHESTRATOR_TASK_ID": str(context.task.id),
        "ORCHESTRATOR_ATTEMPT": str(context.task.attempt),
        "ORCHESTRATOR_WORK_DIRECTORY": context.directory,
        "PWD": context.directory,
    }


async def _pump(
    reader: asyncio.StreamReader,
    lines: Splitter,
    stream: LogStream,
    context: RunContext,
    note: Callable[[str, LogStream], None],
) -> None:
    while True:
        chunk = await reader.read(CHUNK)
        for line in lines.feed(chunk, final=not chunk):
            note(line, stream)
        if not chunk:
            return
        await context.logs.room()
