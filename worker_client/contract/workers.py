"""Who is here, and what it holds."""

from datetime import datetime

from msgspec import Struct

from worker_client.contract.fields import Text
from worker_client.contract.request import Paged, Request


class ListWorkers(Paged, kw_only=True):
    """A page of workers, by id."""


class Holding(Struct, kw_only=True):
    """A lease that a worker holds."""

    task_id: int
    title: str | None
    work_directory: str
    attempt: int
    exclusive: bool
    started_at: datetime
    lease_expires_at: datetime


class Worker(Struct, kw_only=True):
    """A worker that asked within the last minutes, or holds a lease."""

    worker_id: str
    host: str
    account: str | None
    work_paths: list[str]
    recursive: bool
    kinds: list[str]
    tags: list[str]
    polling: bool
    last_seen_at: datetime | None
    holds: list[Holding]
    agent: str | None = None
    draining: bool = False


class DrainWorker(Request, kw_only=True):
    """Why a worker is to drain."""

    reason: Text | None = None


class DrainedWorker(Struct, kw_only=True):
    """A worker that was told to end what it does and to ask for nothing more; `running`: how many tasks it still has."""

    worker_id: str
    reason: str | None
    running: int
