"""Keys and addresses, as a batch of operations sees them."""

from collections.abc import Iterator

from orchestrator.domain.credential import Credential
from orchestrator.domain.outcomes import AddressListed, CredentialSaved
from orchestrator.domain.source import Source


class Keyring:
    """Rows loaded on demand, with what the operations before changed laid over them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._credentials: dict[str, Credential | None] = {}
        self._listed: dict[tuple[str, str], bool] = {}

    def credential(self, id: str) -> Credential | None:
        """A key by its id."""
        if id not in self._credentials:
            self._credentials[id] = self.source.credential(id)
        return self._credentials[id]

    def credentials_named(self, name: str) -> list[Credential]:
        """The keys that have a name and are not revoked; sessions have none."""
        for found in self.source.credentials_named(name):
            self._credentials.setdefault(found.id, found)
        return [key for key in self._live(None) if key.name == name]

    def sessions(self, parent: str) -> list[Credential]:
        """The sessions of a key that are not revoked."""
        for found in self.source.sessions(parent):
            self._credentials.setdefault(found.id, found)
        return list(self._live(parent))

    def _live(self, parent: str | None) -> Iterator[Credential]:
        return (key for key in self._credentials.values() if key and key.parent == parent and key.revoked_at is None)

    def listed(self, list: str, network: str) -> bool:
        """Whether an address is on a list."""
        if (list, network) not in self._listed:
            self._listed[list, network] = self.source.listed(list, network)
        return self._listed[list, network]

    def save_credential(self, change: CredentialSaved) -> None:
        """A key is now like this."""
        self._credentials[change.credential.id] = change.credential

    def list_address(self, change: AddressListed) -> None:
        """An address is on a list, or no longer."""
        self._listed[change.entry.list, change.entry.network] = change.listed
