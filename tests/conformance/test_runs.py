"""Runs of workflows, on every kind of store."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.domain import flow_operations as flow
from orchestrator.domain import operations as ops
from orchestrator.domain.principal import OPEN, PathScope, Pattern
from tests.flows import Flows, step
from tests.reading import read
from tests.rig import Rig
from worker_client.contract.workflows import CreateWorkflow
from worker_client.errors import Conflict, NotFound


@pytest.fixture
def flows(rig: Rig) -> Flows:
    return Flows(rig)


def test_steps_run_in_their_order_and_hand_their_results_on(flows: Flows) -> None:
    run_id = flows.run(
        step("plan", prompt="plan {{ input.what }} in run {{ run.id }} of {{ run.workflow_name }}"),
        step("build", "plan", prompt="build {{ steps.plan.result.parts | join(', ') }}"),
        step("note", "plan", prompt="{{ steps.plan.status }}: {{ steps.plan.result.parts[0] }}"),
        step("end", "build", "note", prompt="end with {{ steps.build.result }} {{ steps.note.result is none }}"),
        input={"what": "a house"},
    )
    assert flows.steps(run_id) == {"plan": "running"}
    results: dict[str, Any] = {"plan": {"parts": ["roof", "wall"]}, "build": 7}
    assert flows.work(lambda step_id, _: results.get(step_id)) == 4
    assert flows.prompts(run_id) == {
        "plan": [f"plan a house in run {run_id} of w"],
        "build": ["build roof, wall"],
        "note": ["completed: roof"],
        "end": ["end with 7 true"],
    }
    assert flows.status(run_id) == ("completed", None)
    assert set(flows.steps(run_id).values()) == {"completed"}


def test_the_example_of_the_page_runs(flows: Flows) -> None:
    page = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")
    example = json.loads(page.partition("```json")[2].partition("```")[0])
    body = msgspec.convert(example, CreateWorkflow)
    forgetful = flows.run(*example["steps"])
    assert flows.steps(forgetful) == {"build": "failed", "find": "cancelled", "write": "cancelled", "report": "running"}
    assert flows.reason(forgetful, "build").startswith("`task.spec.command` uses 'branch' of `input`")
    flows.rig.do(flow.CancelRun(run_id=forgetful))
    again = flows.begin(flows.save(*example["steps"], name="again", input=body.input, timeout_seconds=body.timeout_seconds))
    flows.work(lambda step_id, _: {"json": {"modules": ["cart", "till"]}} if step_id == "find" else step_id, at="/srv/shop")
    assert flows.prompts(again)["write"] == ["Write tests for cart", "Write tests for till"]
    assert flows.prompts(again)["report"] == ['completed: ["write","write"]']
    assert flows.status(again) == ("completed", None)


def test_a_step_fans_out_over_a_list_and_another_gathers(flows: Flows) -> None:
    run_id = flows.run(
        step("list"),
        step("each", "list", for_each="{{ steps.list.result }}", prompt="{{ index }}: {{ item.name }}"),
        step("all", "each", prompt="{{ steps.each.results | join('+') }} {{ steps.each.result == steps.each.results }}"),
        step("none", for_each=[], prompt="{{ item }}"),
        step("after", "none", prompt="{{ steps.none.results }}"),
    )
    flows.work(lambda step_id, prompt: [{"name": "x"}, {"name": "y"}] if step_id == "list" else prompt[:1])
    prompts = flows.prompts(run_id)
    assert prompts["each"] == ["0: x", "1: y"]
    assert prompts["all"] == ["0+1 true"]
    assert prompts["after"] == ["[]"]
    assert flows.status(run_id) == ("completed", None)
    assert (flows.steps(run_id)["none"], flows.reason(run_id, "none")) == ("completed", "`for_each` has no items")


def test_what_is_too_much_for_a_fan_out_fails_the_step_with_words(flows: Flows) -> None:
    run_id = flows.run(
        step("many", for_each="{{ input.many }}"),
        step("text", for_each="{{ input.text }}x"),
        input={"many": [0] * 1001, "text": "x"},
    )
    assert flows.status(run_id) == ("failed", "steps many, text failed")
    assert flows.reason(run_id, "many").startswith("`for_each` comes to 1,001 items, more than 1,000")
    assert flows.reason(run_id, "text") == "`for_each` comes to the text 'xx': have it come to a list"


def test_conditions_and_failures_decide_what_runs(flows: Flows) -> None:
    run_id = flows.run(
        step("a", when="input.go"),
        step("b", "a"),
        step("breaks", "b"),
        step("never", "breaks"),
        step("mend", "breaks", run_if="failure", prompt="{{ steps.breaks.status }}: {{ steps.breaks.reason }}"),
        step("tidy", "never", run_if="always"),
        input={"go": False},
    )
    flows.work(lambda step_id, _: ValueError() if step_id == "breaks" else None)
    task_id = flows.tasks(run_id, "breaks")[0]
    assert flows.steps(run_id) == {
        "a": "skipped", "b": "completed", "breaks": "failed", "never": "cancelled", "mend": "completed", "tidy": "completed",
    }  # fmt: skip
    assert flows.prompts(run_id)["mend"] == [f"failed: task: {task_id} failed"]
    assert flows.status(run_id) == ("failed", "step breaks failed")
    assert flows.reason(run_id, "never") == "step breaks failed"


def test_a_template_that_fails_fails_its_step_alone(flows: Flows) -> None:
    run_id = flows.run(step("a", prompt="{{ input.missing.part }}"), step("b"), step("c", task={"priority": "{{ input.p }}"}))
    assert flows.steps(run_id) == {"a": "failed", "b": "running", "c": "failed"}
    assert "missing" in flows.reason(run_id, "a")
    flows.work()
    assert flows.status(run_id) == ("failed", "steps a, c failed")


def test_a_fan_out_goes_on_after_a_failure_then_its_step_fails(flows: Flows) -> None:
    run_id = flows.run(step("each", for_each=[1, 2, 3], prompt="{{ item }}"))
    assert flows.work(lambda _, prompt: ValueError() if prompt == "1" else None, limit=1) == 3
    ids = flows.tasks(run_id, "each")
    assert flows.reason(run_id, "each") == f"tasks of 3: {ids[0]} failed"


def test_retries_and_time_limits_of_a_step_are_those_of_its_tasks(flows: Flows) -> None:
    run_id = flows.run(step("a", retry={"max_attempts": 7, "backoff": {"base_seconds": 9}}, timeout_seconds=77))
    head = flows.rig.head(flows.tasks(run_id, "a")[0])
    assert (head.max_attempts, head.timeout_ms, json.loads(head.backoff or "")["base_seconds"]) == (7, 77_000, 9)
    assert (head.run_id, head.step_id, head.source, head.workflow_id) == (run_id, "a", "workflow", head.workflow_id)


def test_cancelling_ends_a_run_and_what_it_has_under_way(flows: Flows) -> None:
    rig = flows.rig
    run_id = flows.run(step("a"), step("b"), step("c", "a"))
    grant = rig.take("/a")
    rig.do(flow.CancelRun(run_id=run_id, reason="enough"))
    flows.follow()
    assert flows.status(run_id) == ("cancelled", "enough")
    assert flows.steps(run_id) == {"a": "cancelled", "b": "cancelled"}
    assert rig.head(grant.task_id).cancel_requested_at is not None
    with pytest.raises(Conflict, match="has ended, cancelled"):
        rig.do(flow.CancelRun(run_id=run_id))
    with pytest.raises(Conflict, match=f"have not stopped yet: {grant.task_id};"):
        rig.do(flow.ResumeRun(run_id=run_id))
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease, result='"done"'))
    flows.follow()
    assert flows.status(run_id)[0] == "cancelled"
    flows.resume(run_id)
    flows.work()
    assert flows.status(run_id) == ("completed", None)
    assert rig.head(grant.task_id).attempt == 1


def attempts(flows: Flows, run_id: int) -> dict[str, list[int]]:
    """By step, how many leases each of its tasks has had, also of those that were replaced."""
    found: dict[str, list[int]] = {}
    for step_id, leases in flows.rig.fetch("SELECT step_id, lease_no FROM tasks WHERE run_id = ? ORDER BY id", [run_id]):
        found.setdefault(step_id, []).append(leases)
    return found


def test_resuming_runs_only_what_must(flows: Flows) -> None:
    run_id = flows.run(
        step("a"),
        step("each", "a", for_each=[1, 2, 3], prompt="{{ item }}"),
        step("sum", "each", prompt="{{ steps.each.results }}"),
        step("side", "a"),
        step("told", "sum", run_if="always", prompt="{{ steps.sum.status }}"),
        step("broken", prompt="{{ input.x }}"),
    )
    flows.work(lambda _, prompt: ValueError() if prompt == "2" else prompt)
    assert flows.status(run_id) == ("failed", "steps each, broken failed")
    assert attempts(flows, run_id) == {"a": [1], "each": [1, 1, 1], "side": [1], "told": [1]}
    flows.resume(run_id)
    flows.work(lambda _, prompt: prompt)
    assert attempts(flows, run_id) == {"a": [1], "each": [1, 2, 1], "side": [1], "told": [1, 1], "sum": [1]}
    assert flows.prompts(run_id)["sum"] == ['["1","2","3"]']
    assert flows.prompts(run_id)["told"] == ["cancelled", "completed"]
    assert flows.status(run_id) == ("failed", "step broken failed")
    flows.resume(run_id)
    flows.work()
    assert attempts(flows, run_id)["told"] == [1, 1]


def test_a_run_that_does_not_want_it_is_not_resumed(flows: Flows) -> None:
    run_id = flows.run(step("a"))
    with pytest.raises(Conflict, match="is running, not failed or cancelled: it goes on"):
        flows.resume(run_id)
    flows.work()
    with pytest.raises(Conflict, match="is completed, not failed or cancelled: execute the workflow again"):
        flows.rig.do(flow.ResumeRun(run_id=run_id))
    with pytest.raises(NotFound, match="there is no run 77"):
        flows.rig.do(flow.ResumeRun(run_id=77))


def test_a_task_that_is_retried_by_hand_takes_its_run_up_again(flows: Flows) -> None:
    run_id = flows.run(step("a"), step("b", "a"), step("c", "b", run_if="always"))
    flows.work(lambda step_id, _: ValueError() if step_id == "a" else None)
    assert flows.status(run_id) == ("failed", "step a failed")
    flows.rig.do(ops.Retry(task_id=flows.tasks(run_id, "a")[0]))
    flows.follow()
    assert flows.status(run_id) == ("running", None)
    assert flows.steps(run_id) == {"a": "running", "b": "pending", "c": "pending"}
    flows.work()
    assert flows.status(run_id) == ("completed", None)
    assert attempts(flows, run_id) == {"a": [2], "b": [1], "c": [1, 1]}


def test_a_task_that_is_deleted_counts_as_cancelled_and_resuming_makes_it_anew(flows: Flows) -> None:
    run_id = flows.run(step("a"), step("b", "a"))
    (task_id,) = flows.tasks(run_id, "a")
    flows.rig.do(ops.Delete(task_id=task_id))
    flows.follow()
    assert flows.status(run_id) == ("failed", "step a failed")
    assert flows.reason(run_id, "a") == f"task: {task_id} deleted"
    flows.resume(run_id)
    flows.work()
    assert flows.status(run_id) == ("completed", None)


def test_a_run_has_its_time(flows: Flows) -> None:
    run_id = flows.run(step("a"), step("b"), timeout_seconds=60)
    grant = flows.rig.take("/a", lease_ms=100_000)
    assert flows.rig.tick().next_due == flows.rig.time.at + 60_000
    flows.rig.pass_(60_000)
    flows.follow()
    assert flows.status(run_id) == ("failed", "its time limit is over")
    assert set(flows.steps(run_id).values()) == {"cancelled"}
    assert flows.rig.head(grant.task_id).cancel_requested_at is not None
    flows.rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    flows.resume(run_id)
    flows.work()
    assert flows.status(run_id) == ("completed", None)


def test_a_run_keeps_the_version_that_it_began_with(flows: Flows) -> None:
    workflow_id = flows.save(step("a"), step("b", "a", prompt="old"))
    run_id = flows.begin(workflow_id)
    found = json.dumps({"steps": [step("b", prompt="new")]})
    flows.rig.do(flow.SaveWorkflow(workflow_id=workflow_id, base=1, name="w", definition=found))
    flows.work()
    assert flows.prompts(run_id)["b"] == ["old"]
    assert flows.prompts(flows.begin(workflow_id)) == {"b": ["new"]}
    assert flows.prompts(flows.begin(workflow_id, number=1)) == {"a": ["work"]}
    with pytest.raises(NotFound, match="has no version 3: its latest is 2"):
        flows.begin(workflow_id, number=3)


def test_results_that_are_too_large_for_templates_are_named(flows: Flows) -> None:
    run_id = flows.run(step("a"), step("small", "a"), step("b", "a", prompt="{{ steps.a.result | length }}"))
    flows.work(lambda _, __: "x" * 4_000_001)
    assert flows.steps(run_id) == {"a": "completed", "small": "completed", "b": "failed"}
    assert flows.reason(run_id, "b").startswith(
        "the results of step a have 4,000,003 characters, and templates are given 4,000,000"
    )


def test_following_twice_changes_nothing_and_little_room_is_enough(flows: Flows) -> None:
    rig = flows.rig
    ids = [
        flows.begin(flows.save(step("each", for_each=list(range(5))), step("b"), name=f"w{n}"), follow=False) for n in range(3)
    ]
    flows.follow(tasks=3, limit=2)
    assert rig.fetch("SELECT count(*) FROM tasks") == [(18,)]
    before = rig.dump()
    rig.do(flow.Follow(), by=OPEN)
    assert rig.dump() == before
    flows.work()
    assert [flows.status(run_id)[0] for run_id in ids] == ["completed"] * 3


def test_stopping_a_workflow_and_deleting_it(flows: Flows) -> None:
    workflow_id = flows.save(step("a"))
    runs = [flows.begin(workflow_id) for _ in range(3)]
    with pytest.raises(
        Conflict, match=f"for one in run {runs[0]}: wait for its end, or POST /workflows/{workflow_id}/stop first"
    ):
        flows.rig.do(flow.DeleteWorkflow(workflow_id=workflow_id))
    assert flows.rig.do(flow.StopRuns(workflow_id=workflow_id, limit=2)).count == 2  # type: ignore[attr-defined]
    assert flows.rig.do(flow.StopRuns(workflow_id=workflow_id)).count == 1  # type: ignore[attr-defined]
    flows.rig.do(flow.DeleteWorkflow(workflow_id=workflow_id))
    flows.follow()
    assert [flows.status(run_id)[0] for run_id in runs] == ["cancelled"] * 3
    with pytest.raises(Conflict, match="has been deleted, so that run"):
        flows.rig.do(flow.ResumeRun(run_id=runs[0]))


def test_a_name_is_taken_once_and_a_change_meets_the_version_that_it_was_made_from(flows: Flows) -> None:
    workflow_id = flows.save(step("a"), name="one")
    with pytest.raises(Conflict, match=f"there is a workflow named 'one' already, {workflow_id}"):
        flows.save(step("a"), name="one")
    with pytest.raises(Conflict, match="is at version 1, not 2"):
        flows.rig.do(flow.SaveWorkflow(workflow_id=workflow_id, base=2, name="one", definition="{}"))


def test_lists_of_workflows_know_their_last_runs(flows: Flows) -> None:
    one, other = flows.save(step("a"), name="one"), flows.save(step("a"), name="other")
    begun = [flows.begin(one) for _ in range(4)]
    alone = flows.begin(other)
    reads = flows.rig.store.reads
    found = read(flows.rig, reads.last_runs([one, other, "no-such"], 3, OPEN.paths))
    assert {key: [run.id for run in runs] for key, runs in found.items()} == {one: begun[:0:-1], other: [alone]}
    assert found[other][0].status == "running"
    assert read(flows.rig, reads.last_runs([one] + ["no-such"] * 120, 3, PathScope((Pattern("/b", below=True),)))) == {}
