"""One task: what it is, how it stands and why, what it said, what became of it, and what can be done."""

from typing import Any, Final

import msgspec

from orchestrator.dashboard import calls
from orchestrator.dashboard.graphs import Edge, Node, drawing
from orchestrator.dashboard.output import window
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.attempts import ListTaskAttempts
from worker_client.contract.enums import ParkReason, Scope, Status
from worker_client.contract.histories import ReadGraph, ReadTaskEvents
from worker_client.contract.tasks import Task
from worker_client.errors import NotFound


def _on(*kinds: str) -> tuple[str, ...]:
    return tuple(f"task.{kind}" for kind in kinds)


CHANGES: Final = _on(
    "claimed", "completed", "failed", "expired", "released", "parked", "undelivered", "ready", "unblocked", "retried",
    "executed", "answered", "approved", "rejected", "cancel_requested", "cancelled", "revived", "updated", "deleted",
    "drain_requested", "budget_reached",
)  # fmt: skip
"""All events of a task, without the hints that it has more output."""
_ATTEMPTS: Final = 6
_MOST_ATTEMPTS: Final = 50
_EVENTS: Final = 100
_TOLD: Final = ("attempt", "worker_id", "parent", "fields", "message", "reason", "due_at")
_SHORT: Final = 3000
_LONG: Final = 200_000
_GRAPH: Final = ReadGraph(depth=3, limit=60)
_LARGEST: Final = 2**63


def task_id(visit: Visit) -> int:
    """The id in the address. Raises NotFound."""
    text = visit.path["task_id"]
    if text.isascii() and text.isdecimal() and 0 < int(text[:20]) < _LARGEST:
        return int(text)
    raise NotFound(f"there is no task {text[:100]!r}: ids are whole numbers")


async def _task(visit: Visit) -> Task:
    return await visit.once(endpoints.get_task(task_id(visit)))


async def _subject(visit: Visit) -> Facts:
    return {"task": await _task(visit)}


def _may(visit: Visit, task: Task) -> set[str]:
    """The names of what can be done with a task as it stands, by who looks."""
    status, parked = task.status, task.parked
    due = status in {Status.SCHEDULED, Status.WAITING} or (parked is not None and parked.until is not None)
    open_ = not status.final and status is not Status.RUNNING
    can = {
        "cancel": not status.final and task.cancel_requested_at is None,
        "retry": status.final,
        "execute": due,
        "change": open_,
        "delete": status is not Status.RUNNING,
        "copy": True,
        "answer": parked is not None and parked.reason is ParkReason.QUESTION,
    }
    decides = parked is not None and (
        parked.reason is ParkReason.APPROVAL or (parked.reason is ParkReason.BUDGET and parked.until is None)
    )
    found = {name for name, possible in can.items() if possible} if visit.may(Scope.SUBMIT) else set()
    return found | ({"approve", "reject"} if decides and visit.may(Scope.ADMIN) else set())


async def _head(visit: Visit) -> Facts:
    task = await _task(visit)
    return {"task": task, "may": _may(visit, task)}


async def _state(visit: Visit) -> Facts:
    task = await _task(visit)
    facts: Facts = {"task": task, "may": _may(visit, task), "why": None}
    if not task.status.final and task.status is not Status.RUNNING:
        facts["why"] = await visit.ask(endpoints.why(task.id))
    return facts


async def _advice(visit: Visit) -> Facts:
    task = await _task(visit)
    failed = task.error is not None and task.status not in {Status.COMPLETED, Status.CANCELLED}
    return {"items": (await visit.ask(endpoints.task_advice(task.id))).items if failed else []}


def _bounded(visit: Visit, name: str, text: str) -> Facts:
    """A text as far as it is shown: all of it where the address asks for that, within reason."""
    most = _LONG if visit.one("whole") == name else _SHORT
    return {"text": text, "most": most, "left": max(0, len(text) - most), "name": name}


async def _prompt(visit: Visit) -> Facts:
    task = await _task(visit)
    return {"task": task, **_bounded(visit, "prompt", task.prompt or "")}


async def _result(visit: Visit) -> Facts:
    task = await _task(visit)
    result = task.result
    told = result if isinstance(result, str) else msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    return {"task": task, "result": result, **_bounded(visit, "result", told)}


async def _log(visit: Visit) -> Facts:
    task = await _task(visit)
    return {"task": task, "window": await window(visit, task.id), "times": visit.one("times") == "1"}


async def _attempts(visit: Visit) -> Facts:
    task = await _task(visit)
    asked = ListTaskAttempts(limit=1000)
    found = (await visit.ask(endpoints.task_attempts(task.id, asked))).items[::-1]
    most = _MOST_ATTEMPTS if visit.one("whole") == "attempts" else _ATTEMPTS
    shown = [(attempt, _evidence(attempt.evidence)) for attempt in found[:most]]
    return {"task": task, "attempts": shown, "left": len(found) - len(shown)}


def _evidence(told: dict[str, Any]) -> Facts:
    """What is known to be in the evidence of an attempt, where it is what it should be."""
    worktree, verify = told.get("worktree"), told.get("verify")
    worktree = worktree if isinstance(worktree, dict) else {}
    verify = verify if isinstance(verify, dict) else {}
    argv = told.get("argv")
    named = {"branch": worktree.get("branch"), "commit": worktree.get("head_commit"), "diff_stat": worktree.get("diff_stat")}
    named |= {"verify": verify.get("command"), "signal": told.get("signal")}
    texts = {name: fact if isinstance(fact, str) else "" for name, fact in named.items()}
    codes = {"exit_code": told.get("exit_code"), "verify_code": verify.get("exit_code"), "commits": worktree.get("commits")}
    numbers = {name: fact if isinstance(fact, int) else None for name, fact in codes.items()}
    return {**texts, **numbers, "argv": " ".join(map(str, argv)) if isinstance(argv, list) else ""}


async def _timeline(visit: Visit) -> Facts:
    found = await visit.ask(endpoints.task_events(task_id(visit), ReadTaskEvents(limit=_EVENTS)))
    told = [(event, {**dict.fromkeys(_TOLD), **event.data}) for event in found.items[::-1]]
    return {"events": told, "complete": found.complete}


async def _graph(visit: Visit) -> Facts:
    own = task_id(visit)
    found = await visit.ask(endpoints.task_graph(own, _GRAPH))
    nodes = [
        Node(
            id=str(node.id),
            name=node.title or f"{node.kind} {node.id}",
            status=str(node.status),
            note=f"#{node.id}",
            link=f"/tasks/{node.id}",
            own=node.id == own,
        )
        for node in found.nodes
    ]
    edges = [Edge(str(edge.parent), str(edge.child), edge.satisfied) for edge in found.edges]
    return {"drawing": drawing(nodes, edges), "complete": found.complete}


async def _facts(visit: Visit) -> Facts:
    return {"task": await _task(visit)}


async def _calls(visit: Visit) -> Facts:
    task = await _task(visit)
    request = visit.request
    address = f"{request.scope['scheme']}://{request.headers.get('host', '127.0.0.1:8080')}{visit.root}"
    curl, python = calls.curl(task, address), calls.python(task, address)
    short = visit.one("whole") == "calls" or len(curl) <= calls.MOST
    return {"task": task, "curl": curl, "python": python, "short": short}


def _stream(visit: Visit) -> str:
    return f"task_id={task_id(visit)}&live=true"


TASK: Final = Page(
    "task",
    panels=(
        Panel("task-head", _head, on=(*CHANGES, *_on("progress"))),
        Panel("task-state", _state, on=CHANGES),
        Panel("task-advice", _advice, on=CHANGES),
        Panel("task-result", _result, on=_on("completed", "retried")),
        Panel("task-log", _log, on=(*_on("output"), *CHANGES)),
        Panel("task-prompt", _prompt, on=_on("updated")),
        Panel("task-attempts", _attempts, on=CHANGES),
        Panel("task-graph", _graph, on=CHANGES),
        Panel("task-calls", _calls),
        Panel("task-facts", _facts, on=(*CHANGES, *_on("progress"))),
        Panel("task-timeline", _timeline, on=CHANGES),
    ),
    subject=_subject,
    stream=_stream,
    part="tasks",
)
