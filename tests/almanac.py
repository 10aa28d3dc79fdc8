"""When cron expressions are due, worked out moment by moment, without anything of the program or of a library for cron.

Each moment of a period is put on the wall clock of a zone, and each wall time is held against the fields, as one does by hand.
"""

import hashlib
import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
NAMED = {
    "@hourly": "0 0 * * * * *",
    "@daily": "0 0 0 * * * *",
    "@midnight": "0 0 0 * * * *",
    "@weekly": "0 0 0 * * 0 *",
    "@monthly": "0 0 0 1 * * *",
    "@yearly": "0 0 0 1 1 * *",
    "@annually": "0 0 0 1 1 * *",
}
SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
HASHED = {"second": 59, "minute": 59, "hour": 23, "day of month": 28, "month": 12, "day of week": 6}


class Moment(NamedTuple):
    """A moment (seconds since 1970), what the wall clock shows, and the wall times that were skipped just before."""

    at: int
    wall: datetime
    again: bool
    skipped: tuple[datetime, ...]


class Almanac:
    """The moments after one up to another, `step` seconds apart, in a zone."""

    def __init__(self, zone: str, after: int, until: int, step: int = 60) -> None:
        self.after, self.until = after, until
        self._by_minute: dict[int, list[Moment]] = {minute: [] for minute in range(60)}
        for one in _moments(ZoneInfo(zone), after, until, step):
            for minute in {one.wall.minute, *(wall.minute for wall in one.skipped)}:
                self._by_minute[minute].append(one)

    def due(self, expression: str, key: str = "") -> list[int]:
        """The moments at which an expression is due."""
        if expression.startswith("@every"):
            period = sum(int(amount) * SECONDS[unit] for amount, unit in re.findall(r"(\d+)([dhms])", expression))
            return list(range(-(-(self.after + 1) // period) * period, self.until + 1, period))
        fields = seven(expression, key)
        minutes = [moments for minute, moments in self._by_minute.items() if has(fields[1], minute, 0, 59)]
        moments = [moment for moments in minutes for moment in moments]
        if fields[2].startswith("*"):
            return sorted({moment.at for moment in moments if matches(fields, moment.wall)})
        return sorted(
            {
                moment.at
                for moment in moments
                if (matches(fields, moment.wall) and not moment.again) or any(matches(fields, wall) for wall in moment.skipped)
            }
        )


def _moments(zone: ZoneInfo, after: int, until: int, step: int) -> Iterator[Moment]:
    each = timedelta(seconds=step)
    before = datetime.fromtimestamp(after, zone).replace(tzinfo=None)
    for at in range(after + step, until + 1, step):
        shown = datetime.fromtimestamp(at, zone)
        wall = shown.replace(tzinfo=None, fold=0)
        skipped = []
        while before + each < wall:
            before += each
            skipped.append(before)
        yield Moment(at, wall, shown.fold == 1, tuple(skipped))
        before = wall


def moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """A time of UTC in seconds since 1970."""
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


def seven(expression: str, key: str = "") -> list[str]:
    """The fields, the second first and the year last, with a value in place of each plain H."""
    fields = NAMED.get(expression.lower(), expression).lower().split()
    fields = ["0", *fields] if len(fields) == 5 else fields
    fields = fields if len(fields) == 7 else [*fields, "*"]
    return [_spread(text, name, key) for text, name in zip(fields, [*HASHED, "year"], strict=True)]


def _spread(text: str, name: str, key: str) -> str:
    found = re.fullmatch(r"h(?:/(\d+))?", text)
    if found is None:
        return text
    number = int.from_bytes(hashlib.sha256(f"{name}\0{key}".encode()).digest()[:8], "big")
    low = 1 if name in {"day of month", "month"} else 0
    if found[1] is None:
        return str(low + number % (HASHED[name] - low + 1))
    return f"{low + number % int(found[1])}-{HASHED[name]}/{found[1]}"


def matches(fields: list[str], wall: datetime) -> bool:
    """Whether a wall time is one that the seven fields mean."""
    second, minute, hour, of_month, month, of_week, year = fields
    return (
        has(minute, wall.minute, 0, 59)
        and has(hour, wall.hour, 0, 23)
        and has(second, wall.second, 0, 59)
        and has(month, wall.month, 1, 12, MONTHS)
        and has(year, wall.year, 1970, 2099)
        and _day(of_month, of_week, wall)
    )


def has(text: str, value: int, low: int, high: int, names: dict[str, int] | None = None) -> bool:
    """Whether a value is among those of a field without special days."""
    names = names or {}
    size = high - low + 1

    def number(word: str) -> int:
        return names[word] if word in names else int(word)

    for item in text.split(","):
        span, _, stride = item.partition("/")
        step = int(stride or 1)
        if span == "*":
            first, length = low, size - 1
        elif "-" in span:
            first, last = (number(word) for word in span.split("-"))
            length = last - first if last >= first else (last - first) % size
        else:
            first = number(span)
            length = high - first % size if stride and low == 0 else high - first if stride else 0
        distance = (value - first) % size
        if distance <= length and distance % step == 0:
            return True
    return False


def _day(of_month: str, of_week: str, wall: datetime) -> bool:
    open_month, open_week = of_month in {"*", "?", "*/1"}, of_week in {"*", "?", "*/1"}
    in_month = any(_of_month(item, wall) for item in of_month.split(",")) if not open_month else True
    in_week = any(_of_week(item, wall) for item in of_week.split(",")) if not open_week else True
    if open_month or open_week:
        return in_month and in_week
    return in_month or in_week


def _length(wall: datetime) -> int:
    return monthrange(wall.year, wall.month)[1]


def _of_month(item: str, wall: datetime) -> bool:
    if item == "l" or item.startswith("l-"):
        return wall.day == _length(wall) - int(item[2:] or 0)
    if item == "lw":
        later = range(wall.day + 1, _length(wall) + 1)
        return wall.weekday() < 5 and all(wall.replace(day=day).weekday() > 4 for day in later)
    if item.endswith("w"):
        wanted = int(item[:-1])
        if wanted > _length(wall):
            return False
        weekdays = [day for day in range(1, _length(wall) + 1) if wall.replace(day=day).weekday() < 5]
        # A day of the weekend lies beside one weekday, unless its month ends or begins there.
        return wall.day == min(weekdays, key=lambda day: (abs(day - wanted), day))
    return has(item, wall.day, 1, 31)


def _of_week(item: str, wall: datetime) -> bool:
    def named(word: str) -> int:
        return DAYS[word] if word in DAYS else int(word) % 7

    today = wall.isoweekday() % 7
    if "#" in item:
        day, nth = item.split("#")
        return today == named(day) and (wall.day - 1) // 7 == int(nth) - 1
    if item.endswith("l"):
        return today == named(item[:-1]) and wall.day + 7 > _length(wall)
    return has(item, today, 0, 6, DAYS)
