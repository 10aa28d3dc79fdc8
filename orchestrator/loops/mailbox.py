"""Has the mailbox read while a deployed workflow waits for mail, by one server at a time."""

import asyncio
import importlib
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from orchestrator.deferring import installed
from orchestrator.domain.mailbox_operations import Place, TendMailbox
from orchestrator.domain.outcomes import Tended
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.task import Millis
from orchestrator.queue.commit import Queue
from orchestrator.settings.sections import Email
from orchestrator.store.reads.triggers import Triggered
from orchestrator.telemetry.metrics import Metrics
from worker_client.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.loops.mail_desk import Desk
    from orchestrator.mail.mailbox import Mailbox

log = structlog.get_logger()

HOLD_MS: Final[Millis] = 6_000
"""For so long another server leaves the mailbox alone when nothing is heard of this one."""
RENEW_S: Final = 2.0
LOOK_S: Final = 30.0
"""Between two looks at what is deployed, of which the feed tells, too."""
LEAVE_S: Final = 5.0
_ADMINISTRATIVE: Final = 0
"""Events about no task."""
_UNSET: Final = "email.server is not set: set APP_EMAIL_SERVER, APP_EMAIL_USER and APP_EMAIL_PASSWORD"
_NOT_INSTALLED: Final = (
    "email.server: what reads mail is not installed: pip install 'task-orchestrator[email]', and start it again"
)


class Mailboxes:
    """`holder` names this server; `shared`: whether others have the same triggers, of which only one may read the mailbox."""

    def __init__(self, queue: Queue, metrics: Metrics, settings: Email, holder: str, *, shared: bool) -> None:
        self._queue = queue
        self._metrics = metrics
        self._settings = settings
        self._holder = holder
        self._hold_ms = HOLD_MS if shared else 0
        self._fresh = asyncio.Event()
        self._waited_for = False
        self._reading: tuple[Mailbox, Desk, threading.Thread] | None = None

    def configure(self, settings: Email) -> None:
        """Go by these from now on."""
        if settings != self._settings:
            self._settings = settings
            self._fresh.set()

    async def once(self) -> None:
        """See who waits for mail, and have it read, or no longer."""
        found = await self._queue.reads.triggered_by("email")
        self._waited_for = bool(found)
        if self._fresh.is_set():
            self._fresh.clear()
            await self._end()
        unable = _UNSET if not self._settings.server else None if installed("imap_tools") else _NOT_INSTALLED
        if not found or unable:
            await self._end()
            if found:
                await self._tend(TendMailbox(holder="", hold_ms=0, failing=dict.fromkeys(_places(found), unable)))
            return
        tended = await self._tend(TendMailbox(holder=self._holder, hold_ms=self._hold_ms))
        if not tended.held or (self._reading is not None and not self._reading[2].is_alive()):
            await self._end()
        if tended.held:
            await self._read(found, tended)

    async def _tend(self, op: TendMailbox) -> Tended:
        outcome = await self._queue.submit(op, SYSTEM)
        if not isinstance(outcome, Tended):
            raise TypeError(f"{outcome!r} is no outcome of TendMailbox")
        return outcome

    async def _read(self, found: list[Triggered], tended: Tended) -> None:
        if self._reading is not None:
            mailbox, desk, _ = self._reading
            if desk.serve(found, tended.states):
                mailbox.wake()
            return
        # What reads mail is loaded when somebody waits for it.
        module = await asyncio.to_thread(importlib.import_module, "orchestrator.loops.mail_desk")
        desk = module.Desk(self._queue, self._metrics, self._holder, self._hold_ms, self._settings.folder)
        desk.serve(found, tended.states)
        mailbox = module.mailbox(self._settings, desk)
        thread = threading.Thread(target=mailbox.run, name="mailbox", daemon=True)
        self._reading = (mailbox, desk, thread)
        thread.start()

    async def _end(self) -> None:
        """Have the mailbox read no longer."""
        if self._reading is not None:
            mailbox, _, thread = self._reading
            self._reading = None
            mailbox.end()
            await asyncio.to_thread(thread.join, LEAVE_S)

    async def leave(self) -> None:
        """Let another server read the mailbox at once."""
        reading = self._reading is not None
        await self._end()
        if reading and self._hold_ms:
            with suppress(OrchestratorError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._tend(TendMailbox(holder=self._holder, hold_ms=0))

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        try:
            with self._queue.feed.watch(_ADMINISTRATIVE) as watch:
                stale = True
                while True:
                    try:
                        if stale:
                            await self.once()
                        events = await watch.next(RENEW_S if self._waited_for and self._hold_ms else LOOK_S)
                        stale = not events or any(event.type.startswith(("workflow.", "settings.")) for event in events)
                    except Exception:
                        stale = True
                        if self._queue.away is None:
                            log.exception("the loop for the mailbox failed and goes on")
                        await asyncio.sleep(1)
        finally:
            await self.leave()


def _places(found: list[Triggered]) -> list[Place]:
    return [
        (workflow.workflow_id, place)
        for workflow in found
        for place, one in enumerate(workflow.triggers)
        if one["type"] == "email" and one.get("enabled", True)
    ]
