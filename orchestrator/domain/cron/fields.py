"""The fields of a cron expression, and the numbers that each of them stands for."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from orchestrator.domain.cron.errors import CronError

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2099
_ITEM: Final = re.compile(r"(?:(\*)|([0-9]+|[A-Z]+)(?:-([0-9]+|[A-Z]+))?)(?:/([0-9]+))?")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Field(msgspec.Struct, frozen=True, eq=False):
    """One place of an expression: its bounds, the names of its values, and its place among croniter's fields."""

    name: str
    low: int
    high: int
    place: int
    names: Mapping[str, int] = {}
    more: str = ""

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    @property
    def allowed(self) -> str:
        """What may stand here, in words."""
        high = 7 if self is DAY_OF_WEEK else self.high
        names = f" ({next(iter(self.names))} to {list(self.names)[-1]})" if self.names else ""
        sample = f"{self.low + 1}"
        return (
            f"allowed are {self.low} to {high}{names}, lists ({sample},{self.low + 3}), ranges ({sample}-{self.low + 3}), "
            f"steps (*/2){self.more} and *"
        )

    def refuse(self, text: str, why: str) -> CronError:
        """The error for a value of this field."""
        return CronError(f"{self.name} {text!r}: {why}; {self.allowed}")


SECOND: Final = Field("second", 0, 59, 5, more=", H")
MINUTE: Final = Field("minute", 0, 59, 0, more=", H")
HOUR: Final = Field("hour", 0, 23, 1, more=", H")
DAY_OF_MONTH: Final = Field("day of month", 1, 31, 2, more=", L, L-3, 15W, LW, H, ?")
MONTH: Final = Field("month", 1, 12, 3, {name: number for number, name in enumerate(_MONTHS, 1)}, more=", H")
DAY_OF_WEEK: Final = Field("day of week", 0, 6, 4, {name: number for number, name in enumerate(_DAYS)}, more=", 5#2, 5L, H, ?")
YEAR: Final = Field("year", FIRST_YEAR, LAST_YEAR, 6)
FIELDS: Final = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR)


@lru_cache(maxsize=2048)
def numbers(field: Field, text: str) -> tuple[int, ...]:
    """The values that a text in upper case, without what only days have, stands for; in order, each once."""
    return _expanded(field, ",".join(_plain(field, item, text) for item in text.split(",")))


def _plain(field: Field, item: str, text: str) -> str:
    """An item as croniter reads it as it is meant: without names, Sunday as 7, and ranges over the end or of one value."""
    found = _ITEM.fullmatch(item)
    if found is None or found[2] == "R":
        raise _unknown(field, item, text)
    star, first, last, stride = found.groups()
    step = _step(field, stride, text) if stride else 1
    low = field.low if star else value(field, first, text)
    end = low if stride is None and not star else field.high
    high = end if last is None else value(field, last, text)
    if low == high or field is DAY_OF_WEEK:
        return _over_the_end(field, low, high, step)
    if low < high:
        return f"{low}-{high}/{step}"
    if field is YEAR:
        raise field.refuse(text, f"{item!r} goes backwards")
    return _over_the_end(field, low, high, step)


def _over_the_end(field: Field, low: int, high: int, step: int) -> str:
    if low == 7 and field is DAY_OF_WEEK:
        low, high = 0, high % 7
    stop = high if low <= high else high + field.size
    return ",".join(str((number - field.low) % field.size + field.low) for number in range(low, stop + 1, step))


def _unknown(field: Field, item: str, text: str) -> CronError:
    if not item:
        return field.refuse(text, "there is nothing before or after a comma")
    if re.fullmatch(r"R(\(.*\))?(/.*)?", item):
        return field.refuse(text, "R would be another value after each restart; H is spread as well, and stays")
    if "." in item:
        return field.refuse(text, "nothing is due more finely than by the second, so that values are whole numbers")
    if "?" in item:
        return field.refuse(text, "? stands alone, for day of month or day of week")
    if item.startswith("-"):
        return field.refuse(text, "there are no negative values")
    return field.refuse(text, f"{item!r} is not understood" if item != text else "is not understood")


def value(field: Field, word: str, text: str) -> int:
    """A number or name as the number of a field; Sunday may be 7."""
    if word in field.names:
        return field.names[word]
    if not word.isdigit():
        raise field.refuse(text, f"{word!r} is no name of a {field.name}" if field.names else f"{word!r} is no number")
    number = int(word)
    if not (field.low <= number <= field.high or (field is DAY_OF_WEEK and number == 7)):
        raise field.refuse(text, f"{word} is out of range")
    return number


def _step(field: Field, stride: str, text: str) -> int:
    step = int(stride)
    if not 1 <= step <= field.size:
        of_the_clock = step > 0 and field in {SECOND, MINUTE, HOUR}
        hint = f", and {step} {field.name}s are @every {step}{field.name[0]}" if of_the_clock else ""
        raise field.refuse(text, f"a step is from 1 to {field.size}{hint}")
    return step


def _expanded(field: Field, text: str) -> tuple[int, ...]:
    from croniter import croniter  # noqa: PLC0415 - large, and needed with the first schedule only

    places = ["*"] * 7
    places[field.place] = text
    found: Iterable[int | str] = croniter.expand(" ".join(places))[0][field.place]
    values = [number for number in found if isinstance(number, int)]
    return tuple(sorted(values)) if values else tuple(range(field.low, field.high + 1))
