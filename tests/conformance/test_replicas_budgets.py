"""Budgets where several servers share a database: none is told apart from the others, and nothing is counted twice or lost."""

import json
from collections.abc import Iterator

import pytest

from orchestrator.domain import budgets
from orchestrator.domain import operations as ops
from orchestrator.domain.budgets import DAY
from orchestrator.domain.outcomes import Beat, Claimed, Grant
from orchestrator.domain.task import Outputs
from orchestrator.store.protocol import Commit
from tests.properties.replicas import Replicas, batch_of
from tests.rig import claim, enqueue, interest, new_task
from worker_client.contract.enums import Directive, Status

ROUNDS = 40


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two stores on one database."""
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


@pytest.fixture
def replicas(shared: Replicas) -> Replicas:
    shared.empty()
    shared.time.at = shared.time.at // DAY * DAY
    return shared


def granted(*commits: Commit) -> list[Grant]:
    return [
        grant
        for commit in commits
        for decision in commit.decisions
        if isinstance(decision.outcome, Claimed)
        for grant in decision.outcome.grants
    ]


def asked(worker: str) -> ops.Claim:
    return claim(interest("/a", recursive=True), worker, limit=3, lease_ms=10**7)


def used(tokens: int) -> str:
    return json.dumps({"input_tokens": tokens, "cost_usd": tokens / 100})


def beat(grant: Grant, tokens: int) -> ops.Heartbeat:
    return ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=Outputs(usage_now=used(tokens)))


def done(grant: Grant, tokens: int) -> ops.Complete:
    return ops.Complete(task_id=grant.task_id, lease=grant.lease, usage=used(tokens))


def test_of_a_days_attempts_two_servers_give_no_more_than_there_are(replicas: Replicas) -> None:
    rig = replicas.rigs[0]
    rig.do(ops.SetDirectory(path="/a", daily_attempts=7))
    for day in range(ROUNDS // 4):
        rig.do(enqueue(*(new_task(f"/a/{number}", max_attempts=1, timeout_ms=10**9) for number in range(6))))
        given: list[Grant] = []
        for _ in range(4):
            fresh = granted(*replicas.together(batch_of(asked("w1")), batch_of(asked("w2"))))
            given += fresh
            for one, other in zip(fresh[::2], fresh[1::2], strict=False):
                replicas.together(batch_of(done(one, 1)), batch_of(done(other, 1)))
        rig.do(enqueue(*(new_task(f"/a/x{number}", timeout_ms=10**9) for number in range(6))))
        given += granted(*replicas.together(batch_of(asked("w1")), batch_of(asked("w2"))))
        assert len(given) == 7, f"{len(given)} on day {day}"
        for grant in given:
            if rig.status(grant.task_id) is Status.RUNNING:
                rig.do(done(grant, 1))
        rig.commit(*(ops.Cancel(task_id=head.id) for head in rig.heads().values() if head.status is Status.WAITING))
        rig.pass_(DAY)
    replicas.check()


def test_what_is_counted_at_both_at_the_same_instant_is_counted_once_each(replicas: Replicas) -> None:
    rig = replicas.rigs[0]
    total = 0
    for number in range(ROUNDS):
        rig.do(enqueue(*(new_task("/a") for _ in range(2))))
        one, other = rig.claim("/a", limit=2, lease_ms=10**7)
        replicas.together(batch_of(beat(one, number)), batch_of(beat(other, 5)))
        replicas.together(batch_of(done(one, number + 1)), batch_of(beat(other, 3), done(other, 9)))
        total += number + 1 + 9
    assert rig.fetch("SELECT sum(attempts), sum(input_tokens), sum(micros) FROM task_usage") == [
        (2 * ROUNDS, total, total * 10_000)
    ]


def test_a_days_budget_that_two_servers_cross_together_is_noticed_by_who_comes_next(replicas: Replicas) -> None:
    rig, second = replicas.rigs
    for _ in range(ROUNDS // 4):
        rig.do(ops.SetDirectory(path="/a", daily_micros=1_000_000))
        rig.do(enqueue(*(new_task("/a") for _ in range(3))))
        one, other = rig.claim("/a", limit=2, lease_ms=10**7)
        replicas.together(batch_of(beat(one, 60)), batch_of(beat(other, 60)))
        for server, grant in ((rig, one), (second, other)):
            told = server.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease))
            assert isinstance(told, Beat)
            assert told.directive is Directive.PARK
        assert not granted(*replicas.together(batch_of(asked("w1")), batch_of(asked("w2"))))
        assert rig.fetch("SELECT reached_day FROM directories") == [(replicas.time.at // DAY,)]
        rig.commit(*(ops.Cancel(task_id=head.id) for head in rig.heads().values() if head.status is Status.WAITING))
        rig.commit(done(one, 60), done(other, 60))
        second.pass_(DAY)
        assert rig.fetch("SELECT reached_day FROM directories") == [(None,)]


def test_a_task_whose_budget_one_server_sees_used_up_no_server_gives_out(replicas: Replicas) -> None:
    rig, second = replicas.rigs
    for _ in range(ROUNDS // 4):
        rig.do(enqueue(new_task("/a", budget='{"tokens":10}', backoff='{"base_seconds": 0}')))
        (grant,) = rig.claim("/a", lease_ms=10**7)
        end = ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", usage=used(10), retry_after_ms=0)
        commits = replicas.together(batch_of(end), batch_of(asked("w2")))
        assert not granted(*commits, second.commit(asked("w2")))
        assert rig.head(grant.task_id).hold == "budget"
    replicas.check()


def test_a_budget_taken_away_while_it_is_used_up_elsewhere_keeps_no_server_busy_at_midnight(replicas: Replicas) -> None:
    """What one server noted of a budget that another took away at the same time is forgotten like any other."""
    first, second = replicas.rigs
    for _ in range(ROUNDS):
        replicas.time.at = budgets.tomorrow(replicas.time.at)
        for rig in (first, second):
            rig.tick()
        first.do(ops.SetDirectory(path="/a", daily_tokens=10))
        grant = first.running("/a", lease_ms=2 * DAY, timeout_ms=2 * DAY)
        replicas.together(batch_of(beat(grant, 20)), batch_of(ops.SetDirectory(path="/a", daily_tokens=None)))
        first.do(done(grant, 20))
        replicas.time.at = budgets.tomorrow(replicas.time.at)
        first.tick()
        due = first.tick().next_due
        assert due is None or due > replicas.time.at
        assert first.fetch("SELECT path FROM directories WHERE reached_day IS NOT NULL") == []
