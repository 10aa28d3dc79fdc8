"""Workflows and runs as the contract shows them."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.records import Run, RunStep
from orchestrator.domain.workflows import Definition
from orchestrator.store.reads.flows import Defined, RunView
from orchestrator.triggers import shown
from worker_client.contract import workflows as contract
from worker_client.contract.enums import RunStatus, StepStatus
from worker_client.contract.fields import JsonObject

_definition = msgspec.json.Decoder(Definition)
_ids = msgspec.json.Decoder(list[int])
_object = msgspec.json.Decoder(JsonObject)


def workflow(found: Defined) -> contract.Workflow:
    """A workflow in a version."""
    kept, version = found.workflow, found.version
    definition = _definition.decode(version.definition)
    return contract.Workflow(
        id=kept.id,
        version=version.number,
        name=kept.name,
        description=definition.description,
        steps=definition.steps,
        triggers=shown(definition.triggers),
        input=definition.input,
        timeout_seconds=definition.timeout_seconds,
        deployed_version=kept.deployed,
        created_at=moment(kept.created_at),
        updated_at=moment(kept.updated_at),
        created_by=kept.owner,
        managed_by=kept.managed_by,
    )


def run(view: RunView) -> contract.Run:
    """A run with its steps, also those that nothing was done about."""
    steps = [] if view.definition is None else _definition.decode(view.definition).steps
    rows = {row.step_id: row for row in view.steps}
    fans = {step.id for step in steps if step.for_each is not None}
    ids = [step.id for step in steps] or sorted(rows)
    return _run(view.run, {step_id: _step(view, rows.get(step_id), fans=step_id in fans) for step_id in ids})


def brief(view: RunView) -> contract.Run:
    """A run of a list, with the steps that something was done about, and no results."""
    rows = sorted(view.steps, key=lambda row: (row.started_at or 0, row.step_id))
    return _run(view.run, {row.step_id: _begun(row, None) for row in rows})


def _run(kept: Run, steps: dict[str, contract.StepRun]) -> contract.Run:
    return contract.Run(
        id=kept.id,
        workflow_id=kept.workflow_id,
        workflow_name=kept.workflow_name,
        version=kept.number,
        status=RunStatus(kept.status),
        input=_object.decode(kept.input),
        trigger=_object.decode(kept.trigger),
        source=kept.source,
        schedule_id=kept.schedule_id,
        reason=kept.reason,
        steps=steps,
        created_at=moment(kept.created_at),
        updated_at=moment(kept.updated_at),
        finished_at=perhaps(kept.finished_at),
        deadline_at=perhaps(kept.deadline_at),
    )


def _step(view: RunView, row: RunStep | None, *, fans: bool) -> contract.StepRun:
    if row is None:
        over = view.run.status != RunStatus.RUNNING
        status = StepStatus.CANCELLED if over else StepStatus.PENDING
        return contract.StepRun(status=status, task_ids=[], result=None, reason=view.run.reason if over else None)
    step = _begun(row, None)
    step.done = sum(task_id not in view.unfinished for task_id in step.task_ids)
    step.omitted = sum(view.omitted.get(task_id, 0) for task_id in step.task_ids)
    results = list(_results(view, step.task_ids))
    if fans:
        step.items = len(step.task_ids)
    if not step.omitted:
        step.result = results if fans else results[0] if results else None
    return step


def _results(view: RunView, ids: Sequence[int]) -> Iterator[Any]:
    return (Raw(view.results.get(task_id, "null").encode()) for task_id in ids)


def _begun(row: RunStep, result: Any) -> contract.StepRun:
    return contract.StepRun(status=StepStatus(row.status), task_ids=_ids.decode(row.tasks), result=result, reason=row.reason)
