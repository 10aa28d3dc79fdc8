"""Workflows and runs as people look at them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.principal import PathScope
from orchestrator.domain.records import Run, RunStep, Workflow, WorkflowVersion
from orchestrator.store.reads.conditions import Condition, all_of, reaching
from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import COUNTED, Listing, Reading, cursor_at, place_of, total_of
from orchestrator.store.rows import RECORD_COLUMNS, record_of
from worker_client.contract.enums import RunStatus
from worker_client.contract.workflows import ListRuns, ListWorkflows, RunState

MOST_RESULTS: Final = 4_000_000
"""Characters of results that one answer has."""
_AT_ONCE: Final = 50
"""Workflows whose last runs are asked for at once: databases bound how long a query may be."""
_WORKFLOW: Final = RECORD_COLUMNS[Workflow.TABLE]
_VERSION: Final = RECORD_COLUMNS[WorkflowVersion.TABLE].replace("r.", "v.")
_RUN: Final = RECORD_COLUMNS[Run.TABLE]
_STEP: Final = RECORD_COLUMNS[RunStep.TABLE]
_WIDTH: Final = len(Workflow.__struct_fields__)


class Defined(Struct, frozen=True):
    """A workflow and one of its versions."""

    workflow: Workflow
    version: WorkflowVersion


class RunView(Struct, frozen=True):
    """A run, what was done about its steps, and its definition, when there still is one.

    `unfinished`: ids of its tasks that have not ended; `results`: by task, as JSON; `omitted`: characters of those left out.
    """

    run: Run
    steps: list[RunStep]
    definition: str | None = None
    unfinished: frozenset[int] = frozenset()
    results: dict[int, str] = {}
    omitted: dict[int, int] = {}


class FlowReads(Reading):
    """Queries for workflows and runs."""

    async def workflow(self, workflow_id: str, visible: PathScope, number: int | None = None) -> Defined | None:
        """A workflow in a version (None: the latest); None when there is none or it cannot be seen."""
        seen = reaching(visible, "r.paths", self._dialect)
        rows = await self._fetch(
            f"SELECT {_WORKFLOW}, {_VERSION} FROM workflows r JOIN workflow_versions v ON v.workflow_id = r.id"
            f" WHERE r.id = ? AND v.number = coalesce(CAST(? AS INTEGER), r.latest) AND {seen.sql}",
            (workflow_id, number, *seen.params),
        )
        return _defined(rows[0]) if rows else None

    async def workflows(self, query: ListWorkflows, visible: PathScope, before: int) -> Listing[Defined]:
        """Workflows in their latest versions, by name, from a place on; one more than asked for."""
        parts = [reaching(visible, "r.paths", self._dialect)]
        if query.q is not None:
            like = self._dialect.like
            words = f"%{_escaped(query.q)}%"
            parts.append(Condition(f"(r.name {like} ? ESCAPE '\\' OR r.id = ?)", (words, query.q)))
        if query.deployed is not None:
            parts.append(Condition(f"r.deployed IS {'NOT ' if query.deployed else ''}NULL"))
        where = all_of(parts)
        ((counted,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM workflows r WHERE {where.sql} LIMIT {COUNTED + 1}) AS counted", where.params
        )
        rows = await self._fetch(
            f"SELECT {_WORKFLOW}, {_VERSION} FROM workflows r"
            " JOIN workflow_versions v ON v.workflow_id = r.id AND v.number = r.latest"
            f" WHERE {where.sql} ORDER BY r.name, r.id LIMIT ? OFFSET ?",
            (*where.params, query.limit + 1, before),
        )
        total, exact = total_of(counted)
        return Listing(items=[_defined(row) for row in rows], total=total, total_exact=exact)

    async def runs(self, query: ListRuns, visible: PathScope) -> Listing[RunView]:
        """A page of runs, newest first, without results."""
        refuse_both(query.cursor, query.offset)
        parts = [reaching(visible, "r.paths", self._dialect)]
        for column, wanted in (("workflow_id", query.workflow_id), ("status", query.status), ("schedule_id", query.schedule_id)):
            if wanted is not None:
                parts.append(Condition(f"r.{column} = ?", (wanted,)))
        where = all_of(parts)
        ((counted,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM runs r WHERE {where.sql} LIMIT {COUNTED + 1}) AS counted", where.params
        )
        if query.cursor is not None:
            where = all_of([where, Condition("r.id < ?", (place_of(query.cursor, "r")[1],))])
        rows = await self._fetch(
            f"SELECT {_RUN} FROM runs r WHERE {where.sql} ORDER BY r.id DESC LIMIT ? OFFSET ?",
            (*where.params, query.limit + 1, query.offset),
        )
        found = [record_of(Run, row) for row in rows[: query.limit]]
        steps = await self._steps(run.id for run in found)
        total, exact = total_of(counted)
        cursor = cursor_at(f"r{found[-1].id}") if len(rows) > query.limit else None
        views = [RunView(run, steps.get(run.id, [])) for run in found]
        return Listing(items=views, total=total, total_exact=exact, next_cursor=cursor)

    async def last_runs(self, workflow_ids: Sequence[str], count: int, visible: PathScope) -> dict[str, list[RunState]]:
        """The last runs of each of these workflows, newest first."""
        seen = reaching(visible, "r.paths", self._dialect)
        one = (
            "SELECT * FROM (SELECT r.workflow_id, r.id, r.status, r.created_at, r.finished_at FROM runs r"
            f" WHERE r.workflow_id = ? AND {seen.sql} ORDER BY r.id DESC LIMIT ?) AS last"
        )
        found: dict[str, list[RunState]] = {}
        for start in range(0, len(workflow_ids), _AT_ONCE):
            some = workflow_ids[start : start + _AT_ONCE]
            params = [value for workflow_id in some for value in (workflow_id, *seen.params, count)]
            for workflow_id, run_id, status, created, finished in await self._fetch(
                " UNION ALL ".join([one] * len(some)), params
            ):
                state = RunState(id=run_id, status=RunStatus(status), created_at=moment(created), finished_at=perhaps(finished))
                found.setdefault(workflow_id, []).append(state)
        return {workflow_id: sorted(states, key=lambda state: -state.id) for workflow_id, states in found.items()}

    async def run_status(self, run_id: int, visible: PathScope) -> str | None:
        """Where a run stands; None when there is none or it cannot be seen."""
        seen = reaching(visible, "r.paths", self._dialect)
        rows = await self._fetch(f"SELECT r.status FROM runs r WHERE r.id = ? AND {seen.sql}", (run_id, *seen.params))
        return rows[0][0] if rows else None

    async def run(self, run_id: int, visible: PathScope) -> RunView | None:
        """A run with its steps and their results; None when there is none or it cannot be seen."""
        seen = reaching(visible, "r.paths", self._dialect)
        rows = await self._fetch(f"SELECT {_RUN} FROM runs r WHERE r.id = ? AND {seen.sql}", (run_id, *seen.params))
        if not rows:
            return None
        run = record_of(Run, rows[0])
        definition = await self._fetch(
            "SELECT definition FROM workflow_versions WHERE workflow_id = ? AND number = ?", (run.workflow_id, run.number)
        )
        unfinished = await self._fetch("SELECT id FROM tasks WHERE run_id = ? AND finished_at IS NULL", (run_id,))
        steps = (await self._steps([run_id])).get(run_id, [])
        results, omitted = await self._results([task_id for step in steps for task_id in json.loads(step.tasks)])
        return RunView(
            run=run,
            steps=steps,
            definition=definition[0][0] if definition else None,
            unfinished=frozenset(task_id for (task_id,) in unfinished),
            results=results,
            omitted=omitted,
        )

    async def _steps(self, run_ids: Iterable[int]) -> dict[int, list[RunStep]]:
        rows = await self._fetch(
            f"SELECT {_STEP} FROM run_steps r WHERE r.run_id IN ({self._among()})", (json.dumps(list(run_ids)),)
        )
        found: dict[int, list[RunStep]] = {}
        for step in (record_of(RunStep, row) for row in rows):
            found.setdefault(step.run_id, []).append(step)
        return found

    async def _results(self, ids: list[int]) -> tuple[dict[int, str], dict[int, int]]:
        """The results of tasks in their order, as many as fit; and the sizes of the others."""
        given = "FROM task_outputs WHERE result IS NOT NULL AND task_id IN"
        measured: list[Any] = await self._fetch(f"SELECT task_id, length(result) {given} ({self._among()})", (json.dumps(ids),))
        sizes: dict[int, int] = dict(measured)
        shown: list[int] = []
        room = MOST_RESULTS
        for task_id in ids:
            if sizes.get(task_id, room + 1) <= room:
                room -= sizes.pop(task_id)
                shown.append(task_id)
        rows: list[Any] = await self._fetch(f"SELECT task_id, result {given} ({self._among()})", (json.dumps(shown),))
        return dict(rows), sizes

    def _among(self) -> str:
        return f"SELECT CAST(value AS BIGINT) FROM {self._dialect.each.format('?')}"


def _defined(row: tuple[Any, ...]) -> Defined:
    return Defined(record_of(Workflow, row[:_WIDTH]), record_of(WorkflowVersion, row[_WIDTH:]))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
