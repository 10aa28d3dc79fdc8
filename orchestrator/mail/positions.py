"""Up to where a trigger has taken the mails of a folder."""

from datetime import date, timedelta
from typing import Final

from msgspec import Struct

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All mails up to UID `last` are taken, but for those in `backlog`, while the folder's UIDVALIDITY is `validity`.

    `since`: the day on which the trigger looked into the folder for the first time.
    """

    folder: str
    validity: int
    last: int
    since: date
    backlog: tuple[int, ...] = ()

    def wants(self, uid: int) -> bool:
        """Whether a mail is still to be taken."""
        return uid > self.last or uid in self.backlog

    def taken(self, uid: int) -> "Position":
        """The position after a mail was taken; mails are taken in their order."""
        left = tuple(other for other in self.backlog if other != uid)
        return Position(folder=self.folder, validity=self.validity, last=max(self.last, uid), since=self.since, backlog=left)


def day(of: date, before: int = 0) -> str:
    """A day, or one before it, as IMAP writes it, whatever language the machine speaks."""
    found = of - timedelta(days=before)
    return f"{found.day}-{_MONTHS[found.month - 1]}-{found.year:04}"
