"""Where what reads the mailbox, in its thread, meets the queue. It is loaded when somebody waits for mail."""

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from orchestrator.domain.mailbox_operations import Place, TendMailbox
from orchestrator.domain.outcomes import Received, Tended
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.task import Millis
from orchestrator.domain.trigger_operations import Deliver
from orchestrator.mail.account import Account, MailError
from orchestrator.mail.attachments import Limits
from orchestrator.mail.letter import Bounds
from orchestrator.mail.mailbox import Mailbox
from orchestrator.mail.office import Delivery, LeftError
from orchestrator.mail.office import Watch as Watched
from orchestrator.mail.positions import Position
from orchestrator.mail.reading import Envelope
from orchestrator.queue.commit import Queue
from orchestrator.settings.sections import Email as Settings
from orchestrator.store.reads.triggers import Triggered
from orchestrator.telemetry import tracing
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triggers.email import Email
from orchestrator.triggers.telling import told
from worker_client.contract.enums import DeliveryOutcome
from worker_client.contract.fields import JsonObject
from worker_client.errors import OrchestratorError

T = TypeVar("T")

ANSWER_S: Final = 60.0
"""Within which the database answers."""
_position: Final = msgspec.json.Decoder(Position).decode


class Watch:
    """A deployed email trigger; two are the same when they wait at the same place for the same mail."""

    def __init__(self, workflow_id: str, place: int, kept: JsonObject, folder: str) -> None:
        self.place: Place = (workflow_id, place)
        self._settings = Email().read(kept)
        self.folder = self._settings.folder or folder
        self.look_back_days = self._settings.look_back_days
        self.dry_run = self._settings.dry_run
        self._same = (workflow_id, place, self.folder, msgspec.json.encode(kept))

    def refuses(self, envelope: Envelope) -> str | None:
        """Why a mail is not for it; None: it is."""
        return self._settings.refuses(envelope)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Watch) and self._same == other._same

    def __hash__(self) -> int:
        return hash(self._same)


class Desk:
    """Called from the mailbox's thread, but for `serve`. `folder`: of triggers that name none."""

    def __init__(self, queue: Queue, metrics: Metrics, holder: str, hold_ms: Millis, folder: str) -> None:
        self._queue = queue
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._holder = holder
        self._hold_ms = hold_ms
        self._folder = folder
        self._watches: tuple[Watch, ...] = ()
        self._states: Mapping[Place, str] = {}
        self._told: dict[Watched, str | None] = {}

    def serve(self, found: Sequence[Triggered], states: Mapping[Place, str]) -> bool:
        """The triggers that wait from now on, and what they remember; whether they are others than before."""
        waiting = tuple(
            Watch(workflow.workflow_id, place, kept, self._folder)
            for workflow in found
            for place, kept in enumerate(workflow.triggers)
            if (workflow.workflow_id, place) in states
        )
        differs = waiting != self._watches
        self._states, self._watches = states, waiting
        return differs

    def watches(self) -> Sequence[Watch]:
        """The triggers that wait for mail."""
        return self._watches

    def position(self, watch: Watched) -> Position | None:
        """Up to where a trigger is known to have taken mails."""
        state = self._states.get(_place(watch), "{}")
        return None if state == "{}" else _position(state)

    def known(self, watch: Watched, digest: str, key: str) -> bool:
        """Whether a mail with this digest was delivered to its workflow under another key."""
        return any(other != key for _, other, _ in self._ask(self._earlier(watch, digest)))

    def deliver(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Deliver a mail to triggers; of which it is taken now, or was before."""
        return self._ask(self._deliver(deliveries))

    def keep(self, positions: Mapping[Watched, Position]) -> None:
        """Write down up to where triggers have taken mails."""
        states = {_place(watch): msgspec.json.encode(position).decode() for watch, position in positions.items()}
        self._tend(states=states)

    def tell(self, watches: Sequence[Watched], failing: str | None) -> None:
        """Tell why triggers hear of no mail; None: they do."""
        news = [watch for watch in watches if self._told.get(watch, "") != failing]
        if news:
            self._tend(failing={_place(watch): failing for watch in news})
            self._told |= dict.fromkeys(news, failing)

    def _tend(self, **facts: Any) -> None:
        outcome = self._ask(self._submit(TendMailbox(holder=self._holder, hold_ms=self._hold_ms, **facts)))
        if not isinstance(outcome, Tended) or not outcome.held:
            raise LeftError

    async def _submit(self, op: TendMailbox) -> Any:
        return await self._queue.submit(op, SYSTEM)

    async def _earlier(self, watch: Watched, digest: str) -> list[tuple[int, str, DeliveryOutcome]]:
        return await self._queue.reads.mail_keys(_place(watch)[0], digest)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> list[bool]:
        return await asyncio.gather(*(self._one(delivery) for delivery in deliveries))

    async def _one(self, delivery: Delivery) -> bool:
        watch = delivery.watch
        workflow_id, place = _place(watch)
        if delivery.filtered is not None:
            earlier = await self._earlier(watch, delivery.key.partition("/")[0])
            if any((where, key) == (place, delivery.key) for where, key, _ in earlier):
                return False
        dry_run = isinstance(watch, Watch) and watch.dry_run
        wanted = DeliveryOutcome.DRY_RUN if dry_run else DeliveryOutcome.FIRED
        op = Deliver(
            workflow_id=workflow_id,
            place=place,
            type="email",
            key=delivery.key,
            outcome=wanted if delivery.filtered is None else DeliveryOutcome.FILTERED,
            reason=delivery.filtered,
            input=_json(delivery.input),
            trigger=_json({"type": "email", "delivery_id": delivery.key}),
            facts=_json(delivery.facts),
        )
        with tracing.work("deliver") as trace:
            outcome = await self._queue.submit(op, SYSTEM, trace)
            if not isinstance(outcome, Received):
                raise TypeError(f"{outcome!r} is no outcome of Deliver")
            told(outcome.delivery, self._metrics)
        # What was not for real is marked as little as what was filtered.
        return outcome.delivery.run_id is not None

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        """What the loop of the server answers."""
        try:
            asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise LeftError from None
        try:
            return asked.result(ANSWER_S)
        except concurrent.futures.CancelledError:
            raise LeftError from None
        except TimeoutError:
            asked.cancel()
            raise MailError(f"the database has not answered for {ANSWER_S:g} s") from None
        except OrchestratorError as refusal:
            raise MailError(refusal.message) from None


def mailbox(settings: Settings, desk: Desk) -> Mailbox:
    """What reads the mailbox of the settings."""
    account = Account(
        server=settings.server,
        user=settings.user,
        password=settings.password,
        port=settings.port,
        tls=settings.tls,
        ca_file=settings.tls_ca_file,
        plaintext=settings.allow_plaintext,
        idle=settings.idle,
        interval=settings.check_interval,
    )
    bounds = Bounds(
        directory=Path(settings.attachments_directory) if settings.attachments_directory else None,
        message=settings.max_message_bytes,
        attachments=Limits(
            each=settings.max_attachment_bytes, count=settings.max_attachments, total=settings.max_attachments_bytes
        ),
    )
    return Mailbox(account, desk, bounds, lambda: datetime.now(UTC).date())


def _place(watch: Watched) -> Place:
    if not isinstance(watch, Watch):
        raise TypeError(f"{watch!r} is no trigger of this server")
    return watch.place


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
