"""Whatever a rule wakes for, other servers find in its events."""

import random
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Drained, Freed, Ready, Resumed, Wake
from orchestrator.domain.paths import contains
from orchestrator.domain.rules import Rules
from orchestrator.queue.causes import freed, may_wait, told
from orchestrator.store.protocol import Commit, FeedEvent
from tests.properties.actions import Actions
from tests.rig import Rig, enqueue, new_task

WAKING = {
    ops.Enqueue, ops.Complete, ops.Fail, ops.Release, ops.Park, ops.Undeliver, ops.Expire, ops.Promote, ops.Cancel, ops.Retry,
    ops.Execute, ops.Answer, ops.Approve, ops.Update, ops.Delete, ops.SetDirectory, ops.SetAccount, ops.DrainWorker,
}  # fmt: skip
"""All that wakes."""


def covered(wake: Wake, found: set[Freed], waiting: set[int]) -> bool:
    if isinstance(wake, Ready):
        return wake.task_id in waiting
    assert isinstance(wake, Freed)
    return any(one.path is None or (wake.path is not None and contains(one.path, wake.path)) for one in found)


class Town(Rig):
    """Random operations in transactions of their own sizes."""

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__(directory)
        self.chance = random.Random(seed)
        self.leases: list[tuple[int, str]] = []
        self.woke: Counter[type[ops.Operation]] = Counter()
        if seed % 3 == 2:
            self.rules = Rules(backoff='{"jitter": 0}', max_running=4)

    def step(self) -> None:
        actions = Actions(self.chance.randrange(10**9), self.time.at, self.heads(), self.leases)
        batch = actions.batch(self.chance.choice((1, 1, 2, 6)))
        commit = self.commit(*batch)
        for submission, decision in zip(batch, commit.decisions, strict=True):
            for grant in getattr(decision.outcome, "grants", ()):
                self.leases.append((grant.task_id, grant.lease))
            if decision.wakes:
                self.woke[type(submission.op)] += 1
        self.check(batch, commit)
        if self.chance.random() < 0.1:
            self.time.pass_(self.chance.choice((1_000, 20_000)))

    def check(self, batch: list[ops.Submission], commit: Commit) -> None:
        limited = {path for (path,) in self.fetch("SELECT path FROM directories WHERE max_running IS NOT NULL")}
        heads = self.heads()
        waiting = may_wait(commit.events)
        found = freed(commit.events, limited, everywhere=self.rules.max_running > 0)
        for submission, decision in zip(batch, commit.decisions, strict=True):
            for wake in decision.wakes:
                gone = isinstance(wake, Ready) and (wake.task_id not in heads or heads[wake.task_id].status != "waiting")
                known = wake in told(commit.events) if isinstance(wake, Resumed | Drained) else covered(wake, found, waiting)
                assert gone or known, (submission.op, wake, commit.events)


def test_every_wake_is_found_in_the_events(tmp_path: Path) -> None:
    woke: Counter[type[ops.Operation]] = Counter()
    for seed in range(6):
        town = Town(tmp_path / str(seed), seed)
        for _ in range(250):
            town.step()
        woke += town.woke
        town.close()
    assert set(woke) == WAKING


def test_a_moved_task_frees_where_it_stood(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.commit(enqueue(new_task("/a", exclusive=True)))
    commit = rig.commit(ops.Update(task_id=1, path="/b"))
    assert freed(commit.events, (), everywhere=False) == {Freed(None)}
    commit = rig.commit(ops.Update(task_id=1, priority=2))
    assert freed(commit.events, (), everywhere=False) == {Freed("/b")}
    rig.close()


@pytest.mark.parametrize(("limited", "reach"), [((), "/a/b/c"), (("/a/b",), "/a/b"), (("/a/b", "/"), "/"), (("/d",), "/a/b/c")])
def test_a_lease_counts_in_the_limits_above_it(limited: tuple[str, ...], reach: str) -> None:
    event = FeedEvent(1, 0, "task.completed", 1, "/a/b/c", "", "completed", "{}")
    assert freed([event], limited, everywhere=False) == {Freed(reach)}
    assert freed([event], limited, everywhere=True) == {Freed(None)}


def test_the_last_event_of_a_task_tells_whether_it_waits() -> None:
    def event(number: int, task_id: int, status: str) -> FeedEvent:
        return FeedEvent(number, 0, "task.x", task_id, "/a", "", status, "{}")

    assert may_wait([event(1, 1, "waiting"), event(2, 2, "waiting"), event(3, 1, "running")]) == {2}
