"""The feed: one event per transition of a task, and what is done to directories and to the server."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from worker_client.contract.enums import Status
from worker_client.contract.fields import Id, JsonObject, Name, Paths, Several
from worker_client.contract.request import Request


class Event(Struct, kw_only=True):
    """What happened to a task, or without one to a directory, or without that to the server, which only its administrators see.

    `id` is opaque, send it as Last-Event-ID to resume.
    """

    id: str
    type: str
    at: datetime
    task_id: int | None
    work_directory: str
    host: str
    status: Status | None
    data: JsonObject


class Hint(Struct, kw_only=True):
    """What is new of a running task without an event: told to who asks for it `live`, not resumable, at most four times a second.

    `type` is `task.progress`, with `data` {`progress`, `usage`} of the attempt, or `task.output`, with `data` {`last_line`}.
    """

    type: str
    at: datetime
    task_id: int
    work_directory: str
    host: str
    status: Status
    data: JsonObject


class ReadEvents(Request, kw_only=True):
    """Which events; with `run_id` those of runs and of their tasks.

    `after` resumes as Last-Event-ID does, `live` asks for hints, too.
    """

    work_path: Paths | None = None
    recursive: bool = True
    type: Annotated[list[Name], Several] | None = None
    task_id: Annotated[list[Id], Several] | None = None
    run_id: Annotated[list[Id], Several] | None = None
    after: Name | None = None
    live: bool = False
