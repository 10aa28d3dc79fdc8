"""The pages of workflows and runs, as a client without a browser sees them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http.conftest import Running
from tests.http.looking import HOSTILE, HTML, harmless, page, panel, text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.address, headers=HTML) as client:
        yield client


def step(name: str, directory: str, *after: str, **facts: Any) -> dict[str, Any]:
    return {"id": name, "depends_on": list(after), "task": {"work_directory": directory, "prompt": name}, **facts}


async def made(server: Running, directory: str, **facts: Any) -> Any:
    steps = [
        step("plan", directory),
        step("build", directory, "plan", for_each=["one", "two"]),
        step("test", directory, "plan"),
        step("end", directory, "build", "test"),
    ]
    return await server.post("/workflows", {"name": directory[-60:], "steps": steps, **facts})


async def worked(server: Running, directory: str, fail: str | None = None) -> None:
    """All that there is to do, done."""
    while task := await server.claim(directory, wait=1):
        if task["step_id"] == fail:
            body = {"lease": task["lease"], "error": {"message": "broken"}, "retryable": False}
            await server.post(f"/tasks/{task['id']}/fail", body)
        else:
            await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "result": {"of": task["step_id"]}})
        if (await server.get(f"/runs/{task['run_id']}"))["status"] != "running":
            return


async def test_a_workflow_is_run_and_its_runs_are_a_grid(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    known = {"name": "roof", "floors": 2, "paint": True, "parts": ["a"], "note": ""}
    workflow = await made(server, directory, input=known, description="Mends a house")
    empty = text(await page(browser, f"/workflows/{workflow['id']}"))
    assert "No runs" in empty
    sent = {
        "workflow_id": workflow["id"], "field": list(known), "input.name": "wall", "input.floors": "3",
        "input.parts": '["b", "c"]', "input.note": "", "more": '{"extra": {"x": 1}}',
    }  # fmt: skip
    begun = await browser.post("/do/execute_workflow", data=sent)
    assert begun.status_code == 303, begun.text
    run_id = int(begun.headers["location"].rpartition("/")[2])
    run = await server.get(f"/runs/{run_id}")
    assert run["input"] == {"name": "wall", "floors": 3, "paint": False, "parts": ["b", "c"], "note": "", "extra": {"x": 1}}
    await worked(server, directory)
    failed = await server.post(f"/workflows/{workflow['id']}/execute", {"input": {}})
    await worked(server, directory, fail="test")
    shown = await page(browser, f"/workflows/{workflow['id']}")
    grid = panel(shown, "workflow-grid")
    assert grid.index(f"/runs/{run_id}") < grid.index(f"/runs/{failed['id']}")
    rows = {
        row.partition("</th>")[0]: row.count('class="completed">✓') for row in grid.split('<th scope="row" class="foreign">')[1:]
    }
    assert rows["plan"] == rows["build"] == 2
    assert rows["test"] == 1
    assert grid.count('<td class="failed">✗') == 1
    assert panel(shown, "workflow-graph").count("<rect") == 4
    listed = panel(await page(browser, "/workflows", q=directory[-60:]), "workflows-list")
    strip = listed.partition('class="strip"')[2].partition("</td>")[0]
    assert strip.index("✓") < strip.index("✗")
    assert "Mends a house" in listed


async def test_a_run_shows_its_steps_and_what_they_made(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    workflow = await made(server, directory)
    run = await server.post(f"/workflows/{workflow['id']}/execute", {"input": {"a": 1}})
    begun = await page(browser, f"/runs/{run['id']}")
    assert 'action="/do/cancel_run"' in begun
    assert "0 of 4 done" in text(begun)
    await worked(server, directory, fail="test")
    shown = await page(browser, f"/runs/{run['id']}")
    steps = text(panel(shown, "run-steps"))
    assert '{"of":"plan"}' in steps
    assert "2 of 2 done" in steps
    assert panel(shown, "run-graph").count('class="node completed"') == 2
    assert panel(shown, "run-graph").count('class="node failed"') == 1
    assert 'action="/do/resume_run"' in shown
    assert (await browser.post("/do/resume_run", data={"run_id": run["id"]})).status_code == 303
    await worked(server, directory)
    assert "4 of 4 done" in text(await page(browser, f"/runs/{run['id']}"))
    assert (await browser.post("/do/delete_workflow", data={"workflow_id": workflow["id"]})).headers["location"] == "/workflows"
    assert "4 of 4 done" in text(await page(browser, f"/runs/{run['id']}"))
    assert (await browser.get(f"/workflows/{workflow['id']}")).status_code == 404


async def test_actions_of_workflows_and_runs(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    workflow = await made(server, directory, triggers=[{"type": "manual"}])
    own = {"workflow_id": workflow["id"]}
    assert (await browser.post("/do/deploy_workflow", data=own)).status_code == 303
    assert "version 1 deployed" in text(await page(browser, f"/workflows/{workflow['id']}"))
    assert (await browser.post("/do/undeploy_workflow", data=own)).status_code == 303
    one, two = [await server.post(f"/workflows/{workflow['id']}/execute", {"input": {}}) for _ in range(2)]
    assert (await browser.post("/do/cancel_run", data={"run_id": one["id"], "reason": "no"})).status_code == 303
    assert (await browser.post("/do/stop_workflow", data=own)).status_code == 303
    assert [(await server.get(f"/runs/{run['id']}"))["status"] for run in (one, two)] == ["cancelled"] * 2
    for wrong in ({"more": "{"}, {"more": "[]"}):
        assert (await browser.post("/do/execute_workflow", data={**own, **wrong})).status_code == 400
    assert (await browser.post("/do/execute_workflow", data={"workflow_id": "no-such"})).status_code == 404


async def test_hostile_texts_are_texts(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    steps = [step("one", directory), step("two", directory, "one", when="input.go")]
    steps[0]["task"]["prompt"] = "{% raw %}" + HOSTILE + "{% endraw %}"
    facts = {"description": HOSTILE, "input": {HOSTILE: HOSTILE, "go": True, "deep": {HOSTILE: [HOSTILE]}}}
    workflow = await server.post("/workflows", {"name": HOSTILE[:200], "steps": steps, **facts})
    run = await server.post(f"/workflows/{workflow['id']}/execute", {"input": {}})
    task = await server.claim(directory)
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "result": HOSTILE * 40})
    await server.post(f"/runs/{run['id']}/cancel", {"reason": HOSTILE})
    for path in ("/workflows", f"/workflows/{workflow['id']}", f"/runs/{run['id']}"):
        harmless(await page(browser, path))


async def test_a_workflow_of_hundreds_of_steps_is_still_a_page(
    server: Running, browser: httpx.AsyncClient, directory: str
) -> None:
    steps = [step(f"s{one}", directory, *([f"s{one - 7}"] if one >= 7 else [])) for one in range(400)]
    workflow = await server.post("/workflows", {"name": "wide", "steps": steps})
    run = await server.post(f"/workflows/{workflow['id']}/execute", {"input": {}})
    for path in (f"/workflows/{workflow['id']}", f"/runs/{run['id']}"):
        assert "200 more steps" in text(shown := await page(browser, path))
        assert len(shown) < 200_000
    await server.post(f"/runs/{run['id']}/cancel")


@pytest.mark.parametrize("path", ["/runs/x", "/runs/0", f"/runs/{2**62}", "/workflows/no-such", "/workflows/%2e%2e"])
async def test_what_is_not_there_is_not_found(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(path)).status_code == 404
