"""What can be asked about keys, addresses and the server itself; see orchestrator/domain/operations.py."""

from msgspec import UNSET, Struct, UnsetType

from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.operation import Operation, Phase
from orchestrator.domain.task import Millis
from worker_client.contract.enums import Scope


class IssueKey(Operation, frozen=True, kw_only=True):
    """Make a key; the rule fills in who made it and when."""

    phase = Phase.CHANGE
    credential: Credential


class OpenSession(Operation, frozen=True, kw_only=True):
    """Make a session of whoever asks: a key that can do what its own can, and ends with it."""

    phase = Phase.CHANGE
    needs = Scope.READ
    credential: Credential


class ChangeKey(Operation, frozen=True, kw_only=True):
    """Rename, disable, limit or extend a key; UNSET stays."""

    phase = Phase.CHANGE
    id: str
    name: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    secrets: tuple[str, ...] | UnsetType = UNSET
    rate: str | UnsetType | None = UNSET
    expires_at: Millis | UnsetType | None = UNSET


class RevokeKey(Operation, frozen=True, kw_only=True):
    """End a key and its sessions, for good; everybody may end a session of their own."""

    phase = Phase.CHANGE
    needs = Scope.READ
    id: str


class Use(Struct, frozen=True):
    """The last use of a key: when and from where."""

    id: str
    at: Millis
    origin: str


class UseKeys(Operation, frozen=True, kw_only=True):
    """Record when keys were last used."""

    phase = Phase.CHANGE
    uses: tuple[Use, ...]


class SetAddress(Operation, frozen=True, kw_only=True):
    """Put an address on a list, or (`listed` false) take it off."""

    phase = Phase.CHANGE
    entry: Entry
    listed: bool = True


class Note(Operation, frozen=True, kw_only=True):
    """Tell the feed, and so the audit trail, what was done to the server itself; `data` is JSON."""

    phase = Phase.CHANGE
    type: str
    data: str
