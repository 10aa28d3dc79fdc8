"""The page Now, with something on it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
HOSTILE = "</p><script>alert(1)</script>\u202e\x1b[31mred\x1b[0m"


@pytest.fixture
async def running(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("now") / "tasks.db") as running:
        yield running


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.address, headers=HTML) as client:
        yield client


async def panel(browser: httpx.AsyncClient, name: str) -> str:
    """The text of a panel: no tags, single spaces."""
    page = await browser.get("/", params={"panel": f"now-{name}"})
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


async def begun(running: Running, directory: str, **facts: Any) -> Any:
    await running.task(directory, **facts)
    return await running.claim(directory)


async def parked(running: Running, directory: str, **facts: Any) -> Any:
    task = await begun(running, directory)
    await running.post(f"/tasks/{task['id']}/park", {"lease": task["lease"], "reason": "question", **facts})
    return task


async def test_an_empty_server_says_what_to_do(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/")).text
    assert "Nothing runs" in page
    assert "Nothing waits" in page
    assert "Nothing has failed" in page
    assert 'id="panel-now-needs"' in page
    assert "Approve" not in page


async def test_what_runs_tells_how_far_it_is_and_what_it_said_last(running: Running, browser: httpx.AsyncClient) -> None:
    task = await begun(running, "/runs", title="Paint it", priority="urgent")
    lease = {"lease": task["lease"]}
    told = {"progress": {"percent": 40, "message": "second coat"}, "usage": {"cost_usd": 1.25}}
    await running.post(f"/tasks/{task['id']}/heartbeat", {**lease, **told})
    await running.post(f"/tasks/{task['id']}/logs", {**lease, "lines": ["mixing", HOSTILE, ""]})
    told_now = await panel(browser, "running")
    for words in ("Paint it", "urgent", "40 %", "second coat", "alert(1)", "/runs", "tester", "$1.25", "Cancel"):
        assert words in told_now
    raw = (await browser.get("/")).text
    assert "<script>alert" not in raw
    assert "\x1b" not in raw
    await browser.post("/do/cancel", data={"task_id": task["id"], "back": "/"})
    assert "asked to stop" in await panel(browser, "running")


async def test_output_of_an_earlier_attempt_is_not_the_last_of_this_one(running: Running, browser: httpx.AsyncClient) -> None:
    task = await begun(running, "/again", backoff={"base_seconds": 0, "jitter": 0})
    await running.post(f"/tasks/{task['id']}/logs", {"lease": task["lease"], "lines": ["what the first said"]})
    await running.post(f"/tasks/{task['id']}/fail", {"lease": task["lease"]})
    again = await running.get("/tasks/next", work_path="/again", worker_id="tester", wait=10)
    assert again["id"] == task["id"]
    told = await panel(browser, "running")
    assert "attempt 2" in told
    assert "what the first said" not in told


async def test_a_question_is_answered_on_the_page(running: Running, browser: httpx.AsyncClient) -> None:
    task = await parked(running, "/asks", question="Red or <b>blue</b>?", options=["red", "blue"])
    told = await panel(browser, "needs")
    assert "Red or &lt;b&gt;blue&lt;/b&gt;?" in told
    page = (await browser.get("/", params={"panel": "now-needs"})).text
    assert page.count('name="answer" value="red"') == 1
    await browser.post("/do/answer", data={"task_id": task["id"], "answer": "blue", "back": "/"})
    assert (await running.get(f"/tasks/{task['id']}"))["answer"] == "blue"
    assert "Red or" not in await panel(browser, "needs")


async def test_an_approval_is_given_or_refused_on_the_page(running: Running, browser: httpx.AsyncClient) -> None:
    one, other = [await running.task("/approve", requires_approval=True, description=f"reason {n}") for n in range(2)]
    assert "reason 0" in await panel(browser, "needs")
    await browser.post("/do/approve", data={"task_id": one["id"]})
    await browser.post("/do/reject", data={"task_id": other["id"], "reason": "too dear"})
    assert (await running.get(f"/tasks/{one['id']}"))["status"] == "waiting"
    assert (await running.get(f"/tasks/{other['id']}"))["reason"] == "too dear"
    assert "Approve" not in await panel(browser, "needs")


async def test_a_budget_that_is_used_up_is_given_again(running: Running, browser: httpx.AsyncClient) -> None:
    task = await begun(running, "/dear", spec={"budget": {"cost_usd": 1}})
    park = {"lease": task["lease"], "reason": "budget", "usage": {"cost_usd": 1.5}}
    await running.post(f"/tasks/{task['id']}/park", park)
    told = await panel(browser, "needs")
    assert "Its budget is used up. It has cost $1.50." in told
    assert "Give as much again" in told
    await browser.post("/do/approve", data={"task_id": task["id"]})
    assert (await running.get(f"/tasks/{task['id']}"))["status"] == "waiting"


async def test_directories_that_do_not_move_say_why(running: Running, browser: httpx.AsyncClient) -> None:
    await running.client.put("/directories", json={"work_directory": "/still", "paused": True, "reason": "release"})
    await running.task("/still", title="Stands still")
    await begun(running, "/goes")
    await running.task("/goes")
    told = await panel(browser, "waiting")
    assert "Paused at /still: release." in told
    assert "Next: Stands still" in told
    assert "1 running 1 waiting" in told
    found = await running.get("/directories/waiting")
    assert [(row["work_directory"], row["why"] is None) for row in found["items"]] == [("/still", False), ("/goes", True)]
    why = await running.get(f"/tasks/{found['items'][0]['next']['id']}/why")
    assert found["items"][0]["why"] == why
    page = await running.get("/directories/waiting", limit=1)
    assert [row["work_directory"] for row in page["items"]] == ["/still"]
    rest = await running.get("/directories/waiting", limit=1, cursor=page["next_cursor"])
    assert ([row["work_directory"] for row in rest["items"]], rest["next_cursor"]) == (["/goes"], None)


async def test_what_failed_last_comes_first_and_is_retried(running: Running, browser: httpx.AsyncClient) -> None:
    old = await begun(running, "/old", title="Began first", max_attempts=1)
    new = await begun(running, "/new", title="Began later", max_attempts=1)
    for task, said in ((new, "first to fail"), (old, "last to fail")):
        error = {"type": "Broken", "message": said}
        await running.post(f"/tasks/{task['id']}/fail", {"lease": task["lease"], "error": error})
    told = await panel(browser, "failed")
    assert told.index("last to fail") < told.index("first to fail")
    assert "Broken" in told
    await browser.post("/do/retry", data={"task_id": old["id"]})
    assert "last to fail" not in await panel(browser, "failed")


async def test_figures_and_charts_count(running: Running, browser: httpx.AsyncClient) -> None:
    for _ in range(3):
        task = await begun(running, "/counted")
        await running.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "usage": {"cost_usd": 0.5}})
    await running.task("/counted", delay_seconds=3600)
    told = await panel(browser, "figures")
    assert "Completed 3 last hour" in told
    assert "Cost today $1.50" in told
    assert "Waiting 0 1 more later" in told
    page = (await browser.get("/", params={"panel": "now-charts"})).text
    assert 'aria-label="In the last hour 3 tasks were completed and 0 failed."' in page
    assert page.count("<g>") == 60 + 24


async def test_it_offers_what_a_key_may_do(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    async with serving(tmp_path_factory.mktemp("keys") / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as closed:
        keys = Keys(closed)
        await keys.ask("POST", "/tasks", json={"work_directory": "/mine/a", "prompt": "look", "requires_approval": True})
        offers = {}
        for scope in ("read", "submit", "admin"):
            key = await keys.make(scope, "read", scope, paths=["/mine/**"] if scope == "read" else None)
            async with httpx.AsyncClient(base_url=closed.address, headers=HTML | bearer(key)) as browser:
                page = (await browser.get("/")).text
                assert "look" in page
                offers[scope] = 'action="/do/approve"' in page
        assert offers == {"read": False, "submit": False, "admin": True}
