"""Schedules that are due together, that fail, that are paused."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from orchestrator.domain.advice.facts import WholeFacts, brief
from orchestrator.domain.advice.spreading import proposal
from orchestrator.domain.advice.telling import advice
from orchestrator.domain.moments import moment
from orchestrator.domain.records import Schedule
from orchestrator.domain.task import Millis
from worker_client.contract.advice import Advice, Evidence

_MINUTE: Final = 60_000
_MANY: Final = 10
_THERE: Final = 3
_FAILURES: Final = 3
_READ: Final = 100
"""Of those that fail or are paused, the worst."""
_STOPPED_MS: Final = 7 * 86_400_000
_SHOWN: Final = 10
_MOST: Final = 10
"""Minutes of which something is said, and directories of each: working out other times takes its own."""


def collisions(facts: WholeFacts) -> Iterator[Advice]:
    """Ten and more that are due next in the same minute, or three for one directory; a jitter of a minute spreads enough."""
    minutes: dict[int, list[Schedule]] = {}
    for one in facts.schedules:
        if one.fire_at is not None and one.due_at is not None and one.jitter_ms < _MINUTE:
            minutes.setdefault(one.due_at // _MINUTE, []).append(one)
    together = sorted(((minute, some) for minute, some in minutes.items() if len(some) >= _THERE), key=lambda row: -len(row[1]))
    if facts.within.patterns is None:
        for minute, some in together[:_MOST]:
            if len(some) >= _MANY:
                yield _collision("schedules_collide", some, minute, facts.wall)
    there = sorted(_there(together, facts), key=lambda row: -len(row[2]))
    for minute, path, some in there[:_MOST]:
        made = _collision("schedules_collide_there", some, minute, facts.wall, path=path)
        made.work_directory = path
        yield made


def _there(together: Iterable[tuple[int, list[Schedule]]], facts: WholeFacts) -> Iterator[tuple[int, str, list[Schedule]]]:
    """Minute, directory, and what is due there."""
    for minute, some in together:
        directories: dict[str, list[Schedule]] = {}
        for one in some:
            for path in directories_of(one):
                directories.setdefault(path, []).append(one)
        for path, those in directories.items():
            if len(those) >= _THERE and facts.within.covers(path):
                yield minute, path, those


def _collision(code: str, some: list[Schedule], minute: int, wall: Millis, **facts: Any) -> Advice:
    # The first may stay where it is.
    changes = [proposal(one, place, len(some), wall) for place, one in enumerate(some[: _SHOWN + 1]) if place]
    proposals = [f"{brief(change['name'])}: {change['instead']}" for change in changes]
    evidence = [
        Evidence(text=f"{brief(one.name)}: {one.cron} ({one.timezone})", schedule_id=one.id) for one in some[:_SHOWN]
    ]  # fmt: skip
    return advice(code, evidence, count=len(some), at=at(minute * _MINUTE), proposals=proposals, changes=changes, **facts)


def failing(facts: WholeFacts) -> Iterator[Advice]:
    """Those whose last three runs failed, or all that there were."""
    for one in _worst((one for one in facts.schedules if one.enabled and one.failures >= _FAILURES), facts):
        never = one.runs <= one.failures
        code = "schedule_never_succeeded" if never else "schedule_failing"
        yield _about(one, code, name=brief(one.name), runs=one.runs, failures=one.failures)


def paused(facts: WholeFacts) -> Iterator[Advice]:
    """Those that the server paused, and those that somebody did more than a week ago."""
    for one in _worst((one for one in facts.schedules if not one.enabled), facts):
        since = facts.wall - one.updated_at
        if one.pause_after_failures is not None and one.failures >= one.pause_after_failures:
            yield _about(one, "schedule_paused", name=brief(one.name), failures=one.failures)
        elif since >= _STOPPED_MS:
            yield _about(one, "schedule_stopped", name=brief(one.name), paused_seconds=since / 1000)


def _worst(schedules: Iterable[Schedule], facts: WholeFacts) -> list[Schedule]:
    there = facts.within.patterns is not None
    wanted = (one for one in schedules if not there or any(map(facts.within.covers, directories_of(one)[:1])))
    return sorted(wanted, key=lambda one: (-one.failures, one.updated_at, one.id))[:_READ]


def _about(one: Schedule, code: str, **facts: Any) -> Advice:
    fired = "never fired" if one.last_fire_at is None else f"fired last at {at(one.last_fire_at)}"
    reason = f"; {brief(one.paused_reason, 200)}" if one.paused_reason else ""
    made = advice(code, [Evidence(text=f"{one.cron} ({one.timezone}), {fired}{reason}", schedule_id=one.id)], **facts)
    made.schedule_id = one.id
    made.work_directory = next(iter(directories_of(one)), None)
    return made


def directories_of(schedule: Schedule) -> list[str]:
    """For which directories it creates work, as far as it says so."""
    work: dict[str, Any] = msgspec.json.decode(schedule.work)
    bodies = [work.get("task"), work.get("command"), *(work.get("tasks") or [])]
    found = [body.get("work_directory") for body in bodies if isinstance(body, dict)]
    return list(dict.fromkeys(path for path in found if isinstance(path, str)))


def at(when: Millis) -> str:
    """A moment, to the minute."""
    return moment(when).isoformat(timespec="minutes").replace("+00:00", "Z")
