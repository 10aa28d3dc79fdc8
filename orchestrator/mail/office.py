"""What who reads a mailbox asks of the server, from a thread of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from orchestrator.mail.positions import Position
from orchestrator.mail.reading import Envelope


class Watch(Protocol):
    """A deployed trigger that waits for mail; the same one is equal to itself."""

    @property
    def folder(self) -> str:
        """The folder that it watches."""

    @property
    def look_back_days(self) -> int:
        """How many days before its first look unread mails may have come."""

    def refuses(self, envelope: Envelope) -> str | None:
        """Why a mail is not for it; None: it is."""


class Delivery(Struct, frozen=True):
    """A mail for a trigger; `filtered`: why it is not for it. `key` is taken once."""

    watch: Watch
    key: str
    filtered: str | None
    input: Mapping[str, Any]
    facts: Mapping[str, Any]


class Office(Protocol):
    """Each call blocks until it is done, and fails with LeftError when this server is no longer to read the mailbox."""

    def watches(self) -> Sequence[Watch]:
        """The triggers that wait for mail."""

    def position(self, watch: Watch) -> Position | None:
        """Up to where a trigger is known to have taken mails."""

    def known(self, watch: Watch, digest: str, key: str) -> bool:
        """Whether a mail with this digest was delivered to its workflow under another key."""

    def deliver(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Deliver a mail to triggers; of which it is taken now, or was before, so that it may be marked."""

    def keep(self, positions: Mapping[Watch, Position]) -> None:
        """Write down up to where triggers have taken mails."""

    def tell(self, watches: Sequence[Watch], failing: str | None) -> None:
        """Tell why triggers hear of no mail; None: they do."""


class LeftError(Exception):
    """This server is no longer to read the mailbox."""
