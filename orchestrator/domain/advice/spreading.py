"""Other times for schedules that are due together."""

from typing import Any, Final

from orchestrator.domain.cron import CronError, parse
from orchestrator.domain.cron.text import NAMED
from orchestrator.domain.moments import moment
from orchestrator.domain.records import Schedule
from orchestrator.domain.schedule_times import coming, spread_key
from orchestrator.domain.task import Millis

_JITTER_S: Final = 600
_HOUR: Final = 60
_PREVIEWED: Final = 3
_FEW: Final = 10


def proposal(schedule: Schedule, place: int, of: int, wall: Millis) -> dict[str, Any]:
    """What to change about one of several: another minute, or a jitter where minutes say nothing; and when it is due then."""
    key = spread_key(schedule.scope, schedule.name)
    # A few are put evenly into the hour; many have H put each into a minute of its own.
    cron = with_minute(schedule.cron, str(place * _HOUR // of) if of < _FEW else "H")
    jitter_s = 0 if cron is not None else _JITTER_S
    told = f"`{cron}`" if cron is not None else f"`jitter_seconds` {_JITTER_S}"
    try:
        read = parse(cron or schedule.cron, schedule.timezone, key)
        times = coming(
            read, wall, _PREVIEWED, starts_at=schedule.starts_at, ends_at=schedule.ends_at, jitter_ms=jitter_s * 1000, key=key
        )
    except CronError:
        times = []
    return {
        "schedule_id": schedule.id,
        "name": schedule.name,
        "cron": schedule.cron,
        "instead": told,
        "proposed_cron": cron,
        "proposed_jitter_seconds": jitter_s or None,
        "next_fires": [moment(time).isoformat().replace("+00:00", "Z") for time in times],
    }


def with_minute(expression: str, minute: str) -> str | None:
    """An expression with another minute; None when its minute is not a single one."""
    fields = NAMED.get(expression.strip().lower(), expression).split()
    # Of six and seven fields the first are seconds.
    place = {5: 0, 6: 1, 7: 1}.get(len(fields))
    if place is None or not fields[place].isdecimal():
        return None
    if minute.isdecimal():
        minute = str((int(fields[place]) + int(minute)) % _HOUR)
    fields[place] = minute
    return " ".join(fields)
