"""The worker's file of settings: how each agent is run, and what is checked in which directory."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from worker_client.errors import ConfigurationError
from worker_client.runners.functions.settings import FunctionSettings

NonEmpty = Annotated[str, Meta(min_length=1)]
Pattern = NonEmpty
"""A regular expression, looked for in each line."""
STALL_SECONDS = 900.0
"""An agent that has printed nothing for so long is taken for stuck."""


class AgentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent, `[agents.NAME]`.

    `args` are appended to the command line. `inherit`: further variables of the worker's environment that the agent may see.
    `stall_seconds`: how long it may be silent. The rest is for agents that are described here (see `custom.py`): `command` and
    `resume_command` with `{prompt}`, `{prompt_file}`, `{session_id}`, `{model}`, `{directory}`; `output`: what it prints, text or
    the events of Claude Code; regular expressions for a line that says `done`, `quota` or `auth`; `preset` to begin with.
    """

    program: NonEmpty | None = None
    args: list[str] = []
    model: NonEmpty | None = None
    inherit: list[NonEmpty] = []
    environment: dict[str, str] = {}
    account: NonEmpty | None = None
    stall_seconds: Annotated[float, Meta(gt=0)] = STALL_SECONDS
    preset: NonEmpty | None = None
    output: Literal["text", "stream-json"] = "text"
    command: Annotated[list[str], Meta(min_length=1)] | None = None
    resume_command: Annotated[list[str], Meta(min_length=1)] | None = None
    done: Pattern | None = None
    quota: Pattern | None = None
    auth: Pattern | None = None


class DirectorySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory, `[directories."/srv/a"]`; `verify`: must exit 0 before a task in it counts as completed."""

    verify: NonEmpty | None = None


class WorkerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    agents: dict[str, AgentSettings] = {}
    directories: dict[str, DirectorySettings] = {}
    functions: FunctionSettings = FunctionSettings()


def default_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the settings are looked for unless they are named."""
    base = Path(environ.get("XDG_CONFIG_HOME") or "")
    if not base.is_absolute():
        base = Path(environ.get("HOME") or environ.get("USERPROFILE") or "/", ".config")
    return base / "task-orchestrator" / "worker.toml"


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> WorkerSettings:
    """The settings of a file, or of the default one if it is there; a ConfigurationError names the file and the key."""
    path = file or default_file(environ)
    try:
        text = path.read_text()
    except FileNotFoundError:
        if file is None:
            return WorkerSettings()
        raise ConfigurationError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: can't be read: {error}") from error
    try:
        settings = msgspec.convert(tomllib.loads(text), WorkerSettings)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: no valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").replace("[...]", ".NAME").lstrip(".")
        raise ConfigurationError(f"{path}: {key or 'the file'}: {what}") from error
    for name, agent in settings.agents.items():
        for key, pattern in (("done", agent.done), ("quota", agent.quota), ("auth", agent.auth)):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ConfigurationError(f"{path}: agents.{name}.{key}: {pattern!r} is no regular expression: {error}") from error
    return settings
