"""Workflows, runs, deployments and deliveries, as people see them."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from worker_client.contract.triggers import Delivered, Delivery, TriggerHealth, WorkflowTriggers
from worker_client.contract.workflows import Deployment, Run, Step, Workflow

STYLES = {
    "running": "bold yellow", "completed": "green", "failed": "bold red", "cancelled": "bright_black", "pending": "cyan",
    "skipped": "bright_black", "fired": "green", "dry_run": "cyan", "duplicate": "bright_black", "filtered": "bright_black",
    "refused": "bold red",
}  # fmt: skip


def status(value: str) -> Text:
    """A status of a run, a step or a delivery, in its colour."""
    return Text(str(value), style=STYLES.get(value, ""))


def line(one: Workflow) -> Text:
    """A workflow in a line."""
    steps = f"{len(one.steps)} step{'s' if len(one.steps) > 1 else ''}"
    return Text.assemble("workflow ", (one.name, "bold"), f" ({one.id}) version {one.version}, {steps}, {_deployed(one)}")


def _deployed(one: Workflow) -> str:
    return "not deployed" if one.deployed_version is None else f"version {one.deployed_version} deployed"


def workflows(listed: list[Workflow]) -> Table:
    """Workflows, a line each."""
    rows = (
        (
            one.id,
            one.name,
            str(one.version),
            "" if one.deployed_version is None else str(one.deployed_version),
            str(len(one.steps)),
            ", ".join(str(trigger.get("type", "")) for trigger in one.triggers),
            output.moment(one.updated_at),
        )
        for one in listed
    )
    headers = ("ID", "NAME", "VERSION", "DEPLOYED", "STEPS", "TRIGGERS", "CHANGED")
    return output.table(*headers, rows=rows, right=("VERSION", "DEPLOYED", "STEPS"))


def whole(one: Workflow) -> Iterator[Any]:
    """All that is known of a workflow."""

    def known() -> Iterator[tuple[str, Text | str]]:
        yield "workflow", f"{one.name} ({one.id})"
        yield "version", f"{one.version}, {_deployed(one)}"
        yield "description", one.description or ""
        yield "input", _dense(one.input)
        yield "time limit", output.duration(one.timeout_seconds)
        yield "kept by the files of", one.managed_by or ""
        yield "created", f"{output.moment(one.created_at)} by {one.created_by or output.SOMEBODY}"

    yield output.facts(known())
    rows = ((step.id, ", ".join(step.depends_on), _each(step), _condition(step), _dense(step.task)) for step in one.steps)
    yield output.table("STEP", "AFTER", "FOR EACH", "WHEN", "TASK", rows=rows)
    if one.triggers:
        yield output.table(
            "TRIGGER", "SETTINGS", rows=((str(t.get("type", "")), _dense(_without(t, "type"))) for t in one.triggers)
        )


def _each(step: Step) -> str:
    return step.for_each if isinstance(step.for_each, str) else _dense(step.for_each)


def _condition(step: Step) -> str:
    told = [] if step.run_if == "success" else [f"run if {step.run_if}"]
    return ", ".join([*told, *([step.when] if step.when else [])])


def deployments(listed: list[Deployment]) -> Table:
    """Deployments, a line each."""
    rows = (
        (
            one.name,
            str(one.version or ""),
            str(one.latest_version),
            output.moment(one.deployed_at),
            ", ".join(str(trigger.get("type", "")) for trigger in one.triggers),
        )
        for one in listed
    )
    return output.table("WORKFLOW", "DEPLOYED", "LATEST", "SINCE", "TRIGGERS", rows=rows, right=("DEPLOYED", "LATEST"))


def deployment(one: Deployment) -> Iterator[Any]:
    """Whether a workflow is deployed, and its triggers."""
    if not one.deployed:
        yield f"workflow {one.name} is not deployed"
        return
    newer = f" (the latest is {one.latest_version})" if one.latest_version != one.version else ""
    yield f"workflow {one.name}: version {one.version} is deployed since {output.moment(one.deployed_at)}{newer}"
    if one.triggers:
        yield triggers(one.triggers)


def trigger_status(one: WorkflowTriggers) -> Iterator[Any]:
    """The triggers of a workflow."""
    yield f"version {one.version} is deployed" if one.deployed else "not deployed: its triggers are inert"
    yield triggers([msgspec.to_builtins(trigger) for trigger in one.triggers]) if one.triggers else "no triggers"


def triggers(listed: Iterable[dict[str, Any]]) -> Table:
    """Triggers, a line each."""
    rows = (
        (
            str(one.get("place", "")),
            str(one.get("type", "")),
            _state(one),
            str(one.get("path") or ""),
            str(one.get("last_outcome") or ""),
            _dense(one.get("settings")),
        )
        for one in listed
    )
    return output.table("PLACE", "TYPE", "STATE", "PATH", "LAST", "SETTINGS", rows=rows, right=("PLACE",))


def _state(one: dict[str, Any]) -> str:
    if one.get("failing"):
        return f"failing: {one['failing']}"
    state = "on" if one.get("active") else "off"
    return f"{state}, dry run" if one.get("dry_run") else state


def runs(listed: list[Run]) -> Table:
    """Runs, a line each."""
    rows = (
        (
            str(one.id),
            one.workflow_name,
            str(one.version),
            status(one.status),
            output.moment(one.created_at),
            output.duration(output.between(one.created_at, one.finished_at)),
            one.source,
            one.reason or "",
        )
        for one in listed
    )
    return output.table(
        "RUN", "WORKFLOW", "VERSION", "STATUS", "BEGUN", "TOOK", "BY", "WHY", rows=rows, right=("RUN", "VERSION", "TOOK")
    )


def run_line(one: Run) -> Text:
    """A run in a line."""
    words = Text.assemble("run ", (str(one.id), "bold"), f" of {one.workflow_name} version {one.version} is ", status(one.status))
    return words.append(f": {one.reason}") if one.reason else words


def run(one: Run) -> Iterator[Any]:
    """A run with its steps."""

    def known() -> Iterator[tuple[str, Text | str]]:
        yield "run", f"{one.id} of {one.workflow_name}, version {one.version}"
        yield "status", status(one.status)
        yield "why", one.reason or ""
        yield "input", _dense(one.input)
        yield "begun", f"{output.moment(one.created_at)} by {one.source}"
        yield "ended", output.moment(one.finished_at)
        yield "time limit", "" if one.finished_at else output.moment(one.deadline_at)

    yield output.facts(known())
    rows = (
        (
            name,
            status(step.status),
            ", ".join(map(str, step.task_ids[:5])) + (", …" if len(step.task_ids) > 5 else ""),
            "" if step.items is None else f"{step.done}/{step.items}",
            step.reason or "",
            _short(step.result),
        )
        for name, step in one.steps.items()
    )
    yield output.table("STEP", "STATUS", "TASKS", "DONE", "WHY", "RESULT", rows=rows, right=("DONE",))


def delivered(one: Delivered) -> Text:
    """What became of a delivery."""
    words = status(one.outcome)
    if one.run_id is not None:
        words.append(f": run {one.run_id}", "")
    return words.append(f": {one.reason}") if one.reason else words


def deliveries(listed: list[Delivery]) -> Table:
    """Deliveries, a line each."""
    rows = (
        (
            str(one.id),
            output.moment(one.at),
            one.type,
            status(one.outcome),
            str(one.times),
            "" if one.run_id is None else str(one.run_id),
            one.reason or "",
            _short(one.facts),
        )
        for one in listed
    )
    return output.table("ID", "AT", "TRIGGER", "OUTCOME", "TIMES", "RUN", "WHY", "FACTS", rows=rows, right=("ID", "TIMES", "RUN"))


def health(one: TriggerHealth) -> Iterator[Any]:
    """How the triggers of all deployed workflows are."""
    on = ", ".join(f"{count} {name}" for name, count in sorted(one.deployed.items())) or "none"
    yield Text.assemble(
        "triggers that are on: ", on, ", ", ("all well", "green") if one.healthy else ("not all well", "bold red")
    )
    if one.fetching:
        yield f"{one.fetching} deliveries wait for what GitHub is asked"
    if one.refused_at:
        yield f"a call of GitHub was refused at {output.moment(one.refused_at)}: its signature did not fit"
    if one.failing:
        rows = ((each.workflow_id, str(each.trigger), each.type, each.failing) for each in one.failing)
        yield output.table("WORKFLOW", "PLACE", "TYPE", "WHY", rows=rows, right=("PLACE",))


def _dense(value: Any) -> str:
    return msgspec.json.encode(value).decode() if value else ""


def _short(value: Any, most: int = 80) -> str:
    text = "" if value is None else _dense(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _without(one: dict[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in one.items() if field != name}
