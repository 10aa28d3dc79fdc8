"""JSON Web Tokens: those that this server makes of a key, and those of others whom the settings trust."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import UNSET, Meta, Struct, UnsetType

from orchestrator.domain.paths import PathError
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, PathScope, Principal, path_scope
from orchestrator.domain.task import Millis
from orchestrator.doors import trust
from orchestrator.doors.keyring import Caller, Keyring, Means, scopes, secrets
from orchestrator.doors.trust import TokenError, Verifier
from orchestrator.settings import Auth, SettingsError
from worker_client.contract.enums import Scope
from worker_client.contract.keys import CreateToken, Token
from worker_client.errors import Conflict, Forbidden, Unauthorized

log = structlog.get_logger()

_REMEMBERED: Final = 1_000
"""Each may have hundreds of directories in it, and a key may have any number of them made."""
_LONGEST: Final = 8192
_REREAD_MS: Final = 10_000
_SECOND: Final = 1000


class Claims(Struct, kw_only=True):
    """What a token says; without `paths` it is for everywhere, without `secrets` for none. `key`: the one it was made of."""

    sub: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]+$(?!\n)")]
    exp: float
    scope: str = ""
    paths: list[str] | UnsetType = UNSET
    secrets: list[str] = []
    key: str | None = None


class Tokens:
    """Makes and checks them.

    `own`: the secret that signs when the settings have none; without one no tokens are made. `now` in ms.
    """

    def __init__(self, keyring: Keyring, now: Callable[[], Millis], own: str | None = None) -> None:
        self._keyring = keyring
        self._now = now
        self._own = [] if own is None else [Verifier(trust.HS256, own)]
        self._auth = Auth()
        self._public: list[Verifier] = []
        self._secrets = self._own
        self._known: dict[bytes, Caller] = {}
        self._read_at: Millis = 0
        self.trust = 0

    def configure(self, auth: Auth, public: list[Verifier]) -> None:
        """Trust whom the settings name, and who signs with the `public` keys that `trust.public_keys` found there."""
        if (auth, public) != (self._auth, self._public):
            self._auth = auth
            self._secrets = trust.secrets(auth) or self._own
            self._trust(public)

    def _trust(self, public: list[Verifier]) -> None:
        """Whoever came in by others has to show what they have once more."""
        self._public = public
        self.trust += 1
        self.forget()

    def forget(self) -> None:
        """Check all tokens anew: keys have changed."""
        self._known.clear()

    def find(self, shown: bytes, now: Millis) -> Caller | None:
        """Whose token has this digest, when it was checked before and is still good."""
        caller = self._known.get(shown)
        return None if caller is None or caller.expired(now) else caller

    def check(self, text: bytes, shown: bytes) -> Caller:
        """Whose token this is. Raises Unauthorized."""
        if len(text) > _LONGEST:
            raise Unauthorized(f"the token has {len(text)} bytes, more than the {_LONGEST} that are allowed")
        try:
            caller = self._caller(msgspec.convert(self._verified(text), Claims))
        except (TokenError, msgspec.ValidationError, PathError, OverflowError, RecursionError) as error:
            # What it says may come from the token itself.
            said = str(error)[:200].encode("ascii", "backslashreplace").decode()
            raise Unauthorized(f"this token is not good here: {said}") from None
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[shown] = caller
        return caller

    def issue(self, caller: Caller, asked: CreateToken, where: PathScope) -> Token:
        """A token that can do no more than the key that asks for it, in `where` alone. Raises Forbidden, Conflict."""
        from orchestrator.doors import signatures  # noqa: PLC0415 - large, and few need it

        if caller.means is not Means.KEY:
            # Else one that is stolen could be exchanged for the next, for ever.
            raise Forbidden("a token is made with a key: send one as Authorization: Bearer, not a token or a session")
        if not self._secrets:
            raise Conflict(
                "this server shares its database with others and has no secret in common with them to sign tokens with: "
                "set auth.jwt_secret (APP_AUTH_JWT_SECRET) to the same on all of them"
            )
        by = caller.principal
        wanted = by.scopes if asked.scopes is None else frozenset(asked.scopes)
        if lacking := sorted(scopes(wanted) - by.scopes):
            raise Forbidden(f"this key lacks the scope {lacking[0]} itself, so it cannot give it to a token", field="scopes")
        if not where.within(by.paths):
            raise Forbidden("a token is for directories that its key sees: send `paths` within them", field="paths")
        now = self._now()
        ends = min(now + asked.expires_in * _SECOND, caller.expires_at or 2**63) // _SECOND
        paths = None if where.patterns is None else [str(pattern) for pattern in where.patterns]
        claims = {
            "sub": by.id,
            "key": caller.key,
            "iat": now // _SECOND,
            "exp": ends,
            "scope": " ".join(sorted(wanted)),
            "paths": paths,
            "secrets": ["*"] if by.secrets is None else sorted(by.secrets),
            "iss": self._auth.jwt_issuer,
            "aud": self._auth.jwt_audience,
        }
        said = {name: value for name, value in claims.items() if value not in (None, "")}
        return Token(
            token=signatures.signed(said, self._secrets[0].key),
            token_type="Bearer",  # noqa: S106 - it is one
            expires_at=datetime.fromtimestamp(ends, UTC),
            scopes=[scope for scope in Scope if scope in wanted],
            paths=paths,
        )

    def _verified(self, text: bytes) -> dict[str, object]:
        from orchestrator.doors import signatures  # noqa: PLC0415 - large, and few need it

        return signatures.verified(text, self._auth, self._fitting)

    def _fitting(self, algorithm: object, kid: object) -> Iterator[Verifier]:
        if kid is not None and algorithm != trust.HS256 and all(one.kid != kid for one in self._public):
            self._read_anew()
        yield from (one for one in (*self._secrets, *self._public) if one.fits(algorithm, kid))

    def _read_anew(self) -> None:
        """Whoever signs may have begun to use another key."""
        if not self._auth.jwt_jwks_file or self._now() - self._read_at < _REREAD_MS:
            return
        self._read_at = self._now()
        try:
            public = trust.public_keys(self._auth)
        except SettingsError as error:
            log.warning("the keys of tokens cannot be read anew", reason=str(error))
            return
        if public != self._public:
            self._trust(public)

    def _caller(self, claims: Claims) -> Caller:
        may = scopes(claims.scope.split()) & ALL_SCOPES
        where = EVERYWHERE if claims.paths is UNSET else path_scope(claims.paths)
        ends = round((claims.exp + self._auth.jwt_leeway) * _SECOND)
        if claims.key is None:
            principal = Principal(id=f"sub:{claims.sub}", scopes=may, paths=where, secrets=secrets(claims.secrets))
            return Caller(principal=principal, means=Means.TOKEN, expires_at=ends, trust=self.trust)
        key = self._keyring.named(claims.key, self._now())
        if key is None:
            raise TokenError("the key that it was made of is no longer good")
        by = key.principal
        where = by.paths if claims.paths is UNSET else where
        if not where.within(by.paths):
            raise TokenError("it is for more directories than the key that it was made of")
        only = _both(secrets(claims.secrets), by.secrets)
        return Caller(
            principal=Principal(id=by.id, scopes=may & by.scopes, paths=where, secrets=only),
            means=Means.TOKEN,
            key=key.key,
            rate=key.rate,
            expires_at=ends if key.expires_at is None else min(ends, key.expires_at),
        )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
