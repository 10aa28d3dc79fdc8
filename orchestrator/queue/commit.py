"""Group commit, the single way in: operations gather while a transaction runs, then share the next one and its fsync."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import structlog
from msgspec.structs import replace

from orchestrator.domain.operations import Claim, Enqueue, Operation, Phase, Shift, Submission, Undeliver
from orchestrator.domain.outcomes import Beat, Claimed, Decision, Drained, Logged, Outcome
from orchestrator.domain.principal import SYSTEM, Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Millis
from orchestrator.queue import away
from orchestrator.queue.asking import Asking
from orchestrator.queue.away import Away
from orchestrator.queue.bells import Bells
from orchestrator.queue.counting import count
from orchestrator.queue.due import Due
from orchestrator.queue.feed import Feed
from orchestrator.queue.hearing import Hearing
from orchestrator.queue.newest import Newest
from orchestrator.queue.parked import Parked
from orchestrator.queue.pending import Pending
from orchestrator.queue.presence import Presence
from orchestrator.queue.pulse import SIGN_MS, Pulse
from orchestrator.queue.waiting import Cause, Poll, Waits
from orchestrator.store.protocol import Commit, Look, Store, StoreAwayError, UnsettledError, UnwritableError
from orchestrator.store.reads import Reads
from orchestrator.telemetry.metrics import Metrics
from worker_client.errors import OrchestratorError, Overloaded

log = structlog.get_logger()


class Queue(Due):
    """The committer of one server process.

    `backlog_limit`: submissions that may wait before creates and claims are refused; `batch_weight`: rows of one transaction.
    """

    def __init__(
        self, store: Store, rules: Rules, metrics: Metrics, *, backlog_limit: int = 10_000, batch_weight: int = 2_000
    ) -> None:
        super().__init__()
        self.feed = Feed()
        self.bells = Bells()
        self.presence = Presence()
        self.rules = rules
        self.failing: str | None = None
        self.away: Away | None = None
        self._store = store
        self._metrics = metrics
        self.backlog_limit = backlog_limit
        self._batch_weight = batch_weight
        self._pending: deque[Pending] = deque()
        self._bell = asyncio.Event()
        self._parked = Parked(self._put)
        self._begun = self._begun_then = 0
        self._hearing = Hearing(self.feed, self._parked)
        self._asking = Asking()
        self._newest = Newest()
        self._last_commit: Millis = 0
        self._pulse = Pulse()
        self._commits = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.on_gap: Callable[[], None] | None = None
        """Called when there are events of other servers to catch up with; None where there are no others."""

    # Life

    async def start(self) -> None:
        """Open the store and begin to commit."""
        opened = await self._store.open()
        self.stands(opened)
        self._last_commit = opened.now
        self._pulse.start(opened.now)
        self.feed.last_id = (await self._store.reads.event_bounds())[1]
        self._task = asyncio.create_task(self._run(), name="committer")
        # Where there are others, one of them was alive until a moment ago, or else the database's clock was set forward.
        asleep = self._store.asleep_ms
        if asleep > (0 if self.on_gap is None else SIGN_MS) and opened.leases:
            log.info("server was away, live leases are extended", away_ms=asleep)
            await self.submit(Shift(by_ms=asleep), SYSTEM)

    def drain(self) -> None:
        """Answer all parked polls with nothing, and end all other waits; operations are still taken."""
        self.feed.drain()
        self._parked.drain()

    async def stop(self) -> None:
        """Commit what has been submitted, then close the store."""
        self.drain()
        self._stopping = True
        self._bell.set()
        self._store.hurry()
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
        return self._parked.room.size

    @property
    def backlog(self) -> int:
        """How many submissions wait for a transaction."""
        return len(self._pending)

    @property
    def reads(self) -> Reads:
        """Queries go straight to the store. Raises Overloaded at once while that is away, instead of waiting for it each time."""
        if self.away is not None:
            raise away.refusal()
        return self._store.reads

    def now(self) -> Millis:
        """The store's time."""
        return self._store.now()

    @property
    def last_commit(self) -> Millis:
        """When this server last wrote something."""
        return self._last_commit

    # The way in

    def submit(
        self, op: Operation, by: Principal, trace: str | None = None, *, wait_ms: int = 0, origin: str = ""
    ) -> "asyncio.Future[Outcome]":
        """Hand in an operation; the future brings its outcome once that is on disk, or raises its refusal.

        A claim that finds nothing is parked up to `wait_ms`. Cancelling its future says that the asker is gone: tasks go back.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if refusal := self._refusal(op):
            self._metrics.operations_shed += 1
            future.set_exception(refusal)
            return future
        if isinstance(op, Claim):
            op = self._asking.since(op, self._store.now())
            self._newest.supersede(op, by, future)
        wait_until = loop.time() + wait_ms / 1000 if wait_ms > 0 else 0.0
        self._put(Pending(Submission(op, by, trace, origin), future, wait_until))
        return future

    def _refusal(self, op: Operation) -> Overloaded | None:
        if self.away is not None:
            return away.refusal()
        if not self.alive or (op.sheds and (self._stopping or len(self._pending) >= self.backlog_limit)):
            return Overloaded("the server has more to do than it can; try again", retry_after=1.0)
        return None

    def _put(self, pending: Pending) -> None:
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
                if self.away is not None:
                    self._turn_away(pending)
                else:
                    await self._commit([pending], last=True)

    def _gather(self) -> list[Pending]:
        batch: list[Pending] = []
        weight = 0
        while self._pending and (not batch or weight + self._pending[0].submission.op.weight <= self._batch_weight):
            pending = self._pending.popleft()
            if pending.future.cancelled() and pending.submission.op.phase is Phase.CLAIM and pending.poll is None:
                continue
            weight += pending.submission.op.weight
            batch.append(pending)
            if isinstance(pending.submission.op, Enqueue):
                self._parked.expect(pending.submission.op)
        gap = self._pulse.gap(self._store.now())
        if gap and self.leases and batch:
            # Whoever held a lease could not extend it: the server was suspended, or could not write.
            if self.failing is None:
                log.warning("no commit for long, live leases are extended", gap_ms=gap)
            shift: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            shift.add_done_callback(_unheeded)
            batch.insert(0, Pending(Submission(Shift(by_ms=gap), SYSTEM), shift))
        return batch

    async def _commit(self, batch: list[Pending], *, last: bool = False) -> bool:
        """Run one transaction; False when it failed, and so had no effect. `last`: it is not tried again."""
        rules = self.rules
        if reservations := self._parked.room.reservations(self._store.now(), rules.patience):
            rules = replace(rules, reservations=reservations)
        started = time.perf_counter()
        self._begun += 1
        self._parked.deciding = True
        try:
            commit = await self._store.commit([pending.submission for pending in batch], rules)
        except StoreAwayError as error:
            self.lost(error)
            self._end(batch, self._turn_away)
            return True
        except UnwritableError as error:
            if self.failing is None:
                log.error("the database takes no writes", reason=away.words(error))  # noqa: TRY400 - it says all
            self.failing = away.words(error)
            self._end(batch, lambda pending: self._refuse(pending, away.unwritten()))
            self.tell()
            return True
        except UnsettledError as error:
            self.failing = away.words(error)
            log.error("nobody knows what became of a transaction", error=self.failing, operations=len(batch))  # noqa: TRY400 - it says all
            self._end(batch, self._leave_open)
            return True
        except Exception as error:  # whatever it is, nothing was committed, and the others must not suffer from it
            self._decided()
            self.failing = repr(error)
            if last:
                log.exception("an operation could not be committed", operation=type(batch[0].submission.op).__name__)
                self._refuse(batch[0], away.failed(error))
            return False
        self._metrics.committed(len(batch), time.perf_counter() - started)
        if commit.wrote:
            # Reading works on a full disk, too.
            if self.failing is not None:
                log.info("the database takes writes", quiet_ms=commit.now - self._last_commit)
            self.failing, self._last_commit = None, commit.now
            self._pulse.start(commit.now)
        self._commits += 1
        self._returned()
        self.stands(commit)
        self._settle(batch, commit)
        self.tell()
        return True

    def _settle(self, batch: Sequence[Pending], commit: Commit) -> None:
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
            if isinstance(decision.outcome, (Beat, Logged)):
                self.bells.heard(pending.submission.op)
        count(commit, self._metrics)
        told = self._told(commit)
        for poll, outcome in returned:
            self._parked.room.returned(poll, outcome, taken)
        self._decided([cause for decision in commit.decisions for cause in decision.wakes], taken, told=told)

    def _told(self, commit: Commit) -> bool:
        """Tell the feed; False when others' events have to be told first."""
        if self.on_gap is not None:
            return self._hearing.committed(commit.events)
        self.feed.publish(commit.events)
        return True

    def _decided(self, causes: Iterable[Cause | Drained] = (), taken: Collection[int] = (), *, told: bool = True) -> None:
        """The transaction is over, well or not: wake for what it caused, and for what others did meanwhile."""
        heard = self._hearing.sift()
        self._parked.settled(causes, taken)
        if self.on_gap is not None and (heard or not told):
            self.on_gap()

    def _answer(self, pending: Pending, decision: Decision, returned: list[tuple[Poll, Claimed]]) -> None:
        outcome, future = decision.outcome, pending.future
        if isinstance(outcome, Claimed):
            if not outcome.grants and self._parked.stays(pending, outcome, returned):
                return
            if pending.poll is not None:
                self._parked.leave(pending.poll)
                returned.append((pending.poll, outcome))
            if future.done():
                # The asker has gone, or has asked again with the same poll_id.
                self._take_back(pending.submission, outcome)
            elif outcome.grants and isinstance(pending.submission.op, Claim):
                self._asking.got(pending.submission.op)
        elif pending.poll is not None:
            self._parked.leave(pending.poll)
            returned.append((pending.poll, Claimed([])))
        if future.done():
            return
        if isinstance(outcome, OrchestratorError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _take_back(self, submission: Submission, outcome: Claimed) -> None:
        for grant in outcome.grants:
            self.undeliver(grant.task_id, grant.lease, grant.delivery_no, submission.by)

    def undeliver(self, task_id: int, lease: str, delivery_no: int, by: Principal) -> None:
        """Give back what was claimed for a client that has gone."""
        # Nobody waits for it; a refusal at shutdown is settled by the lease's end.
        self.submit(Undeliver(task_id=task_id, lease=lease, delivery_no=delivery_no), by).add_done_callback(_unheeded)

    # What cannot be committed

    def _refuse(self, pending: Pending, refusal: OrchestratorError) -> None:
        if pending.poll is not None:
            self._parked.leave(pending.poll)
            self._parked.room.returned(pending.poll, Claimed([]), set())
        if not pending.future.done():
            pending.future.set_exception(refusal)

    def _end(self, batch: Sequence[Pending], end: Callable[[Pending], None]) -> None:
        """A transaction is over without decisions."""
        for pending in batch:
            end(pending)
        self._decided()

    def _turn_away(self, pending: Pending) -> None:
        self._parked.turn_away(pending, away.refusal())

    def _leave_open(self, pending: Pending) -> None:
        self._parked.turn_away(pending, away.unsettled())

    # Other servers on the same database

    def lost(self, error: StoreAwayError) -> None:
        """The database cannot be reached: refuse what is not in a transaction already. Parked polls stay."""
        if self.away is None:
            self.away = Away(away.words(error), self._store.now())
            log.warning("the database cannot be reached", reason=self.away.reason)
        self._parked.suspend(away=True)
        pending, self._pending = self._pending, deque()
        for one in pending:
            self._turn_away(one)

    def _returned(self) -> None:
        """The database answers again; the next look tells what waits for those who are parked."""
        if self.away is not None:
            log.info("the database can be reached again", away_ms=self._store.now() - self.away.since)
            self.away = None
            self._parked.suspend(away=False)

    async def look(self, look: Callable[[Sequence[str], Sequence[str]], Awaitable[Look]]) -> bool:
        """Look how the database stands, whoever wrote it last; whether there are events to catch up with."""
        commits = self._commits
        try:
            found = await look(*self._parked.room.directories())
        except StoreAwayError as error:
            self.lost(error)
            return False
        if self._writes():
            self._pulse.beat(self._store.now())
        self._returned()
        if commits == self._commits:
            # Else the transaction since then knows better.
            self.stands(found)
            self.tell()
        self._parked.wake(Waits(one.path, one.host, one.kind, one.agent) for one in found.ready)
        return found.last_event > self.feed.last_id

    def _writes(self) -> bool:
        """Whether nothing speaks against it that heartbeats can be written: that the database can be read says little."""
        stuck = self._parked.deciding and self._begun == self._begun_then
        self._begun_then = self._begun
        return self.failing is None and not stuck

    async def catch_up(self) -> None:
        """Hear what other servers have committed by now, and wake for it."""
        if self.on_gap is None:
            return
        await self._hearing.catch_up(self._store.reads, self.rules)


def _unheeded(done: "asyncio.Future[Outcome]") -> None:
    """Nobody waits for this outcome."""
    _ = done.cancelled() or done.exception()
