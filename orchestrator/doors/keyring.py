"""Who there is: all keys and sessions in memory, found by the digest of what a caller shows.

Looking up a digest takes the same time whatever the secret is, so guessing learns nothing from how long an answer takes.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.domain.credential import Credential
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, PathScope, Principal, path_scope
from orchestrator.domain.task import Millis
from worker_client.contract.enums import Scope

BOOTSTRAP: Final = "bootstrap"
LOCAL: Final = "local"
KEY_PREFIX: Final = "orc_"
SESSION_PREFIX: Final = "ors_"


class Means(Enum):
    """By what a caller is known."""

    NOTHING = auto()
    KEY = auto()
    SESSION = auto()
    TOKEN = auto()


class Caller(Struct, frozen=True, kw_only=True):
    """Somebody who is known: `key` is the id of the key or session, or for a token of the key that it was made of.

    `rate` None: the server's. `expires_at` in ms. `trust`: of a token of others, which settings trusted it.
    """

    principal: Principal
    means: Means
    key: str = ""
    rate: str | None = None
    expires_at: Millis | None = None
    trust: int = 0

    def expired(self, now: Millis) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


STRANGER: Final = Caller(principal=Principal(id="", paths=PathScope(())), means=Means.NOTHING)
"""Who shows nothing that is known here: it may do nothing, and no directory exists for it."""


def digest(text: str | bytes) -> bytes:
    """What is kept of a key."""
    return sha256(text.encode() if isinstance(text, str) else text).digest()


class Keyring:
    """The keys of the database, and those that the server was given or made itself."""

    def __init__(self) -> None:
        self._own: dict[bytes, Caller] = {}
        self._lent: dict[bytes, Caller] = {}
        self._stored: tuple[Credential, ...] = ()
        self._callers: dict[bytes, Caller] = {}
        self._shut: dict[bytes, str] = {}
        self._by_id: dict[str, Caller] = {}

    @property
    def empty(self) -> bool:
        """Whether the database has never had a key."""
        return not self._stored

    def own(self, keys: Mapping[str, str]) -> None:
        """Take keys that are in no database, by the id of their principal: whoever has them may do everything."""
        self._own = {digest(key): _almighty(name, digest(key).hex()[:12]) for name, key in keys.items() if key}
        self._sort()

    def lend(self, key: str, principal: Principal) -> None:
        """Take a key that ends with this process, for a helper of it."""
        self._lent[digest(key)] = Caller(principal=principal, means=Means.KEY, key=f"{principal.id}-{digest(key).hex()[:12]}")
        self._sort()

    def load(self, credentials: Iterable[Credential]) -> None:
        """Take the keys of the database."""
        self._stored = tuple(credentials)
        self._sort()

    def find(self, shown: bytes, now: Millis) -> Caller | None:
        """Whose digest this is, unless that may not come in."""
        caller = self._callers.get(shown)
        return None if caller is None or caller.expired(now) else caller

    def named(self, id: str, now: Millis) -> Caller | None:
        """The key or session with this id, unless that may not come in."""
        caller = self._by_id.get(id)
        return None if caller is None or caller.expired(now) else caller

    def stores(self, id: str) -> bool:
        """Whether the database has a key with this id that is still good."""
        return id in self._by_id

    def problem(self, shown: bytes, now: Millis) -> str:
        """Why this is no key."""
        if (caller := self._callers.get(shown)) is not None:
            return "it has expired" if caller.expired(now) else "it is a session, which only pages of this server make use of"
        return self._shut.get(shown, "it is not known here")

    def _sort(self) -> None:
        self._callers, self._shut = {**self._own, **self._lent}, {}
        self._by_id = {caller.key: caller for caller in self._callers.values()}
        # Parents first: a session can do what its key can by now, and ends with it.
        for one in sorted(self._stored, key=lambda one: one.parent is not None):
            shown = bytes.fromhex(one.digest)
            if one.revoked_at is not None:
                self._shut[shown] = "it was revoked"
            elif one.disabled:
                self._shut[shown] = "it is disabled"
            elif (caller := self._caller(one)) is not None:
                self._callers[shown] = self._by_id[one.id] = caller

    def _caller(self, one: Credential) -> Caller | None:
        if one.parent is not None:
            parent = self._parent(one)
            return None if parent is None else replace(parent, means=Means.SESSION, key=one.id, expires_at=_first(one, parent))
        principal = Principal(
            id=one.id,
            scopes=scopes(one.scopes),
            paths=EVERYWHERE if one.paths is None else path_scope(one.paths),
            secrets=secrets(one.secrets),
        )
        return Caller(principal=principal, means=Means.KEY, key=one.id, rate=one.rate, expires_at=one.expires_at)

    def _parent(self, session: Credential) -> Caller | None:
        """What a session stands for; of the server's own keys only the very one that it was opened with."""
        own = (caller for caller in self._own.values() if caller.principal.id == session.parent)
        return self._by_id.get(session.parent or "") or next((one for one in own if session.name.endswith(one.key)), None)


def _first(session: Credential, parent: Caller) -> Millis | None:
    return min((at for at in (session.expires_at, parent.expires_at) if at is not None), default=None)


def scopes(named: Iterable[str]) -> frozenset[str]:
    """What scopes allow: `admin` is all of them."""
    found = frozenset(named)
    return ALL_SCOPES if Scope.ADMIN in found else found


def secrets(named: Iterable[str]) -> frozenset[str] | None:
    """Which secrets names allow: `*` is all of them."""
    found = frozenset(named)
    return None if "*" in found else found


def _almighty(name: str, mark: str) -> Caller:
    principal = Principal(id=name, scopes=ALL_SCOPES, secrets=None)
    # Another key under the same name is another one: sessions and tokens of this one end with it.
    return Caller(principal=principal, means=Means.KEY, key=f"{name}-{mark}")
