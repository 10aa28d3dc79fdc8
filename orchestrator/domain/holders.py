"""Accounts behind agents, and workers that were told to drain: both concern the workers of some credentials."""

from msgspec import Struct

from orchestrator.domain.principal import EVERYWHERE, PathScope, path_scope
from orchestrator.domain.task import Millis


class Account(Struct, frozen=True, kw_only=True):
    """A subscription or a key of an API, as those know it whose credentials see the directories `paths` (None: everywhere).

    Others may give theirs the same name. `held_until`: when its quota comes back, in ms; None: it may be used.
    """

    scope: str
    account: str
    paths: tuple[str, ...] | None = None
    held_until: Millis | None = None
    reason: str | None = None
    updated_at: Millis = 0

    @property
    def reach(self) -> PathScope:
        """The directories that its credentials see."""
        return reach(self.paths)


class Drain(Struct, frozen=True, kw_only=True):
    """A worker is to end what it does and to ask for nothing more, when its credentials see no more than `paths`."""

    worker_id: str
    scope: str
    paths: tuple[str, ...] | None = None
    reason: str | None = None
    since: Millis = 0

    @property
    def reach(self) -> PathScope:
        """The directories of who told it."""
        return reach(self.paths)

    def concerns(self, worker_id: str, paths: PathScope) -> bool:
        """Whether a worker is meant that comes with a credential for these directories."""
        return worker_id == self.worker_id and paths.within(reach(self.paths))


def reach(paths: tuple[str, ...] | None) -> PathScope:
    """Patterns as the directories that they stand for."""
    return EVERYWHERE if paths is None else path_scope(paths)


def patterns(paths: PathScope) -> tuple[str, ...] | None:
    """Directories as patterns."""
    return None if paths.patterns is None else tuple(map(str, paths.patterns))
