"""Firing: the work of a due time is created in the transaction that writes down that it has fired."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from orchestrator.domain import enqueueing, runs, schedule_work
from orchestrator.domain import operations as ops
from orchestrator.domain.moves import to_json
from orchestrator.domain.outcomes import Change, Created, Decision, Noted
from orchestrator.domain.records import Fire, Kept, Run, Schedule, Under
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_outcomes import Fired, Fires
from orchestrator.domain.task import Millis
from orchestrator.domain.world import World
from worker_client.contract.enums import FireKind, FireOutcome, Overlap, RunStatus
from worker_client.contract.schedules import WorkflowCall
from worker_client.errors import OrchestratorError

MOST_CANCELLED: Final = 1_000
"""At once; more than that is left to run."""
MOST_QUEUED: Final = 1_000
"""Fires of a schedule that wait for the work before them."""
_SHOWN: Final = 100
"""Ids of tasks in an event."""


def revised(schedule: Schedule, world: World, **facts: Any) -> Schedule:
    """A schedule with other facts, one version later."""
    return replace(schedule, version=schedule.version + 1, updated_at=world.now, **facts)


def told(what: str, schedule: Schedule, **facts: Any) -> Noted:
    """An event of the feed about a schedule."""
    known = {name: value for name, value in facts.items() if value is not None}
    data = {"schedule_id": schedule.id, "name": schedule.name, **known}
    return Noted(f"schedule.{what}", to_json(data), schedule_work.place(schedule))


class Firing:
    """Fires schedules one after the other, each seeing what those before it have made; it is all in `decision`."""

    def __init__(self, world: World, rules: Rules, schedules: Iterable[Schedule] = ()) -> None:
        self._world = world
        self._rules = rules
        self.outcome = Fires([])
        self.decision = Decision(self.outcome)
        self._asked = [one.id for one in schedules]
        self._under: dict[int, list[Under]] | None = None
        self._queued = self._waiting(self._asked)

    def _waiting(self, schedules: list[int]) -> dict[int, list[Fire]]:
        found: dict[int, list[Fire]] = {schedule_id: [] for schedule_id in schedules}
        wanted = frozenset(schedules)
        queued = self._world.records.find(
            Fire,
            "fires_queued",
            schedules,
            such=lambda fire: fire.outcome == FireOutcome.QUEUED and fire.schedule_id in wanted,
        ) if schedules else []  # fmt: skip
        for fire in sorted(queued, key=lambda one: (one.due_at, one.id)):
            found[fire.schedule_id].append(fire)
        return found

    def add(self, *changes: Change) -> None:
        """Something else follows, too."""
        self._world.apply(changes)
        self.decision.changes += changes

    def keep(self, schedule: Schedule, before: Schedule) -> None:
        """Save a schedule as it is after its fires, unless nothing has come of them."""
        if schedule != before:
            self.add(Kept(replace(schedule, version=before.version + 1, updated_at=self._world.now)))

    def queued(self, schedule: Schedule) -> list[Fire]:
        """Those that wait for the work before them, the oldest first."""
        return self._queued.get(schedule.id, [])

    def under_way(self, schedule: Schedule) -> list[Under]:
        """What it has created that has not ended."""
        if self._under is None:
            self._under = self._world.under_way(self._asked)
        return self._under.setdefault(schedule.id, [])

    def cancel(self, schedule: Schedule, reason: str, limit: int) -> bool:
        """End up to `limit` of what it has under way; whether there is more."""
        under = self.under_way(schedule)
        ended, under[:] = under[:limit], under[limit:]
        seen = schedule_work.seen(schedule)
        tasks = [one.task_id for one in ended if one.task_id is not None]
        self._world.load(tasks, ending=tasks)
        tasks = [task_id for task_id in tasks if (head := self._world.head(task_id)) and seen.covers(head.path)]
        runs.cancel_tasks(tasks, reason, self.decision, self._world, self._rules)
        for one in ended:
            run = None if one.run_id is None else self._world.records.get(Run, one.run_id)
            if run is not None and run.finished_at is None:
                runs.end_run(run, RunStatus.CANCELLED, reason, self.decision, self._world, self._rules)
        return bool(under)

    def decided(self, schedule: Schedule, times: list[Millis]) -> set[Millis]:
        """Those of its due times, in order, that history has already: after its clock was set back, and it was begun anew."""
        if schedule.last_due_at is None or not times or times[0] > schedule.last_due_at:
            return set()
        created = {FireOutcome.FIRED, FireOutcome.QUEUED}
        known = self._history(schedule, times[0], times[-1])
        return {one.due_at for one in known if one.kind == FireKind.DUE or one.outcome in created}

    def made(self, schedule: Schedule, start: Millis, end: Millis) -> set[Millis]:
        """The due times of a period for which something was created, or waits to be."""
        created = {FireOutcome.FIRED, FireOutcome.QUEUED}
        return {one.due_at for one in self._history(schedule, start, end) if one.outcome in created}

    def _history(self, schedule: Schedule, start: Millis, end: Millis) -> list[Fire]:
        return self._world.records.find(
            Fire,
            "fires_between",
            schedule.id,
            start,
            end,
            such=lambda one: one.schedule_id == schedule.id and one.kind != FireKind.MANUAL and start <= one.due_at <= end,
        )

    def used_up(self, schedule: Schedule) -> bool:
        """Whether it has had all of its runs, those that wait among them."""
        return schedule.max_runs is not None and schedule.runs + len(self.queued(schedule)) >= schedule.max_runs

    def pause(self, schedule: Schedule, reason: str) -> Schedule:
        """Let it fire no more, nor what waits."""
        self.leave(schedule, "the schedule was paused")
        self.add(told("paused", schedule, reason=reason))
        return replace(schedule, enabled=False, paused_reason=reason, due_at=None, fire_at=None)

    def pause_failing(self, schedule: Schedule) -> Schedule:
        """Let it fire no more when too many of its fires failed one after the other."""
        most = schedule.pause_after_failures
        if not schedule.enabled or most is None or schedule.failures < most:
            return schedule
        return self.pause(schedule, f"its last {schedule.failures} fires failed: see what became of them, then start it again")

    def due(self, schedule: Schedule, kind: FireKind, due_at: Millis) -> Schedule:
        """A due time has come: do what the schedule says about work that has not ended."""
        match Overlap(schedule.overlap):
            case Overlap.ALLOW:
                return self.fire(schedule, kind, due_at)
            case Overlap.SKIP if self.under_way(schedule):
                return self._skip(schedule, kind, due_at, "the work of an earlier fire has not ended")
            case Overlap.QUEUE_ONE | Overlap.ONE_AT_A_TIME if self.under_way(schedule) or self.queued(schedule):
                return self._queue(schedule, kind, due_at)
            case Overlap.CANCEL_PREVIOUS:
                self.cancel(schedule, "its schedule fired again", MOST_CANCELLED)
        return self.fire(schedule, kind, due_at)

    def _skip(self, schedule: Schedule, kind: FireKind, due_at: Millis, reason: str) -> Schedule:
        self.skipped(schedule, due_at, 1, reason, kind)
        return schedule

    def _queue(self, schedule: Schedule, kind: FireKind, due_at: Millis) -> Schedule:
        waiting = self.queued(schedule)
        if schedule.overlap == Overlap.QUEUE_ONE and waiting:
            return self._skip(schedule, kind, due_at, "one fire already waits for the work before it to end")
        if len(waiting) >= MOST_QUEUED:
            return self._skip(schedule, kind, due_at, f"{MOST_QUEUED} fires already wait for the work before them to end")
        row = self._row(schedule, kind, due_at, FireOutcome.QUEUED)
        waiting.append(row)
        self.add(Kept(row, fresh=True))
        return schedule

    def skipped(  # what a row of history says
        self, schedule: Schedule, due_at: Millis, times: int, reason: str, kind: FireKind = FireKind.DUE
    ) -> None:
        """Write down that due times were left out, the last of them `due_at`."""
        row = replace(self._row(schedule, kind, due_at, FireOutcome.SKIPPED), times=times, reason=reason)
        self.add(Kept(row, fresh=True), told("skipped", schedule, due_at=due_at, times=times, reason=reason))
        self._note(schedule, row)

    def leave(self, schedule: Schedule, reason: str) -> None:
        """Nothing that waits is fired any more."""
        for row in self._queued.pop(schedule.id, []):
            self._close(schedule, replace(row, outcome=FireOutcome.SKIPPED, reason=reason))

    def _close(self, schedule: Schedule, row: Fire) -> None:
        row = replace(row, version=row.version + 1, decided_at=self._world.now)
        self.add(Kept(row), told("skipped", schedule, due_at=row.due_at, times=1, reason=row.reason))
        self._note(schedule, row)

    def fire(self, schedule: Schedule, kind: FireKind, due_at: Millis) -> Schedule:
        """Create the work of a due time; a refusal is written down, and counts as a failure."""
        return self._fire(schedule, self._row(schedule, kind, due_at, FireOutcome.FIRED), fresh=True)

    def fire_queued(self, schedule: Schedule) -> Schedule:
        """Create the work of the due time that has waited longest."""
        return self._fire(schedule, self._queued[schedule.id].pop(0), fresh=False)

    def _fire(self, schedule: Schedule, row: Fire, *, fresh: bool) -> Schedule:
        if not fresh:
            row = replace(row, version=row.version + 1, decided_at=self._world.now)
        try:
            made = self._create(schedule, row)
        except (OrchestratorError, msgspec.MsgspecError) as refusal:
            row = replace(row, outcome=FireOutcome.FAILED, reason=str(refusal))
            self.add(Kept(row, fresh), told("failed", schedule, due_at=row.due_at, kind=row.kind, reason=row.reason))
            self._note(schedule, row)
            return replace(schedule, failures=schedule.failures + 1)
        return self._fired(schedule, made, fresh=fresh)

    def _fired(self, schedule: Schedule, row: Fire, *, fresh: bool) -> Schedule:
        ids: list[int] = msgspec.json.decode(row.task_ids)
        self.add(
            Kept(row, fresh),
            told("fired", schedule, due_at=row.due_at, kind=row.kind, task_ids=ids[:_SHOWN], run_id=row.run_id),
        )
        self._note(schedule, row)
        # With a number of failures that pauses it, they are counted when the work has ended.
        failures = 0 if schedule.pause_after_failures is None else schedule.failures
        return replace(schedule, runs=schedule.runs + 1, last_fire_at=self._world.wall, failures=failures)

    def make_up(self, schedule: Schedule, due_at: Millis) -> tuple[Schedule, bool]:
        """Fire for a due time that is past; whether something was created."""
        earlier = next((one for one in self._history(schedule, due_at, due_at) if one.kind == FireKind.BACKFILL), None)
        if schedule.overlap == Overlap.ONE_AT_A_TIME and earlier is None and (self.under_way(schedule) or self.queued(schedule)):
            return self._queue(schedule, FireKind.BACKFILL, due_at), False
        row = earlier or self._row(schedule, FireKind.BACKFILL, due_at, FireOutcome.FIRED)
        after = self._fire(schedule, row, fresh=earlier is None)
        return after, after.runs > schedule.runs

    def execute(self, schedule: Schedule) -> tuple[Schedule, Fire]:
        """Fire now. Raises what the work is refused with."""
        row = self._create(schedule, self._row(schedule, FireKind.MANUAL, self._world.wall, FireOutcome.FIRED))
        return self._fired(schedule, row, fresh=True), row

    def _create(self, schedule: Schedule, row: Fire) -> Fire:
        """The row of a fire whose work is there. Raises what the work is refused with."""
        at = schedule_work.Moment(row.due_at, schedule.runs + 1)
        work = schedule_work.rendered(schedule.work, schedule.id, schedule.name, at)
        if work.workflow is not None:
            return self._begin(schedule, row, work.workflow)
        by = schedule_work.principal(schedule)
        made = ops.Enqueue(tasks=schedule_work.tasks(schedule, work, self._rules), many=work.tasks is not None)
        decision = enqueueing.enqueue(made, by, self._world, self._rules)
        self.add(*decision.changes)
        self.decision.wakes += decision.wakes
        ids = [task_id for task_id, _ in decision.outcome.tasks] if isinstance(decision.outcome, Created) else []
        self._went_off(schedule, [Under(schedule.id, task_id, None) for task_id in ids])
        self.outcome.created += len(ids)
        return replace(row, outcome=FireOutcome.FIRED, task_ids=to_json(ids))

    def _begin(self, schedule: Schedule, row: Fire, call: WorkflowCall) -> Fire:
        workflow = runs.visible_workflow(call.id, schedule_work.principal(schedule), self._world)
        run, changes = runs.begin_run(
            self._world,
            workflow,
            workflow.deployed if schedule.workflow_id is not None else None,
            input=call.input,
            trigger=schedule_work.trigger(schedule, row.due_at),
            source=schedule_work.SOURCE,
            schedule_id=schedule.id,
        )
        self.add(*changes)
        self._went_off(schedule, [Under(schedule.id, None, run.id)])
        self.outcome.created += 1
        return replace(row, outcome=FireOutcome.FIRED, run_id=run.id)

    def _went_off(self, schedule: Schedule, under: list[Under]) -> None:
        if self._under is not None:
            self.under_way(schedule).extend(under)

    def _row(self, schedule: Schedule, kind: FireKind, due_at: Millis, outcome: FireOutcome) -> Fire:
        return Fire(
            id=self._world.records.new_id(Fire),
            version=1,
            schedule_id=schedule.id,
            kind=kind,
            due_at=due_at,
            decided_at=self._world.now,
            outcome=outcome,
            reason=None,
            times=1,
            task_ids="[]",
            run_id=None,
        )

    def _note(self, schedule: Schedule, row: Fire) -> None:
        late = max(0, self._world.wall - row.due_at) if row.kind == FireKind.DUE else None
        self.outcome.fires.append(Fired(row.schedule_id, schedule.workflow_id, row.outcome, row.times, row.run_id, late))
