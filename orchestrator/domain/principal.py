"""Who asks, and which directories exist for them."""

from collections.abc import Iterable
from hashlib import sha256
from json import dumps

from msgspec import Struct

from orchestrator.domain.paths import PathError, canonical, contains
from worker_client.contract.enums import Scope
from worker_client.errors import Forbidden


class Pattern(Struct, frozen=True, cache_hash=True):
    """One directory, or with `below` the directory and everything below it."""

    path: str
    below: bool

    def covers(self, path: str) -> bool:
        """Whether a canonical path lies in the pattern."""
        return contains(self.path, path) if self.below else path == self.path

    def __str__(self) -> str:
        if not self.below:
            return self.path
        separator = "/" if self.path.startswith("/") else "\\"
        return f"{self.path.removesuffix(separator)}{separator}**"


class PathScope(Struct, frozen=True, cache_hash=True):
    """The directories that a credential sees; None means all of them."""

    patterns: tuple[Pattern, ...] | None = None

    def covers(self, path: str) -> bool:
        """Whether a canonical path is visible."""
        return self.patterns is None or any(pattern.covers(path) for pattern in self.patterns)

    def covers_below(self, path: str) -> bool:
        """Whether a canonical path and everything below it is visible."""
        return self.patterns is None or any(pattern.below and pattern.covers(path) for pattern in self.patterns)

    def within(self, other: "PathScope") -> bool:
        """Whether everything that it covers is covered by the other one."""
        if other.patterns is None:
            return True
        wanted = self.patterns
        return wanted is not None and all(
            other.covers_below(pattern.path) if pattern.below else other.covers(pattern.path) for pattern in wanted
        )

    @property
    def key(self) -> str:
        """The scope as a short text: idempotency keys are unique within it."""
        if self.patterns is None:
            return _EVERYTHING
        return sha256(dumps(sorted(map(str, self.patterns))).encode()).hexdigest()


EVERYWHERE = PathScope()
_EVERYTHING = "**"


def path_scope(patterns: Iterable[str]) -> PathScope:
    """The directories that patterns name: `/srv/a` is that one, `/srv/a/**` also all below it, `**` is every directory.

    Raises PathError.
    """
    found = []
    for text in patterns:
        if text == _EVERYTHING:
            return EVERYWHERE
        below = text.endswith(("/**", "\\**"))
        base = text[:-2] if below else text
        if "*" in base:
            raise PathError(f"{text!r} is no pattern: only `/**` at its end stands for what is below, as in /srv/repos/**")
        found.append(Pattern(canonical(base), below))
    return PathScope(tuple(found))


ALL_SCOPES = frozenset(str(scope) for scope in Scope)


class Principal(Struct, frozen=True, cache_hash=True):
    """An authenticated caller: its id, scopes (with `admin` all of them), directories and secrets (None: all)."""

    id: str
    scopes: frozenset[str] = frozenset()
    paths: PathScope = EVERYWHERE
    secrets: frozenset[str] | None = frozenset()

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless it has the scope."""
        if scope not in self.scopes:
            raise Forbidden(
                f"this key lacks the scope {scope}: ask with one that has it, or have one made"
                f" (orchestrator keys create --scope {scope})",
                scope=str(scope),
            )

    def may_use(self, secret: str) -> bool:
        """Whether a secret is for it."""
        return self.secrets is None or secret in self.secrets

    @property
    def administers(self) -> bool:
        """Whether it may do everything, everywhere."""
        return Scope.ADMIN in self.scopes and self.paths.patterns is None


OPEN = Principal(id="", scopes=ALL_SCOPES, secrets=None)
"""Everybody, while the server is open on loopback."""
SYSTEM = Principal(id="system", scopes=ALL_SCOPES, secrets=None)
"""The server itself: promotion, expiry, undelivered claims."""
LOCAL = Principal(id="local", scopes=ALL_SCOPES, secrets=None)
"""Whoever can write to the database itself: the commands on the server's machine."""
