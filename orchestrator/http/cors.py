"""Which web pages of elsewhere may call: what browsers ask for, and are told."""

import re
from collections.abc import Iterable
from typing import Final

from orchestrator.http.envelope import Answer, Header

_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE"
_NAMES: Final = re.compile(rb"[A-Za-z0-9_, -]{1,1000}")
_SHOWN: Final = (
    b"access-control-expose-headers",
    b"x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset",
)
_VARY: Final = (b"vary", b"origin")


class Cors:
    """Lets pages of `origins` call, `*` of all; never with cookies, so that only who has a key gets anything."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def names(self, origin: bytes | None) -> bool:
        """Whether the settings name an origin."""
        return origin is not None and (origin in self._origins or b"*" in self._origins)

    def preflight(self, headers: Iterable[Header]) -> Answer | None:
        """The answer to a browser that asks what a page may send (OPTIONS); None for all others, and to other pages."""
        given = dict(headers)
        origin = given.get(b"origin", b"")
        if b"access-control-request-method" not in given or not self.names(origin):
            return None
        wanted = given.get(b"access-control-request-headers", b"")
        # A star would not stand for Authorization.
        allowed = [(b"access-control-allow-headers", wanted)] if _NAMES.fullmatch(wanted) else []
        told = Answer(b"", 204, ())
        told.raw_headers = [
            (b"access-control-allow-origin", origin), (b"access-control-allow-methods", _METHODS), *allowed,
            (b"access-control-max-age", b"600"), _VARY,
        ]  # fmt: skip
        return told

    def headers(self, origin: bytes | None) -> list[Header]:
        """What every answer to a page carries."""
        if not self._origins:
            return []
        return [(b"access-control-allow-origin", origin), _SHOWN, _VARY] if origin is not None and self.names(origin) else [_VARY]
