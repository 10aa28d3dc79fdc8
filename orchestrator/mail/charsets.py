"""Bytes and headers of mails as text, whatever their senders did to them."""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NO_TEXT: Final = frozenset({"idna", "punycode", "unicodeescape", "rawunicodeescape", "undefined", "mbcs", "oem"})
"""Codecs that no mail is written in; some of them take very long."""
_LONGEST_HEADER: Final = 10_000


def decoded(content: bytes, charset: str | None) -> str:
    """Text in a charset that its sender named, perhaps wrongly."""
    named = "" if re.sub(r"[^a-z0-9]", "", (charset or "").lower()) in _NO_TEXT else charset or ""
    for attempt in (named, "utf-8"):
        try:
            return clean(content.decode(attempt))
        except (LookupError, ValueError):
            continue
    try:
        return clean(content.decode(named or "latin-1", "replace"))
    except (LookupError, ValueError):
        return clean(content.decode("latin-1"))


def clean(text: str) -> str:
    """Without characters that belong in no text; lines end in one way."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def header_text(raw: str) -> str:
    """A header as people read it, on one line; `raw` as the parser gives it, with what is not ASCII as surrogates."""
    raw = _unfolded(raw[:_LONGEST_HEADER])
    try:
        parts = decode_header(raw)
    except (HeaderParseError, ValueError):
        parts = [(raw, None)]
    # Text beside encoded words comes in the escapes of source code, as it may hold anything.
    texts = (part if isinstance(part, str) else _part(part, charset) for part, charset in parts)
    return re.sub(r"\s+", " ", clean("".join(texts))).strip()


def _part(part: bytes, charset: str | None) -> str:
    if charset is None:
        return part.decode("raw-unicode-escape", "replace")
    return decoded(part, charset)


def _unfolded(raw: str) -> str:
    content = raw.encode("utf-8", "surrogateescape")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r", "").replace("\n", "")
