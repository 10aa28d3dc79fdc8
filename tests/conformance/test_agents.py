"""Tasks for one agent, and what is kept of each attempt."""

from typing import Any

import pytest
from msgspec import json

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE
from orchestrator.domain.task import Outputs
from orchestrator.store.reads import Reads
from tests.reading import read
from tests.rig import Rig
from worker_client.contract.attempts import Attempt
from worker_client.contract.enums import ParkReason
from worker_client.contract.tasks import ListTasks

SESSION = Outputs(session_id="s1")


def attempts(rig: Rig, task_id: int) -> list[Attempt]:
    reads: Reads = rig.store.reads
    return read(rig, reads.attempts_of(task_id, EVERYWHERE)) or []


def test_an_agent_gets_its_tasks_and_those_for_any_in_the_order_of_their_rank(rig: Rig) -> None:
    codex, anyone, claude, script = (
        rig.add(agent="codex"), rig.add(), rig.add(agent="claude"), rig.add(kind="script"),
    )  # fmt: skip
    assert [grant.task_id for grant in rig.claim(agent="claude", kinds=["agent"], limit=9)] == [anyone, claude]
    assert [grant.task_id for grant in rig.claim(agent="claude", limit=9)] == [script]
    assert rig.claim(agent="claude", recursive=True, limit=9) == []
    assert [grant.task_id for grant in rig.claim("/", recursive=True, limit=9)] == [codex]


def test_who_asks_for_no_agent_gets_all(rig: Rig) -> None:
    added = [rig.add(agent=agent) for agent in ("codex", "", "claude", "codex")]
    assert [grant.task_id for grant in rig.claim(limit=9)] == added


def test_a_task_stays_with_the_agent_that_began_a_session(rig: Rig) -> None:
    for told in ("heartbeat", "park"):
        grant = rig.running()
        if told == "heartbeat":
            rig.do(ops.Heartbeat(task_id=grant.task_id, lease=grant.lease, outputs=SESSION, agent="codex"))
            rig.do(ops.Release(task_id=grant.task_id, lease=grant.lease))
        else:
            rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="question", outputs=SESSION, agent="codex"))
            rig.do(ops.Answer(task_id=grant.task_id, answer="yes"))
        assert rig.head(grant.task_id).agent == "codex"
        assert rig.claim(agent="claude") == []
        again = rig.take(agent="codex")
        assert again.task_id == grant.task_id
        assert attempts(rig, grant.task_id)[0].agent == "codex"


def test_without_a_session_or_with_an_agent_already_named_nothing_changes(rig: Rig) -> None:
    free, named = rig.running(), rig.running(agent="claude")
    rig.do(ops.Heartbeat(task_id=free.task_id, lease=free.lease, agent="codex"))
    rig.do(ops.Heartbeat(task_id=free.task_id, lease=free.lease, outputs=Outputs(progress="{}"), agent="codex"))
    rig.do(ops.Heartbeat(task_id=named.task_id, lease=named.lease, outputs=SESSION, agent="codex"))
    assert (rig.head(free.task_id).agent, rig.head(named.task_id).agent) == ("", "claude")


def test_a_task_can_be_given_to_another_agent(rig: Rig) -> None:
    task_id = rig.add(agent="claude")
    commit = rig.commit(ops.Update(task_id=task_id, agent="codex", inputs={"spec": '{"agent": "codex"}'}))
    assert [(wake.task_id, wake.agent) for wake in commit.decisions[0].wakes] == [(task_id, "codex")]  # type: ignore[union-attr]
    assert rig.claim(agent="claude") == []
    assert rig.take(agent="codex").task_id == task_id


def test_tasks_are_listed_by_agent(rig: Rig) -> None:
    rig.add(agent="codex"), rig.add(), rig.add(agent="claude")
    found = read(rig, rig.store.reads.tasks(ListTasks(agent="codex"), EVERYWHERE))
    assert [view.head.id for view in found.items] == [1]


def test_waiting_tasks_tell_whom_they_are_for(rig: Rig) -> None:
    rig.add(agent="codex")
    (ready,) = read(rig, rig.store.reads.still_waiting([1]))
    assert ready.agent == "codex"


@pytest.mark.parametrize("how", ["complete", "fail", "release", "park"])
def test_evidence_is_kept_with_the_attempt(rig: Rig, how: str) -> None:
    grant = rig.running()
    facts: dict[str, Any] = {"task_id": grant.task_id, "lease": grant.lease, "evidence": '{"agent":"codex","exit_code":0}'}
    usage = '{"input_tokens":7}'
    ends: dict[str, ops.Operation] = {
        "complete": ops.Complete(**facts, usage=usage),
        "fail": ops.Fail(**facts, error="{}", usage=usage),
        "release": ops.Release(**facts, usage=usage),
        "park": ops.Park(**facts, hold="question", usage=usage, message="Which?"),
    }
    rig.do(ends[how])
    (attempt,) = attempts(rig, grant.task_id)
    assert attempt.evidence == {"agent": "codex", "exit_code": 0}
    assert attempt.agent == "codex"
    assert attempt.usage is not None
    assert attempt.usage.input_tokens == 7
    assert json.decode(rig.output(grant.task_id, "usage_before"))["input_tokens"] == 7


def test_a_running_attempt_has_no_evidence_yet(rig: Rig) -> None:
    grant = rig.running(agent="claude")
    (attempt,) = attempts(rig, grant.task_id)
    assert (attempt.agent, attempt.evidence) == ("claude", {})


def test_a_parked_task_says_why_until_it_is_parked_anew(rig: Rig) -> None:
    grant = rig.running()
    said = ops.Park(task_id=grant.task_id, lease=grant.lease, hold=ParkReason.QUOTA, message="Resets at 5 pm")
    commit = rig.commit(said)
    assert rig.head(grant.task_id).reason == "Resets at 5 pm"
    told = json.decode(commit.events[-1].data)
    assert (told["reason"], told["message"]) == ("quota", "Resets at 5 pm")
    rig.do(ops.Execute(task_id=grant.task_id))
    again = rig.take()
    rig.do(ops.Park(task_id=again.task_id, lease=again.lease, hold=ParkReason.QUOTA))
    assert rig.head(grant.task_id).reason is None
