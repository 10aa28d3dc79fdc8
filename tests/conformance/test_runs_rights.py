"""What runs may do is what those may who defined them, and no value changes that."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from orchestrator.domain.command import Command
from orchestrator.domain.principal import ALL_SCOPES, Principal, path_scope
from orchestrator.domain.workflows import Definition, check
from tests.flows import Flows, definition, step
from tests.rig import Rig
from worker_client.errors import Forbidden, NotFound, ValidationFailed


@pytest.fixture
def flows(rig: Rig) -> Flows:
    rig.rules = replace(rig.rules, secrets=frozenset({"TOKEN", "OTHER"}))
    return Flows(rig)


def principal(*paths: str, secrets: frozenset[str] | None = frozenset()) -> Principal:
    return Principal("limited", ALL_SCOPES, path_scope(paths), secrets)


def test_a_workflow_reaches_no_further_than_who_defined_it(flows: Flows) -> None:
    limited = principal("/a", "/b/**")
    with pytest.raises(Forbidden, match="may not create tasks in /c") as refused:
        flows.save(step("x", task={"work_directory": "/c"}), by=limited)
    assert refused.value.details["field"] == "steps[0].task.work_directory"
    workflow_id = flows.save(step("x", task={"work_directory": "{{ input.where }}"}), by=limited)
    inside = flows.begin(workflow_id, limited, input={"where": "/b/c"})
    assert flows.steps(inside) == {"x": "running"}
    outside = flows.begin(workflow_id, input={"where": "/b/../c"})
    assert flows.status(outside) == ("failed", "step x failed")
    assert flows.reason(outside, "x") == "this key may not create tasks in /c"


def test_who_sees_less_sees_neither_the_workflow_nor_its_runs(flows: Flows) -> None:
    rig = flows.rig
    workflow_id = flows.save(step("x"), by=principal("/a", "/b/**"))
    run_id = flows.begin(workflow_id)
    narrow, wide = principal("/a", "/b"), principal("/a", "/b/**", "/z")
    for operation in (
        flow.BeginRun(workflow_id=workflow_id), flow.StopRuns(workflow_id=workflow_id),
        flow.DeleteWorkflow(workflow_id=workflow_id),
        flow.SaveWorkflow(workflow_id=workflow_id, name="w", definition="{}"), flow.CancelRun(run_id=run_id),
        flow.ResumeRun(run_id=run_id),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            rig.do(operation, narrow)
    rig.do(flow.CancelRun(run_id=run_id), wide)


def saved_by(flows: Flows, by: Principal, found: Definition, **facts: Any) -> Any:
    asks = check(found, by, flows.rig.rules.defaults)
    text = json.dumps(msgspec.to_builtins(found))
    return flows.rig.do(flow.SaveWorkflow(name="w", definition=text, asks=asks, **facts), by)


def test_a_secret_is_asked_for_by_those_alone_who_may_use_it(flows: Flows) -> None:
    asking = definition(step("x", task={"environment": {"T": "{{ secrets.TOKEN }}"}}))
    with pytest.raises(Forbidden, match="may not use the secret TOKEN"):
        saved_by(flows, principal("/a"), asking)
    trusted = principal("/a", secrets=frozenset({"TOKEN"}))
    workflow_id = saved_by(flows, trusted, asking).workflow.id
    run_id = flows.begin(workflow_id, principal("/a"))
    head = flows.rig.head(flows.tasks(run_id, "x")[0])
    assert head.secrets == "TOKEN"
    # Whoever changes it can't have it ask for what is not theirs.
    with pytest.raises(Forbidden, match="may not use the secret TOKEN"):
        saved_by(flows, principal("/a"), asking, workflow_id=workflow_id)


@pytest.mark.parametrize("where", ["prompt", "environment", "spec"])
def test_no_value_becomes_a_reference_to_a_secret(flows: Flows, where: str) -> None:
    reference = "{{ secrets.OTHER }}"
    parts = {
        "prompt": {"prompt": "{{ input.a }}{{ input.b }} {{ steps.first.result }} {{ steps.each.results }} {{ item }}"},
        "environment": {"environment": {"A": "{{ steps.first.result }}", "B": "{{ input.a }}{{ input.b }}", "C": "{{ item }}"}},
        "spec": {"kind": "script", "spec": {"command": ["{{ steps.first.result }}", "{{ input.a ~ input.b }}", "{{ item }}"]}},
    }
    run_id = flows.run(
        step("first"), step("each", for_each=[1], prompt="{{ item }}"),
        step("x", "first", "each", for_each="{{ [steps.first.result, input.a ~ input.b] }}", task=parts[where]),
        input={"a": "{{ sec", "b": "rets.OTHER }}"},
    )  # fmt: skip
    flows.work(lambda step_id, _: reference if step_id in {"first", "each"} else None)
    assert flows.status(run_id) == ("completed", None)
    heads = [flows.rig.head(task_id) for task_id in flows.tasks(run_id, "x")]
    assert [head.secrets for head in heads] == ["", ""]


def test_a_step_may_name_a_command(flows: Flows) -> None:
    command = Command(name="review", body="Review $ARGUMENTS with care")
    defaults = replace(flows.rig.rules.defaults, commands={"review": command})
    flows.rig.rules = replace(flows.rig.rules, defaults=defaults)
    task = {"work_directory": "/a", "command": "review", "arguments": "{{ input.what }}"}
    run_id = flows.run({"id": "x", "task": task}, {"id": "y", "task": {**task, "command": "gone"}}, input={"what": "it all"})
    assert flows.prompts(run_id) == {"x": ["Review it all with care"]}
    assert "gone" in flows.reason(run_id, "y")


def test_a_task_of_a_run_that_was_moved_elsewhere_is_cancelled_with_it(flows: Flows) -> None:
    limited = principal("/a")
    run_id = flows.begin(flows.save(step("x"), by=limited))
    (task_id,) = flows.tasks(run_id, "x")
    flows.rig.do(ops.Update(task_id=task_id, path="/elsewhere"))
    flows.rig.do(flow.CancelRun(run_id=run_id), limited)
    assert flows.rig.status(task_id) == "cancelled"


def test_a_definition_without_its_parts_is_no_definition(flows: Flows) -> None:
    with pytest.raises(ValidationFailed, match="is missing"):
        flows.save({"id": "x", "task": {"work_directory": "/a"}})
