"""The store in this process: what it costs without HTTP and without a queue in front."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed, Grant, Outcome
from orchestrator.domain.principal import OPEN
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Inputs, NewTask
from orchestrator.store.postgres.store import PostgresStore

LEASE_MS = 60_000


class Direct:
    """One transaction a call; `seconds`: what the last one took."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._rules = Rules()
        self.seconds = 0.0

    async def commit(self, batch: Iterable[ops.Operation]) -> list[Outcome]:
        """The outcomes of a batch; a refusal is raised."""
        submissions = [ops.Submission(op, OPEN) for op in batch]
        started = time.perf_counter()
        commit = await self._store.commit(submissions, self._rules)
        self.seconds = time.perf_counter() - started
        outcomes: list[Outcome] = []
        for decision in commit.decisions:
            if isinstance(decision.outcome, Exception):
                raise decision.outcome
            outcomes.append(decision.outcome)
        return outcomes

    async def create(self, paths: Sequence[str]) -> None:
        """A task in each of the directories."""
        await self.commit(
            ops.Enqueue(tasks=(NewTask(path=path, inputs=Inputs(prompt="Make the tests pass.")),), many=False) for path in paths
        )

    async def claim(self, paths: Sequence[str], *, limit: int = 1, recursive: bool = False) -> list[Grant]:
        """Tasks of each of the directories, each asked for by a worker of its own."""
        outcomes = await self.commit(
            ops.Claim(
                interest=ops.Interest(
                    paths=(path,), recursive=recursive, kinds=(), tags=frozenset(), host="", exclusive=False, principal=OPEN
                ),
                worker_id=f"bench-{n}",
                lease_ms=LEASE_MS,
                limit=limit,
            )
            for n, path in enumerate(paths)
        )
        return [grant for outcome in outcomes if isinstance(outcome, Claimed) for grant in outcome.grants]

    async def complete(self, grants: Iterable[Grant]) -> None:
        """End them well."""
        await self.commit(ops.Complete(task_id=grant.task_id, lease=grant.lease, result='{"ok":true}') for grant in grants)

    async def life(self, path: str) -> tuple[float, float, float]:
        """Seconds to create, to claim and to complete a task, one after the other."""
        await self.create([path])
        created = self.seconds
        grants = await self.claim([path])
        claimed = self.seconds
        if len(grants) != 1:
            raise SystemExit(f"nothing was to be had in {path}")
        await self.complete(grants)
        return created, claimed, self.seconds

    async def lifecycles(self, paths: Sequence[str]) -> float:
        """Seconds to create, claim and complete a task in each directory, one operation at a time."""
        return sum([sum(await self.life(path)) for path in paths])


@asynccontextmanager
async def direct(url: str) -> AsyncIterator[Direct]:
    """A store of a database, opened."""
    store = PostgresStore(url)
    await store.open()
    try:
        yield Direct(store)
    finally:
        await store.close()
