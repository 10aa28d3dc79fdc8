"""Output of tasks, line by line."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from worker_client.contract.enums import LogStream
from worker_client.contract.fields import Id, Name, WaitSeconds, When
from worker_client.contract.request import Request


class LogLine(Request, kw_only=True):
    """One line of output."""

    text: Annotated[str, Meta(max_length=65_536)]
    stream: LogStream = LogStream.STDOUT
    at: When | None = None


class AppendLogs(Request, kw_only=True):
    """Lines of output; `first_line` numbers them within the lease, so that a repeated send stores nothing twice."""

    lease: Name
    lines: Annotated[list[LogLine | Annotated[str, Meta(max_length=65_536)]], Meta(min_length=1, max_length=1000)]
    first_line: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class ReadLogs(Request, kw_only=True):
    """Log lines after the line numbered `after`, or with `tail` only so many last ones of them.

    `download`: all of them at once, however many, as a file of text.
    """

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    format: Annotated[str, Meta(pattern=r"^(json|text)$(?!\n)", description="json or text")] = "json"
    wait: WaitSeconds = 0
    tail: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    download: bool = False


class StoredLogLine(Struct, kw_only=True):
    """A line of output; `number` counts through all attempts of the task."""

    number: int
    lease_no: int
    at: datetime
    stream: LogStream
    text: str


class ReadLastLines(Request, kw_only=True):
    """The tasks whose last line of output is asked for."""

    task_id: Annotated[list[Id], Meta(min_length=1, max_length=100)]


class LastLine(Struct, kw_only=True):
    """The last line of a task's output that is not blank, cut after 500 characters."""

    task_id: int
    number: int
    lease_no: int
    at: datetime
    stream: LogStream
    text: str


class LogPage(Struct, kw_only=True):
    """Log lines; `next_after` continues, `final` says that no more will come."""

    lines: list[StoredLogLine]
    next_after: int
    final: bool


class LogLease(Struct, kw_only=True):
    """The numbers of the first and the last line that were stored with a lease."""

    lease_no: int
    first_line: int
    last_line: int


class LogOutline(Struct, kw_only=True):
    """How much output a task has, by its leases, of which the first 1000 are told."""

    last_line: int
    leases: list[LogLease]


class SearchLogs(Request, kw_only=True):
    """Lines after the line numbered `after` that contain `q`, whatever the case of ASCII letters."""

    q: Annotated[str, Meta(min_length=1, max_length=500)]
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


class LogHits(Struct, kw_only=True):
    """The numbers of lines that contain what was asked for; unless `complete`, search on after `next_after`."""

    lines: list[int]
    next_after: int
    complete: bool


class Appended(Struct, kw_only=True):
    """How many lines were new, and the number that the lease's next line has."""

    stored: int
    next_line: int
