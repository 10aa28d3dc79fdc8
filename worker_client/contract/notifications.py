"""Notifications: rules that say who is told of what, and what became of what they were told."""

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.enums import NotificationStatus, Priority, Status
from worker_client.contract.fields import Id, JsonObject, Name, Paths, Tags
from worker_client.contract.request import Paged, Request

EventPattern = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=r"^([a-z_]+(\.[a-z_]+)*(\.?\*)?|\*)$(?!\n)",
        description="a type of the feed such as `task.failed`, or the beginning of some with `*` behind it, such as `run.*`",
    ),
]
Events = Annotated[list[EventPattern], Meta(max_length=50)]
Statuses = Annotated[list[Status], Meta(max_length=8)]
Priorities = Annotated[list[Priority], Meta(max_length=4)]
Times = Annotated[int, Meta(ge=1, le=1000)]
Waiting = Annotated[float, Meta(ge=1, le=31_536_000)]
Tries = Annotated[int, Meta(ge=1, le=100)]
Url = Annotated[str, Meta(min_length=1, max_length=2000)]
Secret = Annotated[str, Meta(max_length=500)]
_ATOM: Final = r"[^\x00-\x20\x7f\s@<>,;:\"()\[\]\\?.]+"
_ADDRESS: Final = rf"^{_ATOM}(\.{_ATOM})*@{_ATOM}(\.{_ATOM})*$(?!\n)"
Address = Annotated[str, Meta(max_length=254, pattern=_ADDRESS, description="an address such as ops@example.org")]
Addresses = Annotated[list[Address], Meta(min_length=1, max_length=20)]
Subject = Annotated[str, Meta(min_length=1, max_length=500)]


class WebhookTarget(Request, kw_only=True):
    """A call with the event as JSON, signed with `secret` as standard-webhooks says; with an empty one it is not signed."""

    url: Url
    secret: Secret = ""


class EmailTarget(Request, kw_only=True):
    """A mail through the server's `[notify]` settings; `subject` is a template over `task`, `event`, `rule` and `summary`."""

    to: Addresses
    subject: Subject | None = None


class SlackTarget(Request, kw_only=True):
    """A Slack-compatible incoming webhook, whose address is a secret."""

    url: Url


class CreateNotificationRule(Request, kw_only=True):
    """What is wanted, of which all has to fit, and exactly one of `webhook`, `email` and `slack`.

    `events`, `failed_times` (attempts that failed, from this one on) or `waiting_seconds` (a task waits for longer) have to be
    there; `tags`: all of them; `tries`: after which it is given up, by default the setting `notify.tries`.
    """

    name: Name
    enabled: bool = True
    events: Events = []
    status: Statuses = []
    tags: Tags = []
    work_path: Paths = []
    recursive: bool = True
    priority: Priorities = []
    failed_times: Times | None = None
    waiting_seconds: Waiting | None = None
    webhook: WebhookTarget | None = None
    email: EmailTarget | None = None
    slack: SlackTarget | None = None
    include_prompt: bool = False
    tries: Tries | None = None
    managed_by: Name | None = None


class UpdateNotificationRule(Request, kw_only=True):
    """What is left out stays; one of `webhook`, `email` and `slack` takes the place of what there was."""

    version: Annotated[int, Meta(ge=1)] | None = None
    name: Name | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    status: Statuses | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    work_path: Paths | UnsetType = UNSET
    recursive: bool | UnsetType = UNSET
    priority: Priorities | UnsetType = UNSET
    failed_times: Times | UnsetType | None = UNSET
    waiting_seconds: Waiting | UnsetType | None = UNSET
    webhook: WebhookTarget | UnsetType = UNSET
    email: EmailTarget | UnsetType = UNSET
    slack: SlackTarget | UnsetType = UNSET
    include_prompt: bool | UnsetType = UNSET
    tries: Tries | UnsetType | None = UNSET


class NotificationRule(Struct, kw_only=True):
    """A rule as it stands, its secrets as `***`; `disabled_reason`: why it was turned off by itself."""

    id: int
    version: int
    name: str
    enabled: bool
    disabled_reason: str | None
    events: list[str]
    status: list[Status]
    tags: list[str]
    work_path: list[str]
    recursive: bool
    priority: list[Priority]
    failed_times: int | None
    waiting_seconds: float | None
    webhook: WebhookTarget | None
    email: EmailTarget | None
    slack: SlackTarget | None
    include_prompt: bool
    tries: int | None
    created_at: datetime
    updated_at: datetime
    created_by: str
    managed_by: str | None = None


class ListNotificationRules(Paged, kw_only=True):
    """A page of rules, by name."""

    q: Annotated[str, Meta(max_length=500)] | None = None


class NotificationTest(Struct, kw_only=True):
    """What a receiver made of a message that was sent as a test; `answer` begins as its answer does."""

    delivered: bool
    status: int | None
    reason: str | None
    answer: str | None
    seconds: float


class ListNotifications(Paged, kw_only=True):
    """A page of what rules were told, newest first."""

    rule_id: Id | None = None
    task_id: Id | None = None
    status: NotificationStatus | None = None


class NotificationDelivery(Struct, kw_only=True):
    """What a rule was told, and what became of it. `message_id`: its `webhook-id`; `answered`: the last status of the receiver.

    `next_try_at` None: it is over, or comes after the one before it of its task.
    """

    id: int
    rule_id: int
    rule: str
    message_id: str
    type: str
    task_id: int | None
    at: datetime
    status: NotificationStatus
    tries: int
    next_try_at: datetime | None
    last_try_at: datetime | None
    reason: str | None
    answered: int | None
    created_at: datetime
    finished_at: datetime | None


class NotifiedRule(Struct, kw_only=True):
    """The rule that a message is of."""

    id: int
    name: str


class NotifiedEvent(Struct, kw_only=True):
    """What happened; `id` is None when it is that a task waits for long, which is no event of the feed."""

    id: str | None
    type: str
    at: datetime
    task_id: int | None
    work_directory: str
    host: str
    status: str | None
    data: JsonObject


class NotifiedTask(Struct, kw_only=True, omit_defaults=True):
    """A task as it was when the message was made; `prompt` only for rules that ask for it. `links`: `page`, `api`."""

    id: int
    title: str | None
    work_directory: str
    host: str
    kind: str
    status: str
    priority: Priority
    tags: list[str]
    attempt: int
    max_attempts: int
    links: dict[str, str] = {}
    error: Any = None
    reason: str | None = None
    question: str | None = None
    options: list[str] = []
    prompt: str | None = None


class NotificationData(Struct, kw_only=True):
    """What a message is about; `summary` in words; `links` of what it is about, while `server.public_url` is set."""

    rule: NotifiedRule
    event: NotifiedEvent
    task: NotifiedTask | None
    summary: str
    links: dict[str, str]


class NotificationMessage(Struct, kw_only=True):
    """The body that a webhook gets."""

    type: str
    timestamp: datetime
    data: NotificationData
