"""Names of files that strangers chose, made harmless."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

LONGEST_BYTES: Final = 120
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"} | {f"{device}{n}" for device in ("com", "lpt") for n in "0123456789¹²³"}
)
_KEPT: Final = frozenset(" ._-+@=()[],")


def harmless(name: str, number: int, taken: Iterable[str] = ()) -> str:
    """A name in a folder for the file that was to be called `name`: no path, not hidden, no option, no device, not taken.

    `number`: of the file in its mail, for when nothing is left of the name; `taken`: names that are there already.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(char if char.isalnum() or char in _KEPT or unicodedata.combining(char) else "_" for char in last)
    stem, dot, ending = kept.strip(" .").rpartition(".")
    if not dot:
        stem, ending = ending, ""
    stem = _cut(re.sub(r"^[-.\s]+", "", stem).rstrip(" ."), LONGEST_BYTES - 20)
    ending = _cut(ending.strip(), 16)
    if not stem.strip("_ "):
        stem = f"attachment-{number}"
    if stem.split(".")[0].strip().lower() in _RESERVED:
        stem = f"_{stem}"
    found, again = f"{stem}.{ending}" if ending else stem, 1
    folded = {other.casefold() for other in taken}
    while found.casefold() in folded:
        again += 1
        found = f"{stem}-{again}.{ending}" if ending else f"{stem}-{again}"
    return found


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
