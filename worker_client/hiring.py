"""Which Workers a process consists of: one per agent, and one for the other kinds of tasks."""

import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from worker_client.client import AsyncClient
from worker_client.errors import ConfigurationError
from worker_client.runners.agent.settings import WorkerSettings, load
from worker_client.runners.base import Runner
from worker_client.runners.script import ScriptRunner
from worker_client.runners.verify import Checks
from worker_client.shift import Shift
from worker_client.worker import Worker

SCRIPT: Final = "script"


class UnknownNameError(ConfigurationError):
    """Something was named that there is not; the message lists what there is."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What was asked for; see `orchestrator-worker run --help`."""

    directories: tuple[Path, ...]
    fence: tuple[Path, ...] = ()
    recursive: bool = True
    kinds: tuple[str, ...] = ()
    concurrency: int = 1
    config: Path | None = None
    url: str | None = None
    api_key: str | None = None
    host: str | None = None
    worker_id: str | None = None
    lease_seconds: float = 60.0
    drain_seconds: float = 60.0


_SHARED: Final = ("directories", "fence", "recursive", "concurrency", "lease_seconds", "drain_seconds")
"""What all Workers of a process are given alike."""


def hire(wanted: Wanted, shift: Shift, environ: Mapping[str, str] = os.environ) -> list[Worker]:
    """The Workers; raises ConfigurationError, UnknownNameError for a kind that there is not."""
    settings = load(wanted.config, environ)
    host = wanted.host or socket.gethostname()
    base = wanted.worker_id or f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
    fields = structs.asdict(wanted)
    shared: dict[str, Any] = {name: fields[name] for name in _SHARED} | {"host": host, "shift": shift}

    def worker(worker_id: str, runners: list[Runner], **more: Any) -> Worker:
        return Worker(AsyncClient(wanted.url, wanted.api_key), runners=runners, worker_id=worker_id, **shared, **more)

    workers = []
    if runners := _other_runners(wanted, settings):
        workers.append(worker(base, runners))
    return workers


def _other_runners(wanted: Wanted, settings: WorkerSettings) -> list[Runner]:
    checks = Checks({path: found.verify for path, found in settings.directories.items() if found.verify})
    known: dict[str, Runner] = {SCRIPT: ScriptRunner(checks=checks)}
    kinds = wanted.kinds or (SCRIPT,)
    if unknown := sorted(set(kinds).difference(known)):
        raise UnknownNameError(
            f"this worker can't run tasks of kind {', '.join(unknown)}; it can run: {', '.join(sorted(known))}"
        )
    return [known[kind] for kind in dict.fromkeys(kinds)]
