"""Parked polls against random traffic: whenever the queue is quiet, no poll is parked beside a task that it could have."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.decide import decide
from orchestrator.domain.outcomes import Claimed, Created, Grant
from orchestrator.domain.principal import OPEN, SYSTEM, PathScope, Pattern, Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.world import World
from orchestrator.loops.follower import Follower
from orchestrator.loops.reaper import Reaper
from orchestrator.queue.commit import Queue
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.store import _Session
from orchestrator.store.transaction import Transaction
from orchestrator.telemetry.metrics import Metrics
from tests.rig import HOUR, Time, claim, enqueue, interest, make_sqlite, new_task
from tests.shared import Database, Seat
from worker_client.errors import OrchestratorError

pytestmark = pytest.mark.anyio

PATHS = ("/a", "/a/b", "/a/b/c", "/a/c", "/ab", "/d")
KINDS = ("agent", "script", "http")
TAGS = ("gpu", "big")
HOSTS = ("", "h1", "h2")
AGENTS = ("claude", "codex")
ACCOUNTS = ("a", "b")
NARROW = Principal("narrow", OPEN.scopes, PathScope((Pattern("/a", below=True),)))
ENDLESS = 10**9
USED = '{"input_tokens": 10}'


class Town:
    """A queue with polls parked on it, and what they have been given."""

    def __init__(self, directory: Path, chance: random.Random, rules: Rules) -> None:
        self.time = Time()
        self.store = make_sqlite(directory, self.time, chance=chance.random)
        self.queue = Queue(self.store, rules, Metrics("test"))
        self.reaper = Reaper(self.queue)
        self.chance = chance
        self.polls: list[asyncio.Future[Any]] = []
        self.held: dict[int, Grant] = {}
        self.owner: dict[int, Principal] = {}
        self.tasks = 0
        self.granted = 0
        self.asked: tuple[ops.Interest, Principal] | None = None
        self.reports: list[asyncio.Future[Any]] = []
        self._looker = sqlite3.connect(str(self.store.path), check_same_thread=False)

    async def open(self) -> None:
        await self.queue.start()

    async def close(self) -> None:
        self._looker.close()
        await self.queue.stop()
        await asyncio.gather(*self.polls, *self.reports, return_exceptions=True)

    def poll(self, op: ops.Claim, by: Principal = OPEN) -> None:
        future = self.queue.submit(op, by, wait_ms=ENDLESS)
        self.polls.append(future)
        future.add_done_callback(lambda done: self._answered(done, by))

    def _answered(self, done: "asyncio.Future[Any]", by: Principal) -> None:
        if done in self.polls:
            self.polls.remove(done)
        if done.cancelled() or done.exception():
            return
        for grant in done.result().grants:
            again = self.held.get(grant.task_id)
            assert again is None or again.lease != grant.lease or grant.delivery_no > again.delivery_no, "handed out twice"
            self.held[grant.task_id] = grant
            self.owner[grant.task_id] = by
            self.granted += 1

    def report(self, op: ops.Operation, by: Principal = OPEN) -> None:
        """Hand in without waiting: many share a batch. Refusals are part of the game."""
        self.reports.append(self.queue.submit(op, by))

    async def quiet(self) -> None:
        """Wait until nothing is under way."""
        still = 0
        while still < 2:
            await self.queue.submit(ops.Tick(), SYSTEM)
            busy = self.queue.backlog or any(poll.asking for poll in self.queue._parked)
            still = 0 if busy else still + 1
        for done in await asyncio.gather(*self.reports, return_exceptions=True):
            assert not isinstance(done, BaseException) or isinstance(done, OrchestratorError), done
            if isinstance(done, Created):
                self.tasks = max([self.tasks, *(task_id for task_id, _ in done.tasks)])
        self.reports.clear()

    def could_have(self, op: ops.Claim, by: Principal) -> list[Grant]:
        """What a claim would get at this moment, by the rules themselves."""
        rules, now = self.queue.rules, self.queue.now()
        rules = replace(rules, reservations=self.queue._parked.room.reservations(now, rules.patience))
        transaction = Transaction(_Session(self._looker, ""), self.store._sql, now, now)
        world = World(transaction, now=now, chance=lambda: 0.5, nonce=lambda: "0")
        outcome = decide(ops.Submission(op, by), world, rules).outcome
        assert isinstance(outcome, Claimed)
        return outcome.grants

    def check(self, told: object) -> None:
        for poll in self.queue._parked:
            op = poll.submission.op
            assert isinstance(op, ops.Claim)
            could = self.could_have(op, poll.submission.by)
            assert not could, f"{told}: {op} is parked beside task {could[0].task_id}"
        assert self.queue.parked == len(self.queue._parked) == len(self.polls)
        running = {row[0] for row in self._looker.execute("SELECT id FROM tasks WHERE status = 'running'")}
        assert running <= self.held.keys(), f"{told}: leased to nobody"

    # Steps

    def create(self) -> None:
        pick, chance = self.chance.choice, self.chance.random
        self.report(enqueue(*(
            new_task(
                pick(PATHS), kind=pick(KINDS), host=pick(HOSTS), agent=pick(("", *AGENTS)),
                tags=pick(((), (), TAGS, TAGS[:1])), exclusive=chance() < 0.3,
                priority=pick((0, 1, 1, 3)), delay_ms=pick((None, None, None, 5_000)), max_attempts=2, timeout_ms=HOUR,
                backoff='{"base_seconds": 1}',
            )
            for _ in range(pick((1, 1, 2)))
        )))  # fmt: skip

    def come(self) -> None:
        pick, chance = self.chance.choice, self.chance.random
        by = pick((OPEN, OPEN, NARROW))
        paths = ("/a",) if by is NARROW else tuple({pick(PATHS), pick(PATHS)})
        recursive = chance() < 0.4
        if recursive and by is OPEN and chance() < 0.3:
            paths = ("/",)
        wanted = interest(
            *paths, recursive=recursive, kinds=pick(((), ("agent",), ("script", "http"))), tags=pick(((), (), TAGS[:1])),
            host=pick(HOSTS), exclusive=chance() < 0.3, by=by, agent=pick(("", *AGENTS)),
        )  # fmt: skip
        # Those who ask for the same are taken for one another, as long as they may be.
        self.asked = wanted, by = (wanted, by) if self.asked is None or chance() < 0.5 else self.asked
        worker, account = f"w{self.chance.randrange(6)}", pick((None, *ACCOUNTS))
        self.poll(claim(wanted, worker, lease_ms=20_000, limit=pick((1, 1, 1, 3)), account=account), by)

    def come_again(self) -> None:
        """The client lost its connection, or its patience: the same poll once more."""
        pick = self.chance.choice
        wanted = interest("/a", recursive=True, exclusive=pick((True, False, False, False)))
        self.poll(claim(wanted, pick(("w1", "w2")), lease_ms=20_000, poll_id=pick("xy")))

    def go(self) -> None:
        if self.polls:
            self.chance.choice(self.polls).cancel()

    def time_out(self) -> None:
        if parked := list(self.queue._parked):
            self.queue._parked.give_up(self.chance.choice(parked))

    def end(self) -> None:
        if not self.held:
            return
        task_id = self.chance.choice(sorted(self.held))
        lease = self.held.pop(task_id).lease
        self.report(
            self.chance.choice(
                (
                    ops.Complete(task_id=task_id, lease=lease),
                    ops.Fail(task_id=task_id, lease=lease, error="{}"),
                    ops.Release(task_id=task_id, lease=lease),
                    ops.Park(task_id=task_id, lease=lease, hold="question"),
                    ops.Park(task_id=task_id, lease=lease, hold="quota", not_before=self.time.at + 4_000),
                    ops.Park(task_id=task_id, lease=lease, hold="quota", account=self.chance.choice(ACCOUNTS)),
                    ops.Complete(task_id=task_id, lease=lease, usage=USED),
                    ops.Park(task_id=task_id, lease=lease, hold="budget", usage=USED),
                )
            ),
            self.owner[task_id],
        )

    def limit(self) -> None:
        pick = self.chance.choice
        if self.chance.random() < 0.4:
            until = pick((None, None, self.time.at + 4_000))
            self.report(pick((
                ops.SetAccount(account=pick(ACCOUNTS), held_until=until),
                ops.SetAccount(account=pick(ACCOUNTS), held_until=until),
                ops.DrainWorker(worker_id=f"w{self.chance.randrange(6)}"),
                *(ops.DrainWorker(worker_id=f"w{number}", undo=True) for number in range(6)),
            )), pick((OPEN, OPEN, NARROW)))  # fmt: skip
            return
        self.report(
            ops.SetDirectory(
                path=pick(PATHS), host=pick(HOSTS), paused=self.chance.random() < 0.3, max_running=pick((None, None, 1, 2)),
                daily_tokens=pick((None, None, 1, 25)), daily_attempts=pick((None, None, 1, 3)),
            )
        )  # fmt: skip

    def change(self) -> None:
        if not self.tasks:
            return
        task_id, pick = self.chance.randint(max(1, self.tasks - 30), self.tasks), self.chance.choice
        self.report(
            pick(
                (
                    ops.Cancel(task_id=task_id),
                    ops.Delete(task_id=task_id),
                    ops.Retry(task_id=task_id),
                    ops.Execute(task_id=task_id),
                    ops.Answer(task_id=task_id, answer='"x"'),
                    ops.Update(task_id=task_id, path=pick(PATHS), exclusive=self.chance.random() < 0.3),
                    ops.Update(task_id=task_id, priority=pick((0, 1, 3)), tags=pick(((), TAGS))),
                )
            )
        )

    async def wait(self) -> None:
        """Time passes; what is due is done."""
        self.time.pass_(self.chance.choice((1, 500, 4_000, 12_000)))
        await self.reaper.once(self.queue.now())


@pytest.mark.parametrize("seed", range(12))
async def test_no_able_poll_is_parked_beside_a_claimable_task(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rules = Rules(max_running=3 if seed % 3 == 2 else 0, backoff='{"jitter": 0}')
    town = Town(tmp_path, chance, rules)
    await town.open()
    steps = [town.create, town.come, town.come_again, town.go, town.time_out, town.end, town.limit, town.change]
    weights = [6, 7, 1, 1, 1, 6, 1, 3]
    try:
        for number in range(350):
            told = []
            for step in chance.choices(steps, weights, k=chance.choice((1, 1, 1, 2, 5))):
                told.append(step.__name__)
                if step == town.come and len(town.polls) > 14:
                    town.time_out()
                step()
                if chance.random() < 0.2:
                    # Some of it falls into the time of a running commit.
                    await asyncio.sleep(0)
            if chance.random() < 0.15:
                told.append("wait")
                await town.wait()
            await town.quiet()
            town.check(f"seed {seed}, step {number} ({', '.join(told)})")
        assert town.granted > 20
    finally:
        await town.close()


def counted(town: Town) -> list[ops.Claim]:
    """The claims that go into batches from now on."""
    claims: list[ops.Claim] = []
    put = town.queue._put

    def count(pending: Any) -> None:
        if isinstance(pending.submission.op, ops.Claim):
            claims.append(pending.submission.op)
        put(pending)

    town.queue._put = town.queue._parked._put = count  # type: ignore[method-assign]
    return claims


@pytest.mark.parametrize("how", ["created", "executed"])
@pytest.mark.parametrize("directories", [1_000, 1])
async def test_one_task_wakes_one_of_a_thousand_polls(tmp_path: Path, directories: int, how: str) -> None:
    """All workers woken for one task: River PR 1150."""
    town = Town(tmp_path, random.Random(1), Rules())
    await town.open()
    path = f"/srv/{directories // 2}"
    try:
        for number in range(1_000):
            town.poll(claim(interest(f"/srv/{number % directories}"), f"w{number}"))
        if how == "executed":
            town.report(enqueue(new_task(path, delay_ms=HOUR)))
        await town.quiet()
        assert town.queue.parked == 1_000
        claims = counted(town)
        town.report(ops.Execute(task_id=1) if how == "executed" else enqueue(new_task(path)))
        await town.quiet()
        assert [op.interest.paths for op in claims] == [(path,)]
        assert town.queue.parked == 999
        assert len(town.held) == 1
    finally:
        await town.close()


class Towns:
    """Two servers on one database; each has its own polls, and every worker may report to either."""

    def __init__(self, directory: Path, chance: random.Random, rules: Rules) -> None:
        self.chance = chance
        time = Time()
        self.database = Database(directory, time, chance=chance.random)
        self.towns = [Seated(self.database, time, chance, rules) for _ in range(2)]
        for town in self.towns:
            town.held, town.owner = self.towns[0].held, self.towns[0].owner

    async def open(self) -> None:
        await self.database.open()
        for town in self.towns:
            await town.open()

    async def close(self) -> None:
        for town in self.towns:
            town.seat.after.set()
            await town.close()
        await self.database.close()

    async def quiet(self) -> None:
        """Until nothing is under way anywhere, and one look after that has brought nothing new."""
        for town in self.towns:
            town.seat.after.set()
        for looking in (False, False, True, False, False):
            for town in self.towns:
                await town.quiet()
                if looking:
                    await town.follower.once()
                else:
                    await town.follower.catch_up()
        for town in self.towns:
            await town.quiet()
            town.tasks = max(one.tasks for one in self.towns)


class Seated(Town):
    """A town of which there is more than one."""

    def __init__(self, database: Database, time: Time, chance: random.Random, rules: Rules) -> None:
        self.time = time
        self.chance = chance
        self.seat = Seat(database)
        self.store = database.store
        self.queue = Queue(self.seat, rules, Metrics("test"))
        self.follower = Follower(self.queue, self.seat)
        self.reaper = Reaper(self.queue)
        self.polls, self.held, self.owner = [], {}, {}
        self.tasks = self.granted = 0
        self.asked = None
        self.reports = []
        self._looker = sqlite3.connect(str(self.store.path), check_same_thread=False)

    def hold(self) -> None:
        """What is on disk is not answered yet."""
        self.seat.after.clear()

    def go_on(self) -> None:
        self.seat.after.set()

    async def rest(self) -> None:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", range(8))
async def test_no_able_poll_is_parked_beside_a_task_of_another_server(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    both = Towns(tmp_path, chance, Rules(max_running=3 if seed % 3 == 2 else 0, backoff='{"jitter": 0}'))
    await both.open()
    weights = [6, 7, 1, 1, 1, 6, 1, 3, 2, 3]
    try:
        for number in range(150):
            told = []
            for _ in range(chance.choice((1, 1, 2, 6))):
                town = chance.choice(both.towns)
                # A client that asks again at another server leaves a poll behind that nobody takes out.
                again = both.towns[0].come_again
                steps = [town.create, town.come, again, town.go, town.time_out, town.end, town.limit, town.change]
                (step,) = chance.choices([*steps, town.hold, town.go_on], weights)
                told.append(step.__name__)
                step()
                for busy in both.towns:
                    if len(busy.polls) > 10:
                        busy.time_out()
                if chance.random() < 0.4:
                    await chance.choice((town.follower.catch_up, town.follower.once, town.rest))()
            if chance.random() < 0.15:
                told.append("wait")
                for town in both.towns:
                    town.seat.after.set()
                await chance.choice(both.towns).wait()
            await both.quiet()
            for town in both.towns:
                town.check(f"seed {seed}, step {number} ({', '.join(told)})")
        assert sum(town.granted for town in both.towns) > 5
        assert both.towns[0].queue.feed.last_id == both.towns[1].queue.feed.last_id
    finally:
        await both.close()
