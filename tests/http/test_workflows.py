"""Workflows and runs over HTTP."""

import asyncio
import itertools
from typing import Any

import pytest

from tests.http.conftest import Running

HERE = "/srv/flows"


def step(step_id: str, *before: str, **facts: Any) -> dict[str, Any]:
    task = {"work_directory": HERE, "prompt": f"do {step_id}", **facts.pop("task", {})}
    return {"id": step_id, "depends_on": list(before), "task": task, **facts}


NUMBERS = itertools.count(1)


async def saved(server: Running, *steps: dict[str, Any], **facts: Any) -> Any:
    return await server.post("/workflows", {"name": f"nightly {next(NUMBERS)}", "steps": list(steps), **facts})


async def do_next(server: Running, result: Any = None, *, wait: int = 20) -> Any:
    task = await server.claim(HERE, wait=wait)
    return await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "result": result})


async def test_a_workflow_is_saved_read_changed_and_deleted(server: Running) -> None:
    made = await saved(server, step("a"), step("b", "a"), input={"x": 1}, description="each night", timeout_seconds=60)
    assert made["id"].startswith("wf_")
    assert (made["version"], made["deployed_version"], made["steps"][1]["depends_on"]) == (1, None, ["a"])
    path = f"/workflows/{made['id']}"
    assert await server.get(path) == made
    changed = (await server.client.put(path, json={"steps": [step("c")], "version": 1})).json()["data"]
    assert (changed["version"], changed["description"], changed["input"]) == (2, "each night", {"x": 1})
    assert (await server.get(path, version=1))["steps"] == made["steps"]
    again = (await server.client.put(path, json={"name": "daily"})).json()["data"]
    assert (again["version"], again["name"]) == (2, "daily")
    error = await server.refused("PUT", path, 409, json={"name": "x", "version": 1})
    assert error["details"]["version"] == 2
    error = await server.refused("GET", path, 404, params={"version": 9})
    assert "has no version 9: its latest is 2" in error["message"]
    listed = await server.get("/workflows", q="dai")
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert (await server.get("/workflows", q="dai", deployed=True))["items"] == []
    assert (await server.client.delete(path)).status_code == 204
    await server.refused("GET", path, 404)


async def test_a_run_goes_its_way_and_can_be_waited_for(server: Running) -> None:
    made = await saved(
        server,
        step("list"),
        step("each", "list", for_each="{{ steps.list.result }}", task={"prompt": "on {{ item }}", "tags": ["{{ item }}"]}),
        step("sum", "each", task={"prompt": "{{ steps.each.results | join }} of {{ input.whom }}"}),
        input={"whom": "all"},
    )
    run = await server.post(f"/workflows/{made['id']}/execute", {"input": {"extra": 1}})
    assert (run["status"], run["version"], run["input"]) == ("running", 1, {"whom": "all", "extra": 1})
    assert set(run["steps"]) == {"list", "each", "sum"}
    waiting = asyncio.create_task(server.get(f"/runs/{run['id']}", wait=30))
    await do_next(server, ["x", "y"])
    assert [(await do_next(server, letter))["tags"] for letter in "pq"] == [["x"], ["y"]]
    last = await server.claim(HERE, wait=20)
    assert (last["prompt"], last["run_id"], last["workflow_id"]) == ("pq of all", run["id"], made["id"])
    await server.post(f"/tasks/{last['id']}/complete", {"lease": last["lease"], "result": {"n": 2}})
    ended = await waiting
    assert (ended["status"], ended["finished_at"] is not None) == ("completed", True)
    each = ended["steps"]["each"]
    assert (each["status"], each["result"], each["items"], each["done"], len(each["task_ids"])) == (
        "completed",
        ["p", "q"],
        2,
        2,
        2,
    )
    assert ended["steps"]["sum"]["result"] == {"n": 2}
    listed = await server.get("/runs", workflow_id=made["id"], status="completed")
    assert [(one["id"], one["steps"]["sum"]["result"]) for one in listed["items"]] == [(run["id"], None)]
    tasks = await server.get("/tasks", run_id=run["id"])
    assert tasks["total"] == 4
    assert (await server.get("/tasks", workflow_id=made["id"]))["total"] == 4
    metrics = await server.client.get(f"{server.address}/metrics")
    assert 'run_ended_total{status="completed"} 1.0' in metrics.text


async def test_a_run_is_cancelled_and_resumed_and_a_workflow_stopped(server: Running) -> None:
    made = await saved(server, step("a"), step("b", "a"))
    run = await server.post(f"/workflows/{made['id']}/execute")
    task = await server.claim(HERE, wait=20)
    cancelled = await server.post(f"/runs/{run['id']}/cancel", {"reason": "enough"})
    assert (cancelled["status"], cancelled["reason"], cancelled["steps"]["b"]["status"]) == ("cancelled", "enough", "cancelled")
    await server.refused("POST", f"/runs/{run['id']}/cancel", 409)
    error = await server.refused("POST", f"/runs/{run['id']}/resume", 409)
    assert "have not stopped yet" in error["message"]
    await server.post(f"/tasks/{task['id']}/release", {"lease": task["lease"]})
    resumed = await server.post(f"/runs/{run['id']}/resume")
    assert (resumed["status"], resumed["reason"]) == ("running", None)
    assert await server.post(f"/workflows/{made['id']}/stop") == {"count": 1}
    assert (await server.get(f"/runs/{run['id']}"))["status"] == "cancelled"
    await server.refused("GET", "/runs/99", 404)
    await server.refused("GET", "/runs/99", 404, params={"wait": 5})


@pytest.mark.parametrize(
    ("steps", "field", "words"),
    [
        ([step("a", "b"), step("b", "a")], "steps[0].depends_on", "a -> b -> a"),
        ([step("a", "x")], "steps[0].depends_on[0]", "depends on x, which is no step"),
        ([step("a", task={"prompt": "{{ steps.b.result }}"}), step("b")], "steps[0].task.prompt", "uses `steps"),
        ([step("a"), step("b", "a", task={"prompt": "{{ inputs.x }}"})], "steps[1].task.prompt", "did you mean `input`"),
        ([step("a", task={"prompt": "{{ item }}"})], "steps[0].task.prompt", "uses `item`"),
        ([step("a", when="input.x ==")], "steps[0].when", "is no template"),
        ([step("a", for_each="files")], "steps[0].for_each", "is a text"),
        ([step("a", task={"key": "k"})], "steps[0].task.key", "can't be set"),
        ([step("a", task={"depends_on": [1]})], "steps[0].task.depends_on", "can't be set"),
        ([step("a", task={"promt": "x"})], "steps[0].task.promt", "did you mean `prompt`"),
        ([step("a", task={"priority": "highest"})], "steps[0].task.priority", "expected one of"),
        (
            [step("a", task={"kind": "script", "spec": {"command": "{{ input.x }}", "comand": 1}})],
            "steps[0].task.spec.comand", "did you mean `command`",
        ),
        ([step("a", task={"kind": "script"})], "steps[0].task.spec.command", "missing"),
        ([{"id": "a", "task": {"prompt": "x"}}], "steps[0].task.work_directory", "missing"),
        ([{"id": "a", "task": {"work_directory": "relative", "prompt": "x"}}], "steps[0].task.work_directory", "relative"),
        ([step("a", task={"prompt": "{% for x in y %}{% endfor %}"})], "steps[0].task.prompt", "a loop"),
        ([step("a", task={"prompt": "{{ input.__class__ }}"})], "steps[0].task.prompt", "underscore"),
        ([step("a", task={"environment": {"T": "{{ secrets.NONE }}"}})], "steps", "there is no secret NONE"),
        ([step("a", task={"command": "../../x", "prompt": None})], "steps[0].task.command", "the name of a command"),
        ([step("a", task={"command": "review"})], "steps[0].task.command", "not both"),
        ([step("a", task={"command": 5})], "steps[0].task.command", "is 5"),
        ([step("1a")], "steps[0].id", "a letter or `_`"),
        ([], "steps", "expected"),
    ],
)  # fmt: skip
async def test_what_cannot_work_is_refused_and_nothing_stored(
    server: Running, steps: list[dict[str, Any]], field: str, words: str
) -> None:
    error = await server.refused("POST", "/workflows", 400, json={"name": "never", "steps": steps})
    assert (error["code"], error["details"]["field"]) == ("VALIDATION_ERROR", field)
    assert words in error["message"]
    assert (await server.get("/workflows", q="never"))["total"] == 0


async def test_what_only_values_tell_is_not_asked_when_it_is_saved(server: Running) -> None:
    task = {
        "work_directory": "/srv/{{ input.repository }}", "kind": "script", "priority": "{{ input.priority }}",
        "spec": {"command": "make {{ input.target }}"}, "exclusive": "{{ input.alone }}", "max_attempts": "{{ input.n }}",
    }  # fmt: skip
    made = await saved(server, {"id": "a", "task": task})
    values = {"repository": "x", "priority": "high", "target": "all", "alone": True, "n": 7}
    run = await server.post(f"/workflows/{made['id']}/execute", {"input": values})
    found = await server.claim("/srv/x", wait=20)
    assert (found["priority"], found["exclusive"], found["max_attempts"]) == ("high", True, 7)
    assert found["spec"]["command"] == "make all"
    await server.post(f"/runs/{run['id']}/cancel")
    bad = await server.post(f"/workflows/{made['id']}/execute", {"input": {**values, "priority": "none"}})
    ended = await server.get(f"/runs/{bad['id']}", wait=20)
    assert ended["steps"]["a"]["status"] == "failed"
    assert ended["steps"]["a"]["reason"].startswith('`task.priority` is "none": expected one of low')


async def test_results_beyond_what_an_answer_has_are_named(server: Running) -> None:
    made = await saved(server, step("a"), step("b"))
    run = await server.post(f"/workflows/{made['id']}/execute")
    for _ in range(2):
        await do_next(server, "x" * 2_500_000)
    ended = await server.get(f"/runs/{run['id']}", wait=20)
    parts = [(one["omitted"], one["result"] is None) for one in ended["steps"].values()]
    assert sorted(parts) == [(0, False), (2_500_002, True)]


async def test_triggers_are_changed_and_what_is_deployed_stays(server: Running) -> None:
    made = await saved(server, step("a"), triggers=[{"type": "manual"}])
    path = f"/workflows/{made['id']}"
    await server.post(f"/deployment{path}/deploy")
    changed = (await server.client.put(path, json={"triggers": [{"type": "manual", "confirm": True}]})).json()["data"]
    assert (changed["version"], changed["deployed_version"], changed["triggers"][0]["confirm"]) == (2, 1, True)
    same = (await server.client.put(path, json={"triggers": [{"type": "manual", "confirm": True}]})).json()["data"]
    assert same == changed
    error = await server.refused("DELETE", path, 409)
    assert f"DELETE /deployment/workflows/{made['id']}/undeploy first" in error["message"]
    assert [one["id"] for one in (await server.get("/workflows", deployed=True))["items"]] == [made["id"]]


async def test_a_body_whose_kind_the_values_tell_is_taken(server: Running) -> None:
    kinds = [
        {"kind": "{{ input.kind }}", "prompt": "x"},
        {"kind": "http", "spec": {"url": "{{ input.url }}"}},
        {"kind": "script", "spec": "{{ input.spec }}"},
        {"command": "made-later", "arguments": {"what": "{{ input.what }}"}, "prompt": None},
        {"command": "{{ input.which }}", "arguments": "all", "prompt": None},
    ]
    for task in kinds:
        await server.post("/workflows", {"name": f"k{next(NUMBERS)}", "steps": [step("a", task=task)]})
    error = await server.refused(
        "POST",
        "/workflows",
        400,
        json={"name": "n", "steps": [{"id": "a", "task": {"kind": "http", "spec": {"ur": "{{ input.u }}"}}}]},
    )
    assert error["details"]["field"] == "steps[0].task.spec.ur"
