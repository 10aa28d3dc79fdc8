"""A cron expression in English."""

from functools import lru_cache
from typing import Final

from cron_descriptor import ExpressionDescriptor, Options

from orchestrator.domain.cron.days import UNRESTRICTED
from orchestrator.domain.cron.fields import DAY_OF_MONTH, DAY_OF_WEEK, FIELDS, Field, numbers
from orchestrator.domain.cron.text import Written

_MIDNIGHT: Final = "At 00:00, "


@lru_cache(maxsize=1024)
def words(fields: Written) -> str:
    """As `At 02:00, on day 15 of the month, or only on Monday`."""
    of_month, of_week = _items(DAY_OF_MONTH, fields.day_of_month), _items(DAY_OF_WEEK, fields.day_of_week)
    parts = [f"{item} * ?" for item in of_month] + [f"? * {item}" for item in of_week]
    if len(parts) > 1:
        # Its words for lists of special days, and for days of month beside days of week, are not what they mean.
        said = f"{_said(fields, '*', '*')}, {', or '.join(_days(part) for part in parts)}"
    else:
        said = _said(fields, *(of_month or "*"), *(of_week or "*"))
    return f"{said} (spread by name)" if fields.spread else said


def _items(field: Field, text: str) -> list[str]:
    """What has words of its own: a list of plain days is one, each special day is."""
    if text in UNRESTRICTED:
        return []
    items = text.split(",")
    special = [item for item in items if "#" in item or "L" in item.removeprefix("JUL") or "W" in item.replace("WED", "")]
    plain = [item for item in items if item not in special]
    return ([_listed(field, ",".join(plain))] if plain else []) + special


def _listed(field: Field, text: str) -> str:
    """A list without steps in it, for which there are no words."""
    return ",".join(map(str, numbers(field, text))) if "," in text and ("/" in text or "*" in text) else text


def _days(part: str) -> str:
    return _described(f"0 0 0 {part} *").removeprefix(_MIDNIGHT).replace("only on", "on")


def _said(fields: Written, of_month: str, of_week: str) -> str:
    written = (fields.second, fields.minute, fields.hour, of_month, fields.month, of_week, fields.year)
    days = {DAY_OF_MONTH, DAY_OF_WEEK}
    return _described(
        " ".join(text if field in days else _listed(field, text) for field, text in zip(FIELDS, written, strict=True))
    )


def _described(text: str) -> str:
    options = Options(locale_code="en_US", use_24hour_time_format=True)
    return " ".join(ExpressionDescriptor(text, options).get_description().split())
