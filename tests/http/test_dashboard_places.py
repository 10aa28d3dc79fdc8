"""The pages of directories, workers, schedules, triggers and commands: what they show, and what is done there."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

HOSTILE = "</a><script>alert(1)</script>\u202e\x1b[31m"
JSON = {"accept": "application/json"}
TASK = {"work_directory": "/srv/shop", "prompt": "Nightly"}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("places") / "tasks.db") as running:
        yield running


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.address, headers={"accept": "text/html"}) as client:
        yield client


async def shown(browser: httpx.AsyncClient, path: str, /, **query: Any) -> str:
    page = await browser.get(path, params=query)
    assert page.status_code == 200, page.text
    assert "<script>alert" not in page.text
    # What a form sends back has to be as it was.
    assert not {"\u202e", "\x1b"} & set(re.sub(r" value=\"[^\"]*\"", "", page.text))
    return page.text


async def did(browser: httpx.AsyncClient, action: str, **fields: Any) -> dict[str, Any]:
    answer = await browser.post(f"/do/{action}", data=fields, headers=JSON)
    told: dict[str, Any] = answer.json()
    assert answer.status_code == 200, told
    return told


async def test_a_directory_shows_its_tasks_and_takes_limits(server: Running, browser: httpx.AsyncClient) -> None:
    await server.task("/srv/a b&c", title=HOSTILE)
    assert "/srv/a b&amp;c" in await shown(browser, "/directories")
    assert "/srv/a b&amp;c" not in await shown(browser, "/directories", work_path="/elsewhere")
    await did(browser, "pause", path="/srv/a b&c", reason="migration")
    page = await shown(browser, "/directory", path="/srv/a b&c")
    assert "migration" in page
    assert 'action="/do/resume"' in page
    await did(browser, "resume", path="/srv/a b&c")
    await did(browser, "limit", path="/srv/a b&c", max_running="2", daily_cost_usd="1.5")
    (directory,) = (await server.get("/directories", work_path="/srv/a b&c"))["items"]
    assert (directory["paused"], directory["max_running"], directory["daily_cost_usd"]) == (False, 2, 1.5)
    await did(browser, "limit", path="/srv/a b&c")
    (directory,) = (await server.get("/directories", work_path="/srv/a b&c"))["items"]
    assert (directory["max_running"], directory["daily_cost_usd"]) == (None, None)
    refused = await browser.post("/do/limit", data={"path": "/srv/a b&c", "max_running": "many"}, headers=JSON)
    assert refused.status_code == 400
    assert "`max_running` is 'many'" in refused.json()["error"]["message"]


async def test_a_directory_that_is_none_is_not_there(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/directory", params={"path": "/nowhere"})).status_code == 404
    assert (await browser.get("/directory")).status_code == 404


async def test_a_worker_shows_what_it_holds_and_is_drained(server: Running, browser: httpx.AsyncClient) -> None:
    await server.task("/srv/worker", title=HOSTILE)
    await server.client.get("/tasks/next", params={"work_path": "/srv/worker", "worker_id": f"w/{HOSTILE}", "agent": "claude"})
    page = await shown(browser, "/workers")
    assert "/srv/worker" in page
    assert "claude" in page
    await server.client.get("/tasks/next", params={"work_path": "/srv/none", "worker_id": "box-1", "wait": 0})
    await did(browser, "drain", worker="box-1")
    assert 'action="/do/undrain"' in await shown(browser, "/workers")
    await did(browser, "undrain", worker="box-1")
    assert 'action="/do/undrain"' not in await shown(browser, "/workers")


async def test_a_schedule_is_made_shown_run_paused_and_deleted(server: Running, browser: httpx.AsyncClient) -> None:
    form = await shown(browser, "/schedules/new", cron="0 2 * * *", timezone="Europe/Berlin", prompt="</textarea><b>")
    assert form.count(" 01:00:00 UTC") == 10  # each once more as the title of how long until then
    assert "</textarea><b>" not in form
    assert 'class="refused"' in await shown(browser, "/schedules/new", cron="nonsense")
    made = await did(browser, "add_schedule", name="nightly", cron="0 2 * * *", prompt=HOSTILE, work_directory="/srv/shop")
    page = await shown(browser, made["to"])
    assert "nightly" in page
    assert page.count("02:00:00 UTC") >= 10
    schedule_id = made["to"].rpartition("/")[2]
    await did(browser, "execute_schedule", schedule_id=schedule_id)
    assert "/tasks/" in (await browser.get(made["to"], params={"panel": "schedule-fires", "outcome": "fired"})).text
    assert "/tasks/" not in (await browser.get(made["to"], params={"panel": "schedule-fires", "outcome": "failed"})).text
    await did(browser, "stop_schedule", schedule_id=schedule_id)
    assert 'action="/do/start_schedule"' in await shown(browser, "/schedules", state="paused")
    await did(browser, "start_schedule", schedule_id=schedule_id)
    assert "nightly" not in (await shown(browser, "/schedules", q="weekly"))
    told = await did(browser, "delete_schedule", schedule_id=schedule_id)
    assert told["to"] == "/schedules"
    assert (await browser.get(made["to"])).status_code == 404


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cron": "0 2 * * *", "prompt": "x"}, "name"),
        ({"name": "n", "prompt": "x"}, "cron"),
        ({"name": "n", "cron": "x y", "prompt": "x", "work_directory": "/x"}, "cron"),
        ({"name": "n", "cron": "0 2 * * *"}, "prompt"),
        ({"name": "n", "cron": "0 2 * * *", "prompt": "x", "command": "y"}, "prompt"),
        ({"name": "n", "cron": "0 2 * * *", "prompt": "x", "overlap": "never"}, "overlap"),
        ({"name": "n", "cron": "0 2 * * *", "prompt": "x", "jitter_seconds": "long"}, "jitter_seconds"),
        ({"name": "n", "cron": "0 2 * * *", "prompt": "x", "work_directory": "/x", "timezone": "Mars/Base"}, "timezone"),
    ],
)
async def test_a_schedule_that_cannot_be_is_refused_by_its_field(
    browser: httpx.AsyncClient, fields: dict[str, str], named: str
) -> None:
    refused = await browser.post("/do/add_schedule", data=fields, headers=JSON)
    assert refused.status_code == 400
    assert named in refused.json()["error"]["details"]["field"]


async def test_the_scheduler_that_is_stopped_is_told_of(browser: httpx.AsyncClient) -> None:
    await did(browser, "stop_scheduler")
    assert 'action="/do/start_scheduler"' in await shown(browser, "/schedules")
    await did(browser, "start_scheduler")
    assert 'action="/do/start_scheduler"' not in await shown(browser, "/schedules")


async def test_triggers_show_how_they_are_and_what_came_in(server: Running, browser: httpx.AsyncClient) -> None:
    body = {"name": f"on call {HOSTILE}", "steps": [{"id": "a", "task": TASK}], "triggers": [{"type": "manual"}]}
    flow = await server.post("/workflows", body)
    await server.post(f"/deployment/workflows/{flow['id']}/deploy")
    assert 'action="/do/fire"' in await shown(browser, "/triggers")
    await did(browser, "fire", workflow_id=flow["id"])
    page = await shown(browser, "/triggers")
    assert "/runs/1" in page
    assert "started a run" in page


async def test_a_command_is_written_changed_and_deleted(server: Running, browser: httpx.AsyncClient) -> None:
    await did(
        browser, "add_command", name="review/strict", description="A strict review", body="Review $ARGUMENTS\r\nwell </textarea>"
    )
    assert "A strict review" in await shown(browser, "/commands")
    page = await shown(browser, "/command", name="review/strict")
    assert "&lt;/textarea&gt;" in page
    assert (await server.get("/commands/review/strict"))["body"].rstrip() == "Review $ARGUMENTS\nwell </textarea>"
    await did(browser, "change_command", name="review/strict", body="Anew", description="")
    assert (await server.get("/commands/review/strict"))["body"].rstrip() == "Anew"
    await did(browser, "delete_command", name="review/strict")
    assert (await browser.get("/command", params={"name": "review/strict"})).status_code == 404
    assert (await browser.get("/command", params={"name": "../../x"})).status_code in {400, 404}
