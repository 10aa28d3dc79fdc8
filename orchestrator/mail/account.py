"""The account whose mailbox is read, and what goes wrong with it."""

from typing import Final, Literal

from msgspec import Struct

Tls = Literal["implicit", "starttls", "none"]

PORTS: Final[dict[Tls, int]] = {"implicit": 993, "starttls": 143, "none": 143}


class Account(Struct, frozen=True, kw_only=True):
    """Where a mailbox is and who reads it.

    `ca_file`: of a server that the system does not trust; `plaintext`: without TLS also to other machines; `interval` in seconds.
    """

    server: str
    user: str
    password: str
    port: int = 0
    tls: Tls = "implicit"
    ca_file: str = ""
    plaintext: bool = False
    idle: bool = True
    interval: float = 60

    def __repr__(self) -> str:
        return f"Account({self.name})"

    @property
    def name(self) -> str:
        """Whose mailbox it is, for people."""
        return f"{self.user} at {self.server}:{self.port or PORTS[self.tls]}"


class MailError(Exception):
    """Why the mailbox cannot be read just now, in words that may be shown: nothing of any mail is in them."""


class FolderError(MailError):
    """Why one folder cannot be read; others can."""
