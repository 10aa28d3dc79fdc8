"""Servers on one database have the same runs go on at the same instant: nothing is made twice, nothing is forgotten."""

import json
import random
from collections.abc import Iterator

import pytest

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from tests.flows import Flows, step
from tests.properties.replicas import Replicas, batch_of
from tests.rig import claim, interest

pytestmark = pytest.mark.timeout(170)
ROUNDS = 12
RETRIES = 8


@pytest.fixture
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


def test_two_servers_make_each_task_once_whatever_happens_at_the_same_time(replicas: Replicas) -> None:
    rig, other = replicas.rigs
    flows, chance = Flows(rig), random.Random(3)
    workflow_id = flows.save(
        step("a"), step("b"),
        step("each", "a", for_each=[1, 2, 3, 4], prompt="{{ item }}"),
        step("c", "a", "b"), step("mend", "c", run_if="failure"), step("d", "each", "c", run_if="always"),
    )  # fmt: skip
    begin = flow.BeginRun(workflow_id=workflow_id)
    replicas.together(batch_of(begin, begin, begin, flow.Follow()), batch_of(begin, begin, begin, flow.Follow()))
    retried = 0
    while True:
        first, second = (one.do(claim(interest("/a"), limit=3)) for one in (rig, other))
        reports: list[list[ops.Operation]] = []
        for claimed in (first, second):
            done: list[ops.Operation] = [flow.Follow()]
            for grant in claimed.grants:  # type: ignore[attr-defined]
                lease = {"task_id": grant.task_id, "lease": grant.lease}
                done.append(ops.Fail(**lease, error="{}", retryable=False) if chance.random() < 0.3 else ops.Complete(**lease))
            reports.append(done)
        replicas.together(*(batch_of(*done) for done in reports))
        failed = rig.fetch("SELECT id FROM tasks WHERE status = 'failed'")
        if failed and retried < RETRIES and chance.random() < 0.5:
            retried += 1
            replicas.together(batch_of(ops.Retry(task_id=failed[0][0]), flow.Follow()), batch_of(flow.Follow()))
        elif not flows.follow() and rig.fetch("SELECT count(*) FROM tasks WHERE finished_at IS NULL") == [(0,)]:
            break
    assert retried
    keys = rig.fetch("SELECT scope, key FROM task_keys WHERE scope LIKE 'run:%'")
    assert len(keys) == len(set(keys)) == rig.fetch("SELECT count(*) FROM tasks")[0][0]
    listed = [one for (text,) in rig.fetch("SELECT tasks FROM run_steps") for one in json.loads(text)]
    assert len(listed) == len(set(listed))
    for run_id, status in rig.fetch("SELECT id, status FROM runs"):
        stands = flows.steps(run_id)
        assert set(stands.values()) <= {"completed", "failed", "cancelled", "skipped"}
        assert status == ("failed" if "failed" in stands.values() else "completed")
    assert len(rig.fetch("SELECT id FROM runs")) == 6


def test_a_run_that_is_cancelled_as_it_goes_on_leaves_nothing_that_runs(replicas: Replicas) -> None:
    rig, _ = replicas.rigs
    flows = Flows(rig)
    workflow_id = flows.save(step("a"), step("each", "a", for_each=[1, 2, 3], prompt="{{ item }}"))
    for _ in range(ROUNDS):
        run_id = flows.begin(workflow_id)
        grant = rig.take("/a")
        done = ops.Complete(task_id=grant.task_id, lease=grant.lease)
        replicas.together(batch_of(done, flow.Follow()), batch_of(flow.CancelRun(run_id=run_id)))
        flows.follow()
        assert flows.status(run_id)[0] == "cancelled"
        assert rig.fetch("SELECT count(*) FROM tasks WHERE run_id = ? AND finished_at IS NULL", [run_id]) == [(0,)]
    replicas.check()
