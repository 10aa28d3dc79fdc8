"""The base of all rows of small tables."""

from typing import Any, ClassVar

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True):
    """A row. Where there is a `version`, it rises with each change, and guards the row against what others write."""

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Its primary key."""
        return tuple(getattr(self, name) for name in self.KEY)
