"""The pages of workflows and runs: begun by a form, watched as they go on."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.sites import Site
from tests.browser.tabs import Browse, Tab
from worker_client.contract.reports import TaskError
from worker_client.contract.workflows import Step


@pytest.fixture
def workflow(site: Site, request: pytest.FixtureRequest) -> Any:
    path = "/of/" + request.node.name.partition("[")[0]
    tasks = [
        Step(id=name, depends_on=after, task={"work_directory": path, "prompt": "Do it"})
        for name, after in (("plan", []), ("build", ["plan"]), ("check", ["plan"]), ("end", ["build", "check"]))
    ]
    return site.client.create_workflow(name=path, steps=tasks, input={"what": "roof"})


def test_a_run_is_begun_and_watched_to_its_end(site: Site, tab: Tab, workflow: Any) -> None:
    tab.open(f"/workflows/{workflow.id}")
    tab.page.locator("#run-now summary").click()
    tab.page.get_by_role("textbox", name="what", exact=True).fill("wall")
    tab.accessible()
    with tab.page.expect_navigation(url="**/runs/*"):
        tab.page.get_by_role("button", name="Run", exact=True).click()
    expect(tab.page.locator("#live")).to_have_attribute("data-state", "on")
    tab.marked()
    for done in range(1, 5):
        task = site.client.claim(work_path=[workflow.name], worker_id="w", wait=20)
        assert task is not None
        site.client.complete(task.id, lease=task.lease, result={"of": task.step_id})
        expect(tab.page.get_by_text(f"{done} of 4 done")).to_be_visible()
    expect(tab.page.locator(".node.completed")).to_have_count(4)
    assert tab.same()
    tab.accessible()
    tab.light()
    tab.page.get_by_role("heading", level=1).get_by_role("link").click()
    expect(tab.page.locator(".grid td.completed")).to_have_count(4)
    tab.accessible()


def test_a_run_that_failed_is_taken_up_again(site: Site, tab: Tab, workflow: Any) -> None:
    run = site.client.execute_workflow(workflow.id)
    task = site.client.claim(work_path=[workflow.name], worker_id="w", wait=20)
    assert task is not None
    site.client.fail(task.id, lease=task.lease, error=TaskError(message="no nails"), retryable=False)
    tab.open(f"/runs/{run.id}")
    tab.page.get_by_role("button", name="Resume").click()
    expect(tab.page.get_by_role("button", name="Cancel")).to_be_visible()
    tab.page.get_by_role("button", name="Cancel").click()
    tab.page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(tab.page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_graph_of_hundreds_of_steps_scrolls_in_its_box(site: Site, browse: Browse) -> None:
    tasks = [
        Step(id=f"s{one}", depends_on=[f"s{one // 2}"] if one else [], task={"work_directory": "/w", "prompt": "p"})
        for one in range(200)
    ]
    workflow = site.client.create_workflow(name="wide", steps=tasks)
    tab = browse(site.url, phone=True)
    tab.open(f"/workflows/{workflow.id}")
    expect(tab.page.locator(".node")).to_have_count(200)
    tab.fits()
    tab.accessible()
