"""What agents say in prose only: that a limit is reached and until when, that a key is refused."""

import re
from datetime import datetime, timedelta
from typing import Final

from worker_client.processes import Ended
from worker_client.runners.agent.protocol import Class, Verdict

LIMITED: Final = re.compile(
    r"usage limit|rate.?limit|too many requests|quota exceeded|exceeded your .{0,20}quota|exhausted your .{0,20}quota"
    r"|resource_exhausted|resource has been exhausted|insufficient_quota|(status|code|error)[\s\"':=]*429\b",
    re.IGNORECASE,
)
"""A limit of the account, whoever's words."""
REFUSED: Final = re.compile(
    r"\b40[13] (unauthorized|forbidden)|\bunauthenticated\b|(incorrect|invalid) (x-)?api.?key|api key not valid|invalid_api_key"
    r"|not logged in|missing environment variable|access token could not be refreshed|please (log|sign) in|(log|sign) in again"
    r"|run `?(codex|opencode auth) login",
    re.IGNORECASE,
)
"""A key or a login that is not accepted, or not there."""
_UNITS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_LENGTH: Final = r"(\d+(?:\.\d+)?)\s*(d(?:ays?)?|h(?:ours?)?|ms|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)\b"
_COMPACT: Final = re.compile(r"(?<=\d[dhms])(?=\d)")
_IN: Final = re.compile(rf"(?:again|retry|resets?|available)\s+(?:in|after)\s+((?:{_LENGTH}[\s,]*(?:and\s+)?)+)", re.IGNORECASE)
_AT: Final = re.compile(
    r"(?:again|retry|resets?|available) at\s+"
    r"(?:([A-Z][a-z]{2,8})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})[, ]+)?(\d{1,2}:\d{2}) ?([AP]M)"
)


def resets_at(text: str, now: datetime) -> datetime | None:
    """When a limit ends, as a text says it: "in 3 hours 2 minutes", "at 3:04 PM", "at Nov 24th, 2026 9:56 PM".

    `now` carries the zone that times of day are meant in. A time of day stands for the minute's end.
    """
    if (found := _IN.search(_COMPACT.sub(" ", text))) is not None:
        lengths = re.findall(_LENGTH, found[1], re.IGNORECASE)
        seconds = sum(float(count) * (0.001 if unit.lower() == "ms" else _UNITS[unit[0].lower()]) for count, unit in lengths)
        return now + timedelta(seconds=min(seconds, 366 * 86_400))
    return _moment(found, now) if (found := _AT.search(text)) is not None else None


def _moment(found: re.Match[str], now: datetime) -> datetime | None:
    month, day, year, clock, half = found.groups()
    try:
        time = datetime.strptime(f"{clock} {half}", "%I:%M %p").time()  # noqa: DTZ007  the zone is `now`'s
        date = datetime.strptime(f"{month[:3]} {day} {year}", "%b %d %Y") if month else now  # noqa: DTZ007  the zone is `now`'s
    except ValueError:
        return None
    moment = datetime.combine(date, time, tzinfo=now.tzinfo) + timedelta(minutes=1)
    return moment if month or moment > now else moment + timedelta(days=1)


def judged(message: str, ended: Ended, now: datetime, *, failed: bool) -> Verdict:
    """What came of a run that didn't succeed; `failed`: it said so itself."""
    if LIMITED.search(message):
        return Verdict(outcome=Class.QUOTA, message=message, resets_at=resets_at(message, now))
    if REFUSED.search(message):
        return Verdict(outcome=Class.AUTH, message=message)
    if failed:
        return Verdict(outcome=Class.FAILED, message=message)
    if ended.signal is not None:
        return Verdict(outcome=Class.KILLED, message=f"it was ended by {ended.signal}")
    return Verdict(outcome=Class.NO_EVIDENCE, message=message)


def local_now() -> datetime:
    """The time here, in the zone that a program on this machine tells times of day in."""
    return datetime.now().astimezone()
