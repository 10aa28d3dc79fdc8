"""Reports of whoever holds a lease: heartbeats, and how the work ended. `evidence`: facts about the attempt, kept with it."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from worker_client.contract.enums import ParkReason
from worker_client.contract.fields import Id, Json, JsonObject, Name, Seconds, Text, WaitSeconds, When
from worker_client.contract.request import Request

MOST: Final = 2**53
"""What every language counts to without rounding."""
MOST_USD: Final = 1e9


class Progress(Request, kw_only=True):
    """How far a running task is."""

    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    message: Text | None = None


class Usage(Struct, kw_only=True, omit_defaults=True):
    """What an attempt used so far (cumulative); on a task the sum over its attempts."""

    input_tokens: Annotated[int, Meta(ge=0, le=MOST)] = 0
    output_tokens: Annotated[int, Meta(ge=0, le=MOST)] = 0
    cached_tokens: Annotated[int, Meta(ge=0, le=MOST)] = 0
    cost_usd: Annotated[float, Meta(ge=0, le=MOST_USD)] = 0
    duration_ms: Annotated[int, Meta(ge=0, le=MOST)] = 0
    model: Annotated[str, Meta(max_length=255)] | None = None


class TaskError(Struct, kw_only=True, omit_defaults=True):
    """Why an attempt failed."""

    type: Name = "Error"
    message: Annotated[str, Meta(max_length=100_000)] = ""
    details: JsonObject = {}


class Heartbeat(Request, kw_only=True):
    """Extend the lease; with `wait`, be told at once when there is a directive.

    `agent`: whose session it is, so that later attempts go to it.
    """

    lease: Name
    progress: Progress | None = None
    checkpoint: Json | UnsetType = UNSET
    session_id: Name | None = None
    agent: Name | None = None
    usage: Usage | None = None
    wait: WaitSeconds = 0


class Complete(Request, kw_only=True):
    """The work is done. Without `lease`, `original_prompt` must equal the prompt as delivered."""

    lease: Name | None = None
    original_prompt: str | None = None
    result: Json = None
    usage: Usage | None = None
    evidence: JsonObject = {}


class Fail(Request, kw_only=True):
    """The work failed; it runs again after the backoff while attempts are left, unless it is not `retryable`."""

    lease: Name
    error: TaskError = field(default_factory=TaskError)
    retryable: bool = True
    retry_after_seconds: Seconds | None = None
    usage: Usage | None = None
    evidence: JsonObject = {}


class Release(Request, kw_only=True):
    """Give a task back unfinished; costs no attempt."""

    lease: Name
    reason: Text | None = None
    not_before: When | None = None
    usage: Usage | None = None
    evidence: JsonObject = {}


class Park(Request, kw_only=True):
    """Give a task back until something outside happens; costs no attempt. `message`: the reason in words."""

    lease: Name
    reason: ParkReason = ParkReason.QUESTION
    not_before: When | None = None
    account: Annotated[str, Meta(max_length=255)] | None = None
    question: Text | None = None
    options: Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(max_length=50)] = []
    session_id: Name | None = None
    agent: Name | None = None
    usage: Usage | None = None
    message: Text | None = None
    evidence: JsonObject = {}


class HeartbeatItem(Heartbeat, kw_only=True):
    """A heartbeat among many; never held."""

    id: Id


class CompleteItem(Complete, kw_only=True):
    """A completion among many."""

    id: Id


class FailItem(Fail, kw_only=True):
    """A failure among many."""

    id: Id


class Heartbeats(Request, kw_only=True):
    """Up to 1000 heartbeats."""

    items: Annotated[list[HeartbeatItem], Meta(min_length=1, max_length=1000)]


class Completions(Request, kw_only=True):
    """Up to 1000 completions."""

    items: Annotated[list[CompleteItem], Meta(min_length=1, max_length=1000)]


class Failures(Request, kw_only=True):
    """Up to 1000 failures."""

    items: Annotated[list[FailItem], Meta(min_length=1, max_length=1000)]
