"""Time zones, and the moments at which their clocks change."""

from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from orchestrator.domain.cron.errors import CronError

_BLOCK: Final = 1 << 25
"""Changes of a bit more than a year are looked for at once."""
_PROBE: Final = 4 * 86_400
"""Shorter than any time between two changes of a zone; the shortest since 1970 was a week."""
_OF_THE_MACHINE: Final = ("localtime", "posixrules", "Factory", "posix/", "right/")
_LONGEST_NAME: Final = 100


class Change(msgspec.Struct, frozen=True):
    """The clocks change at a moment (seconds since 1970), from one offset to another (seconds east of UTC)."""

    at: int
    before: int
    after: int


class Zone:
    """A zone by its name, with the changes that have been looked up."""

    def __init__(self, name: str) -> None:
        """Raises CronError for a name that is unknown."""
        self.name = name
        self._info = _zone_info(name)
        self._blocks: dict[int, tuple[Change, ...]] = {}

    def offset(self, moment: int) -> int:
        """Seconds east of UTC."""
        offset = datetime.fromtimestamp(moment, self._info).utcoffset()
        return 0 if offset is None else offset.days * 86_400 + offset.seconds

    def changes(self, since: int, until: int) -> list[Change]:
        """The changes of a period, both ends included, in order."""
        blocks = range(since // _BLOCK, until // _BLOCK + 1)
        return [change for block in blocks for change in self._of_block(block) if since <= change.at <= until]

    def _of_block(self, block: int) -> tuple[Change, ...]:
        if block not in self._blocks:
            self._blocks[block] = tuple(self._found(block * _BLOCK, (block + 1) * _BLOCK))
        return self._blocks[block]

    def _found(self, start: int, end: int) -> list[Change]:
        found = []
        moment, offset = start - 1, self.offset(start - 1)
        while moment < end - 1:
            probe = min(moment + _PROBE, end - 1)
            then = self.offset(probe)
            if then != offset:
                found.append(Change(self._when(moment, probe, offset), offset, then))
            moment, offset = probe, then
        return found

    def _when(self, low: int, high: int, before: int) -> int:
        """The first moment of a period at which the offset is no longer what it was."""
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset(middle) == before:
                low = middle
            else:
                high = middle
        return high


@lru_cache(maxsize=128)
def zone(name: str) -> Zone:
    """The zone of a name. Raises CronError, with the names that are near, when there is none."""
    return Zone(name)


def _zone_info(name: str) -> ZoneInfo:
    if len(name) <= _LONGEST_NAME and not name.startswith(_OF_THE_MACHINE):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            # What names a folder, or leaves that of the zones, is an error of its own kind.
            pass
    near = _near(name[:_LONGEST_NAME])
    hint = f"did you mean {' or '.join(near)}?" if near else "send a name as Europe/Berlin, Asia/Shanghai or UTC"
    raise CronError(f"timezone {name[:_LONGEST_NAME]!r} is unknown; {hint}")


def _near(name: str) -> list[str]:
    wanted = name.lower().replace(" ", "_")
    if "beijing" in wanted:
        return ["Asia/Shanghai"]
    known = {key.lower(): key for key in sorted(available_timezones()) if not key.startswith(_OF_THE_MACHINE)}
    if wanted in known:
        return [known[wanted]]
    cities = [key for lower, key in known.items() if lower.rpartition("/")[2] == wanted and "/" in key]
    return cities[:3] or [known[lower] for lower in get_close_matches(wanted, known, 3, 0.7)]
