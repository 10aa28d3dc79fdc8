"""`H`: a value of its own for each name, so that a thousand schedules that are hourly are not due together."""

import re
from hashlib import sha256
from typing import Final

from orchestrator.domain.cron.fields import DAY_OF_MONTH, YEAR, Field

_HASH: Final = re.compile(r"H(?:\(([0-9]+)-([0-9]+)\))?(?:/([0-9]+))?")
_IN_EVERY_MONTH: Final = 28


def resolved(field: Field, text: str, key: str) -> str:
    """A field in upper case with the values for `key` in place of H."""
    return ",".join(_resolve(field, item, text, key) for item in text.split(","))


def _resolve(field: Field, item: str, text: str, key: str) -> str:
    if not item.startswith("H"):
        return item
    found = _HASH.fullmatch(item)
    if found is None:
        raise field.refuse(text, f"{item!r} is not understood; H stands as H, H/15, H(0-29) or H(0-29)/10")
    if field is YEAR:
        raise field.refuse(text, "years are not spread")
    first, last, stride = found.groups()
    low = field.low if first is None else int(first)
    high = (_IN_EVERY_MONTH if field is DAY_OF_MONTH else field.high) if last is None else int(last)
    if not field.low <= low <= high <= field.high:
        raise field.refuse(text, f"the bounds of {item!r} are out of order or range")
    chance = int.from_bytes(sha256(f"{field.name}\0{key}".encode()).digest()[:8])
    if stride is None:
        return str(low + chance % (high - low + 1))
    step = int(stride)
    if not 1 <= step <= high - low + 1:
        raise field.refuse(text, f"the step of {item!r} is not from 1 to {high - low + 1}")
    start = low + chance % step
    return f"{start}-{high}/{step}" if start < high else str(start)
