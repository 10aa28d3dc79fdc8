"""The worker's file of settings: how each agent is run, and what is checked in which directory."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from worker_client.errors import ConfigurationError

NonEmpty = Annotated[str, Meta(min_length=1)]
STALL_SECONDS = 900.0
"""An agent that has printed nothing for so long is taken for stuck."""


class AgentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent, `[agents.NAME]`.

    `args` are appended to the command line. `inherit`: further variables of the worker's environment that the agent may see.
    `stall_seconds`: how long it may be silent. The rest is for agents that are described here (see `custom.py`): `command` and
    `resume_command` with `{prompt}`, `{prompt_file}`, `{session_id}`, `{model}`, `{directory}`; regular expressions for output
    that says `done`, `quota` or `auth`; `preset` to begin with.
    """

    program: NonEmpty | None = None
    args: list[str] = []
    model: NonEmpty | None = None
    inherit: list[NonEmpty] = []
    environment: dict[str, str] = {}
    account: NonEmpty | None = None
    stall_seconds: Annotated[float, Meta(gt=0)] = STALL_SECONDS
    preset: NonEmpty | None = None
    command: Annotated[list[str], Meta(min_length=1)] | None = None
    resume_command: Annotated[list[str], Meta(min_length=1)] | None = None
    done: NonEmpty | None = None
    quota: NonEmpty | None = None
    auth: NonEmpty | None = None


class DirectorySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory, `[directories."/srv/a"]`; `verify`: must exit 0 before a task in it counts as completed."""

    verify: NonEmpty | None = None


class WorkerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    agents: dict[str, AgentSettings] = {}
    directories: dict[str, DirectorySettings] = {}


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
        return msgspec.convert(tomllib.loads(text), WorkerSettings)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: no valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").replace("[...]", ".NAME").lstrip(".")
        raise ConfigurationError(f"{path}: {key or 'the file'}: {what}") from error
