"""Accounts and workers that are to drain, as people look at them."""

from typing import Final

from orchestrator.domain.holders import Account, Drain
from orchestrator.domain.moments import moment, perhaps
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import NEVER, within
from orchestrator.store.reads.values import COUNTED, Reading
from orchestrator.store.rows import ACCOUNT_COLUMNS, account_of, drain_of
from worker_client.contract import accounts as contract

_ALL: Final = f"SELECT {ACCOUNT_COLUMNS} FROM accounts a"


class HoldReads(Reading):
    """Queries for what keeps workers from being given anything."""

    async def accounts(self, visible: PathScope, now: Millis) -> list[contract.Account]:
        """Accounts that have no quota, or had none lately, by name; those of credentials that see no more than the asker."""
        known: dict[str, list[Account]] = {}
        for row in await self._fetch(f"{_ALL} ORDER BY a.account, a.scope", ()):
            if (account := account_of(row)).reach.within(visible):
                known.setdefault(account.account, []).append(account)
        return [await self._account(name, accounts, visible, now) for name, accounts in known.items()]

    async def account(self, name: str, visible: PathScope, now: Millis) -> contract.Account:
        """One account, also one that nobody has waited for."""
        rows = await self._fetch(f"{_ALL} WHERE a.account = ?", (name,))
        seen = [account for account in map(account_of, rows) if account.reach.within(visible)]
        return await self._account(name, seen, visible, now)

    async def _account(self, name: str, accounts: list[Account], visible: PathScope, now: Millis) -> contract.Account:
        """Several of one name, in the eyes of who sees them all, as one."""
        held = max(accounts, key=lambda one: one.held_until or 0, default=None)
        until = None if held is None else held.held_until
        waits = until is not None and until > now
        return contract.Account(
            account=name,
            held_until=perhaps(until) if waits else None,
            reason=held.reason if held and waits else None,
            parked=await self._parked(name, visible),
            updated_at=moment(max((one.updated_at for one in accounts), default=now)),
        )

    async def _parked(self, name: str, visible: PathScope) -> int:
        scope = within(visible.patterns, "path")
        if scope == NEVER:
            return 0
        waiting = "status = 'parked' AND hold = 'quota' AND account = ?"
        ((found,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM tasks WHERE {waiting} AND {scope.sql} LIMIT {COUNTED}) AS counted",
            (name, *scope.params),
        )
        return int(found)

    async def held(self) -> dict[tuple[str, str], Millis]:
        """Until when accounts have no quota, by path scope and name."""
        rows = await self._fetch("SELECT scope, account, held_until FROM accounts WHERE held_until IS NOT NULL", ())
        return {(scope, account): until for scope, account, until in rows}

    async def drains(self) -> list[Drain]:
        """The workers that were told to drain."""
        return [drain_of(row) for row in await self._fetch("SELECT worker_id, scope, paths, reason, since FROM drains", ())]
