"""Times in the layouts of Go, which show how the moment 2006-01-02 15:04:05 -0700 would look."""

import re
from datetime import datetime, timedelta
from typing import Final

_PART: Final = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|__2|002|01|02|03|04|05|06|15|_2|PM|pm"
    r"|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07|[.,](?:0+|9+)(?![0-9])|1|2|3|4|5"
)
_ENGLISH_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ENGLISH_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def formatted(at: datetime, layout: str) -> str:
    """A time with a zone in a layout."""
    return _PART.sub(lambda part: _shown(at, part[0]), layout)


def _shown(at: datetime, part: str) -> str:
    if part[0] in ".,":
        return _fraction(at, part)
    if part[0] in "Z-":
        return _offset(at.utcoffset() or timedelta(), part)
    hour = at.hour % 12 or 12
    return {
        "January": _ENGLISH_MONTHS[at.month - 1],
        "Jan": _ENGLISH_MONTHS[at.month - 1][:3],
        "Monday": _ENGLISH_DAYS[at.weekday()],
        "Mon": _ENGLISH_DAYS[at.weekday()][:3],
        "MST": at.tzname() or "",
        "2006": f"{at.year:04}",
        "06": f"{at.year % 100:02}",
        "01": f"{at.month:02}",
        "1": str(at.month),
        "02": f"{at.day:02}",
        "_2": f"{at.day:2}",
        "2": str(at.day),
        "002": f"{at.timetuple().tm_yday:03}",
        "__2": f"{at.timetuple().tm_yday:3}",
        "15": f"{at.hour:02}",
        "03": f"{hour:02}",
        "3": str(hour),
        "04": f"{at.minute:02}",
        "4": str(at.minute),
        "05": f"{at.second:02}",
        "5": str(at.second),
        "PM": "AM" if at.hour < 12 else "PM",
        "pm": "am" if at.hour < 12 else "pm",
    }[part]


def _fraction(at: datetime, part: str) -> str:
    digits = f"{at.microsecond:06}000"[: len(part) - 1].ljust(len(part) - 1, "0")
    if part[1] == "0":
        return part[0] + digits
    digits = digits.rstrip("0")
    return part[0] + digits if digits else ""


def _offset(offset: timedelta, part: str) -> str:
    if part[0] == "Z" and not offset:
        return "Z"
    total = int(offset.total_seconds())
    sign, total = "-" if total < 0 else "+", abs(total)
    pieces = [f"{total // 3600:02}", f"{total // 60 % 60:02}", f"{total % 60:02}"]
    between = ":" if ":" in part else ""
    return sign + between.join(pieces[: len(part.replace(":", "")) // 2])
