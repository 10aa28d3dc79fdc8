"""Who calls a tool: the client that asks the API on their behalf, and what holds for their way of calling."""

from collections.abc import Callable
from typing import Any

from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.reports import Heartbeat, Progress
from worker_client.contract.tasks import ClaimedTask, ClaimNext, HeartbeatAnswer
from worker_client.errors import OrchestratorError, ValidationFailed
from worker_client.exchange import Retries

ONCE = Retries(attempts=1)
LEASE_S = 900
"""Agents send few heartbeats: they think, build and test for minutes."""


class Visit:
    """One caller.

    `scopes` None: not known, so that every tool is shown and the API refuses what is not allowed; `path` makes a work path
    absolute; `granted` is told of each claim before its caller is.
    """

    def __init__(
        self,
        client: AsyncClient,
        scopes: frozenset[str] | None,
        *,
        granted: Callable[[ClaimedTask], None] = lambda _: None,
        path: Callable[[str], str] = str,
    ) -> None:
        self.client = client
        self.scopes = scopes
        self.path = path
        self._granted = granted

    async def introduce(self) -> None:
        """Find out what the caller may do, where that is not known yet."""

    def allows(self, scope: str) -> bool:
        """Whether a scope is among what the caller may do."""
        return self.scopes is None or scope in self.scopes

    async def claim(self, query: ClaimNext) -> ClaimedTask | None:
        """The next task; None when there was none in time."""
        claimed: ClaimedTask | None = await self.client.send(endpoints.claim_next(query))
        if claimed is not None:
            self._granted(claimed)
        return claimed

    async def settle(self, claimed: ClaimedTask) -> None:
        """Called when all is ready to be told to the caller."""

    async def renew(self, lease: str, note: str | None = None) -> HeartbeatAnswer:
        """Extend a lease."""
        progress = None if note is None else Progress(message=note)
        return await self.client.send(endpoints.heartbeat(task_of(lease), Heartbeat(lease=lease, progress=progress)))


class Local(Visit):
    """A caller on the other side of this process: what a claim got is confirmed when it is about to be told.

    Until then it is the server's again within seconds, whatever becomes of this process.
    """

    def __init__(self, client: AsyncClient, *, host: str, **ways: Any) -> None:
        super().__init__(client, None, **ways)
        self._host = host

    async def introduce(self) -> None:
        """Ask the server; while that does not answer, all there is is shown."""
        if self.scopes is None:
            try:
                known = await self.client.send(endpoints.who_am_i(), ONCE)
            except OrchestratorError:
                return
            self.scopes = frozenset(map(str, known.scopes))

    async def claim(self, query: ClaimNext) -> ClaimedTask | None:
        """The next task, of this machine or of none."""
        query.host, query.confirm_seconds = self._host, 10
        return await super().claim(query)

    async def settle(self, claimed: ClaimedTask) -> None:
        """Confirm the claim."""
        await self.renew(claimed.lease)


def task_of(lease: str) -> int:
    """The task that a lease is for. Raises ValidationFailed for what is no lease."""
    number, dot, _ = lease.partition(".")
    if not (dot and number.isascii() and number.isdecimal() and len(number) < 19):
        raise ValidationFailed(f"`lease`: {lease[:80]!r} is no lease: send the one that task_next gave", field="lease")
    return int(number)
