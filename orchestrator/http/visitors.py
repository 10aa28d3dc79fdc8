"""Who a request is from, and whether it may reach this server at all: judged by its headers, before anything else."""

import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from orchestrator.doors.doors import EVERYBODY, HOW, Doors
from orchestrator.doors.keyring import STRANGER, Caller
from orchestrator.doors.rates import Allowance
from orchestrator.http.cors import Cors
from orchestrator.http.envelope import Answer, Header
from orchestrator.networks import neighbourhood
from worker_client.contract.enums import Scope
from worker_client.errors import Forbidden, OrchestratorError, RateLimited, Unauthorized

PROBES: Final = ("/health/live", "/health/ready")
"""What probes ask, which have no keys and no patience; it tells nothing of any task."""
COOKIE: Final = "orchestrator_session"
_LOOPBACK = rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
_HERE = re.compile(_LOOPBACK, re.IGNORECASE)
_FROM_HERE = re.compile(rb"https?://" + _LOOPBACK, re.IGNORECASE)
_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)
_SESSION = re.compile(rb"(?:^|;)\s*" + COOKIE.encode() + rb"=([^;\s]+)")
_PLAIN: Final = frozenset({b"identity", b""})
_TLS: Final = frozenset({"https", "wss"})
_RELAYED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"})
_OWN_PAGE: Final = frozenset({b"same-origin", b"none"})
_LAST_COUNTS: Final = {
    b"origin": "origin",
    b"referer": "referer",
    b"sec-fetch-site": "site",
    b"sec-websocket-protocol": "protocols",
}
_OFFERED = re.compile(rb"(?:^|,)\s*bearer\.([^\s,]+)")
"""A key among the protocols of a WebSocket: all that a page can say for itself there."""
_REPORTS: Final = frozenset({"heartbeat", "complete", "fail", "release", "park", "logs"})
"""Calls of those who hold leases: who is refused them loses the work."""


class Heard(Struct):
    """The headers that matter to the doors; each may be missing."""

    id: bytes | None = None
    host: bytes | None = None
    origin: bytes | None = None
    referer: bytes | None = None
    site: bytes | None = None
    credentials: bytes | None = None
    cookie: bytes | None = None
    protocols: bytes | None = None
    coding: bytes | None = None
    """Of a body that is not sent as it is."""
    asks_method: bool = False


class Visit(Struct):
    """What became of a request at the doors; `allowance` when it was counted, `answer` when it asked no more than that."""

    caller: Caller
    refused: OrchestratorError | None = None
    allowance: Allowance | None = None
    answer: Answer | None = None


def heard(headers: Iterable[Header], method: str) -> Heard:
    """The headers that matter, in one pass."""
    found = Heard()
    for name, value in headers:
        if name == b"host":
            # Of several, one that is wrong is enough.
            found.host = value if found.host is None or found.host == value else b"%b, %b" % (found.host, value)
        elif name == b"x-request-id":
            found.id = found.id or value
        elif (field := _LAST_COUNTS.get(name)) is not None:
            setattr(found, field, value)
        elif name == b"authorization":
            # Of several, none counts.
            found.credentials = value if found.credentials is None else b""
        elif name == b"cookie":
            found.cookie = value if found.cookie is None else b"%b; %b" % (found.cookie, value)
        elif name == b"access-control-request-method":
            found.asks_method = method == "OPTIONS"
        elif name == b"content-encoding" and value.lower() not in _PLAIN:
            found.coding = value
    return found


class Visitors:
    """Goes by the doors; `public` are the paths that are for everybody, without the prefix of a proxy."""

    def __init__(self, doors: Doors, public: frozenset[str]) -> None:
        self._doors = doors
        self._paths = public
        self._configure()

    def _configure(self) -> None:
        self._settings = self._doors.settings
        server = self._settings.server
        literal = f"[{server.host}]" if ":" in server.host else server.host
        self._bound = re.compile(re.escape(literal).encode() + rb"(?::\d{1,5})?", re.IGNORECASE)
        self.cors = Cors(server.cors_origins)
        # `*` among them is for pages that bring a key: while there is none, every page of the web could have commands run here.
        self._named = frozenset(origin.encode() for origin in server.cors_origins)
        self._probes = frozenset(server.root_path + path for path in PROBES)
        self._public = frozenset(server.root_path + path for path in self._paths)
        # Below those with a parameter at their end everything is for everybody.
        self._below = tuple(path.partition("{")[0] for path in self._public if "{" in path)
        self._api = f"{server.root_path}/api/"
        self._tasks = f"{self._api}v1/tasks/"
        self._mcp = f"{server.root_path}/mcp"
        self._socket = f"{server.root_path}/ws"

    def visit(self, facts: dict[str, Any], told: Heard) -> Visit:
        """Let a request in, as somebody, or not. `facts` is its ASGI scope."""
        doors, path = self._doors, facts["path"]
        if doors.settings is not self._settings:
            self._configure()
        address = doors.addresses.client(facts)
        if path in self._probes:
            return Visit(STRANGER)
        if (barred := doors.addresses.refused(address)) is not None:
            return Visit(STRANGER, barred)
        if told.asks_method and (answer := self.cors.preflight(facts["headers"])) is not None:
            return Visit(STRANGER, answer=answer)
        if doors.open:
            return Visit(EVERYBODY, self._foreign(facts, told))
        refused: OrchestratorError | None = None
        try:
            caller = self._caller(facts, told)
        except (Unauthorized, Forbidden) as problem:
            caller = STRANGER
            refused = None if path in self._public or path.startswith(self._below) else problem
        if caller is STRANGER:
            allowance = doors.rates.take(f"@{neighbourhood(address or '')}", doors.settings.limits.rate)
        else:
            doors.used(caller, address or "")
            if Scope.WORK in caller.principal.scopes and self._reports(facts):
                return Visit(caller)
            allowance = doors.rates.take(caller.principal.id, caller.rate or doors.settings.limits.rate)
        return Visit(caller, refused if allowance.allowed else _too_many(allowance, caller), allowance)

    def _reports(self, facts: dict[str, Any]) -> bool:
        path: str = facts["path"]
        if facts.get("method") != "POST":
            return False
        # What is asked by MCP comes by here once more, as what it is.
        return path == self._mcp or (path.startswith(self._tasks) and path.rpartition("/")[2] in _REPORTS)

    def _caller(self, facts: dict[str, Any], told: Heard) -> Caller:
        """Who shows what is good here; of a key and a cookie the key counts. Raises Unauthorized, Forbidden."""
        if told.credentials is not None:
            # A browser never adds such a header by itself, so whose page it is and under which name it asks do not matter.
            if (given := _BEARER.fullmatch(told.credentials)) is None:
                raise Unauthorized(f"the header Authorization is not of the form Bearer KEY: {HOW}")
            return self._doors.bearer(given[1])
        if told.protocols is not None and (offered := _OFFERED.search(told.protocols)) is not None:
            return self._doors.bearer(offered[1])
        if told.cookie is not None and (session := _SESSION.search(told.cookie)) is not None:
            if not self._own_page(facts, told):
                raise Forbidden(
                    "a session counts only for pages of this server, and this request does not come from one: "
                    "programs send a key as Authorization: Bearer KEY"
                )
            return self._doors.session(session[1])
        raise Unauthorized(f"this server answers only to those who have a key, and this request brings none: {HOW}")

    def _own_page(self, facts: dict[str, Any], told: Heard) -> bool:
        """Whether the browser asks on behalf of a page of this server, or to show one."""
        if told.site in _OWN_PAGE or (told.site is None and same_origin(facts, told)):
            return True
        # Pages do nothing by being shown; a claim by GET does.
        path: str = facts["path"]
        return facts.get("method") == "GET" and told.origin is None and not path.startswith(self._api) and path != self._socket

    def _foreign(self, facts: dict[str, Any], told: Heard) -> Forbidden | None:
        # Everybody whom the proxy serves would be let in as a program of this machine.
        if not _RELAYED.isdisjoint(name for name, _ in facts["headers"]):
            return Forbidden(
                "this server has no keys and answers programs of its own machine alone, and this request comes through a proxy: "
                "make a key (orchestrator keys create --name admin --scope admin)"
            )
        # A name of somebody else's that leads here makes a browser believe that its page is of this server.
        if told.host is not None and not (_HERE.fullmatch(told.host) or self._bound.fullmatch(told.host)):
            return Forbidden(
                f"this server has no keys and answers only at localhost, 127.0.0.1 or [::1], not at {shown(told.host)}: "
                "use one of those in the address, or make a key (orchestrator keys create --name admin --scope admin)"
            )
        if told.origin is not None:
            if _FROM_HERE.fullmatch(told.origin) or told.origin in self._named:
                return None
            return Forbidden(
                f"this server has no keys and answers no web page of {shown(told.origin)}: "
                "name that origin in the setting server.cors_origins to let its pages in"
            )
        # Browsers send no Origin for images and links, but asking for the next task by GET takes it.
        if told.site == b"cross-site" and "/api/" in facts["path"]:
            return Forbidden("this server has no keys and answers no web page of another site: ask from a program, or from here")
        return None


def same_origin(facts: dict[str, Any], told: Heard) -> bool:
    """Whether the page that asks is of the host that it asks: browsers name it, when they read, only as where they come from."""
    page = told.referer if told.origin is None else told.origin
    if page is None:
        return False
    scheme, _, rest = page.partition(b"://")
    return rest.partition(b"/")[0] == told.host and (scheme == b"https" or facts["scheme"] not in _TLS)


def from_elsewhere(scope: Any) -> bool:
    """Whether a browser sends a request for a page of elsewhere; programs are from nowhere."""
    told = heard(scope["headers"], scope["method"])
    if told.site is not None:
        return told.site not in _OWN_PAGE
    return (told.origin, told.referer) != (None, None) and not same_origin(scope, told)


def _too_many(allowance: Allowance, caller: Caller) -> RateLimited:
    whose = "from this address without a key" if caller is STRANGER else "with this key"
    return RateLimited(
        f"more requests {whose} than the {allowance.limit} that are allowed at once: wait {allowance.retry_s:.1f} s",
        retry_after=allowance.retry_s,
        limit=allowance.limit,
    )


def shown(value: bytes) -> str:
    """A header as an error may repeat it."""
    return value[:100].decode("ascii", "backslashreplace")
