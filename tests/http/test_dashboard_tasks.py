"""The pages Tasks and New task, as a client without a browser uses them."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from orchestrator.settings import CommandFiles
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
async def running(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("tasks")
    commands = folder / "commands"
    commands.mkdir()
    async with serving(folder / "tasks.db", commands=CommandFiles(directory=str(commands))) as running:
        yield running


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.address, headers=HTML) as client:
        yield client


def ids(page: httpx.Response) -> list[int]:
    return [int(found) for found in re.findall(r'id="task-(\d+)"', page.text)]


async def listed(browser: httpx.AsyncClient, **query: Any) -> list[int]:
    page = await browser.get("/tasks", params=query)
    assert page.status_code == 200
    return ids(page)


async def status(running: Running, task_id: int) -> str:
    found: str = (await running.get(f"/tasks/{task_id}"))["status"]
    return found


async def test_filters_stand_in_the_address(running: Running, browser: httpx.AsyncClient) -> None:
    one = (await running.task("/f/a", title="Mend the roof", tags=["x", "y"], priority="high"))["id"]
    two = (await running.task("/f/a/b", kind="script", spec={"command": "true"}))["id"]
    three = (await running.task("/f/c", requires_approval=True))["id"]
    assert await listed(browser, work_path="/f", recursive="true") == [three, two, one]
    assert await listed(browser, work_path="/f/a") == [one]
    assert await listed(browser, work_path="/f", recursive="true", tag="x") == [one]
    assert await listed(browser, work_path="/f", recursive="true", kind="script", priority="") == [two]
    assert await listed(browser, work_path="/f", recursive="true", priority="high", q="") == [one]
    assert await listed(browser, work_path="/f", recursive="true", needs_person="true") == [three]
    assert await listed(browser, work_path="/f", recursive="true", status=["parked", "failed"]) == [three]
    assert await listed(browser, work_path="/f", recursive="true", created_before="2020-01-01") == []
    assert await listed(browser, work_path="/f/c", created_after="2020-01-01", created_before="2100-01-01") == [three]
    page = await browser.get("/tasks", params={"work_path": "/f", "recursive": "true", "status": "waiting"})
    assert 'value="/f"' in page.text
    assert 'name="status" value="waiting"' in page.text
    assert re.search(r'aria-current="page">waiting', page.text)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"status": "sleeping"}, "expected one of waiting"),
        ({"created_after": "yesterday"}, "expected a day such as"),
        ({"created_before": "9999-12-31"}, "expected a day such as"),
        ({"created_after": "2020-01-01T00:00:00"}, "expected a day such as"),
        ({"schedule_id": "x"}, "schedule_id"),
        ({"work_path": "relative"}, "relative"),
    ],
)
async def test_a_filter_that_cannot_be_says_so_on_the_page(browser: httpx.AsyncClient, query: dict[str, str], said: str) -> None:
    page = await browser.get("/tasks", params=query)
    assert page.status_code == 200
    assert said in page.text


async def test_pages_follow_each_other(running: Running, browser: httpx.AsyncClient) -> None:
    tasks = [{"work_directory": "/many", "prompt": "x" * 2000} for _ in range(60)]
    await running.post("/tasks/batch", {"tasks": tasks})
    first = await browser.get("/tasks", params={"work_path": "/many"})
    assert len(ids(first)) == 50
    assert len(first.content) < 100_000
    assert "1 to 50 of 60" in first.text
    rest = await listed(browser, work_path="/many", offset=50)
    assert len(rest) == 10
    assert not set(rest) & set(ids(first))


async def test_an_empty_list_says_what_to_do(browser: httpx.AsyncClient) -> None:
    assert "No task matches" in (await browser.get("/tasks", params={"work_path": "/nothing"})).text


async def test_checked_tasks_are_changed_together(running: Running, browser: httpx.AsyncClient) -> None:
    some = [(await running.task("/checked"))["id"] for _ in range(3)]
    back = "/tasks?work_path=%2Fchecked"

    async def do(verb: str, of: list[int], **more: str) -> httpx.Response:
        sent = {"verb": verb, "task_id": [str(one) for one in of], "back": back, **more}
        return await browser.post("/do/tasks_checked", data=sent, headers=JSON)

    assert (await do("priority", some[:2], priority="urgent")).json()["said"] == "2 tasks have another priority."
    assert (await running.get(f"/tasks/{some[1]}"))["priority"] == "urgent"
    assert (await do("cancel", some[:1])).json()["said"] == "1 task is cancelled."
    told = (await do("retry", some[:2])).json()["said"]
    assert told.startswith("1 task begins again. 1 was left alone: ")
    assert await status(running, some[0]) == "waiting"
    refused = await do("retry", some)
    assert refused.status_code == 409
    assert (await do("delete", some)).json()["said"] == "3 tasks are deleted."
    assert await listed(browser, work_path="/checked") == []
    assert (await do("cancel", [])).json()["error"]["message"].startswith("no task is checked")
    assert (await do("explode", some)).status_code == 400
    assert (await do("priority", some, priority="dire")).status_code == 400
    moved = await browser.post("/do/tasks_checked", data={"verb": "cancel", "task_id": some[0], "back": back})
    assert moved.status_code == 404


async def test_all_that_match_are_changed_together(running: Running, browser: httpx.AsyncClient) -> None:
    tasks = [{"work_directory": "/match", "prompt": "x", "tags": ["bulk"]} for _ in range(55)]
    await running.post("/tasks/batch", {"tasks": tasks})
    other = (await running.task("/match", tags=["other"]))["id"]
    page = (await browser.get("/tasks", params={"tag": "bulk", "status": "waiting"})).text
    assert "Cancel all 55 that match" in page
    assert 'data-ask="Cancel 55 tasks, on this page and beyond?"' in page
    sent = {"verb": "cancel", "tag": "bulk", "status": "waiting", "back": "/tasks"}
    done = await browser.post("/do/tasks_matching", data=sent, headers=JSON)
    assert done.json()["said"] == "55 tasks are cancelled."
    assert await status(running, other) == "waiting"
    page = (await browser.get("/tasks", params={"tag": "bulk", "status": "cancelled"})).text
    assert "Retry all 55 that match" in page
    # Without a filter nothing is changed.
    assert (await browser.post("/do/tasks_matching", data={"verb": "cancel"}, headers=JSON)).status_code == 400
    assert "Cancel all" not in (await browser.get("/tasks", params={"tag": "bulk"})).text


async def test_a_task_is_made_with_all_that_the_form_has(running: Running, browser: httpx.AsyncClient) -> None:
    parent = (await running.task("/new"))["id"]
    sent = {
        "work_directory": "/new", "prompt": "Line one\r\nline two", "title": "Made here", "priority": "high", "tags": "a b, c",
        "spec.agent": "claude", "spec.verify": "make test", "spec.budget.cost_usd": "2.5", "spec.budget.tokens": "1000",
        "depends_on": f"{parent}", "max_attempts": "2", "timeout_seconds": "90", "requires_approval": "true", "host": "box",
        "run_at": "2100-01-31T18:00", "spec": '{"session_id": "s"}', "description": "why",
    }  # fmt: skip
    done = await browser.post("/do/create_task", data=sent)
    assert done.status_code == 303, done.text
    task = await running.get(done.headers["location"])
    assert (task["prompt"], task["title"], task["priority"], task["host"]) == ("Line one\nline two", "Made here", "high", "box")
    assert task["tags"] == ["a b", "c"]
    budget = {"cost_usd": 2.5, "tokens": 1000}
    assert task["spec"] == {"session_id": "s", "agent": "claude", "verify": "make test", "budget": budget}
    assert (task["depends_on"], task["max_attempts"], task["timeout_seconds"]) == ([parent], 2, 90)
    assert (task["requires_approval"], task["exclusive"], task["run_at"][:16]) == (True, False, "2100-01-31T18:00")
    again = (await browser.get("/tasks/new", params={"from": task["id"], "title": "Another"})).text
    for value in ("/new", "Another", "a b, c", "claude", "make test", "2.5"):
        assert f'value="{value}"' in again
    assert "Line one\nline two</textarea>" in again
    more = await browser.post("/do/create_task", data={**sent, "another": "true"}, headers=JSON)
    assert more.json()["to"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("work_directory", "not/absolute"),
        ("delay_seconds", "soon"),
        ("depends_on", "x"),
        ("run_at", "tomorrow"),
        ("spec", "{"),
        ("max_attempts", "100000"),
        ("priority", "dire"),
        ("spec.budget.cost_usd", "much"),
        ("kind", "No Kind"),
    ],
)
async def test_what_is_refused_is_told_at_its_field_and_kept(browser: httpx.AsyncClient, field: str, value: str) -> None:
    sent = {"work_directory": "/kept", "prompt": "Keep <b>me</b>", "tags": "kept", field: value}
    page = await browser.post("/do/create_task", data=sent)
    assert page.status_code == 400
    assert "Keep &lt;b&gt;me&lt;/b&gt;</textarea>" in page.text
    assert 'value="kept"' in page.text
    assert f'id="wrong-{field}"' in page.text
    assert "<details open>" in page.text or field == "work_directory"
    told = (await browser.post("/do/create_task", data=sent, headers=JSON)).json()
    assert told["error"]["details"]["field"] == field
    # What is in the menu of such a page leads back to the form, not to where it was sent.
    assert 'name="back" value="/tasks/new"' in page.text


async def test_a_command_asks_for_its_arguments(running: Running, browser: httpx.AsyncClient) -> None:
    arguments = [{"name": "file", "required": True}, {"name": "depth", "default": "3"}]
    await running.post("/commands", {"name": "review", "body": "Review ${file} to ${depth}", "arguments": arguments})
    page = (await browser.get("/tasks/new", params={"command": "review", "arguments.file": "a.py"})).text
    assert 'name="arguments.file" value="a.py"' in page
    assert 'placeholder="3"' in page
    part = (await browser.get("/tasks/new", params={"command": "review", "panel": "task_new-arguments"})).text
    assert 'name="arguments.depth"' in part
    sent = {"work_directory": "/c", "command": "review", "arguments.file": "a b.py", "arguments.depth": ""}
    done = await browser.post("/do/create_task", data=sent)
    assert (await running.get(done.headers["location"]))["prompt"] == "Review a b.py to 3"
    lacking = await browser.post("/do/create_task", data={"work_directory": "/c", "command": "review", "arguments.depth": "1"})
    assert lacking.status_code == 400
    assert "selected>/review" in lacking.text


async def test_what_is_copied_from_must_be_there(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/tasks/new", params={"from": 10**15})).status_code == 404
