"""Workflows: the graph of each, its definition and its runs as a grid; and one run, as it goes on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from orchestrator.dashboard.graphs import Edge, Node, drawing
from orchestrator.dashboard.measures import shown
from orchestrator.dashboard.page import Facts, Page, Panel
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.enums import RunStatus, Scope
from worker_client.contract.tasks import WaitFor
from worker_client.contract.workflows import ListRuns, ListWorkflows, Run, Step, Workflow, WorkflowVersion
from worker_client.errors import NotFound

_LISTED: Final = 25
_LAST: Final = 14
_COLUMNS: Final = 20
_CELLS: Final = 1200
_MOST_STEPS: Final = 200
_MOST_TASKS: Final = 8
_RESULT: Final = 300
_MOST_FIELDS: Final = 30
_LARGEST: Final = 2**63
_RUNS: Final = ("run.*",)


async def _list(visit: Visit) -> Facts:
    query = ListWorkflows(limit=_LISTED, offset=visit.number("offset"), q=visit.one("q")[:500] or None, runs=_LAST)
    return {"found": await visit.ask(endpoints.list_workflows(query)), "q": visit.one("q")}


def _runs_only(_visit: Visit) -> str:
    return "&".join(f"type=run.{kind}" for kind in ("started", "completed", "failed", "cancelled", "resumed"))


LIST: Final = Page("workflows", panels=(Panel("workflows-list", _list, on=_RUNS),), stream=_runs_only)


async def _workflow(visit: Visit) -> Workflow:
    number = visit.number("version")
    version = WorkflowVersion(version=number) if 0 < number < 2**31 else WorkflowVersion()
    return await visit.once(endpoints.get_workflow(visit.path["workflow_id"], version))


async def _subject(visit: Visit) -> Facts:
    return {"workflow": await _workflow(visit)}


def _fields(known: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Name, kind and value of the fields for an input: for what can be shown as it is, the rest keeps its default."""
    for name, value in list(known.items())[:_MOST_FIELDS]:
        kind = "text" if isinstance(value, str) else "json"
        if isinstance(value, bool | int | float):
            kind = "box" if isinstance(value, bool) else "number"
        told = json.dumps(value, ensure_ascii=False) if kind == "json" else value
        if shown(name) == name and (not isinstance(told, str) or shown(told) == told):
            yield name, kind, told


async def _head(visit: Visit) -> Facts:
    workflow = await _workflow(visit)
    newest = await visit.once(endpoints.get_workflow(workflow.id, WorkflowVersion()))
    may = {"may_run": visit.may(Scope.SUBMIT), "may_deploy": visit.may(Scope.ADMIN)}
    return {"workflow": workflow, "latest": newest.version, "fields": list(_fields(newest.input)), **may}


async def _graph(visit: Visit) -> Facts:
    workflow = await _workflow(visit)
    return {
        "drawing": _drawn(workflow.steps, {}),
        "steps": workflow.steps[:_MOST_STEPS],
        "left": len(workflow.steps) - _MOST_STEPS,
    }


def _drawn(steps: Sequence[Step], states: Mapping[str, tuple[str, str, str]]) -> Any:
    """The graph of steps; what is known of their states: status, note and link."""
    drawn = steps[:_MOST_STEPS]
    nodes = []
    for step in drawn:
        fans = "" if step.for_each is None else "\N{MULTIPLICATION SIGN} n"
        status, note, link = states.get(step.id, ("", fans or str(step.task.get("kind") or "agent"), ""))
        nodes.append(Node(id=step.id, name=step.id, status=status, note=note, link=link))
    known = {step.id for step in drawn}
    return drawing(nodes, [Edge(parent, step.id) for step in drawn for parent in step.depends_on if parent in known])


async def _grid(visit: Visit) -> Facts:
    """The last runs as columns, oldest first, and the steps of all of them as rows."""
    workflow = await _workflow(visit)
    found = await visit.ask(endpoints.list_runs(ListRuns(workflow_id=workflow.id, limit=_COLUMNS, offset=visit.number("offset"))))
    runs = found.items[::-1]
    names = dict.fromkeys([step.id for step in workflow.steps] + [name for run in runs for name in run.steps])
    most = max(1, _CELLS // max(1, len(runs)))
    rows = [(name, [_state(run, name) for run in runs]) for name in list(names)[:most]]
    return {"found": found, "runs": runs, "rows": rows, "left": len(names) - len(rows)}


def _state(run: Run, name: str) -> str:
    """The status of a step in a run of a list, which leaves out what nothing was done about."""
    if name in run.steps:
        return str(run.steps[name].status)
    return "pending" if run.status is RunStatus.RUNNING else ""


async def _definition(visit: Visit) -> Facts:
    workflow = await _workflow(visit)
    return {"workflow": workflow, "steps": workflow.steps[:60], "left": len(workflow.steps) - 60, "told": _told(workflow.input)}


def _told(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _of_workflow(_visit: Visit) -> str:
    return "&".join(f"type=run.{kind}" for kind in ("started", "step", "completed", "failed", "cancelled", "resumed"))


ONE: Final = Page(
    "workflow",
    panels=(
        Panel("workflow-head", _head),
        Panel("workflow-grid", _grid, on=_RUNS),
        Panel("workflow-graph", _graph),
        Panel("workflow-definition", _definition),
    ),
    subject=_subject,
    stream=_of_workflow,
    part="workflows",
)


def _run_id(visit: Visit) -> int:
    text = visit.path["run_id"]
    if text.isascii() and text.isdecimal() and 0 < int(text[:20]) < _LARGEST:
        return int(text)
    raise NotFound(f"there is no run {text[:100]!r}: ids are whole numbers")


async def _run(visit: Visit) -> Run:
    return await visit.once(endpoints.get_run(_run_id(visit), WaitFor()))


async def _run_subject(visit: Visit) -> Facts:
    return {"run": await _run(visit)}


async def _run_head(visit: Visit) -> Facts:
    run = await _run(visit)
    done = sum(step.status not in {"pending", "running"} for step in run.steps.values())
    return {"run": run, "may": visit.may(Scope.SUBMIT), "done": done}


async def _run_graph(visit: Visit) -> Facts:
    run = await _run(visit)
    try:
        version = WorkflowVersion(version=run.version)
        steps = (await visit.once(endpoints.get_workflow(run.workflow_id, version))).steps
    except NotFound:
        # The runs of a workflow stay when it is deleted.
        return {"drawing": None}
    states = {}
    for name, step in run.steps.items():
        note = "" if step.items is None else f"{step.done}/{step.items}"
        link = (
            f"/tasks/{step.task_ids[-1]}" if len(step.task_ids) == 1 else f"/runs/{run.id}#step-{name}" if step.task_ids else ""
        )
        states[name] = (str(step.status), note, link)
    return {"drawing": _drawn(steps, states)}


async def _run_steps(visit: Visit) -> Facts:
    run = await _run(visit)
    listed = list(run.steps.items())[:_MOST_STEPS]
    rows = [(name, step, step.task_ids[:_MOST_TASKS], _short(step.result)) for name, step in listed]
    return {"run": run, "rows": rows, "left": len(run.steps) - len(listed)}


def _short(result: Any) -> str:
    if result is None:
        return ""
    return (
        result[: _RESULT + 1] if isinstance(result, str) else msgspec.json.encode(result).decode(errors="replace")[: _RESULT + 1]
    )


async def _run_input(visit: Visit) -> Facts:
    run = await _run(visit)
    return {"run": run, "input": _told(run.input), "trigger": _told(run.trigger) if run.trigger else ""}


def _of_run(visit: Visit) -> str:
    return f"run_id={_run_id(visit)}"


_HERE: Final = ("run.*", "task.*")
RUN: Final = Page(
    "run",
    panels=(
        Panel("run-head", _run_head, on=_HERE),
        Panel("run-graph", _run_graph, on=_HERE),
        Panel("run-steps", _run_steps, on=_HERE),
        Panel("run-input", _run_input),
    ),
    subject=_run_subject,
    stream=_of_run,
    part="workflows",
)
