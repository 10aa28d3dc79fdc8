"""Which texts can be kept."""

from typing import Final

_UNKNOWN: Final = "\ufffd"


def storable(text: str) -> bool:
    """Whether databases and JSON take a text: it has no NUL, and no half of a sign that is written with two."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def stored(text: str) -> str:
    """A text with the sign for an unknown one in place of those that cannot be kept."""
    if storable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", _UNKNOWN)
