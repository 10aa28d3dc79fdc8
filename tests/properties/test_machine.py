"""Domain and store together against everything at once: after each transaction the promises hold."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import AttemptEnded, Claimed
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Head
from orchestrator.store.protocol import Commit
from tests.properties import invariants
from tests.properties.actions import Actions
from tests.properties.replicas import Replicas
from tests.rig import HOUR, Rig, template
from worker_client.contract.enums import Status
from worker_client.errors import Conflict, LeaseLost, NotFound, OrchestratorError

SEEDS = st.integers(0, 2**32)
LEASE_REFUSALS = (LeaseLost, NotFound, Conflict)


class QueueMachine(RuleBasedStateMachine):
    """Every step is a transaction of one or more operations, or time that passes."""

    copy: ClassVar[Any] = None

    def __init__(self) -> None:
        super().__init__()
        self.rig = self._open()
        self.leases: list[tuple[int, str]] = []
        self.counted_from: dict[int, int] = {}
        self.known: dict[int, Head] = {}
        self.ended: dict[tuple[str, str], Counter[str]] = {}

    @initialize(max_running=st.sampled_from([0, 0, 0, 2]))
    def begin(self, max_running: int) -> None:
        # Without patience: the second writing of the rules knows no reservations; these have tests of their own.
        self.rig.rules = Rules(max_running=max_running, backoff='{"jitter": 0}', patience=10**12)

    def _open(self) -> Rig:
        self._folder = tempfile.TemporaryDirectory()
        here = Path(self._folder.name)
        return Rig(QueueMachine.copy(here) if QueueMachine.copy else here)

    def teardown(self) -> None:
        self.rig.close()
        self._folder.cleanup()

    # Steps

    @rule(seed=SEEDS)
    def one_operation(self, seed: int) -> None:
        self._commit(self._actions(seed).batch(1))

    @rule(seed=SEEDS, size=st.integers(2, 8))
    def many_at_once(self, seed: int, size: int) -> None:
        self._commit(self._actions(seed).batch(size))

    @rule(seed=SEEDS, size=st.integers(2, 8))
    def many_more_at_once(self, seed: int, size: int) -> None:
        self._commit(self._actions(seed).batch(size))

    @rule(ms=st.sampled_from([1, 900, 3_000, 12_000, HOUR, 24 * HOUR]))
    def let_time_pass(self, ms: int) -> None:
        self.rig.time.pass_(ms)

    @rule(ms=st.sampled_from([0, 1_100, 12_000, 120_000, 24 * HOUR]))
    def let_time_pass_and_do_what_is_due(self, ms: int) -> None:
        self.rig.time.pass_(ms)
        self._commit([ops.Submission(ops.Expire(), SYSTEM), ops.Submission(ops.Promote(), SYSTEM)])
        due = [head.id for head in self.known.values() if (at := invariants.due_at(head)) is not None and at <= self.rig.time.at]
        assert not due, f"{due} are due still"

    @rule(ms=st.sampled_from([6_000, HOUR]))
    def be_away(self, ms: int) -> None:
        """The server could not commit for a while: leases get the time back, and none ends for it."""
        now = self.rig.time.at
        live = {head.id for head in self.known.values() if head.expire_at is not None and head.expire_at > now}
        self.rig.time.pass_(ms)
        self._commit([ops.Submission(ops.Shift(by_ms=ms), SYSTEM), ops.Submission(ops.Expire(), SYSTEM)])
        assert all(self.known[task_id].status is Status.RUNNING for task_id in live)

    def _actions(self, seed: int) -> Actions:
        return Actions(seed, self.rig.time.at, self.known, self.leases)

    # What must be true then

    def _commit(self, batch: list[ops.Submission]) -> None:
        rig, before = self.rig, self.known
        stored = rig.dump() if len(batch) == 1 else None
        commit = rig.commit(*batch)
        after = self.known = rig.heads()
        self._note(batch, commit)
        if stored is not None and isinstance(commit.decisions[0].outcome, Exception):
            assert rig.dump() == stored, "a refusal changed something"
        invariants.check_states(after, rig.fetch("SELECT child_id, parent_id, satisfied FROM dependencies"))
        invariants.check_leases(after)
        invariants.check_steps(before, after, commit)
        invariants.check_fencing(before, commit, batch)
        invariants.check_claims(rig, after, commit, batch)
        invariants.check_bounds(before, after, shifted=any(isinstance(one.op, ops.Shift) for one in batch))
        self._check_due(after, commit)
        attempts = rig.fetch("SELECT task_id, lease_no, outcome FROM attempts")
        invariants.check_attempts(after, attempts, self.counted_from)
        kept, real = rig.counts()
        assert kept == real, "the rollups are not a recount"
        self._keep_books(commit)
        invariants.check_ledger(rig, after, self.ended)
        invariants.check_budgets(after)
        given = {lease for _, lease in self.leases}
        assert all(invariants.lease_of(head) in given for head in after.values() if head.status is Status.RUNNING)

    def _check_due(self, heads: Mapping[int, Head], commit: Commit) -> None:
        invariants.check_due(self.rig, heads, commit)

    def _keep_books(self, commit: Commit) -> None:
        """Note what attempts used that ended, whatever becomes of their tasks."""
        for change in (change for decision in commit.decisions for change in decision.changes):
            if isinstance(change, AttemptEnded):
                counts = invariants.used(change.usage)
                counts["attempts"] += change.outcome in invariants.COSTLY
                self.ended.setdefault((change.head.path, change.head.lease_host or ""), Counter()).update(counts)

    def _note(self, batch: list[ops.Submission], commit: Commit) -> None:
        """Remember leases and new beginnings."""
        claimed: set[int] = set()
        for submission, decision in zip(batch, commit.decisions, strict=True):
            outcome = decision.outcome
            if isinstance(outcome, OrchestratorError):
                assert outcome.status < 500, outcome
                assert not decision.changes
                assert not isinstance(submission.op, ops.Leased) or isinstance(outcome, LEASE_REFUSALS)
            elif isinstance(outcome, Claimed):
                for grant in outcome.grants:
                    fresh = grant.delivery_no == 1
                    assert fresh == ((grant.task_id, grant.lease) not in self.leases), "a lease was given twice"
                    if fresh:
                        self.leases.append((grant.task_id, grant.lease))
                        claimed.add(grant.task_id)
        for submission, decision in zip(batch, commit.decisions, strict=True):
            op = submission.op
            if isinstance(op, ops.Retry) and decision.changes and op.task_id in self.known:
                self.counted_from[op.task_id] = self.known[op.task_id].lease_no - (op.task_id in claimed)


class SharedQueueMachine(QueueMachine):
    """The same on a database that servers share."""

    replicas: ClassVar[Replicas]

    def _open(self) -> Rig:
        self.replicas.empty()
        return self.replicas.rigs[0]

    def teardown(self) -> None:
        """The next example begins on the same database, emptied."""

    def _check_due(self, heads: Mapping[int, Head], commit: Commit) -> None:
        """Too early a look does no harm."""
        self.replicas.check()
        first = min(invariants.all_due(self.rig, heads), default=None)
        assert first is None or (commit.next_due is not None and commit.next_due <= first)
        assert commit.leases or all(head.status is not Status.RUNNING for head in heads.values())


@pytest.fixture(scope="module", autouse=True)
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every example begins with a copy of one empty database, or with the one database emptied."""
    QueueMachine.copy = staticmethod(template(tmp_path_factory.mktemp("template")))
    SharedQueueMachine.replicas = Replicas(tmp_path_factory.mktemp("replicas"), 1)
    yield
    SharedQueueMachine.replicas.close()
    QueueMachine.copy = None


QueueMachine.TestCase.settings = settings(stateful_step_count=30)
TestQueue = QueueMachine.TestCase
# A transaction of a server over the network takes five times as long.
SharedQueueMachine.TestCase.settings = settings(stateful_step_count=30, max_examples=settings().max_examples // 5)
TestSharedQueue = SharedQueueMachine.TestCase
