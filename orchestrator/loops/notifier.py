"""Sends what rules are told: many at a time, of each rule a few, of each task one after the other."""

import asyncio
import importlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from orchestrator.domain.notification_operations import GiveBackNotifications, SettleNotification, TakeNotifications
from orchestrator.domain.notification_outcomes import Taken
from orchestrator.domain.notification_records import Notification, NotificationRule
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.task import Millis
from orchestrator.doors.sealing import Sealing
from orchestrator.queue.commit import Queue
from orchestrator.settings import Settings
from orchestrator.telemetry.metrics import Metrics
from worker_client.errors import OrchestratorError, Overloaded

if TYPE_CHECKING:
    from orchestrator.notify.message import Letter, Sent
    from orchestrator.notify.sender import Sender

log = structlog.get_logger()

AFTER_ERROR_S: Final = 1.0
OTHERS_S: Final = 2.0
"""After which it is looked for what another server, which may be dead, has left."""
SPARE_MS: Final[Millis] = 10_000
"""For so long beyond the time of a try nobody else sends it."""
FIRST_OF_A_RULE: Final = 4
MOST_OF_A_RULE: Final = 16
"""One more after each that was delivered, so that nobody who hangs has much."""
AT_ONCE: Final = 128
FAILING_AT_ONCE: Final = 32
"""Of rules whose last try failed, which may be slow to fail, one each: the rest is for all others."""
LEAVE_S: Final = 2.0


class Notifier:
    """`holder` names this server among those that share the database (`shared`); `wall`: seconds since 1970."""

    def __init__(
        self,
        queue: Queue,
        metrics: Metrics,
        settings: Callable[[], Settings],
        sealing: Sealing,
        wall: Callable[[], float],
        holder: str,
        *,
        epoch: Callable[[], str],
        shared: bool = False,
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._settings = settings
        self._sealing = sealing
        self._wall = wall
        self._holder = holder
        self._epoch = epoch
        self._shared = shared
        self._bell = asyncio.Event()
        self._busy: Counter[int] = Counter()
        self._allowed: dict[int, int] = {}
        self._failing: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._made: Sender | None = None
        self.failed: str | None = None

    def wake(self) -> None:
        """There is something to send."""
        self._bell.set()

    async def test(self, rule: NotificationRule, nonce: str) -> "Sent":
        """Send a message that says that it is a test."""
        module = importlib.import_module("orchestrator.notify.message")
        letter: Letter = module.sample(rule, self._queue.now(), nonce, self._settings().server.public_url)
        return await self._sender().send(letter)

    async def run(self) -> None:
        """Work until cancelled; an error is logged and does not end it."""
        first = not self._shared
        try:
            while True:
                try:
                    self._bell.clear()
                    due = await self._queue.reads.notifications_due()
                    if first and due:
                        # Nobody else is there who could be sending anything.
                        await self._queue.submit(GiveBackNotifications(holder=self._holder, others=True), SYSTEM)
                        first = False
                        continue
                    first, self.failed = False, None
                    await self._rung(await self._work(due))
                except Exception as error:
                    self.failed = repr(error)
                    if not isinstance(error, Overloaded):
                        log.exception("the notifier failed and goes on")
                    await asyncio.sleep(AFTER_ERROR_S)
        finally:
            await self._leave()

    async def _work(self, due: dict[int, Millis]) -> float | None:
        """Send what is due and has room; seconds until there is more to do, None: when the bell rings."""
        now = self._queue.now()
        room = self._room([rule_id for rule_id, at in due.items() if at <= now])
        later = [at for rule_id, at in due.items() if at > now and self._most(rule_id) > self._busy[rule_id]]
        if not room:
            return (min(later) - now) / 1000 if later else None
        hold_ms = round(1000 * self._settings().notify.timeout) + SPARE_MS
        taken = await self._queue.submit(TakeNotifications(holder=self._holder, hold_ms=hold_ms, room=room), SYSTEM)
        if not isinstance(taken, Taken) or not taken.rows:
            # Another server was faster.
            return AFTER_ERROR_S
        for row, rule in taken.rows:
            self._busy[rule.id] += 1
            task = asyncio.create_task(self._deliver(row, rule))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return 0.0

    def _most(self, rule_id: int) -> int:
        return 1 if rule_id in self._failing else self._allowed.get(rule_id, FIRST_OF_A_RULE)

    def _room(self, rules: list[int]) -> dict[int, int]:
        """How many more of each rule may be sent now."""
        slow = sum(count for rule_id, count in self._busy.items() if rule_id in self._failing)
        left = {True: FAILING_AT_ONCE - slow, False: AT_ONCE - (self._busy.total() - slow)}
        room = {}
        for rule_id in sorted(rules, key=lambda one: self._busy[one]):
            failing = rule_id in self._failing
            count = min(self._most(rule_id) - self._busy[rule_id], left[failing])
            if count > 0:
                room[rule_id] = count
                left[failing] -= count
        return room

    async def _deliver(self, row: Notification, rule: NotificationRule) -> None:
        try:
            sent = await self._sent(row, rule)
            self._judge(rule.id, sent)
            self._tell(row, rule, sent)
            await self._settle(row, sent)
        except OrchestratorError:
            # What came of it is not known: it is sent again.
            log.warning("nobody could write down what became of a notification", notification_id=row.id, rule_id=rule.id)
        finally:
            self._busy[rule.id] -= 1
            self._busy += Counter()
            self._bell.set()

    def _judge(self, rule_id: int, sent: "Sent") -> None:
        """Have a receiver that takes what it gets have more at a time, and one that does not little."""
        if sent.delivered:
            self._allowed[rule_id] = min(self._most(rule_id) + 1, MOST_OF_A_RULE)
            self._failing.discard(rule_id)
        else:
            self._allowed.pop(rule_id, None)
            self._failing.add(rule_id)

    async def _sent(self, row: Notification, rule: NotificationRule) -> "Sent":
        module = importlib.import_module("orchestrator.notify.message")
        try:
            letter: Letter = module.letter(row, rule, self._epoch(), self._settings().server.public_url)
            sent = await self._sender().send(letter)
        except Exception:
            log.exception("a notification could not be sent", notification_id=row.id, rule_id=rule.id)
            sent = module.Sent(delivered=False, reason="it could not be sent: the server's log says why")
        return sent

    async def _settle(self, row: Notification, sent: "Sent") -> None:
        op = SettleNotification(
            notification_id=row.id,
            holder=self._holder,
            delivered=sent.delivered,
            answered=sent.status,
            reason=sent.reason,
            after_ms=sent.after_ms,
            gone=sent.gone,
        )
        await self._queue.submit(op, SYSTEM)

    def _tell(self, row: Notification, rule: NotificationRule, sent: "Sent") -> None:
        wanted = rule.wanted
        via = "webhook" if wanted.webhook else "email" if wanted.email else "slack"
        self._metrics.notified(via, "delivered" if sent.delivered else "failed")
        if not sent.delivered:
            log.info("a notification was not delivered", notification_id=row.id, rule_id=rule.id, via=via, reason=sent.reason)

    def _sender(self) -> "Sender":
        if self._made is None:
            module: Any = importlib.import_module("orchestrator.notify.sender")
            self._made = module.Sender(lambda: self._settings().notify, self._sealing, self._wall)
        return self._made

    async def _rung(self, within: float | None) -> None:
        if self._shared:
            within = OTHERS_S if within is None else min(within, OTHERS_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._bell.wait()

    async def _leave(self) -> None:
        """Let what is under way come to its end, for a moment; the rest is for whoever comes next."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=LEAVE_S)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        with suppress(OrchestratorError):
            await self._queue.submit(GiveBackNotifications(holder=self._holder), SYSTEM)
