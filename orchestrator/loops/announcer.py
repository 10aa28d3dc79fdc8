"""Has rules told of what happened: looks at the feed as it comes, and has put down what some rule wants."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from orchestrator.domain.announcing import wants
from orchestrator.domain.notification_operations import Announce, AnnounceWaiting
from orchestrator.domain.notification_outcomes import Announced
from orchestrator.domain.notification_records import NotificationRule
from orchestrator.domain.notification_rules import PREFIX
from orchestrator.domain.principal import SYSTEM
from orchestrator.loops.patience import Patience
from orchestrator.queue.commit import Queue
from worker_client.errors import Overloaded

log = structlog.get_logger()

AFTER_ERROR_S: Final = 1.0
OTHERS_S: Final = 5.0
"""After which rules that another server has made are seen at the latest."""
LOOK_S: Final = 2.0
"""Between two looks for tasks that wait for long, or longer when such a look takes its time."""
_SHARE: Final = 50
_PAGE: Final = 500
FAR: Final = 2_000
"""Events that nobody wanted are read so late that it costs one transaction for as many."""


class Announcer:
    """`told` is called when something was put down; `shared`: other servers may make rules, too."""

    def __init__(self, queue: Queue, told: Callable[[], None], *, shared: bool = False) -> None:
        self._queue = queue
        self._told = told
        self._shared = shared
        self._changed = asyncio.Event()
        self._rules: list[NotificationRule] = []
        self._patience = Patience()
        self._seen = self._read = 0
        self._waiting_at = 0.0
        self.failed: str | None = None

    def changed(self) -> None:
        """A rule was made, changed or deleted."""
        self._changed.set()

    async def once(self) -> int:
        """Put down all that rules want by now; how many messages that were."""
        made, more = 0, True
        while more:
            op = Announce(limit=1, gives_up=self._patience.over) if self._patience.careful else Announce()
            outcome = await self._queue.submit(op, SYSTEM)
            more = isinstance(outcome, Announced) and outcome.more
            self._patience.went_well(more=more)
            if isinstance(outcome, Announced) and outcome.made:
                made += outcome.made
                self._told()
        return made

    async def waiting(self) -> int:
        """Put down which tasks have waited for long; how many messages that were."""
        made = 0
        for rule in self._rules:
            if rule.wanted.waiting_seconds is None:
                continue
            while found := await self._queue.reads.waiting_long(rule, self._queue.now()):
                outcome = await self._queue.submit(AnnounceWaiting(found=tuple(found)), SYSTEM)
                if not isinstance(outcome, Announced) or not outcome.made:
                    break
                made += outcome.made
                self._told()
        return made

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        self._changed.set()
        while True:
            try:
                await self._work()
            except Exception as error:
                self.failed = repr(error)
                self._patience.failed(error)
                self._changed.set()
                if not isinstance(error, Overloaded):
                    log.exception("the announcer failed and goes on")
                await asyncio.sleep(AFTER_ERROR_S)

    async def _work(self) -> None:
        """With a rule that is on every event is looked at; without one nothing is."""
        while True:
            await self._look()
            if not self._rules:
                await self._rung(self._changed, OTHERS_S if self._shared else None)
                continue
            with self._queue.feed.reader() as bell:
                while self._rules:
                    bell.clear()
                    if self._changed.is_set() or self._wanted():
                        await self._look()
                    await self._wait_for_long()
                    if self._seen >= self._queue.feed.last_id:
                        await self._rung(bell, self._pause())
                    else:
                        await asyncio.sleep(0)

    async def _look(self) -> None:
        """Read the rules, and do all that follows by now."""
        self._changed.clear()
        self._rules = await self._queue.reads.rules_on()
        if not self._rules:
            return
        last = self._queue.feed.last_id
        await self.once()
        self._seen = self._read = last
        self.failed = None

    def _wanted(self) -> bool:
        """Whether some rule wants something of what has happened since the last look, as far as events tell."""
        page = self._queue.feed.after(self._seen, _PAGE)
        if page is None:
            return True
        for event in page:
            if event.type.startswith(PREFIX) or any(wants(rule, event) for rule in self._rules):
                return True
            self._seen = event.id
        return self._seen - self._read > FAR

    async def _wait_for_long(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._waiting_at or not any(rule.wanted.waiting_seconds for rule in self._rules):
            return
        began = loop.time()
        await self.waiting()
        self._waiting_at = loop.time() + max(LOOK_S, _SHARE * (loop.time() - began))

    def _pause(self) -> float | None:
        """Seconds until there is something to do though nothing happens; None: there is none."""
        pauses = [OTHERS_S] if self._shared else []
        if any(rule.wanted.waiting_seconds for rule in self._rules):
            pauses.append(max(0.0, self._waiting_at - asyncio.get_running_loop().time()))
        return min(pauses, default=None)

    async def _rung(self, bell: asyncio.Event, within: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await bell.wait()
                return
        if self._shared:
            self._changed.set()
