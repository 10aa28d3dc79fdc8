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

LATE_MS: Final = 60_000
"""What is older than this when somebody can fire it, was missed."""
MOST_LOOKED_AT: Final = 10_000
"""Due times of one schedule that are looked at in one transaction: nearly three hours of those that are a second apart."""


class Passed(Struct, frozen=True):
    """Due times that have passed: the first `skipped` of them were missed, the others are to be fired. `rest`: there are more."""

    times: list[Millis]
    skipped: int
    rest: bool

    @property
    def missed(self) -> list[Millis]:
        """Those to be left out, the oldest first."""
        return self.times[: self.skipped]

    @property
    def fired(self) -> list[Millis]:
        """Those to be fired, the oldest first."""
        return self.times[self.skipped :]


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
    until = wall if schedule.ends_at is None else min(wall, schedule.ends_at)
    looked_at = most if schedule.missed == Missed.ALL else MOST_LOOKED_AT
    times = [first, *cron.between(first, until, looked_at)]
    rest = len(times) > looked_at
    del times[looked_at:]
    if len(times) > 1 and fire_at(schedule, cron, times[-1]) > wall:
        times.pop()
    latest = times[-1]
    current = not rest and wall - fire_at(schedule, cron, latest) <= LATE_MS
    oldest = wall - schedule.missed_window_ms
    if schedule.missed == Missed.ALL:
        skipped = sum(due < oldest and not (current and due == latest) for due in times)
    elif current or (schedule.missed == Missed.ONCE and not rest and latest >= oldest):
        skipped = len(times) - 1
    else:
        skipped = len(times)
    return Passed(times, skipped, rest)
