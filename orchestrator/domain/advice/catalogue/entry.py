"""What stands in the catalogue."""

from msgspec import Struct


class Entry(Struct, frozen=True):
    """`meaning` for the docs; `message` and `suggestion` have facts in braces; `without`: when a fact is not known."""

    weight: int
    meaning: str
    message: str
    suggestion: str
    without: str = ""
