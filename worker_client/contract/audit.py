"""Who changed what, when and from where."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from worker_client.contract.fields import Id, JsonObject, Name, Paths, Several, When
from worker_client.contract.request import Paged


class ListAudit(Paged, kw_only=True):
    """Which changes, newest first; `actor` is the id of a key. As `jsonl` or `csv` all that match, not a page."""

    actor: Annotated[list[Name], Several] | None = None
    type: Annotated[list[Name], Several] | None = None
    task_id: Annotated[list[Id], Several] | None = None
    work_path: Paths | None = None
    recursive: bool = True
    created_after: When | None = None
    created_before: When | None = None
    format: Annotated[str, Meta(pattern=r"^(json|jsonl|csv)$(?!\n)", description="json, jsonl or csv")] | None = None


class AuditEntry(Struct, kw_only=True):
    """One change. `actor`: the id of a key, `system` for the server itself, empty while it was open; `origin`: an address."""

    id: int
    at: datetime
    type: str
    actor: str
    actor_name: str | None
    origin: str
    task_id: int | None
    work_directory: str
    host: str
    data: JsonObject
