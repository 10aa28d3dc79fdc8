"""What the end of a schedule's work means for it: the next fire that waits, and whether too many have failed."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from orchestrator.domain.outcomes import Decision
from orchestrator.domain.records import Fire, Schedule
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_firing import Firing
from orchestrator.domain.world import World
from worker_client.contract.enums import FINAL, FireKind, FireOutcome

_UNDER_WAY: Final = 100
"""Fires whose work has not ended may lie among those that are counted; so many of them are looked over."""


def settle(schedule_ids: Iterable[int], world: World, rules: Rules) -> Decision:
    """What follows for schedules from how their work stands now; asked twice, nothing more follows."""
    wanted = frozenset(schedule_ids)
    found = (
        world.records.find(Schedule, "schedules_followed", sorted(wanted), such=lambda one: one.id in wanted) if wanted else []
    )
    return settled(sorted(found, key=_id), world, rules, running=bool(found) and world.source.scheduling())


def _id(schedule: Schedule) -> int:
    return schedule.id


def settled(schedules: Iterable[Schedule], world: World, rules: Rules, *, running: bool) -> Decision:
    """The same for schedules that are loaded; `running`: whether schedules fire at all."""
    found = list(schedules)
    firing = Firing(world, rules, found)
    for schedule in found:
        after = schedule
        if schedule.enabled and schedule.pause_after_failures is not None:
            after = firing.pause_failing(replace(schedule, failures=_failures(schedule, schedule.pause_after_failures, world)))
        while running and after.enabled and firing.queued(after) and not firing.under_way(after):
            # One that is refused leaves nothing under way, so that the next one has its turn.
            after = firing.pause_failing(firing.fire_queued(after))
        firing.keep(after, schedule)
    return firing.decision


def _failures(schedule: Schedule, most: int, world: World) -> int:
    """How many of the last fires have failed one after the other; what has not ended, or was cancelled, says nothing."""
    fires = world.records.find(
        Fire,
        "fires_latest",
        schedule.id,
        schedule.counted_from,
        most + _UNDER_WAY,
        such=lambda one: (
            one.schedule_id == schedule.id
            and one.kind == FireKind.DUE
            and one.outcome in {FireOutcome.FIRED, FireOutcome.FAILED}
            and one.decided_at > schedule.counted_from
        ),
    )
    made = {one.id: msgspec.json.decode(one.task_ids) for one in fires}
    runs = [one.run_id for one in fires if one.run_id is not None]
    tasks, ended = world.source.statuses({task_id for ids in made.values() for task_id in ids}), world.source.run_statuses(runs)
    count = 0
    for fire in sorted(fires, key=lambda one: one.id, reverse=True):
        known: list[str] = [tasks[task_id] for task_id in made[fire.id] if task_id in tasks]
        known += [ended[fire.run_id]] if fire.run_id in ended else []
        match _verdict(fire, known):
            case True:
                count += 1
            case False:
                break
    return min(count, most)


def _verdict(fire: Fire, statuses: list[str]) -> bool | None:
    """Whether a fire has failed; None: it cannot be told, or not yet."""
    if fire.outcome == FireOutcome.FAILED or "failed" in statuses:
        return True
    return False if "completed" in statuses and FINAL.issuperset(statuses) else None
