"""A mail as triggers get it."""

from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from orchestrator.mail.attachments import Limits, remove, save
from orchestrator.mail.connection import Folder
from orchestrator.mail.reading import Content, Envelope, content

SHOWN: Final = 200
"""Characters of a subject in the history."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How much of a mail is taken, and where its attachments go; None: nowhere. Sizes in bytes."""

    directory: Path | None
    message: int = 25 * 1024 * 1024
    attachments: Limits = Limits(each=10 * 1024 * 1024, count=20, total=25 * 1024 * 1024)


class Letter:
    """A mail in a folder."""

    def __init__(self, folder: Folder, uid: int, envelope: Envelope) -> None:
        self.envelope = envelope
        self.key = f"{envelope.digest}/{folder.validity}/{uid}/{folder.name}"
        self._folder = folder
        self._uid = uid
        self._saved_as = f"{folder.validity}-{uid}-{envelope.digest[:12]}"

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from others, for the history."""
        said = self.envelope
        return {
            "from": said.address or said.shown_from[:SHOWN],
            "subject": said.subject[:SHOWN],
            "folder": self._folder.name,
            "uid": self._uid,
            "message_id": said.message_id[:SHOWN],
        }

    def input(self, raw: bytes | None, bounds: Bounds, why: str = "") -> dict[str, Any]:
        """What templates see of it, its attachments saved; `raw`: all of it, or None and the reason `why`. Raises OSError."""
        inside = Content(notes=(why,)) if raw is None else content(raw)
        said = self.envelope
        return {
            "from": said.address,
            "sender": said.shown_from,
            "to": said.to,
            "cc": said.cc,
            "subject": said.subject,
            "text": inside.text,
            "html": inside.html,
            "date": said.date,
            "message_id": said.message_id,
            "folder": self._folder.name,
            "attachments": save(inside.attached, bounds.directory, self._saved_as, bounds.attachments),
            "notes": list(inside.notes),
        }

    def discard(self, bounds: Bounds) -> None:
        """Take its attachments away, as nobody wants them."""
        remove(bounds.directory, self._saved_as)
