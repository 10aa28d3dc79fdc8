"""Who asks, and which directories exist for them."""

from msgspec import Struct

from orchestrator.domain.paths import contains


class Pattern(Struct, frozen=True, cache_hash=True):
    """One directory, or with `below` the directory and everything below it."""

    path: str
    below: bool

    def covers(self, path: str) -> bool:
        """Whether a canonical path lies in the pattern."""
        return contains(self.path, path) if self.below else path == self.path


class PathScope(Struct, frozen=True, cache_hash=True):
    """The directories that a credential sees; None means all of them."""

    patterns: tuple[Pattern, ...] | None = None

    def covers(self, path: str) -> bool:
        """Whether a canonical path is visible."""
        return self.patterns is None or any(pattern.covers(path) for pattern in self.patterns)

    def covers_below(self, path: str) -> bool:
        """Whether a canonical path and everything below it is visible."""
        return self.patterns is None or any(pattern.below and pattern.covers(path) for pattern in self.patterns)

    @property
    def key(self) -> str:
        """The scope as text: idempotency keys are unique within it."""
        if self.patterns is None:
            return "**"
        return "\n".join(sorted(f"{pattern.path}{'/**' if pattern.below else ''}" for pattern in self.patterns))


EVERYWHERE = PathScope()


class Principal(Struct, frozen=True, cache_hash=True):
    """An authenticated caller: its id, scopes (read, submit, work, admin) and directories."""

    id: str
    scopes: frozenset[str] = frozenset()
    paths: PathScope = EVERYWHERE


OPEN = Principal(id="", scopes=frozenset({"read", "submit", "work", "admin"}))
"""Everybody, while the server is open on loopback."""
SYSTEM = Principal(id="system", scopes=OPEN.scopes)
"""The server itself: promotion, expiry, undelivered claims."""
