"""The time zone of this machine, by the name that others know it by."""

import os
import time
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ETC = Path("/etc")


def host_zone(etc: Path = ETC) -> str | None:
    """Such as Europe/Berlin; None when it has no name that can be found."""
    for name in (os.environ.get("TZ", "").removeprefix(":"), _written(etc / "timezone"), _linked(etc / "localtime")):
        if name and _known(name):
            return name
    return None if time.timezone or time.daylight else "UTC"


def _written(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _linked(file: Path) -> str:
    return str(file.resolve()).partition("zoneinfo/")[2]


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
