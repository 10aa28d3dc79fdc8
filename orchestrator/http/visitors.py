"""Who may talk to a server without keys: programs of its own machine, and no web page from elsewhere."""

import re
from collections.abc import Iterable

from worker_client.errors import Forbidden

_LOOPBACK = rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
_HERE = re.compile(_LOOPBACK, re.IGNORECASE)
_FROM_HERE = re.compile(rb"https?://" + _LOOPBACK, re.IGNORECASE)


class Visitors:
    """Tells by a request's headers whether a browser sends it for a page that should not reach this server.

    `host`: where the server listens; `origins`: of the pages that may ask all the same, `*` for all.
    """

    def __init__(self, host: str, origins: Iterable[str]) -> None:
        literal = f"[{host}]" if ":" in host else host
        self._bound = re.compile(re.escape(literal).encode() + rb"(?::\d{1,5})?", re.IGNORECASE)
        self._origins = frozenset(origin.encode() for origin in origins)

    def refused(self, path: str, host: bytes | None, origin: bytes | None, site: bytes | None) -> Forbidden | None:
        """Why not, judged by the headers Host, Origin and Sec-Fetch-Site; programs may leave all of them out."""
        # A name of somebody else's that leads here makes a browser believe that its page is of this server.
        if host is not None and not (_HERE.fullmatch(host) or self._bound.fullmatch(host)):
            return Forbidden(
                f"this server has no keys yet and answers only at localhost, 127.0.0.1 or [::1], not at {_shown(host)}: "
                "use one of those in the address"
            )
        if origin is not None:
            if _FROM_HERE.fullmatch(origin) or origin in self._origins or b"*" in self._origins:
                return None
            return Forbidden(
                f"this server has no keys yet and answers no web page of {_shown(origin)}: "
                "name that origin in the setting server.cors_origins to let its pages in"
            )
        # Browsers send no Origin for images and links, but asking for the next task by GET takes it.
        if site == b"cross-site" and "/api/" in path:
            return Forbidden(
                "this server has no keys yet and answers no web page of another site: ask from a program, or from here"
            )
        return None


def _shown(value: bytes) -> str:
    return value[:100].decode("ascii", "backslashreplace")
