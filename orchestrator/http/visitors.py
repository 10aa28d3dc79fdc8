"""Who may talk to this server: who has its key; without one, programs of its own machine, and no web page from elsewhere."""

import re
from hmac import compare_digest
from typing import Final

from orchestrator.settings import Auth, Server
from worker_client.errors import Forbidden, OrchestratorError, Unauthorized

PUBLIC: Final = ("/health/live", "/health/ready")
"""What probes ask, which have no keys; it tells nothing of any task."""

_LOOPBACK = rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
_HERE = re.compile(_LOOPBACK, re.IGNORECASE)
_FROM_HERE = re.compile(rb"https?://" + _LOOPBACK, re.IGNORECASE)
_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)


class Visitors:
    """Tells by a request's headers whether it may reach this server at all."""

    def __init__(self, server: Server, auth: Auth) -> None:
        literal = f"[{server.host}]" if ":" in server.host else server.host
        self._bound = re.compile(re.escape(literal).encode() + rb"(?::\d{1,5})?", re.IGNORECASE)
        self._origins = frozenset(origin.encode() for origin in server.cors_origins)
        self._key = auth.bootstrap_key.encode()
        self._public = frozenset(server.root_path + path for path in PUBLIC)

    def refused(
        self,
        path: str,
        host: bytes | None = None,
        origin: bytes | None = None,
        site: bytes | None = None,
        credentials: bytes | None = None,
        *,
        preflight: bool = False,
    ) -> OrchestratorError | None:
        """Why not, judged by the headers Host, Origin, Sec-Fetch-Site and Authorization; each may be missing.

        `preflight`: a browser asks what a page may send; it never brings a key along.
        """
        if not self._key:
            return self._foreign(path, host, origin, site)
        if path in self._public or (preflight and self._named(origin)):
            return None
        given = _BEARER.fullmatch(credentials or b"")
        # A browser never adds such a header by itself, so whose page it is and under which name it asks do not matter.
        if given is not None and compare_digest(given[1], self._key):
            return None
        problem = "brings none" if credentials is None else "brings another, or none after the word Bearer"
        return Unauthorized(
            f"this server answers only to those who have its key, and this request {problem}: "
            "send the header Authorization: Bearer KEY; its own clients take the key from ORCHESTRATOR_API_KEY"
        )

    def _foreign(self, path: str, host: bytes | None, origin: bytes | None, site: bytes | None) -> Forbidden | None:
        # A name of somebody else's that leads here makes a browser believe that its page is of this server.
        if host is not None and not (_HERE.fullmatch(host) or self._bound.fullmatch(host)):
            return Forbidden(
                f"this server has no keys and answers only at localhost, 127.0.0.1 or [::1], not at {_shown(host)}: "
                "use one of those in the address, or give it a key (APP_AUTH_BOOTSTRAP_KEY)"
            )
        if origin is not None:
            if _FROM_HERE.fullmatch(origin) or self._named(origin):
                return None
            return Forbidden(
                f"this server has no keys and answers no web page of {_shown(origin)}: "
                "name that origin in the setting server.cors_origins to let its pages in"
            )
        # Browsers send no Origin for images and links, but asking for the next task by GET takes it.
        if site == b"cross-site" and "/api/" in path:
            return Forbidden("this server has no keys and answers no web page of another site: ask from a program, or from here")
        return None

    def _named(self, origin: bytes | None) -> bool:
        return origin is not None and (origin in self._origins or b"*" in self._origins)


def _shown(value: bytes) -> str:
    return value[:100].decode("ascii", "backslashreplace")
