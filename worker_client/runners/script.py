"""Kind `script`: a command in the task's work directory; success is exit code 0, of `verify` too when there is one."""

import asyncio
import os
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.contract.specs import ScriptSpec
from worker_client.contract.tasks import ClaimedTask
from worker_client.output import LineSplitter, Tail
from worker_client.processes import Ended, ProcessTree
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome

CHUNK = 65_536
INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TMP", "TEMP"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
)
"""What a command sees of the worker's environment: enough to work, none of its secrets."""
_MEANINGS = {126: "the command can't be executed", 127: "the command was not found"}


class ScriptRunner:
    """Runs commands; `inherit` names more variables of the worker's environment that they may see."""

    kind = "script"
    needs_directory = True

    def __init__(self, *, inherit: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> None:
        self._environment = {name: environ[name] for name in (*INHERITED, *inherit) if name in environ}

    async def run(self, context: RunContext) -> Outcome:
        """Run the command, then `verify`."""
        try:
            spec = msgspec.convert(context.task.spec or {}, ScriptSpec)
        except msgspec.ValidationError as error:
            return Failed(type="InvalidSpec", message=f"spec of a script task: {error}", retryable=False)
        result = await self._execute(context, arguments(spec.command, spec.args))
        if result["exit_code"] != 0:
            return _failure("ExitCode", "the command", result)
        if spec.verify is not None:
            context.log(f"$ {spec.verify}", LogStream.SYSTEM)
            check = await self._execute(context, arguments(spec.verify, []))
            if check["exit_code"] != 0:
                return _failure("VerifyFailed", "`verify`", check)
        return Done(result, Usage(duration_ms=result["duration_ms"]))

    async def _execute(self, context: RunContext, argv: list[str]) -> dict[str, Any]:
        environment = {**self._environment, **context.task.environment, **_about(context)}
        tail = Tail()
        started = time.monotonic()
        async with await ProcessTree.start(argv, directory=context.directory, environment=environment) as tree:
            output = asyncio.gather(
                _pump(tree.stdout, LogStream.STDOUT, context, tail), _pump(tree.stderr, LogStream.STDERR, context, tail)
            )
            try:
                context.follow_lease(tree.live)
                ended = await tree.wait()
                await asyncio.shield(output)
            except asyncio.CancelledError:
                await tree.stop(context.grace)
                await output
                raise
        return _result(ended, int((time.monotonic() - started) * 1000), tail)


def arguments(command: str | list[str], args: list[str]) -> list[str]:
    """The program and its arguments; a string goes through the system's shell."""
    if isinstance(command, list):
        return [*command, *args]
    if os.name == "nt":
        return [os.environ.get("COMSPEC", "cmd.exe"), "/d", "/s", "/c", f"{command} {subprocess.list2cmdline(args)}".rstrip()]
    return ["/bin/sh", "-c", f"{command} {shlex.join(args)}".rstrip() if args else command]


def _about(context: RunContext) -> dict[str, str]:
    task: ClaimedTask = context.task
    return {
        "ORCHESTRATOR_URL": context.server_url,
        "ORCHESTRATOR_TASK_ID": str(task.id),
        "ORCHESTRATOR_ATTEMPT": str(task.attempt),
        "ORCHESTRATOR_WORK_DIRECTORY": context.directory,
        "PWD": context.directory,
    }


async def _pump(reader: asyncio.StreamReader, stream: LogStream, context: RunContext, tail: Tail) -> None:
    lines = LineSplitter(time.monotonic)
    while True:
        chunk = await reader.read(CHUNK)
        for line in lines.feed(chunk, final=not chunk):
            tail.add(line)
            context.log(line, stream)
        if not chunk:
            return
        await context.logs.room()


def _result(ended: Ended, duration_ms: int, tail: Tail) -> dict[str, Any]:
    return {
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "duration_ms": duration_ms,
        "cpu_seconds": round(ended.cpu_seconds, 3),
        "peak_memory_bytes": ended.peak_memory_bytes,
        "output_tail": str(tail),
    }


def _failure(kind: str, what: str, result: dict[str, Any]) -> Failed:
    code = result["exit_code"]
    how = f"was ended by {result['signal']}" if code is None else f"ended with exit code {code}"
    if code in _MEANINGS:
        how += f": {_MEANINGS[code]}"
    last = result["output_tail"].rpartition("\n")[2][:500]
    message = f"{what} {how}" + (f"; it last printed: {last}" if last else "")
    return Failed(type=kind, message=message, details=result, usage=Usage(duration_ms=result["duration_ms"]))
