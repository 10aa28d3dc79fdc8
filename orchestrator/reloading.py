"""Settings in force: put there whole, at the start and whenever they are read anew."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog
from litestar.datastructures import State
from msgspec.structs import replace

from orchestrator.domain.command import Commands
from orchestrator.domain.operations import Note
from orchestrator.domain.principal import SYSTEM, Principal
from orchestrator.domain.rules import Defaults, Rules
from orchestrator.doors import secrets
from orchestrator.doors.redaction import redaction
from orchestrator.doors.secrets import Secrets
from orchestrator.queue.commit import Queue
from orchestrator.settings import Settings, SettingsError, adopted, hidden
from orchestrator.store.reads.values import PRIORITIES
from orchestrator.telemetry import logs
from worker_client.contract.system import Reloaded
from worker_client.errors import Forbidden, OrchestratorError, ValidationFailed

log = structlog.get_logger()


def put(state: State, settings: Settings) -> None:
    """Have settings in force, all of them in one step. Raises SettingsError, and then nothing has changed."""
    known = secrets.load(settings.secrets.directory, settings.secret_variables)
    masks = redaction(settings.log.redact, [*known.values.values(), *hidden(settings)])
    state.doors.configure(settings)  # the last that may refuse
    state.sealing.configure(settings.secrets.key, settings.database.path, known)
    state.settings, state.secrets, state.redaction = settings, known, masks
    state.queue.rules = rules(settings, known, state.commands.commands)
    state.queue.backlog_limit = settings.limits.backlog
    state.planner.enabled = settings.scheduler.enabled
    state.mailboxes.configure(settings.email)
    state.pruner.configure(retention_days=settings.task.retention_days, interval=settings.task.task_cleanup_interval)
    logs.redact(None if masks is None else masks.value)


def heed(queue: Queue, commands: Commands) -> None:
    """Have tasks know these commands from now on."""
    queue.rules = replace(queue.rules, defaults=replace(queue.rules.defaults, commands=commands))


def rules(settings: Settings, known: Secrets, commands: Commands) -> Rules:
    """What settings, and the commands in force, tell the domain."""
    low, normal, high, urgent = (settings.task.head_starts[priority] for priority in PRIORITIES)
    defaults = Defaults(
        work_directory=settings.task.default_work_directory,
        max_attempts=1 + settings.task.max_task_retries,
        timeout_seconds=settings.task.default_task_timeout,
        max_prompt_bytes=settings.limits.max_prompt_bytes,
        commands=commands,
    )
    return Rules(
        head_start=(low, normal, high, urgent),
        max_running=settings.task.max_concurrent_tasks,
        secrets=known.names,
        defaults=defaults,
        timezone=settings.scheduler.timezone,
        public_url=settings.server.public_url,
        notify_tries=settings.notify.tries,
        notify_retry_ms=round(1000 * settings.notify.retry_seconds),
    )


class Reload:
    """Reads the settings anew with `read`, as at the start, while the server runs."""

    def __init__(self, state: State, read: Callable[[], Settings]) -> None:
        self._state = state
        self._read = read

    async def __call__(self, by: Principal, trace: str | None = None, origin: str = "") -> Reloaded:
        """Swap them whole; what only a start can use stays as it is.

        Raises ValidationFailed, when nothing has changed, and Forbidden.
        """
        if not by.administers:
            raise Forbidden("this key is limited to some directories, and settings are the whole server's: ask with another key")
        before: Secrets = self._state.secrets
        try:
            settings, changed, waiting = adopted(self._state.settings, self._read())
            put(self._state, settings)
            await self._state.commands.move(settings.commands_directory)
        except SettingsError as error:
            raise ValidationFailed(f"the settings stay as they are: {error}") from None
        logs.choose(settings.log.level)
        changed += [f"secrets.{name}" for name in before.differing(self._state.secrets)]
        log.info("settings were read anew", changed=changed, needs_restart=waiting)
        if changed:
            queue: Queue = self._state.queue
            note = Note(type="settings.reloaded", data=msgspec.json.encode({"changed": changed}).decode())
            await queue.submit(note, by, trace, origin=origin)
        return Reloaded(changed=changed, needs_restart=waiting)

    async def signalled(self) -> None:
        """What SIGHUP asks for; a refusal is a line in the log."""
        try:
            await self(SYSTEM)
        except OrchestratorError as refusal:
            log.error("settings could not be read anew", reason=refusal.message)  # noqa: TRY400 - its traceback says nothing more


@contextmanager
def hung_up(handler: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Call a handler at SIGHUP, where there is such a signal."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def begin() -> None:
        task = loop.create_task(handler())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
