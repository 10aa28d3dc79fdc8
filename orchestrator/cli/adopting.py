"""Jobs of TimerJobs, one by one: what each is here, what it needs, and what becomes of it."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain import elsewhere
from orchestrator.domain.explain import invalid
from orchestrator.domain.function_calls import BUILTIN
from worker_client.client import Client
from worker_client.contract.elsewhere import TimerJob
from worker_client.contract.schedules import CreateSchedule, Preview
from worker_client.contract.tasks import CreateTask
from worker_client.errors import Conflict, ValidationFailed

PREVIEWED: Final = 3
_FIELDS: Final = ("name", "desc", "cron_expr", "mode", "command", "state", "allow_mode", "max_run_count")
_DISABLED: Final = 2
_WINDOWS: Final = re.compile(
    r"^\s*(del|erase|copy|xcopy|robocopy|rd|ren|dir|cls|attrib|taskkill|schtasks)\b|%\w+%|\b[A-Za-z]:\\|\.(bat|cmd|ps1)\b",
    re.IGNORECASE,
)
_SETTINGS: Final = ("Database", "Email", "SMS", "Webhook")


class Fate(StrEnum):
    """What becomes of a job."""

    NEW = "new"
    CREATED = "created"
    THERE = "there already"
    LEFT_OUT = "left out"
    REFUSED = "refused"


class Adoption(Struct, kw_only=True):
    """One job; `reason`: why it is left out or refused. `notes`: what it needs to run here, or does otherwise."""

    name: str
    fate: Fate
    reason: str = ""
    cron: str = ""
    notes: list[str] = []
    preview: Preview | None = None
    schedule_id: int | None = None
    task: CreateTask | None = None


class Importer:
    """Makes schedules in a zone; `dry`: only says what it would do."""

    def __init__(self, client: Client, *, timezone: str, work_directory: str | None, dry: bool) -> None:
        self._client = client
        self._timezone = timezone
        self._work_directory = work_directory
        self._dry = dry
        self._names: set[str] = set()

    def adopt(self, row: dict[str, Any]) -> Adoption:
        """Look at a job, and make a schedule of it unless there is one of its name."""
        name = str(row.get("name") or "")
        found = Adoption(name=name, fate=Fate.REFUSED, cron=str(row.get("cron_expr") or ""))
        try:
            job = replace(_job(row), timezone=self._timezone, work_directory=self._work_directory)
            schedule = elsewhere.timer_job(job, self._work_directory or "/default").schedule
            found.preview = self._client.preview(cron=schedule.cron, timezone=schedule.timezone, name=job.name, count=PREVIEWED)
        except ValidationFailed as error:
            found.reason = error.message
            return found
        found.task = schedule.task
        found.notes = [*_notes(job, schedule)]
        if name in self._names:
            found.reason = "another job of this file has the same name: rename one of them"
        elif left := _left_out(row):
            found.fate, found.reason = Fate.LEFT_OUT, left
        elif (there := self._there(name)) is not None:
            found.fate, found.schedule_id = Fate.THERE, there
        else:
            self._create(job, found, _remaining(row))
        self._names.add(name)
        return found

    def _create(self, job: TimerJob, found: Adoption, remaining: int) -> None:
        if self._dry:
            found.fate = Fate.NEW
            return
        try:
            found.schedule_id = self._client.create_timer_job(**msgspec.to_builtins(replace(job, max_run_count=remaining))).id
            found.fate = Fate.CREATED
        except ValidationFailed as error:
            found.reason = error.message
        except Conflict:
            found.fate = Fate.THERE

    def _there(self, name: str) -> int | None:
        """The id of the schedule that has a name."""
        cursor = None
        while True:
            page = self._client.schedules(q=name, limit=1000, cursor=cursor)
            for one in page.items:
                if one.name == name:
                    return one.id
            cursor = page.next_cursor
            if cursor is None:
                return None


def _job(row: dict[str, Any]) -> TimerJob:
    sent = {name: row[name] for name in _FIELDS if row.get(name) is not None}
    try:
        return msgspec.convert(sent, TimerJob, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, TimerJob, sent) from None


def _left_out(row: dict[str, Any]) -> str:
    if row.get("deleted_at"):
        return f"it was deleted there at {row['deleted_at']}"
    most = _count(row, "max_run_count")
    return f"it has had all of its {most} runs there" if most and not _remaining(row) else ""


def _remaining(row: dict[str, Any]) -> int:
    """How many runs are left, 0 when that is not limited or none is."""
    return max(_count(row, "max_run_count") - _count(row, "run_count"), 0)


def _count(row: dict[str, Any], name: str) -> int:
    text = str(row.get(name) or 0)
    return int(text) if text.isdecimal() else 0


def _notes(job: TimerJob, schedule: CreateSchedule) -> Iterator[str]:
    """What is to be known of a job before it can run."""
    task = schedule.task
    assert task is not None  # noqa: S101 - each job is one task
    spec: dict[str, Any] = task.spec or {}
    if schedule.timezone != job.timezone:
        yield f"its times are those of {schedule.timezone}, as its expression says"
    if not schedule.enabled:
        yield "it is disabled there, and comes paused"
    if elsewhere.timer_job(job, "/default").at_once:
        yield "it fires when it is imported, too"
    if task.kind == "script" and _WINDOWS.search(spec["command"]):
        yield "it looks like a command of Windows: it needs a worker there, and a work directory such as C:\\jobs"
    if task.kind == "function":
        yield from _about_function(spec["name"])
    if task.kind == "http" and _is_private(spec["url"]):
        yield "its address is no public one: it needs a worker with --allow-private-addresses"


def _about_function(name: str) -> Iterator[str]:
    if name not in BUILTIN:
        yield f"no function {name} comes with the worker: write it in Python, and offer it with --function {name}=MODULE:FUNCTION"
    elif name in _SETTINGS:
        yield f"{name} needs [functions.{name.lower()}] in the worker's settings"


def _is_private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def worker_for(adoptions: Iterable[Adoption]) -> str:
    """The command line of a worker that does what was imported; empty when there is nothing."""
    tasks = [one.task for one in adoptions if one.task is not None and one.fate is not Fate.REFUSED]
    if not tasks:
        return ""
    directories = sorted({task.work_directory or "/default" for task in tasks})
    kinds = sorted({task.kind for task in tasks} - {"function"})
    functions = sorted({str((task.spec or {})["name"]) for task in tasks if task.kind == "function"})
    offered = [f"builtin:{name}" if name in BUILTIN else f"{name}=MODULE:FUNCTION" for name in functions]
    words = [("--dir", directories), ("--kind", kinds), ("--function", offered)]
    return " ".join(["orchestrator-worker run", *(f"{option} {value}" for option, values in words for value in values)])
