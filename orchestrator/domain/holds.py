"""Which accounts may not be used, and which workers are to drain, as a batch of operations sees it."""

from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.outcomes import AccountSaved, DrainSaved
from orchestrator.domain.principal import PathScope
from orchestrator.domain.source import Source
from orchestrator.domain.task import Millis


class Holds:
    """Rows loaded on demand, with what the operations before changed laid over them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._accounts: dict[tuple[str, str], Account | None] = {}
        self._drains: dict[tuple[str, str], Drain] | None = None

    def account(self, scope: str, account: str) -> Account | None:
        """An account, as those of a path scope know it."""
        if (scope, account) not in self._accounts:
            self._accounts[scope, account] = self._source.account(scope, account)
        return self._accounts[scope, account]

    def named(self, account: str) -> list[Account]:
        """The accounts of a name, of all path scopes."""
        return self._remember(self._source.accounts_named(account))

    def lapsed(self, now: Millis, limit: int) -> list[Account]:
        """Accounts whose quota has come back."""
        found = self._remember(self._source.lapsed(now, limit))
        return [one for one in found if one.held_until is not None and one.held_until <= now]

    def _remember(self, accounts: list[Account]) -> list[Account]:
        found = (self._accounts.setdefault((one.scope, one.account), one) for one in accounts)
        return [one for one in found if one is not None]

    def drains(self) -> list[Drain]:
        """All workers that were told to drain."""
        if self._drains is None:
            self._drains = {(drain.worker_id, drain.scope): drain for drain in self._source.drains()}
        return list(self._drains.values())

    def drained(self, worker_id: str, paths: PathScope) -> bool:
        """Whether a worker, with a credential for these directories, was told to drain."""
        return any(drain.concerns(worker_id, paths) for drain in self.drains())

    def save(self, change: AccountSaved | DrainSaved) -> None:
        """Lay a change over what was loaded."""
        if isinstance(change, AccountSaved):
            self._accounts[change.account.scope, change.account.account] = change.account
            return
        self.drains()
        drains = self._drains or {}
        drains.pop((change.drain.worker_id, change.drain.scope), None)
        if change.drained:
            drains[change.drain.worker_id, change.drain.scope] = change.drain
        self._drains = drains
