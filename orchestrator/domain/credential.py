"""Keys as the rules see them, and addresses."""

from msgspec import Struct

from orchestrator.domain.principal import EVERYWHERE, PathScope, path_scope
from orchestrator.domain.task import Millis


class Credential(Struct, frozen=True, kw_only=True):
    """A key: what it may do, and never the key itself, but its SHA-256 (hex) in `digest`. Times in ms.

    `paths` are canonical patterns, None for everywhere; `secrets` names, or `*` alone for all; `parent`: of a session, the key
    that it stands for. `rate` as `600/m`, None for the server's.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[str, ...]
    paths: tuple[str, ...] | None = None
    secrets: tuple[str, ...] = ()
    rate: str | None = None
    parent: str | None = None
    created_at: Millis = 0
    created_by: str = ""
    expires_at: Millis | None = None
    disabled: bool = False
    revoked_at: Millis | None = None

    @property
    def reach(self) -> PathScope:
        """The directories that it sees."""
        return EVERYWHERE if self.paths is None else path_scope(self.paths)


class Entry(Struct, frozen=True, kw_only=True):
    """An address or a network, in canonical CIDR, on the list `allow` or `deny`."""

    list: str
    network: str
    note: str = ""
    created_at: Millis = 0
    created_by: str = ""
