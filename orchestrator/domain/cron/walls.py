"""Times of a wall clock that an expression means, as seconds since 1970 that know nothing of zones."""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from typing import Final

from orchestrator.domain.cron.text import Times

DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()


def first_wall(times: Times, since: int) -> int | None:
    """The first time at or after another one; None when there is none any more."""
    day, second = divmod(max(since, 0), DAY)
    today = date.fromordinal(_EPOCH + day)
    if _is_due(times, today):
        in_day = _in_day(times, second)
        if in_day is not None:
            return day * DAY + in_day
    following = next(_days_after(times, today), None)
    if following is None:
        return None
    return (following.toordinal() - _EPOCH) * DAY + times.hours[0] * 3600 + times.minutes[0] * 60 + times.seconds[0]


def ever(times: Times) -> bool:
    """Whether there is a day at all."""
    return next(_days_after(times, date(1969, 12, 31)), None) is not None


def _is_due(times: Times, day: date) -> bool:
    if day.month not in times.months or day.year not in times.years:
        return False
    return day.day in times.days.of(*monthrange(day.year, day.month))


def _days_after(times: Times, day: date) -> Iterator[date]:
    for year in times.years[bisect_left(times.years, day.year) :]:
        for month in times.months:
            if (year, month) < (day.year, day.month):
                continue
            for number in times.days.of(*monthrange(year, month)):
                if (year, month, number) > (day.year, day.month, day.day):
                    yield date(year, month, number)


def _in_day(times: Times, since: int) -> int | None:
    """The first second of a due day that is due, at or after another one."""
    hour, rest = divmod(since, 3600)
    minute, second = divmod(rest, 60)
    if hour in times.hours:
        if minute in times.minutes and second <= times.seconds[-1]:
            return hour * 3600 + minute * 60 + times.seconds[bisect_left(times.seconds, second)]
        later = bisect_right(times.minutes, minute)
        if later < len(times.minutes):
            return hour * 3600 + times.minutes[later] * 60 + times.seconds[0]
    later = bisect_right(times.hours, hour)
    if later < len(times.hours):
        return times.hours[later] * 3600 + times.minutes[0] * 60 + times.seconds[0]
    return None
