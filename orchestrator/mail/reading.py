"""What a mail says: its envelope, its text, and what is attached to it. Any bytes can be read; nothing here fails for them."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msgspec import Struct

from orchestrator.mail.charsets import clean, decoded, header_text
from orchestrator.mail.parsing import parsed
from orchestrator.mail.plain import text_of
from orchestrator.mail.sender import addresses, sender

MOST_TEXT: Final = 200_000
"""Characters of a mail's text, and of its HTML."""
_MOST_PARTS: Final = 1000
_WHO: Final = ("message-id", "date", "from", "subject")
"""By these headers a mail is known again when its folder was numbered anew."""


class Envelope(Struct, frozen=True):
    """What the header of a mail says; `address`: whom it is from, empty when that is in doubt; `digest`: tells it from others."""

    address: str
    shown_from: str
    to: list[str]
    cc: list[str]
    subject: str
    date: str | None
    message_id: str
    digest: str


class Attached(Struct, frozen=True):
    """Something that is attached to a mail, under the name that its sender chose."""

    name: str
    content_type: str
    content: bytes


class Content(Struct, frozen=True):
    """The inside of a mail; `notes`: what of it could not be read, or was too long."""

    text: str = ""
    html: str = ""
    attached: tuple[Attached, ...] = ()
    notes: tuple[str, ...] = ()


def envelope(header: bytes) -> Envelope:
    """What the header of a mail says."""
    fields: dict[str, list[str]] = {}
    found = parsed(header)
    for name, value in [] if found is None else found.raw_items():
        fields.setdefault(name.lower(), []).append(str(value))
    who = "\n".join("".join("".join(fields.get(name, [""])).split()) for name in _WHO)
    return Envelope(
        address=sender(fields.get("from", [])),
        shown_from=_first(fields, "from"),
        to=addresses(fields.get("to", [])),
        cc=addresses(fields.get("cc", [])),
        subject=_first(fields, "subject"),
        date=_moment(fields.get("date", [""])[0]),
        message_id=_first(fields, "message-id"),
        digest=hashlib.sha256(who.encode("utf-8", "surrogateescape")).hexdigest()[:24],
    )


def content(raw: bytes) -> Content:
    """What a whole mail holds."""
    try:
        message = parsed(raw)
        if message is not None:
            return _content(message)
    except Exception as error:  # noqa: BLE001 - the parser has bugs that strangers may know
        return Content(notes=(f"this mail cannot be read ({type(error).__name__})",))
    return Content(text=decoded(raw[:MOST_TEXT], None), notes=("this mail has too many parts or lines: its text is as it came",))


def _content(message: Message) -> Content:
    texts: list[str] = []
    pages: list[str] = []
    attached: list[Attached] = []
    notes: list[str] = []
    for number, part in enumerate(_leaves(message)):
        if number == _MOST_PARTS:
            notes.append(f"it has more than {_MOST_PARTS} parts; the others are left out")
            break
        kind, name = part.get_content_type(), _name(part)
        if kind in {"text/plain", "text/html"} and not name and part.get_content_disposition() != "attachment":
            found = decoded(_payload(part)[: 4 * MOST_TEXT], part.get_content_charset())
            (texts if kind == "text/plain" else pages).append(found)
        elif part.get_content_maintype() != "multipart":
            attached.append(Attached(name or _default(kind), clean(kind)[:100], _payload(part)))
    html = "\n".join(pages)
    # Its parser is slow with what is made to be slow.
    text = "\n".join(texts).strip() or text_of(html[:MOST_TEXT])
    if len(text) > MOST_TEXT or len(html) > MOST_TEXT:
        notes.append(f"its text is cut after {MOST_TEXT} characters")
    return Content(text[:MOST_TEXT], html[:MOST_TEXT], tuple(attached), tuple(notes))


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that are no containers; a mail inside a mail is one of them."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        inside: Any = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inside, list):
            waiting += [child for child in reversed(inside) if isinstance(child, Message)]
        else:
            yield part


def _payload(part: Message) -> bytes:
    """What a part holds; as it came when it cannot be decoded."""
    inside: Any = part.get_payload()
    try:
        if isinstance(inside, list):
            return b"\n".join(child.as_bytes() for child in inside if isinstance(child, Message))
        found = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError):
        found = None
    if isinstance(found, bytes):
        return found
    return inside.encode("utf-8", "surrogateescape") if isinstance(inside, str) else b""


def _name(part: Message) -> str:
    """The name of a file that a part has, in any of the ways in which mail programs write it."""
    try:
        return header_text(part.get_filename("") or "")
    except (ValueError, LookupError, TypeError, IndexError):
        return ""


def _default(kind: str) -> str:
    return "message.eml" if kind == "message/rfc822" else ""


def _first(fields: dict[str, list[str]], name: str) -> str:
    return header_text(fields.get(name, [""])[0])[:1000]


def _moment(date: str) -> str | None:
    try:
        found = parsedate_to_datetime(date[:200])
        known = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return datetime.fromtimestamp(known.timestamp(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
