"""Runs git: with no settings of the worker's own environment, no hooks, and nobody to ask."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

OWN_SETTINGS: Final = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
"""What a run may have left in a repository is not to be executed by its worker."""
_INHERITED: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TMP", "TEMP", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSH_AUTH_SOCK"),
)
"""A repository may be set up to run filters when it is checked out: they see no more than this."""
LOOK_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 5.0
_CONTENDED: Final = (".lock': File exists", "cannot lock ref", "could not lock", "Unable to create", "Unable to write new index")
_TAKEN: Final = ("already exists", "cannot create")


class GitError(Exception):
    """A command failed; the message is git's own."""

    @property
    def contended(self) -> bool:
        """Whether somebody else was just writing to the repository."""
        text = str(self)
        return any(sign in text for sign in _CONTENDED) and not any(sign in text for sign in _TAKEN)


class GitMissing(Exception):
    """There is no git on this machine."""


class Git:
    """Runs git in one directory. `lock`: a file descriptor that git holds on to, should this process die before it."""

    def __init__(self, directory: str | Path, *, variables: Mapping[str, str] | None = None, lock: int | None = None) -> None:
        self.directory = directory
        self._variables = dict(variables or {})
        self._lock = lock

    def with_variables(self, **variables: str) -> "Git":
        """The same, with these in its environment."""
        return Git(self.directory, variables={**self._variables, **variables}, lock=self._lock)

    async def __call__(self, *arguments: str, seconds: float | None = LOOK_SECONDS) -> str:
        """What it prints; raises GitError."""
        try:
            process = await asyncio.create_subprocess_exec(
                *("git", "-C", str(self.directory), *OWN_SETTINGS, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**environment(os.environ), **self._variables},
                pass_fds=() if self._lock is None or os.name != "posix" else (self._lock,),
                # Without a terminal, nothing it starts can ask for a password.
                start_new_session=True,
            )
        except FileNotFoundError:
            raise GitMissing("git isn't installed on this machine, or isn't on the PATH of the worker") from None
        try:
            async with asyncio.timeout(seconds):
                printed, complaints = await process.communicate()
        except TimeoutError:
            raise GitError(f"git {arguments[0]} didn't end within {seconds:g} s") from None
        finally:
            await _end(process)
        if process.returncode:
            raise GitError(os.fsdecode(complaints).strip() or f"git {arguments[0]} ended with {process.returncode}")
        return os.fsdecode(printed)

    async def line(self, *arguments: str) -> str:
        """What it prints on one line."""
        return (await self(*arguments)).removesuffix("\n")

    async def items(self, *arguments: str) -> list[str]:
        """What it prints, separated by NUL."""
        return [item for item in (await self(*arguments)).split("\0") if item]

    async def succeeds(self, *arguments: str) -> bool:
        """Whether it ends well."""
        try:
            await self(*arguments)
        except GitError:
            return False
        return True


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for git: nothing that makes it work elsewhere, ask somebody or answer in another language; no secrets."""
    return {
        **{name: environ[name] for name in _INHERITED if name in environ},
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "SSH_ASKPASS_REQUIRE": "never",
        "LC_ALL": "C",
    }


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop it, if it still runs: gently first, since git then removes its lock files."""
    for stop in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, stop) if os.name == "posix" else process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
