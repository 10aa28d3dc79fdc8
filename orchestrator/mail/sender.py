"""Who a mail says it is from, and which addresses it names; made for headers that somebody made up to deceive."""

import re
from email.utils import getaddresses
from typing import Final

MOST_ADDRESSES: Final = 100
_LONGEST: Final = 2000
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_ANGLED: Final = re.compile(r"<([^<>]*)>")
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]{1,255}")


def sender(headers: list[str]) -> str:
    """The one address, in small letters, that a mail is from; empty when its headers leave any doubt.

    `headers`: all its From headers as they came, for an encoded name must not be taken for an address.
    """
    if len(headers) != 1 or len(headers[0]) > _LONGEST:
        return ""
    bare = _QUOTED.sub(" ", headers[0])
    angled = _ANGLED.findall(bare)
    outside = _ANGLED.sub(" ", bare).strip()
    if len(angled) > 1 or (angled and "@" in outside):
        return ""
    address = (angled[0] if angled else outside).strip()
    return address.lower() if _ADDRESS.fullmatch(address) else ""


def addresses(headers: list[str]) -> list[str]:
    """The addresses that To or Cc name, in small letters; those that are none are left out."""
    try:
        found = getaddresses([header[:20_000] for header in headers])
    except (ValueError, IndexError, RecursionError):
        return []
    named = (address.strip().lower() for _, address in found)
    return list(dict.fromkeys(address for address in named if _ADDRESS.fullmatch(address)))[:MOST_ADDRESSES]
