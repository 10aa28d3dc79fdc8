"""A budget in real processes: the agent is stopped softly, the task parks with its session, and goes on when approved."""

import os

import pytest

from tests.acceptance.test_agents import Scene, completed, parked_for, scene
from tests.unit.worker_client.agent.acting import INIT, result, text
from worker_client.contract.enums import ParkReason
from worker_client.contract.tasks import TaskBudget

__all__ = ["scene"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for the agent")


def test_a_budget_parks_the_work_and_an_approval_goes_on_in_its_session(scene: Scene) -> None:
    little = {"usage": {"input_tokens": 1, "output_tokens": 1}, "total_cost_usd": 0.1}
    scene.play([INIT, text("Working."), ("sleep", 600)], [INIT, result("Done after all.", **little)])
    with scene.worker():
        task_id = scene.add("Port it.", spec={"budget": {"tokens": 101}})
        task = scene.until(task_id, parked_for(ParkReason.BUDGET))
        assert task.parked is not None
        assert task.parked.message is not None
        assert (task.attempt, task.parked.until, task.agent) == (0, None, "claude")
        assert "tokens" in task.parked.message
        session, used = task.session_id, task.usage
        assert session is not None
        assert used is not None
        scene.client.approve(task_id)
        task = scene.until(task_id, completed)
    spent = used.input_tokens + used.output_tokens
    assert task.budget == TaskBudget(tokens=spent + 101, cost_usd=None)
    assert [call["argv"][4:6] for call in scene.calls] == [["--session-id", session], ["--resume", session]]
    summary = scene.client.statistics().usage.today
    assert task.usage is not None
    assert (summary.attempts, summary.input_tokens) == (1, task.usage.input_tokens)
