"""Which days of a month a cron expression means."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from orchestrator.domain.cron.fields import DAY_OF_MONTH, DAY_OF_WEEK, numbers, value

UNRESTRICTED: Final = frozenset({"*", "?", "*/1"})
_BEFORE_LAST: Final = re.compile(r"L(?:-([0-9]+))?")
_NEAREST: Final = re.compile(r"([0-9]+)W")
_NTH: Final = re.compile(r"([0-9]|[A-Z]{3})#([0-9]+)")
_LAST_OF_KIND: Final = re.compile(r"([0-9]|[A-Z]{3})L")

Pick = Callable[[int, int], set[int]]
"""From the weekday of the first (Sunday is 0) and the length of a month to some of its days."""


class Days:
    """The days that two fields mean, for any month: there are but 28 kinds of them."""

    def __init__(self, of_month: str, of_week: str) -> None:
        """The texts are in upper case, without H. Raises CronError."""
        picks = []
        if of_month not in UNRESTRICTED:
            picks += [_of_month(item, of_month) for item in of_month.split(",")]
        if of_week not in UNRESTRICTED:
            picks += [_of_week(item, of_week) for item in of_week.split(",")]
        self._picks = picks
        self._known: dict[tuple[int, int], tuple[int, ...]] = {}

    def of(self, first: int, length: int) -> tuple[int, ...]:
        """The days of a month that begins on the weekday `first` (Monday is 0), in order."""
        kind = (first, length)
        if kind not in self._known:
            sunday_first = (first + 1) % 7
            every = set(range(1, length + 1))
            chosen = set().union(*(pick(sunday_first, length) for pick in self._picks)) if self._picks else every
            self._known[kind] = tuple(sorted(chosen & every))
        return self._known[kind]


@lru_cache(maxsize=512)
def days(of_month: str, of_week: str) -> Days:
    """The days of two fields, shared by all expressions that have the same ones."""
    return Days(of_month, of_week)


def _of_month(item: str, text: str) -> Pick:
    if item == "LW":
        return lambda first, length: {_nearest(length, first, length)}
    if found := _BEFORE_LAST.fullmatch(item):
        before = int(found[1] or 0)
        if before > 30:
            raise DAY_OF_MONTH.refuse(text, f"no month has a day {before} days before its last")
        return lambda _first, length: {length - before}
    if found := _NEAREST.fullmatch(item):
        day = value(DAY_OF_MONTH, found[1], text)
        return lambda first, length: {_nearest(day, first, length)} if day <= length else set()
    chosen = set(numbers(DAY_OF_MONTH, item))
    return lambda _first, _length: chosen


def _nearest(day: int, first: int, length: int) -> int:
    """The weekday nearest to a day that does not leave its month."""
    weekday = (first + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _of_week(item: str, text: str) -> Pick:
    if item == "L":
        raise DAY_OF_WEEK.refuse(text, "L needs its day, as 5L or FRIL for the last Friday of the month")
    if found := _NTH.fullmatch(item):
        weekday, nth = value(DAY_OF_WEEK, found[1], text) % 7, int(found[2])
        if not 1 <= nth <= 5:
            raise DAY_OF_WEEK.refuse(text, "a month has a first (#1) to a fifth (#5) of each day of the week")
        return lambda first, _length: {1 + (weekday - first) % 7 + 7 * (nth - 1)}
    if found := _LAST_OF_KIND.fullmatch(item):
        kind = value(DAY_OF_WEEK, found[1], text) % 7
        return lambda first, length: {length - (first + length - 1 - kind) % 7}
    chosen = numbers(DAY_OF_WEEK, item)
    return lambda first, length: {day for day in range(1, length + 1) if (first + day - 1) % 7 in chosen}
