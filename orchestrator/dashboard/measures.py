"""Times, amounts and texts of others, as pages show them."""

import re
from datetime import datetime
from typing import Final

from orchestrator.domain.moments import millis, moment
from orchestrator.domain.task import Millis

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_SIZES: Final = ("B", "kB", "MB", "GB", "TB")
# C0 and C1 controls but tab and line feed, what turns text around or hides it, and what is no character.
_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]")
_ANSI: Final = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")


def duration(seconds: float) -> str:
    """Two units at most, such as `2h 14m`; the script of the pages counts on in the same form."""
    left = max(0, int(seconds))
    for place, (size, unit) in enumerate(_UNITS):
        if left >= size or size == 1:
            whole, rest = divmod(left, size)
            if place + 1 == len(_UNITS) or (place == 0 and whole >= 10):
                return f"{whole}{unit}"
            smaller, name = _UNITS[place + 1]
            return f"{whole}{unit} {rest // smaller:02}{name}" if rest >= smaller else f"{whole}{unit}"
    return "0s"


def precise(milliseconds: float) -> str:
    """A short time, such as `340 ms` or `2.4 s`; a longer one as `duration`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 60_000 else duration(milliseconds / 1000)


def instant(at: datetime | Millis) -> Millis:
    """Milliseconds since 1970, of either form."""
    return at if isinstance(at, int) else millis(at)


def rfc3339(at: datetime | Millis) -> str:
    """A time as machines read it."""
    return moment(instant(at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def readable(at: datetime | Millis) -> str:
    """A time as people read it, to the second, UTC."""
    return f"{moment(instant(at)):%Y-%m-%d %H:%M:%S} UTC"


def money(usd: float) -> str:
    """Dollars, with as many places as tell something."""
    if 0 < abs(usd) < 0.01:
        return f"${usd:.4f}"
    return f"${usd:,.2f}"


def large(count: float) -> str:
    """A number as short as it can be told, such as `1.2 M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(count) >= size:
            shown = count / (1e3 if unit == "k" else size)
            return f"{shown:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count:,.0f}"


def size(count: float) -> str:
    """Bytes, such as `4.2 MB`."""
    place = 0
    while count >= 1000 and place < len(_SIZES) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.1f}".removesuffix(".0") + f" {_SIZES[place]}"


def shown(text: str, most: int = 4000) -> str:
    """Text of somebody else: without colours of terminals, what cannot be seen made visible, and no longer than `most`.

    Templates escape it; this is against what escaping leaves, as text that turns what follows around.
    """
    cut = len(text) > most
    plain = _ANSI.sub("", text[:most]) if "\x1b" in text[:most] else text[:most]
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", plain) + ("\N{HORIZONTAL ELLIPSIS}" if cut else "")


def line(text: str, most: int = 160) -> str:
    """The first line of a text that has something in it, shown."""
    first = next((one for one in text[: 20 * most].splitlines() if one.strip()), "")
    return shown(first.strip(), most)
