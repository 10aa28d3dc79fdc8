"""What is checked before a task counts as completed: its own `verify`, or that of its directory."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker_client.contract.enums import LogStream
from worker_client.contract.reports import Usage
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Failed
from worker_client.runners.programs import Ran, execute

VERIFY_FAILED = "VerifyFailed"


class Checks:
    """The commands of directories, for what is in them and below; the nearest counts."""

    def __init__(self, commands: Mapping[str, str] | None = None) -> None:
        self._commands = {os.path.realpath(Path(path).expanduser()): command for path, command in (commands or {}).items()}

    def command(self, context: RunContext, own: str | None) -> str | None:
        """What to run for a task, whose `own` goes before its directory's."""
        if own is not None or not self._commands:
            return own
        directory = Path(context.task.work_directory)
        return next((self._commands[str(path)] for path in (directory, *directory.parents) if str(path) in self._commands), None)


async def verify(context: RunContext, command: str, environment: Mapping[str, str]) -> Ran:
    """Run a check, in the task's directory."""
    context.log(f"$ {command}", LogStream.SYSTEM)
    return await execute(context, arguments(command), environment)


def verify_failure(check: Ran, usage: Usage) -> Failed:
    """The failure of a task whose check did not pass; `details` has the end of its output for the next attempt."""
    return Failed(type=VERIFY_FAILED, message=check.told("`verify`"), details=check.result(), usage=usage)


def arguments(command: str | list[str], args: list[str] | None = None) -> list[str]:
    """The program and its arguments; a string goes through the system's shell."""
    args = args or []
    if isinstance(command, list):
        return [*command, *args]
    if os.name == "nt":
        return [os.environ.get("COMSPEC", "cmd.exe"), "/d", "/s", "/c", f"{command} {subprocess.list2cmdline(args)}".rstrip()]
    return ["/bin/sh", "-c", f"{command} {shlex.join(args)}".rstrip() if args else command]
