"""An expression in its zone, and the moments at which it is due."""

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from orchestrator.domain.cron import zones
from orchestrator.domain.cron.errors import CronError
from orchestrator.domain.cron.every import period, period_words
from orchestrator.domain.cron.fields import LAST_YEAR
from orchestrator.domain.cron.text import EVERY, Times, Written, checked, never, times, written
from orchestrator.domain.cron.walls import DAY, ever, first_wall
from orchestrator.domain.cron.zones import Zone
from orchestrator.domain.task import Millis

_LONGEST_CHANGE: Final = 2 * DAY
"""The clocks of Samoa once went a whole day ahead."""
_END: Final[Millis] = round(datetime(LAST_YEAR + 1, 1, 2, tzinfo=UTC).timestamp()) * 1000
"""When the last year is over in every zone; what comes after is asked of none, as no calendar goes beyond the year 9999."""


class Cron(ABC):
    """When something is due. Made by `parse`; what it answers never changes, so that it may be shared."""

    def __init__(self, expression: str, timezone: str) -> None:
        """As they were sent."""
        self.expression = expression
        self.timezone = timezone
        self._last: tuple[Millis, Millis] = (0, 0)

    def after(self, at: Millis) -> Millis | None:
        """The first due time after a moment, never the moment itself. None when there is none until the end of 2099."""
        # Thousands of schedules may share an expression, and be asked about the same moment.
        since, due = self._last
        if since <= at < due:
            return due
        found = None if at >= _END else self._after(at)
        if found is None or found >= _END:
            return None
        self._last = (at, found)
        return found

    @abstractmethod
    def _after(self, at: Millis) -> Millis | None:
        """The same, worked out."""

    def between(self, after: Millis, until: Millis, limit: int) -> list[Millis]:
        """The due times after one moment up to another, that one included; the first `limit` of them."""
        found: list[Millis] = []
        due = self.after(after)
        while due is not None and due <= until and len(found) < limit:
            found.append(due)
            due = self.after(due)
        return found

    @property
    @abstractmethod
    def words(self) -> str:
        """The expression in English."""


class _Every(Cron):
    """Whole periods since 1970."""

    def __init__(self, expression: str, timezone: str) -> None:
        super().__init__(expression, timezone)
        self._seconds = period(expression[len(EVERY) :].strip().lower())

    def _after(self, at: Millis) -> Millis | None:
        step = self._seconds * 1000
        return (at // step + 1) * step

    @property
    def words(self) -> str:
        return period_words(self._seconds)


class _AtTimes(Cron):
    """Times of a wall clock in a zone, whose offset from UTC is the same between two of its changes."""

    def __init__(self, expression: str, of_zone: Zone, fields: Written, due: Times) -> None:
        super().__init__(expression, of_zone.name)
        self._zone = of_zone
        self._fields = fields
        self._times = due
        self._follows_clock = fields.hour.startswith("*")

    def _after(self, at: Millis) -> Millis | None:
        moment = at // 1000 + 1
        # As it was just before, so that a change at this very moment is seen.
        offset = self._zone.offset(moment - 1)
        since = max(moment + offset, self._heard(moment))
        while True:
            wall = first_wall(self._times, since)
            until = moment + _LONGEST_CHANGE if wall is None else wall - offset
            change = next(iter(self._zone.changes(moment, until)), None)
            if change is None:
                return None if wall is None else (wall - offset) * 1000
            shown, shows = change.at + change.before, change.at + change.after
            if wall is not None and wall < shows and not self._follows_clock:
                return change.at * 1000
            moment, offset = change.at + 1, change.after
            since = shows if self._follows_clock else max(shown, shows)

    def _heard(self, moment: int) -> int:
        """Up to where the clock on the wall has been before this moment, if it was put back; what was due then isn't again."""
        if self._follows_clock:
            return 0
        changes = self._zone.changes(moment - _LONGEST_CHANGE, moment - 1)
        return max((change.at + change.before for change in changes), default=0)

    @property
    def words(self) -> str:
        from orchestrator.domain.cron.words import words  # noqa: PLC0415 - its library is large, and few ask

        return words(self._fields)


def parse(expression: str, zone: str = "UTC", hash_key: str = "") -> Cron:
    """Read an expression, to be understood in a zone; `hash_key`, the schedule's name, is what H spreads by.

    Raises CronError when it can't be read, when no day ever matches, or for an unknown zone.
    """
    spread = "h" in expression.lower() and not expression.startswith("@")
    return _parse(expression, zone, hash_key if spread else "")


@lru_cache(maxsize=1024)
def _parse(expression: str, zone: str, hash_key: str) -> Cron:
    text = checked(expression)
    of_zone = zones.zone(zone)
    if text.lower().split()[:1] == [EVERY]:
        return _Every(text, zone)
    fields = written(text, hash_key)
    due = times(fields)
    if not ever(due):
        raise CronError(never(text, fields))
    return _AtTimes(text, of_zone, fields, due)
