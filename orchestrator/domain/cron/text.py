"""What stands in a cron expression: its fields, in the one order that the rest knows."""

from calendar import monthrange
from difflib import get_close_matches
from typing import Final

import msgspec

from orchestrator.domain.cron.days import UNRESTRICTED, Days, days
from orchestrator.domain.cron.errors import CronError
from orchestrator.domain.cron.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Field,
    numbers,
)
from orchestrator.domain.cron.spread import resolved

LONGEST: Final = 255
EVERY: Final = "@every"
NAMED: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SHAPES: Final = (
    "send 5 fields (minute hour day month weekday), 6 (second first), 7 (second first, year last), @hourly, @every 5m ..."
)


class Written(msgspec.Struct, frozen=True):
    """The seven fields in upper case, H resolved; `spread`: H was there."""

    second: str
    minute: str
    hour: str
    day_of_month: str
    month: str
    day_of_week: str
    year: str
    spread: bool = False


class Times(msgspec.Struct, frozen=True):
    """The values of all fields, each in order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: tuple[int, ...]
    years: tuple[int, ...]


def checked(expression: str) -> str:
    """The expression without space around it, when it is short and of plain letters."""
    if len(expression) > LONGEST:
        raise CronError(f"cron has {len(expression)} characters, more than the {LONGEST} that are allowed")
    if strange := next((letter for letter in expression if not " " <= letter <= "~" and letter != "\t"), None):
        raise CronError(f"cron {expression!r} contains {strange!r}; only plain letters, digits and spaces have a meaning")
    return expression.strip()


def written(expression: str, hash_key: str) -> Written:
    """The fields of any expression but `@every`. Raises CronError."""
    fields = _fields(expression)
    spread = any(item.startswith("H") for field in fields for item in field.split(","))
    if spread:
        fields = [resolved(field, text, hash_key) for field, text in zip(FIELDS, fields, strict=True)]
    second, minute, hour, day_of_month, month, day_of_week, year = fields
    return Written(second, minute, hour, day_of_month, month, day_of_week, year, spread)


def _fields(expression: str) -> list[str]:
    text = expression
    if expression.startswith("@"):
        if expression.lower() not in NAMED:
            raise _no_name(expression)
        text = NAMED[expression.lower()]
    if "=" in text.partition(" ")[0]:
        raise CronError(
            f"cron {expression!r} begins with {text.split()[0]!r}; a zone is sent as timezone, and nothing else stands there"
        )
    fields = text.upper().split()
    if not 5 <= len(fields) <= 7:
        raise CronError(f"cron {expression!r} has {len(fields)} fields; {_SHAPES}")
    if len(fields) == 5:
        fields.insert(0, "0")
    elif len(fields) == 6 and fields[5].isdigit() and len(fields[5]) == 4:
        raise CronError(
            f"day of week {fields[5]!r}: of six fields the first is the second; for a year send seven, the second first"
        )
    return fields if len(fields) == 7 else [*fields, "*"]


def _no_name(expression: str) -> CronError:
    if expression.lower() == "@reboot":
        return CronError("cron '@reboot': a schedule is due at times, and not when a server starts")
    near = get_close_matches(expression.lower(), [*NAMED, EVERY], 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMED)} and {EVERY}"
    return CronError(f"cron {expression!r} is not known; {hint}")


def times(fields: Written) -> Times:
    """The values of the fields. Raises CronError."""
    _alone(DAY_OF_MONTH, fields.day_of_month)
    _alone(DAY_OF_WEEK, fields.day_of_week)
    return Times(
        numbers(SECOND, fields.second),
        numbers(MINUTE, fields.minute),
        numbers(HOUR, fields.hour),
        days(fields.day_of_month, fields.day_of_week),
        numbers(MONTH, fields.month),
        numbers(YEAR, fields.year),
    )


def _alone(field: Field, text: str) -> None:
    if "," in text and any(item in {"*", "?"} for item in text.split(",")):
        raise field.refuse(text, "* and ? stand alone, as they mean every day")


def never(expression: str, fields: Written) -> str:
    """Why no day matches the fields."""
    wanted = " and ".join(
        f"{field.name} {text!r}"
        for field, text in ((DAY_OF_MONTH, fields.day_of_month), (DAY_OF_WEEK, fields.day_of_week))
        if text not in UNRESTRICTED
    )
    years = numbers(YEAR, fields.year)
    longest = max(monthrange(year, month)[1] for month in numbers(MONTH, fields.month) for year in years)
    year = "" if fields.year == "*" else f" of year {fields.year!r}"
    return f"cron {expression!r} is never due: month {fields.month!r}{year}, with at most {longest} days, has no {wanted}"
