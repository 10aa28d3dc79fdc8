"""What AI Schedule calls a task, as a schedule or a task."""

from typing import Any

import msgspec
import pytest

from orchestrator.domain import agentjobs
from orchestrator.domain.drafting import new_task
from orchestrator.domain.rules import Defaults
from worker_client.contract.elsewhere import AgentJob
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

SCRIPT = {"type": "script", "agent_config": {"script": {"command": "bash", "args": ["/scripts/backup.sh"]}}}


def body(**fields: Any) -> AgentJob:
    return msgspec.convert({"name": "n", **fields}, AgentJob)


def schedule(**fields: Any) -> CreateSchedule:
    return agentjobs.schedule_of(body(cron_expression="0 0 2 * * *", **fields), "/default")


def task(**fields: Any) -> CreateTask:
    found = agentjobs.task_of(body(**fields), "/default")
    new_task(found, Defaults())
    return found


def test_a_script() -> None:
    limits = {"cpu": "500m", "memory": "256Mi", "timeout": 3600}
    found = task(**SCRIPT, environment={"BACKUP_PATH": "/data/backup"}, resource_limits=limits, description="d")
    assert (found.kind, found.spec) == ("script", {"command": "bash", "args": ["/scripts/backup.sh"]})
    assert (found.work_directory, found.title, found.description) == ("/default", "n", "d")
    assert msgspec.to_builtins(found.resource_limits) == limits
    assert found.environment == {"BACKUP_PATH": "/data/backup"}
    assert schedule(**SCRIPT, work_directory="/srv/a").task == task(**SCRIPT, work_directory="/srv/a")


def test_a_request() -> None:
    headers = {"Authorization": "Bearer token"}
    found = task(
        type="api", agent_config={"api": {"url": "https://api.example.com/health", "method": "POST", "headers": headers}}
    )
    assert (found.kind, found.work_directory) == ("http", None)
    assert found.spec == {"url": "https://api.example.com/health", "method": "POST", "headers": headers}


def test_a_workflow_and_an_agent() -> None:
    found = schedule(type="workflow", agent_config={"workflow": {"id": "wf_1", "input": {"a": 1}}})
    assert found.workflow is not None
    assert (found.workflow.id, found.workflow.input, found.task) == ("wf_1", {"a": 1}, None)
    agent = schedule(type="agent", agent_config={"agent": {"prompt": "do", "spec": {"agent": "claude"}}}, environment={"A": "b"})
    assert agent.task is not None
    assert (agent.task.prompt, agent.task.kind, agent.task.work_directory) == ("do", "agent", "/default")
    assert (agent.task.environment, agent.task.spec) == ({"A": "b"}, {"agent": "claude"})


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"type": "script"}, "agent_config", 'is missing: say what to do, for example {"script"'),
        ({"type": "api", "agent_config": {}}, "agent_config.api", "which `type` api needs"),
        ({"type": "api", "agent_config": SCRIPT["agent_config"]}, "agent_config.api", "is missing"),
        (
            {"type": "script", "agent_config": {"script": {"command": "x"}, "api": {"url": "http://a/"}}},
            "agent_config.api",
            "not for `type` script",
        ),
        ({"type": "agent", "agent_config": {"agent": {"promt": "x"}}}, "agent_config.agent.promt", "did you mean `prompt`"),
        ({"type": "workflow", "agent_config": {"workflow": {}}}, "agent_config.workflow.id", "is missing"),
    ],
)
def test_what_is_missing_is_said(fields: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(ValidationFailed) as error:
        schedule(**fields)
    assert error.value.details["field"] == field
    assert said in error.value.message


def test_a_time_is_needed_for_a_schedule_and_a_workflow() -> None:
    with pytest.raises(ValidationFailed, match="cron_expression"):
        agentjobs.schedule_of(body(**SCRIPT), "/default")
    with pytest.raises(ValidationFailed, match="workflows/"):
        agentjobs.task_of(body(type="workflow", agent_config={"workflow": {"id": "wf_1"}}), "/default")
