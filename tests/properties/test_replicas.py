"""Two servers work on one database at the same time, whatever comes: the promises hold, and the feed tells all of it once."""

import json
import random
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Claimed
from orchestrator.domain.principal import SYSTEM
from orchestrator.domain.rules import Rules
from tests.properties.actions import Actions
from tests.properties.replicas import LONG, Replicas, store_of
from tests.rig import Rig
from worker_client.errors import OrchestratorError

ROUNDS = 8
STEPS = 40
"""Transactions of each server in a round; between rounds all is quiet and looked at."""


class Reader:
    """Follows the feed as a client does: what is there after the last that it has."""

    def __init__(self, url: str) -> None:
        self.seen: list[int] = []
        self._stop = threading.Event()
        self._connection = psycopg.connect(make_conninfo(url), autocommit=True)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()

    def look(self) -> None:
        after = self.seen[-1] if self.seen else 0
        rows = self._connection.execute("SELECT id FROM events WHERE id > %s ORDER BY id", [after])
        self.seen += [number for (number,) in rows]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self.look()
        self._connection.close()


class Server:
    """One of the two, with what it was told."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.chance = random.Random(seed)
        self.leases: list[tuple[int, str]] = []
        self.first: list[tuple[int, str]] = []
        self.ended: list[str] = []

    def work(self, others: "Server") -> None:
        for step in range(STEPS):
            if step % 3 == 0:
                known = self.rig.heads()
            if self.chance.random() < 0.1:
                self.rig.time.pass_(self.chance.choice((500, 4_000, 12_000)))
            actions = Actions(self.chance.randrange(2**32), self.rig.time.at, known, [*self.leases, *others.leases])
            batch = actions.batch(self.chance.choice((1, 1, 2, 5)))
            self.commit(batch)
            if self.chance.random() < 0.2:
                self.commit([ops.Submission(ops.Expire(), SYSTEM), ops.Submission(ops.Promote(), SYSTEM)])

    def commit(self, batch: list[ops.Submission]) -> None:
        decisions = store_of(self.rig)._commit(batch, self.rig.rules).decisions
        for submission, decision in zip(batch, decisions, strict=True):
            outcome = decision.outcome
            if isinstance(outcome, OrchestratorError):
                assert outcome.status < 500, outcome
                assert not decision.changes
            elif isinstance(outcome, Claimed):
                for grant in outcome.grants:
                    self.leases.append((grant.task_id, grant.lease))
                    if grant.delivery_no == 1:
                        self.first.append((grant.task_id, grant.lease))
            elif submission.op.phase is ops.Phase.END and decision.changes and (lease := getattr(submission.op, "lease", None)):
                self.ended.append(lease)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two stores on one database."""
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


@pytest.mark.parametrize("seed", range(40 if LONG else 4))
def test_two_servers_at_work(replicas: Replicas, seed: int) -> None:
    replicas.empty()
    servers = [Server(rig, 2 * seed + at) for at, rig in enumerate(replicas.rigs)]
    reader = Reader(store_of(replicas.rigs[0]).url)
    for server in servers:
        server.rig.rules = Rules(max_running=3 if seed % 2 else 0, backoff='{"jitter": 0}', patience=10**12)
    try:
        for _ in range(ROUNDS):
            at_work = [replicas.threads.submit(one.work, other) for one, other in zip(servers, servers[::-1], strict=True)]
            for one in at_work:
                one.result(60)
            replicas.check()
            running = replicas.rigs[0].fetch("SELECT count(*) FROM tasks WHERE status = 'running'")[0][0]
            assert running <= (servers[0].rig.rules.max_running or running)
    finally:
        reader.stop()
    rows = replicas.rigs[0].fetch("SELECT id, type, task_id, data FROM events ORDER BY id")
    assert reader.seen == [row[0] for row in rows], "a reader of the feed missed an event, or met one twice"
    told = [(task_id, json.loads(data)["lease_no"]) for _, kind, task_id, data in rows if kind == "task.claimed"]
    given = [(task_id, int(lease.split(".")[1])) for server in servers for task_id, lease in server.first]
    assert sorted(told) == sorted(given), "what was given is not what the feed tells"
    assert len(set(given)) == len(given) > 15, "a lease was given twice"
    for task_id in {task_id for task_id, _ in told}:
        numbers = [number for other, number in told if other == task_id]
        assert numbers == sorted(numbers), "the number of a lease fell"
    ended = [lease for server in servers for lease in server.ended]
    assert len(ended) == len(set(ended)), "a lease was ended twice"
