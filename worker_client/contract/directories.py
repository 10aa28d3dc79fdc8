"""Work directories: what waits there, and what was set for them."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from worker_client.contract.fields import Path, Text
from worker_client.contract.request import Paged, Request


class SetDirectory(Request, kw_only=True):
    """Pause, resume or limit a directory and everything below it; what is left out stays."""

    work_directory: Path
    host: Annotated[str, Meta(max_length=255)] = ""
    paused: bool | UnsetType = UNSET
    reason: Text | UnsetType | None = UNSET
    max_running: Annotated[int, Meta(ge=1, le=100_000)] | UnsetType | None = UNSET


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
