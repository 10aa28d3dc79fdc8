"""Rows of notifications: the rules, and what these are told."""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.domain.holders import reach
from orchestrator.domain.principal import PathScope, Pattern
from orchestrator.domain.record import Record
from orchestrator.domain.task import Millis
from worker_client.contract.enums import Priority
from worker_client.contract.notifications import EmailTarget, SlackTarget, WebhookTarget


class StoredWebhook(WebhookTarget, kw_only=True):
    """What is sealed is longer than what was sent."""

    url: str
    secret: str = ""


class StoredSlack(SlackTarget, kw_only=True):
    """Its address is sealed."""

    url: str


class Definition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule wants and where to, as it is stored: paths are canonical, secrets sealed."""

    events: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    work_path: tuple[str, ...] = ()
    recursive: bool = True
    priority: tuple[Priority, ...] = ()
    failed_times: int | None = None
    waiting_seconds: float | None = None
    webhook: StoredWebhook | None = None
    email: EmailTarget | None = None
    slack: StoredSlack | None = None
    include_prompt: bool = False
    tries: int | None = None

    @property
    def places(self) -> PathScope | None:
        """The directories that it names; None: it names none."""
        return _places(self.work_path, self.recursive) if self.work_path else None


class NotificationRule(Record, frozen=True, kw_only=True):
    """A rule; `definition`: JSON of a Definition. It hears of events after `from_event`, and of what came after `begins_at`."""

    TABLE = "notification_rules"

    id: int
    version: int
    scope: str
    name: str
    paths: str | None
    owner: str
    enabled: bool
    disabled_reason: str | None
    definition: str
    from_event: int
    begins_at: Millis
    managed_by: str | None
    created_at: Millis
    updated_at: Millis

    @property
    def wanted(self) -> Definition:
        """Its definition."""
        return definition_of(self.definition)

    @property
    def reach(self) -> PathScope:
        """The directories that it may hear of."""
        return _reach(self.paths)


class Notification(Record, frozen=True, kw_only=True):
    """Something that a rule is told once, by its `key`; `payload`: JSON of a Payload.

    Those of one `lane` are sent one after the other. `due_at`: when it is sent next, or, while a server (`holder`) sends it, when
    another one may.
    """

    TABLE = "notifications"

    id: int
    version: int
    rule_id: int
    key: str
    message_id: str
    lane: str
    event_id: int | None
    type: str
    task_id: int
    at: Millis
    payload: str
    status: str
    tries: int
    due_at: Millis | None
    holder: str | None
    reason: str | None
    answered: int | None
    created_at: Millis
    tried_at: Millis | None
    finished_at: Millis | None


class Heard(Struct, frozen=True):
    """An event of the feed, as rules look at it."""

    id: int
    at: Millis
    type: str
    task_id: int
    path: str
    host: str
    status: str | None
    data: str
    run_id: int | None
    schedule_id: int | None


class Brief(Struct, frozen=True):
    """What is told of a task; `tags`, `error`, `options` are JSON. `prompt`: only its beginning."""

    id: int
    title: str | None
    path: str
    host: str
    kind: str
    status: str
    priority: int
    tags: str
    attempt: int
    max_attempts: int
    reason: str | None
    lease_no: int
    ready_at: Millis
    error: str | None
    question: str | None
    options: str | None
    prompt: str | None


@lru_cache(1024)
def definition_of(text: str) -> Definition:
    """A definition as it was stored."""
    return msgspec.json.decode(text, type=Definition)


@lru_cache(1024)
def _places(paths: tuple[str, ...], recursive: bool) -> PathScope:  # noqa: FBT001 - the cache goes by places
    return PathScope(tuple(Pattern(path, recursive) for path in paths))


@lru_cache(1024)
def _reach(paths: str | None) -> PathScope:
    names: Any = None if paths is None else tuple(msgspec.json.decode(paths))
    return reach(names)
