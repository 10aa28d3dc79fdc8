"""Work directories: what waits there, and what was set for them."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.enums import Priority
from worker_client.contract.fields import Path, Paths, Text
from worker_client.contract.reports import MOST, MOST_USD
from worker_client.contract.request import Paged, Request
from worker_client.contract.tasks import Why


class SetDirectory(Request, kw_only=True):
    """Pause, resume or limit a directory and everything below it; what is left out stays. `daily_*`: budgets per day (UTC)."""

    work_directory: Path
    host: Annotated[str, Meta(max_length=255)] = ""
    paused: bool | UnsetType = UNSET
    reason: Text | UnsetType | None = UNSET
    max_running: Annotated[int, Meta(ge=1, le=100_000)] | UnsetType | None = UNSET
    daily_tokens: Annotated[int, Meta(ge=0, le=MOST)] | UnsetType | None = UNSET
    daily_cost_usd: Annotated[float, Meta(ge=0, le=MOST_USD)] | UnsetType | None = UNSET
    daily_attempts: Annotated[int, Meta(ge=0, le=MOST)] | UnsetType | None = UNSET


class ListDirectories(Paged, kw_only=True):
    """A page of directories, by path."""

    work_path: Path | None = None
    recursive: bool = True


class Directory(Struct, kw_only=True):
    """One directory: its settings, its tasks by status."""

    work_directory: str
    host: str
    paused: bool
    reason: str | None
    max_running: int | None
    by_status: dict[str, int]
    updated_at: datetime | None
    daily_tokens: int | None = None
    daily_cost_usd: float | None = None
    daily_attempts: int | None = None


class ListWaiting(Paged, kw_only=True):
    """A page of directories in which tasks wait: first those where none runs, then those with most waiting tasks."""

    work_path: Paths | None = None
    recursive: bool = True


class NextTask(Struct, kw_only=True):
    """The waiting task of a directory whose turn is next; its prompt is cut."""

    id: int
    title: str | None
    prompt: str | None
    kind: str
    priority: Priority
    agent: str | None


class WaitingDirectory(Struct, kw_only=True):
    """A directory in which tasks wait; `why`: what is in the way of the next one, where no task runs."""

    work_directory: str
    host: str
    waiting: int
    running: int
    oldest_waiting_at: datetime | None
    oldest_waiting_seconds: float | None
    next: NextTask | None
    why: Why | None
