"""The rows of runs: reading them, and how they change."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from orchestrator.domain.holders import reach
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Noted
from orchestrator.domain.planning import FINAL, Stand
from orchestrator.domain.principal import PathScope, Principal
from orchestrator.domain.records import Run, RunStep, WorkflowVersion
from orchestrator.domain.task import Millis
from worker_client.contract.enums import RunStatus, Scope, StepStatus

_ids: Final = msgspec.json.Decoder(list[int])
_names: Final = msgspec.json.Decoder(tuple[str, ...])


def listed(text: str | None) -> tuple[str, ...] | None:
    """Patterns or names of a column; None: all."""
    return None if text is None else _names.decode(text)


def reach_of(paths: str | None) -> PathScope:
    """The directories of a column."""
    return reach(listed(paths))


def task_ids(row: RunStep) -> list[int]:
    """The tasks of a step, by item."""
    return _ids.decode(row.tasks)


def creator(run: Run, version: WorkflowVersion) -> Principal:
    """Who creates the tasks of a run: with no more rights than those had who defined the workflow."""
    allowed = listed(version.secrets)
    return Principal(
        id=f"workflow:{run.workflow_id}",
        scopes=frozenset({Scope.SUBMIT}),
        paths=reach_of(run.paths),
        secrets=None if allowed is None else frozenset(allowed),
    )


def moved(row: RunStep | None, run_id: int, step_id: str, stand: Stand, now: Millis, tasks: Iterable[int] | None) -> RunStep:
    """The row of a step that stands elsewhere now; `tasks`: those that it has made."""
    before = row or RunStep(
        run_id=run_id,
        step_id=step_id,
        version=0,
        status=str(StepStatus.PENDING),
        take=1,
        tasks="[]",
        reason=None,
        started_at=None,
        finished_at=None,
    )
    begun = stand.status is StepStatus.RUNNING and before.started_at is None
    return replace(
        before,
        version=before.version + 1,
        status=str(stand.status),
        reason=stand.reason,
        tasks=before.tasks if tasks is None else to_json(list(tasks)),
        started_at=now if begun else before.started_at,
        finished_at=now if stand.status in FINAL else None,
    )


def anew(row: RunStep) -> RunStep:
    """The row of a step that is to begin once more, with other tasks."""
    return replace(
        row,
        version=row.version + 1,
        status=str(StepStatus.PENDING),
        take=row.take + (row.tasks != "[]"),
        tasks="[]",
        reason=None,
        started_at=None,
        finished_at=None,
    )


def going_on(run: Run, timeout_seconds: float | None, now: Millis) -> Run:
    """A run that is taken up again, with all its time."""
    return replace(
        run,
        version=run.version + 1,
        status=str(RunStatus.RUNNING),
        reason=None,
        deadline_at=deadline(timeout_seconds, now),
        updated_at=now,
        finished_at=None,
    )


def ended(run: Run, status: RunStatus, reason: str | None, now: Millis) -> Run:
    """A run that is over."""
    return replace(run, version=run.version + 1, status=str(status), reason=reason, updated_at=now, finished_at=now)


def deadline(timeout_seconds: float | None, now: Millis) -> Millis | None:
    """When a run that begins or goes on has to be over."""
    return None if timeout_seconds is None else now + round(timeout_seconds * 1000)


def told(kind: str, run: Run, **facts: Any) -> Noted:
    """An event of the feed about a run."""
    data = {"run_id": run.id, "workflow_id": run.workflow_id, "status": run.status}
    data |= {name: value for name, value in facts.items() if value is not None}
    return Noted(f"run.{kind}", to_json(data), run_id=run.id, schedule_id=run.schedule_id)
