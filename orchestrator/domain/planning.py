"""What a run is to do next: a pure function of its steps, where they stand, and what became of their tasks."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from orchestrator.domain.graph import Graph
from worker_client.contract.enums import RunIf, RunStatus, Status, StepStatus
from worker_client.contract.workflows import Step

FINAL: Final = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})
WELL: Final = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
BADLY: Final = frozenset({StepStatus.FAILED, StepStatus.CANCELLED})
_SHOWN: Final = 10
"""Steps or tasks that a reason names."""


class Stand(Struct, frozen=True):
    """Where a step stands, and why."""

    status: StepStatus
    reason: str | None = None


_BEGIN: Final = Stand(StepStatus.RUNNING)


class Tally(Struct, frozen=True):
    """The tasks of a step: how many, how many have not ended, and the ids of those that failed, were cancelled, or are gone."""

    total: int
    unfinished: int
    failed: tuple[int, ...] = ()
    cancelled: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()

    @property
    def stand(self) -> Stand | None:
        """How the step has ended; None while it has not."""
        if self.unfinished:
            return None
        bad = (("failed", self.failed), ("cancelled", self.cancelled), ("deleted", self.gone))
        if not any(ids for _, ids in bad):
            return Stand(StepStatus.COMPLETED)
        said = [f"{_ids(ids)} {word}" for word, ids in bad if ids]
        of = f" of {self.total}" if self.total > 1 else ""
        return Stand(StepStatus.FAILED, f"{'tasks' if of else 'task'}{of}: {', '.join(said)}")


def tally(ids: Collection[int], statuses: Mapping[int, Status]) -> Tally:
    """What became of the tasks of a step; those without a status are gone."""
    found = {task_id: statuses.get(task_id) for task_id in ids}

    def those(status: Status | None) -> tuple[int, ...]:
        return tuple(task_id for task_id, now in found.items() if now is status)

    unfinished = sum(now is not None and not now.final for now in found.values())
    return Tally(len(found), unfinished, those(Status.FAILED), those(Status.CANCELLED), those(None))


def advance(
    graph: Graph, known: Mapping[str, StepStatus], look: Callable[[Step], Stand | None], begin: Callable[[Step], Stand | None]
) -> Iterator[tuple[str, Stand]]:
    """Steps that stand elsewhere now, each before the next is looked at; `known` leaves out those that nothing was done about.

    `look` says how a running step has ended, if it has; `begin` begins one, which may be over at once, or None: not now.
    """
    now = dict(known)
    for step in graph.steps:
        status = now.get(step.id, StepStatus.PENDING)
        stand = None
        if status is StepStatus.RUNNING:
            stand = look(step)
        elif status is StepStatus.PENDING:
            stand = _due(step, now)
            if stand is _BEGIN:
                stand = begin(step)
        if stand is not None:
            now[step.id] = stand.status
            yield step.id, stand


def _due(step: Step, now: Mapping[str, StepStatus]) -> Stand | None:
    """What a step is to do that has not begun; None: wait."""
    before = {step_id: now.get(step_id, StepStatus.PENDING) for step_id in step.depends_on}
    if not all(status in FINAL for status in before.values()):
        return None
    bad = next(((step_id, status) for step_id, status in before.items() if status in BADLY), None)
    if step.run_if is RunIf.ALWAYS or (bad is None) is (step.run_if is RunIf.SUCCESS):
        return _BEGIN
    if bad is None:
        return Stand(StepStatus.SKIPPED, "no step that it depends on failed")
    step_id, status = bad
    return Stand(StepStatus.CANCELLED, f"step {step_id} {'failed' if status is StepStatus.FAILED else 'was cancelled'}")


def outcome(graph: Graph, now: Mapping[str, StepStatus]) -> tuple[RunStatus, str | None] | None:
    """How a run has ended and why; None while a step can still go on."""
    if any(now.get(step.id, StepStatus.PENDING) not in FINAL for step in graph.steps):
        return None
    failed = [step.id for step in graph.steps if now[step.id] is StepStatus.FAILED]
    if failed:
        return RunStatus.FAILED, f"{_some(failed)} failed"
    # No failure comes before those that were cancelled with their run, when only others of it were taken up again.
    cancelled = [step.id for step in graph.steps if now[step.id] is StepStatus.CANCELLED]
    if cancelled:
        return RunStatus.FAILED, f"{_some(cancelled)} cancelled"
    return RunStatus.COMPLETED, None


class Again(Struct, frozen=True):
    """Which steps of a run go on with the tasks that they have, and which begin anew."""

    on: set[str]
    anew: set[str]


def again(graph: Graph, roots: Iterable[str]) -> Again:
    """What has to be done again when some steps are taken up: these go on, all that depends on them begins anew."""
    roots = set(roots)
    anew = graph.after(roots)
    return Again(roots - anew, anew)


def _some(steps: Collection[str]) -> str:
    return f"{'steps' if len(steps) > 1 else 'step'} {_few(steps)}"


def _ids(ids: Collection[int]) -> str:
    return _few([str(task_id) for task_id in ids])


def _few(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} others"
