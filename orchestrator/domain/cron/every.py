"""`@every 1h30m`: periods of elapsed time, whatever the clocks on the wall do."""

import re
from decimal import Decimal
from typing import Final

from orchestrator.domain.cron.errors import CronError

_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_TOO_FINE: Final = re.compile(r"ms|us|ns|µs")
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([dhms])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST: Final = 10 * 366 * 86_400
_ALLOWED: Final = "allowed are whole seconds up to ten years, as @every 90s, @every 5m, @every 1h30m or @every 2d"


def period(text: str) -> int:
    """Seconds between two due times. Raises CronError."""
    if _TOO_FINE.search(text):
        raise CronError(f"@every {text!r}: nothing is due more finely than by the second; {_ALLOWED}")
    if not _WHOLE.fullmatch(text):
        raise CronError(f"@every {text!r} is no duration; {_ALLOWED}")
    seconds = sum((Decimal(amount) * _UNITS[unit] for amount, unit in _PART.findall(text)), Decimal())
    if seconds != int(seconds) or not 1 <= seconds <= _LONGEST:
        raise CronError(f"@every {text!r} is {seconds.normalize():f} seconds; {_ALLOWED}")
    return int(seconds)


def period_words(seconds: int) -> str:
    """A period as `Every 1 hour and 30 minutes`."""
    parts = []
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {name}{'s' if amount > 1 else ''}")
    if parts == [parts[0]] and parts[0].startswith("1 "):
        return f"Every {parts[0][2:]}"
    return "Every " + " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
