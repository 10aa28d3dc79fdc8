"""A mail arrives in a mailbox of the server."""

import fnmatch
import re
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from orchestrator.domain.principal import Principal
from orchestrator.triggers.base import Settings, Trigger
from worker_client.errors import Forbidden, ValidationFailed

if TYPE_CHECKING:
    from orchestrator.mail.reading import Envelope

Pattern = Annotated[str, Meta(min_length=1, max_length=300)]
Patterns = Pattern | Annotated[list[Pattern], Meta(max_length=100)]
_WILD: Final = frozenset("*?")


class EmailSettings(Settings, kw_only=True, rename={"from_": "from"}):
    """Which mails: `from`, `to` are addresses, `@domain` or patterns with `*` and `?`; of a list one has to fit.

    `subject`: a part of it, or with `*` or `?` a pattern of the whole; `folder`: else the setting `email.folder`;
    `look_back_days`: unread mails that came so many days before the trigger first looked are taken as well.
    """

    from_: Patterns | None = None
    to: Patterns | None = None
    subject: Patterns | None = None
    folder: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    look_back_days: Annotated[int, Meta(ge=0, le=3650)] = 1

    def refuses(self, envelope: "Envelope") -> str | None:
        """Why a mail is not wanted; None: it is."""
        if self.from_ is not None and not envelope.address:
            return "it is in doubt who sent it"
        if not _fits(self.from_, envelope.address):
            return "its sender does not fit `from`"
        if self.to is not None and not any(_fits(self.to, address) for address in (*envelope.to, *envelope.cc)):
            return "nobody that it is sent to fits `to`"
        if self.subject is not None and not any(_in_subject(one, envelope.subject) for one in _listed(self.subject)):
            return "its subject does not fit `subject`"
        return None


class Email(Trigger[EmailSettings]):
    """The mailbox is read by a loop of its own, see orchestrator/loops/mailbox.py."""

    name = "email"
    settings = EmailSettings

    def check(self, settings: EmailSettings, by: Principal, field: str) -> None:
        """Refuse what no mail can fit, and those to see mails who may not see all of the server."""
        if by.paths.patterns is not None:
            told = (
                f"`{field}`: this key is limited to some directories, and the mailbox is the whole server's: ask with another key"
            )
            raise Forbidden(told, field=field)
        for name, patterns in (("from", settings.from_), ("to", settings.to)):
            for one in _listed(patterns):
                if "@" not in one and not _WILD & set(one):
                    told = (
                        f"`{field}.{name}` is {one!r}: expected an address, @example.com for all of a domain, or a pattern with *"
                    )
                    raise ValidationFailed(told, field=f"{field}.{name}")
        if settings.folder is not None and not settings.folder.isprintable():
            told = f"`{field}.folder` is {settings.folder!r}: expected the name of a folder of the mailbox, such as INBOX"
            raise ValidationFailed(told, field=f"{field}.folder")


def _listed(patterns: Patterns | None) -> list[str]:
    return [] if patterns is None else [patterns] if isinstance(patterns, str) else patterns


def _fits(patterns: Patterns | None, address: str) -> bool:
    return patterns is None or any(_like(f"*{one}" if one.startswith("@") else one, address) for one in _listed(patterns))


def _in_subject(pattern: str, subject: str) -> bool:
    return _like(pattern, subject) if _WILD & set(pattern) else pattern.casefold() in subject.casefold()


def _like(pattern: str, text: str) -> bool:
    # Subjects have brackets in them, such as [ops], which mean nothing else here.
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text, re.IGNORECASE) is not None
