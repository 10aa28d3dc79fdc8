"""Tasks as a model reads them: only what is there, and nothing at length."""

from typing import Any, Final

import msgspec

from orchestrator.mcp.prior import brief, told
from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.enums import Status
from worker_client.contract.logs import ReadLogs
from worker_client.contract.tasks import Task

_LONG: Final = 8_000
_TITLE: Final = 80
_ATTEMPTS: Final = 10
_SHOWN: Final = (
    "id", "status", "title", "prompt", "work_directory", "host", "kind", "priority", "tags", "depends_on", "attempt",
    "max_attempts", "worker_id", "run_at", "due_at", "started_at", "finished_at", "reason", "parked", "question", "answer",
    "progress", "result", "error", "session_id", "agent",
)  # fmt: skip
_STUCK: Final = {Status.WAITING, Status.BLOCKED, Status.SCHEDULED, Status.PARKED}


def line(task: Task) -> str:
    """One task in one line."""
    title = brief_line(task.title or task.prompt or task.kind, _TITLE)
    marks = [str(task.status), *([] if task.priority == "normal" else [str(task.priority)])]
    return f"{task.id} {' '.join(marks)} {task.work_directory} {title}"


def brief_line(text: str, most: int) -> str:
    """The beginning of a text, in one line."""
    return " ".join(text.split())[:most]


async def whole(client: AsyncClient, task_id: int, *, log_tail: int = 0) -> dict[str, Any]:
    """A task with its attempts; of long text the middle is left out."""
    task = await client.send(endpoints.get_task(task_id))
    shown = {name: value for name in _SHOWN if (value := _brief(getattr(task, name))) not in (None, "", [], {})}
    if task.status in _STUCK:
        shown["why"] = (await client.send(endpoints.why(task_id))).summary
    if task.lease_no:
        page = await client.send(endpoints.list_attempts(ListAttempts(task_id=task_id, limit=_ATTEMPTS)))
        shown["attempts"] = [" ".join(told(attempt)) for attempt in reversed(page.items)]
    if log_tail:
        shown["log"] = await log(client, task_id, log_tail)
    return shown


async def log(client: AsyncClient, task_id: int, lines: int) -> str:
    """The end of a task's output."""
    page = await client.send(endpoints.read_logs(task_id, ReadLogs(tail=lines, limit=lines)))
    return brief("\n".join(one.text for one in page.lines), 4 * _LONG)


def _brief(value: object) -> object:
    if isinstance(value, str):
        return brief(value, _LONG)
    plain = msgspec.to_builtins(value)
    if isinstance(plain, dict | list) and len(text := msgspec.json.encode(plain).decode()) > _LONG:
        return brief(text, _LONG)
    return plain
