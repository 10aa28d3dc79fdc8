"""Which Workers a process consists of: one per agent, and one for the other kinds of tasks."""

import getpass
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from worker_client.client import AsyncClient
from worker_client.errors import ConfigurationError
from worker_client.runners.agent.known import KNOWN, agent_named
from worker_client.runners.agent.runner import AgentRunner
from worker_client.runners.agent.settings import AgentSettings, WorkerSettings, load
from worker_client.runners.base import Runner
from worker_client.runners.function import BUILTIN, FunctionRunner, functions_named
from worker_client.runners.http import HttpRunner
from worker_client.runners.script import ScriptRunner
from worker_client.runners.verify import Checks
from worker_client.shift import Shift
from worker_client.state import state_folder
from worker_client.worker import Worker
from worker_client.worktrees import Worktrees

logger = logging.getLogger("worker_client")
SCRIPT: Final = "script"
AGENT: Final = "agent"
AUTO: Final = "auto"


class UnknownNameError(ConfigurationError):
    """Something was named that there is not; the message lists what there is."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What was asked for; see `orchestrator-worker run --help`."""

    directories: tuple[Path, ...]
    fence: tuple[Path, ...] = ()
    recursive: bool = True
    kinds: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    accounts: tuple[tuple[str, str], ...] = ()
    stall_seconds: float | None = None
    worktree: bool = False
    functions: tuple[str, ...] = ()
    private_addresses: tuple[str, ...] = ()
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
        return Worker(AsyncClient(wanted.url, wanted.api_key), worker_id=worker_id, runners=runners, **shared, **more)

    where: dict[str, Any] = {"exclusive": True}
    if wanted.worktree:
        where = {"places": Worktrees(state_folder(environ) / "worktrees")}
    workers = [
        _agent_worker(name, wanted, settings, host, worker=partial(worker, f"{base}-{name}", **where), environ=environ)
        for name in _agents(wanted, settings, environ)
    ]
    if runners := _other_runners(wanted, settings, partial(AsyncClient, wanted.url, wanted.api_key)):
        workers.append(worker(base, runners))
    return workers


def _agents(wanted: Wanted, settings: WorkerSettings, environ: Mapping[str, str]) -> list[str]:
    """The names of the agents, each once; `auto` stands for those on PATH of the known ones and of the settings."""
    found: dict[str, None] = {}
    for name in wanted.agents:
        if name != AUTO:
            try:
                found[agent_named(name, settings).name] = None
            except ConfigurationError as error:
                raise UnknownNameError(str(error)) from None
            continue
        there = [one for one in dict.fromkeys((*KNOWN, *settings.agents)) if _program(one, settings, environ)]
        if not there:
            logger.warning("no agent is found on PATH: of %s there is none", ", ".join(KNOWN))
        found |= dict.fromkeys(there)
    if unnamed := sorted({name for name, _ in wanted.accounts}.difference(found)):
        raise UnknownNameError(
            f"--account names {unnamed[0]}, which is no agent of this worker; it has: {', '.join(found) or 'none'}"
        )
    return list(found)


def _program(name: str, settings: WorkerSettings, environ: Mapping[str, str]) -> str | None:
    """Where its program is, if it is."""
    own = settings.agents.get(name, AgentSettings())
    return shutil.which(own.program or agent_named(name, settings).program, path=environ.get("PATH"))


def _agent_worker(
    name: str,
    wanted: Wanted,
    settings: WorkerSettings,
    host: str,
    *,
    worker: Callable[..., Worker],
    environ: Mapping[str, str],
) -> Worker:
    agent, own = agent_named(name, settings), settings.agents.get(name, AgentSettings())
    if wanted.stall_seconds is not None:
        own = structs.replace(own, stall_seconds=wanted.stall_seconds)
    account = dict(wanted.accounts).get(name) or own.account or f"{name}:{_user()}@{host}"
    runner = AgentRunner(agent, own, state=state_folder(environ), account=account, checks=_checks(settings), environ=environ)
    made = worker([runner], agent=name, account=account)
    if _program(name, settings, environ) is None:
        made.give_up(f"{name} is not installed: there is no {own.program or agent.program} on PATH")
    return made


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _checks(settings: WorkerSettings) -> Checks:
    return Checks({path: found.verify for path, found in settings.directories.items() if found.verify})


def _other_runners(wanted: Wanted, settings: WorkerSettings, client: Callable[[], AsyncClient]) -> list[Runner]:
    functions = [*dict.fromkeys([*wanted.functions, *(f"{BUILTIN}{name}" for name in settings.functions.builtin)])]
    kinds = [kind for kind in wanted.kinds or (SCRIPT,) if kind != AGENT or not wanted.agents]
    kinds += [FunctionRunner.kind] if functions else []
    if AGENT in kinds:
        raise UnknownNameError("tasks of kind agent are done by agents: name the agents, as in --agent claude, or --agent auto")
    if FunctionRunner.kind in kinds and not functions:
        raise UnknownNameError("tasks of kind function call what is offered: name it, as in --function package.module:function")
    known: dict[str, Callable[[], Runner]] = {
        SCRIPT: lambda: ScriptRunner(checks=_checks(settings)),
        HttpRunner.kind: lambda: HttpRunner(allowed=wanted.private_addresses),
        FunctionRunner.kind: lambda: FunctionRunner(functions_named(functions, _builtin(functions, wanted, settings, client))),
    }
    if unknown := sorted(set(kinds).difference(known)):
        raise UnknownNameError(
            f"this worker can't run tasks of kind {', '.join(unknown)}; it can run: {', '.join(sorted(known))}"
        )
    return [known[kind]() for kind in dict.fromkeys(kinds)]


def _builtin(
    named: Iterable[str], wanted: Wanted, settings: WorkerSettings, client: Callable[[], AsyncClient]
) -> dict[str, Callable[..., Any]]:
    if not any(BUILTIN in name for name in named):
        return {}
    from worker_client.runners.functions.offered import builtin  # noqa: PLC0415 - megabytes that other workers do without

    http = HttpRunner(allowed=wanted.private_addresses)
    directories = [str(directory.expanduser().absolute()) for directory in wanted.directories]
    return builtin(settings.functions, directories=directories, http=http, client=client)
