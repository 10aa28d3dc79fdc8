"""When a schedule is due: what has passed, what of that is to be fired, and what comes next. All times in ms."""

from hashlib import blake2b
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain.cron import Cron, CronError, parse
from orchestrator.domain.records import Schedule
from orchestrator.domain.task import Millis
from worker_client.contract.enums import Missed
from worker_client.errors import ValidationFailed

_SECOND: Final = 1_000
LATE_MS: Final = 60_000
"""What is older than this when somebody can fire it, was missed."""
MOST_COUNTED: Final = 1_000
"""Due times that one row of history is said to stand for, though they were more."""


class Passed(Struct, frozen=True):
    """Due times that have passed: up to `missed` they were missed, `count` of them, and those of `fired` are to be fired.

    `rest`: there are more to be fired after these.
    """

    missed: Millis | None
    count: int
    fired: list[Millis]
    rest: bool = False


def spread_key(scope: str, name: str) -> str:
    """What `H` and the jitter are spread by: schedules of one name in different path scopes do not fire together."""
    return f"{scope}:{name}"


def cron_of(schedule: Schedule) -> Cron:
    """The expression of a schedule. Raises CronError, when this machine no longer knows its zone."""
    return parse(schedule.cron, schedule.timezone, spread_key(schedule.scope, schedule.name))


def checked(expression: str, zone: str, key: str) -> Cron:
    """An expression that has been sent. Raises ValidationFailed."""
    try:
        return parse(expression, zone, key)
    except CronError as error:
        field = "timezone" if str(error).startswith("timezone") else "cron"
        raise ValidationFailed(str(error), field=field) from None


def next_due(cron: Cron, after: Millis, starts_at: Millis | None, ends_at: Millis | None) -> Millis | None:
    """The first due time after a moment, within the time in which the schedule is in force."""
    due = cron.after(after if starts_at is None else max(after, starts_at - 1))
    return None if due is None or (ends_at is not None and due > ends_at) else due


def jittered(cron: Cron, due: Millis, jitter_ms: Millis, key: str) -> Millis:
    """When a due time is fired: up to `jitter_ms` later, always the same for it, and before the next one is due."""
    if not jitter_ms:
        return due
    following = cron.after(due)
    room = jitter_ms if following is None else min(jitter_ms, following - due - 1)
    chance = int.from_bytes(blake2b(f"{key}@{due}".encode(), digest_size=8).digest())
    return due + chance % (room + 1)


def fire_at(schedule: Schedule, cron: Cron, due: Millis) -> Millis:
    """When a due time of a schedule is fired."""
    return jittered(cron, due, schedule.jitter_ms, spread_key(schedule.scope, schedule.name))


def aimed(schedule: Schedule, cron: Cron, after: Millis) -> Schedule:
    """A schedule that fires next at its first due time after a moment, when there is one."""
    due = next_due(cron, after, schedule.starts_at, schedule.ends_at)
    return replace(schedule, due_at=due, fire_at=None if due is None else fire_at(schedule, cron, due))


def coming(  # what a preview is told
    cron: Cron, after: Millis, count: int, *, starts_at: Millis | None, ends_at: Millis | None, jitter_ms: Millis, key: str
) -> list[Millis]:
    """The next times at which it will fire."""
    times: list[Millis] = []
    due = next_due(cron, after, starts_at, ends_at)
    while due is not None and len(times) < count:
        times.append(jittered(cron, due, jitter_ms, key))
        due = next_due(cron, due, starts_at, ends_at)
    return times


def passed(schedule: Schedule, cron: Cron, wall: Millis, most: int) -> Passed:
    """The due times that have passed, and what is to become of them; at most `most` of them are to be fired.

    A due time was missed when a later one has passed as well, or when it is more than a minute old.
    """
    first = schedule.due_at or 0
    latest = latest_due(cron, first, wall if schedule.ends_at is None else min(wall, schedule.ends_at))
    if latest > first and fire_at(schedule, cron, latest) > wall:
        latest = latest_due(cron, first, latest - 1)
    current = wall - fire_at(schedule, cron, latest) <= LATE_MS
    oldest = wall - schedule.missed_window_ms
    if schedule.missed == Missed.ALL and latest >= oldest:
        begin = first if first >= oldest else cron.after(oldest - 1) or latest
        fired = [begin, *cron.between(begin, latest, most)]
        return _passed(cron, first, begin, fired[:most], rest=len(fired) > most)
    made_up = schedule.missed == Missed.ONCE and latest >= oldest
    return _passed(cron, first, latest if current or made_up else None, [latest] if current or made_up else [], latest=latest)


def latest_due(cron: Cron, first: Millis, until: Millis) -> Millis:
    """The last due time up to a moment, `first` being one: it is searched for, however many lie in between."""
    following = cron.after(first)
    if following is None or following > until:
        return first
    low, high = first, until
    # Something is due after `low`, and nothing after `high`; of due times there is at most one in a second.
    while high - low > _SECOND:
        middle = (low + high) // 2
        due = cron.after(middle)
        low, high = (middle, high) if due is not None and due <= until else (low, middle)
    return cron.after(low) or first


def _passed(  # what all policies have in common
    cron: Cron, first: Millis, begin: Millis | None, fired: list[Millis], *, rest: bool = False, latest: Millis | None = None
) -> Passed:
    """Those before `begin` were missed (None: all up to `latest`)."""
    if begin == first:
        return Passed(None, 0, fired, rest)
    last = latest_due(cron, first, begin - 1) if begin is not None else latest
    count = 1 + len(cron.between(first, last or first, MOST_COUNTED - 1))
    return Passed(last, count, fired, rest)
