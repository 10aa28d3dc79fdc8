"""What was used: sums of the ledger by day (UTC), directory, host, model, agent and tag."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from worker_client.contract.fields import Name, Paths, Several, Tag
from worker_client.contract.request import Paged


class UsageBy(StrEnum):
    """What rows of the ledger are told apart by."""

    DAY = "day"
    DIRECTORY = "directory"
    HOST = "host"
    MODEL = "model"
    AGENT = "agent"
    TAG = "tag"


class UsageSort(StrEnum):
    """What comes first: by what rows are told apart by, the latest day first; or what cost most, or else used most tokens."""

    GROUP = "group"
    COST = "cost"


class Used(Struct, kw_only=True):
    """Sums: `attempts` that ended and were not given back; tokens and cost as agents report them, running work included."""

    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0
    duration_ms: int = 0


class UsageRow(Used, kw_only=True):
    """Sums of one group; what it is not told apart by is null. An empty model, agent or host was not reported.

    Of a task with several tags all of it counts for each of the first 16: sums of tags overlap.
    """

    day: date | None = None
    work_directory: str | None = None
    host: str | None = None
    model: str | None = None
    agent: str | None = None
    tag: str | None = None


class ListUsage(Paged, kw_only=True):
    """A page of sums; `since` and `until`: days (UTC), both included.

    What was used by tag is kept by day and directory alone: `tag` goes with neither host, model nor agent. Several tags are
    told apart with `by=tag`, for their sums overlap.
    """

    by: Annotated[list[UsageBy], Meta(min_length=1, max_length=5)] = field(default_factory=lambda: [UsageBy.DAY])
    sort: UsageSort = UsageSort.GROUP
    since: date | None = None
    until: date | None = None
    work_path: Paths | None = None
    recursive: bool = False
    host: Annotated[list[Annotated[str, Meta(max_length=255)]], Several] | None = None
    model: Annotated[list[Annotated[str, Meta(max_length=255)]], Several] | None = None
    agent: Annotated[list[Name], Several] | None = None
    tag: Annotated[list[Tag], Several] | None = None


class UsageSummary(Struct, kw_only=True):
    """What was used today (UTC), in the last 7 and 30 days, today included, and in all that is kept, 400 days.

    By model and by directory in the last 30 days; up to 100 of each, those that cost most first.
    """

    today: Used = field(default_factory=Used)
    last_7_days: Used = field(default_factory=Used)
    last_30_days: Used = field(default_factory=Used)
    total: Used = field(default_factory=Used)
    by_model: list[UsageRow] = []
    by_directory: list[UsageRow] = []
