"""What can be read without a tool: a directory's queue, a task, its output."""

from typing import Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from orchestrator.mcp.looking import line, log, whole
from orchestrator.mcp.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import Status
from worker_client.contract.tasks import ListTasks
from worker_client.errors import NotFound

_SCHEME: Final = "orchestrator://"
_TEXT: Final = "text/plain"
_JSON: Final = "application/json"
_LINES: Final = 1000
_DIGITS: Final = 19
"""Of an id: no number that fits a column has more, and Python refuses to read one of thousands."""
_OPEN: Final = [status for status in Status if not status.final]


class Resource(Struct, frozen=True, kw_only=True):
    """A kind of thing to read."""

    name: str
    uri: str
    description: str
    kind: str


RESOURCES: Final = (
    Resource(
        name="queue",
        uri="orchestrator://queue/{path}",
        description="The unfinished tasks of a directory, a line each; the path as it is or percent-encoded",
        kind=_TEXT,
    ),
    Resource(name="task", uri="orchestrator://tasks/{id}", description="A task with its attempts", kind=_JSON),
    Resource(name="log", uri="orchestrator://tasks/{id}/log", description="The last lines of a task's output", kind=_TEXT),
)


async def read(visit: Visit, uri: str) -> tuple[str, str]:
    """The text of a resource and its media type. Raises NotFound, and what the API refuses with."""
    kind, _, rest = uri.removeprefix(_SCHEME).partition("/")
    if uri.startswith(_SCHEME) and kind == "queue":
        return await _queue(visit, unquote(rest)), _TEXT
    number, _, part = rest.partition("/")
    numbered = number.isascii() and number.isdecimal() and len(number) <= _DIGITS
    if uri.startswith(_SCHEME) and kind == "tasks" and numbered and part in {"", "log"}:
        if part:
            return await log(visit.client, int(number), _LINES), _TEXT
        return msgspec.json.encode(await whole(visit.client, int(number))).decode(), _JSON
    raise NotFound(f"there is no resource {uri[:200]!r}: there are {', '.join(one.uri for one in RESOURCES)}")


async def _queue(visit: Visit, path: str) -> str:
    # `orchestrator://queue/srv/repo` means /srv/repo; a Windows path begins with its drive.
    path = path if path.startswith("/") or path[1:2] == ":" else f"/{path}"
    page = await visit.client.send(endpoints.list_tasks(ListTasks(work_path=[path], recursive=True, status=_OPEN, limit=200)))
    more = [f"... {page.total - len(page.items)} more"] if page.total > len(page.items) else []
    return "\n".join([*(line(task) for task in page.items), *more]) or f"nothing is unfinished in {path}"
