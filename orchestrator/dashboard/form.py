"""The fields of a form, as those who act upon it want them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite

from worker_client.errors import ValidationFailed

_LARGEST = 2**63 - 1


class Form:
    """What was sent; an empty field is as good as none."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def has(self, name: str) -> bool:
        """Whether a field is there, be it empty."""
        return name in self._fields

    def text(self, name: str) -> str | None:
        """A field as it was written; None when it is empty. Line ends are those of the pages' texts."""
        value = self._fields.get(name, [""])[0].replace("\r\n", "\n")
        return value if value.strip() else None

    def needed(self, name: str) -> str:
        """A field that must not be empty. Raises ValidationFailed."""
        value = self.text(name)
        if value is None:
            raise ValidationFailed(f"`{name}` is empty: fill it in", field=name)
        return value

    def number(self, name: str) -> int:
        """A whole number of 1 or more, such as an id. Raises ValidationFailed."""
        value = self.needed(name).strip()
        if value.isascii() and value.isdecimal() and len(value) < 20 and 1 <= int(value) <= _LARGEST:
            return int(value)
        raise ValidationFailed(f"`{name}` is {value[:100]!r}: expected a whole number of 1 or more", field=name)

    def whole(self, name: str) -> int | None:
        """A whole number of 0 or more, or None. Raises ValidationFailed."""
        value = (self.text(name) or "").strip()
        if not value:
            return None
        if value.isascii() and value.isdecimal() and len(value) < 19:
            return int(value)
        raise ValidationFailed(f"`{name}` is {value[:100]!r}: expected a whole number of 0 or more, or nothing", field=name)

    def amount(self, name: str) -> float | None:
        """A number, or None. Raises ValidationFailed."""
        value = self.text(name)
        if value is None:
            return None
        with suppress(ValueError):
            # JSON has neither infinities nor what is no number: they would be sent as null, which takes a limit away.
            if isfinite(amount := float(value)):
                return amount
        raise ValidationFailed(f"`{name}` is {value[:100]!r}: expected a number", field=name)

    @property
    def names(self) -> list[str]:
        """The fields that were sent."""
        return list(self._fields)

    def checked(self, name: str) -> bool:
        """Whether a box is checked."""
        return self.text(name) is not None

    def all(self, name: str) -> list[str]:
        """All values of a field that may be there several times."""
        return [value for value in self._fields.get(name, []) if value.strip()]

    def numbers(self, name: str) -> list[int]:
        """All of them as ids. Raises ValidationFailed."""
        return [Form({name: [value]}).number(name) for value in self.all(name)]

    def words(self, name: str) -> list[str]:
        """The parts of a field that are apart by commas or spaces."""
        return (self.text(name) or "").replace(",", " ").split()

    @property
    def back(self) -> str:
        """The page that the form is on, for those who have no script; only one of this server."""
        value = self._fields.get("back", ["/"])[0]
        return value if value.startswith("/") and not value.startswith(("//", "/\\")) and value.isprintable() else "/"
