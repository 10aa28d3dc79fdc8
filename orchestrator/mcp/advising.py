"""The tool of whoever wants to know what to change."""

from typing import Any, Final

from orchestrator.mcp.arguments import Arguments
from orchestrator.mcp.looking import brief_line
from orchestrator.mcp.tool import Answered, Tool
from orchestrator.mcp.visit import Visit
from worker_client import endpoints
from worker_client.contract.advice import Advice, ListAdvice
from worker_client.contract.enums import Scope

_MOST: Final = 10
_EVIDENCE: Final = 3
_QUOTED: Final = 200


class Wanted(Arguments):
    """What `advice` takes."""

    id: int | None = None
    work_path: str | None = None


async def advised(visit: Visit, given: Wanted) -> Answered:
    """The heaviest advice, each with its first evidence."""
    if given.id is not None:
        found = await visit.client.send(endpoints.task_advice(given.id))
        return {"summary": found.summary, "advice": [_told(one) for one in found.items[:_MOST]]}
    path = None if given.work_path is None else [visit.path(given.work_path)]
    page = await visit.client.send(endpoints.list_advice(ListAdvice(work_path=path, recursive=path is not None, limit=_MOST)))
    return {"advice": [_told(one) for one in page.items], "total": page.total}


def _told(one: Advice) -> dict[str, Any]:
    evidence = [
        brief_line(fact.text if fact.line is None else f"line {fact.line}: {fact.text}", _QUOTED)
        for fact in one.evidence[:_EVIDENCE]
    ]
    about = {name: value for name in ("work_directory", "task_id", "schedule_id") if (value := getattr(one, name)) is not None}
    told = {"code": one.code, "message": one.message, "suggestion": one.suggestion, "evidence": evidence}
    return {**told, **about, "confidence": str(one.confidence)}


TOOLS: Final = (
    Tool(
        name="advice",
        description="Why a task failed (id), or what to change, with evidence.",
        takes=Wanted,
        scope=Scope.READ,
        run=advised,
        reads=True,
    ),
)
