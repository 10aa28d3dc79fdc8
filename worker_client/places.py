"""Where a run works: in its task's own directory, or in a place that is made for it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from msgspec import Struct, structs

from worker_client.client import AsyncClient
from worker_client.contract.tasks import Task
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Outcome


class Place(Struct):
    """`directory`: where the run works. `evidence`: facts about the place, complete when it is closed; none of a plain one."""

    directory: str
    evidence: dict[str, Any] = {}

    def described(self, outcome: Outcome) -> Outcome:
        """The outcome with the facts about the place in its evidence, and in a result that has names for its parts."""
        if not self.evidence:
            return outcome
        told: Outcome = structs.replace(outcome, evidence={**outcome.evidence, **self.evidence})
        if isinstance(told, Done) and isinstance(told.result, dict):
            return structs.replace(told, result={**told.result, "worktree": self.evidence})
        return told


class NoPlace(Exception):
    """There is no place for a run; `outcome` is what to report."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Places(Protocol):
    """Makes the places of one worker."""

    def open(self, context: RunContext) -> AbstractAsyncContextManager[Place]:
        """A place for the run of `context.task`, whose own directory is `context.directory`; raises NoPlace."""

    async def settle(self, task: Task, place: Place) -> None:
        """After the report: `task` is how it stands now."""

    async def tidy(self, client: AsyncClient) -> None:
        """At the start of a worker: look after what earlier ones left."""


class OwnDirectory:
    """Every run works in its task's own directory."""

    @asynccontextmanager
    async def open(self, context: RunContext) -> AsyncIterator[Place]:
        """The directory as it is."""
        yield Place(context.directory)

    async def settle(self, task: Task, place: Place) -> None:
        """Nothing to do."""

    async def tidy(self, client: AsyncClient) -> None:
        """Nothing to do."""
