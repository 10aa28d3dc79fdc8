"""Group commit, the single way in: operations gather while a transaction runs, then share the next one and its fsync."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from orchestrator.domain.operations import Claim, Enqueue, Operation, Phase, Shift, Submission, Undeliver
from orchestrator.domain.outcomes import Claimed, Decision, Outcome, Ready
from orchestrator.domain.principal import SYSTEM, Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.queue.asking import Asking
from orchestrator.queue.feed import Feed
from orchestrator.queue.presence import Presence
from orchestrator.queue.waiting import Poll, WaitingRoom
from orchestrator.store.protocol import Commit, Store
from orchestrator.store.reads import Reads
from orchestrator.telemetry.metrics import Metrics
from worker_client.errors import Internal, OrchestratorError, Overloaded

log = structlog.get_logger()

GAP_MS = 5_000
"""A longer time without a commit, while leases were live, is given back to them."""


class _Pending:
    """A submission on its way; `poll` when it is the claim of a parked one, `wait_until` (loop time) when it may be parked."""

    __slots__ = ("future", "poll", "submission", "wait_until")

    def __init__(
        self, submission: Submission, future: "asyncio.Future[Outcome]", wait_until: float = 0.0, poll: Poll | None = None
    ) -> None:
        self.submission = submission
        self.future = future
        self.wait_until = wait_until
        self.poll = poll


class Queue:
    """The committer of one server process.

    `backlog_limit`: submissions that may wait before creates and claims are refused; `batch_weight`: rows of one transaction.
    """

    def __init__(
        self, store: Store, rules: Rules, metrics: Metrics, *, backlog_limit: int = 10_000, batch_weight: int = 2_000
    ) -> None:
        self.feed = Feed()
        self.presence = Presence()
        self.rules = rules
        self.next_due: Millis | None = None
        self.leases = False
        self.failing: str | None = None
        self._store = store
        self._metrics = metrics
        self._backlog_limit = backlog_limit
        self._batch_weight = batch_weight
        self._pending: deque[_Pending] = deque()
        self._bell = asyncio.Event()
        self._room = WaitingRoom(self._ask)
        self._parked: dict[Poll, _Pending] = {}
        self._timers: dict[Poll, asyncio.TimerHandle] = {}
        self._asking = Asking()
        self._newest: dict[tuple[str, str, str], asyncio.Future[Outcome]] = {}
        self._last_commit: Millis = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._committing = False
        self.on_commit: Callable[[], None] = lambda: None

    # Life

    async def start(self) -> None:
        """Open the store and begin to commit."""
        opened = await self._store.open()
        self.next_due, self.leases = opened.next_due, opened.leases
        self._last_commit = opened.now
        self.feed.last_id = (await self._store.reads.event_bounds())[1]
        self._task = asyncio.create_task(self._run(), name="committer")
        if self._store.asleep_ms > 0 and opened.leases:
            log.info("server was away, live leases are extended", away_ms=self._store.asleep_ms)
            await self.submit(Shift(by_ms=self._store.asleep_ms), SYSTEM)

    def drain(self) -> None:
        """Answer all parked polls with nothing, and end all other waits; operations are still taken."""
        self.feed.drain()
        self._room.closed = True
        for poll in list(self._parked):
            self._give_up(poll)

    async def stop(self) -> None:
        """Commit what has been submitted, then close the store."""
        self.drain()
        self._stopping = True
        self._bell.set()
        if self._task is not None:
            await self._task
        await self._store.close()

    @property
    def draining(self) -> bool:
        """Whether the server is about to stop."""
        return self.feed.draining

    @property
    def alive(self) -> bool:
        """Whether the committer runs."""
        return self._task is not None and not self._task.done()

    @property
    def parked(self) -> int:
        """How many polls are parked."""
        return self._room.size

    @property
    def backlog(self) -> int:
        """How many submissions wait for a transaction."""
        return len(self._pending)

    @property
    def reads(self) -> Reads:
        """Queries go straight to the store."""
        return self._store.reads

    def now(self) -> Millis:
        """The store's time."""
        return self._store.now()

    @property
    def last_commit(self) -> Millis:
        """When the last transaction was committed."""
        return self._last_commit

    # The way in

    def submit(self, op: Operation, by: Principal, trace: str | None = None, *, wait_ms: int = 0) -> "asyncio.Future[Outcome]":
        """Hand in an operation; the future brings its outcome once that is on disk, or raises its refusal.

        A claim that finds nothing is parked up to `wait_ms`. Cancelling its future says that the asker is gone: tasks go back.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if not self.alive or (op.sheds and (self._stopping or len(self._pending) >= self._backlog_limit)):
            self._metrics.operations_shed += 1
            future.set_exception(Overloaded("the server has more to do than it can; try again", retry_after=1.0))
            return future
        if isinstance(op, Claim):
            op = self._asking.since(op, self._store.now())
            self._supersede(op, by, future)
        wait_until = loop.time() + wait_ms / 1000 if wait_ms > 0 else 0.0
        self._put(_Pending(Submission(op, by, trace), future, wait_until))
        return future

    def _supersede(self, op: Claim, by: Principal, future: "asyncio.Future[Outcome]") -> None:
        """Of two polls with one poll_id only the later has somebody at its other end."""
        if op.poll_id is None:
            return
        key = (by.id, op.worker_id, op.poll_id)
        earlier = self._newest.get(key)
        if earlier is not None and not earlier.done():
            earlier.set_result(Claimed([]))
        self._newest[key] = future

        def forget(done: "asyncio.Future[Outcome]") -> None:
            if self._newest.get(key) is done:
                del self._newest[key]

        future.add_done_callback(forget)

    def _put(self, pending: _Pending) -> None:
        self._pending.append(pending)
        self._bell.set()

    # Committing

    async def _run(self) -> None:
        while True:
            if not self._pending:
                if self._stopping:
                    return
                self._bell.clear()
                await self._bell.wait()
                continue
            batch = self._gather()
            if not batch or await self._commit(batch):
                continue
            log.warning("a batch failed and is run again one by one", operations=len(batch), error=self.failing)
            for pending in sorted(batch, key=lambda one: one.submission.op.phase):
                if not await self._commit([pending], last=True):
                    self._refuse(pending)

    def _gather(self) -> list[_Pending]:
        batch: list[_Pending] = []
        weight = 0
        while self._pending and (not batch or weight + self._pending[0].submission.op.weight <= self._batch_weight):
            pending = self._pending.popleft()
            if pending.future.cancelled() and pending.submission.op.phase is Phase.CLAIM and pending.poll is None:
                continue
            weight += pending.submission.op.weight
            batch.append(pending)
            if isinstance(pending.submission.op, Enqueue):
                self._expect(pending.submission.op)
        gap = self._store.now() - self._last_commit
        if gap > GAP_MS and self.leases and batch:
            # Whoever held a lease could not extend it: the server was suspended, or could not write.
            log.warning("no commit for long, live leases are extended", gap_ms=gap)
            shift = Submission(Shift(by_ms=gap), SYSTEM)
            batch.insert(0, _Pending(shift, asyncio.get_running_loop().create_future()))
        return batch

    def _expect(self, op: Enqueue) -> None:
        for task in op.tasks if self._room.size else ():
            if not (task.depends_on or task.requires_approval or task.run_at or task.delay_ms):
                self._room.expect(Ready(0, task.path, task.host, task.kind, task.tags))

    async def _commit(self, batch: list[_Pending], *, last: bool = False) -> bool:
        """Run one transaction; False when it failed, and so had no effect. `last`: it is not tried again."""
        rules = self.rules
        if reservations := self._room.reservations(self._store.now(), rules.patience):
            rules = replace(rules, reservations=reservations)
        started = time.perf_counter()
        self._committing = True
        try:
            commit = await self._store.commit([pending.submission for pending in batch], rules)
        except Exception as error:  # whatever it is, nothing was committed, and the others must not suffer from it
            self._committing = False
            self.failing = repr(error)
            if last:
                log.exception("an operation could not be committed", operation=type(batch[0].submission.op).__name__)
            return False
        self._metrics.committed(len(batch), time.perf_counter() - started)
        self.failing = None
        self._last_commit = commit.now
        self.next_due, self.leases = commit.next_due, commit.leases
        self._settle(batch, commit)
        self.on_commit()
        return True

    def _settle(self, batch: Sequence[_Pending], commit: Commit) -> None:
        """Answer, tell the feed, park who found nothing; then look at the causes, so that they meet everybody who is parked."""
        taken = {
            grant.task_id
            for decision in commit.decisions
            if isinstance(decision.outcome, Claimed)
            for grant in decision.outcome.grants
        }
        returned: list[tuple[Poll, Claimed]] = []
        for pending, decision in zip(batch, commit.decisions, strict=True):
            self._answer(pending, decision, returned)
        self._count(commit)
        self.feed.publish(commit.events)
        for poll, outcome in returned:
            self._room.returned(poll, outcome, taken)
        for decision in commit.decisions:
            for cause in decision.wakes:
                if not (isinstance(cause, Ready) and cause.task_id in taken):
                    self._room.wake(cause)
        self._committing = False
        self._room.settled()

    def _answer(self, pending: _Pending, decision: Decision, returned: list[tuple[Poll, Claimed]]) -> None:
        outcome, future = decision.outcome, pending.future
        if isinstance(outcome, Claimed):
            if not outcome.grants and self._stays(pending, outcome, returned):
                return
            if pending.poll is not None:
                self._leave(pending.poll)
                returned.append((pending.poll, outcome))
            if future.done():
                # The asker has gone, or has asked again with the same poll_id.
                self._take_back(pending.submission, outcome)
            elif outcome.grants and isinstance(pending.submission.op, Claim):
                self._asking.got(pending.submission.op)
        elif pending.poll is not None:
            self._leave(pending.poll)
            returned.append((pending.poll, Claimed([])))
        if future.done():
            return
        if isinstance(outcome, OrchestratorError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _stays(self, pending: _Pending, outcome: Claimed, returned: list[tuple[Poll, Claimed]]) -> bool:
        """Park a claim that found nothing, or leave it parked."""
        if pending.poll is not None:
            if pending.poll in self._parked:
                returned.append((pending.poll, outcome))
                return True
            return False
        left = pending.wait_until - asyncio.get_running_loop().time()
        if pending.future.done() or self.draining or left <= 0:
            return False
        poll = self._room.park(pending.submission, outcome)
        self._parked[poll] = pending
        self._timers[poll] = asyncio.get_running_loop().call_later(left, self._give_up, poll)
        pending.future.add_done_callback(lambda _: self._leave(poll))
        return True

    def _take_back(self, submission: Submission, outcome: Claimed) -> None:
        for grant in outcome.grants:
            self.undeliver(grant.task_id, grant.lease, grant.delivery_no, submission.by)

    def undeliver(self, task_id: int, lease: str, delivery_no: int, by: Principal) -> None:
        """Give back what was claimed for a client that has gone."""
        undelivered = self.submit(Undeliver(task_id=task_id, lease=lease, delivery_no=delivery_no), by)
        # Nobody waits for it; a refusal at shutdown is settled by the lease's end.
        undelivered.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _refuse(self, pending: _Pending) -> None:
        if pending.poll is not None:
            self._leave(pending.poll)
            self._room.returned(pending.poll, Claimed([]), set())
        if not pending.future.done():
            pending.future.set_exception(Internal("the operation could not be committed; it had no effect"))

    def _count(self, commit: Commit) -> None:
        for event in commit.events:
            match event.type:
                case "task.created":
                    self._metrics.tasks_created += 1
                case "task.completed":
                    self._metrics.tasks_completed += 1
                case "task.expired":
                    self._metrics.leases_expired += 1
                case _:
                    pass
            if event.status == "failed" and event.type in {"task.failed", "task.expired"}:
                self._metrics.tasks_failed += 1

    # Parked polls

    def _ask(self, poll: Poll) -> None:
        pending = self._parked[poll]
        self._put(_Pending(poll.submission, pending.future, pending.wait_until, poll))

    def _give_up(self, poll: Poll) -> None:
        """The time of a parked poll is over; one that is asking right now is answered by that."""
        pending = self._parked.get(poll)
        if pending is None:
            return
        if poll.asking:
            self._forget(poll)
            return
        self._leave(poll)
        if not pending.future.done():
            pending.future.set_result(Claimed([]))

    def _forget(self, poll: Poll) -> None:
        self._parked.pop(poll, None)
        if timer := self._timers.pop(poll, None):
            timer.cancel()

    def _leave(self, poll: Poll) -> None:
        self._forget(poll)
        self._room.leave(poll)
        if not self._committing:
            self._room.settled()
