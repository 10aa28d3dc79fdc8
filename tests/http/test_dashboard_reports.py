"""The pages of notifications, audit, costs, advice and the system: what they show, and what is done there."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

JSON = {"accept": "application/json"}
HTML = {"accept": "text/html"}
USED = {"input_tokens": 12_000, "output_tokens": 900, "cost_usd": 1.25, "model": "opus"}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("reports") / "tasks.db") as running:
        yield running


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.address, headers=HTML) as client:
        yield client


async def did(browser: httpx.AsyncClient, action: str, **fields: Any) -> dict[str, Any]:
    answer = await browser.post(f"/do/{action}", data=fields, headers=JSON)
    told: dict[str, Any] = answer.json()
    assert answer.status_code == 200, told
    return told


async def test_a_rule_is_made_tried_turned_off_and_deleted(server: Running, browser: httpx.AsyncClient) -> None:
    fields = {"name": "on fire", "events": "task.failed, run.*", "webhook": "http://127.0.0.1:9/x", "secret": "s" * 40}
    told = await did(browser, "add_rule", **fields, waiting_minutes="", tags="ci urgent")
    assert told["to"] == "/notifications"
    (rule,) = (await server.get("/notifications/rules"))["items"]
    assert (rule["events"], rule["tags"]) == (["task.failed", "run.*"], ["ci", "urgent"])
    page = (await browser.get("/notifications")).text
    assert "on fire" in page
    assert "s" * 40 not in page
    assert "was not delivered" in (await did(browser, "test_rule", rule_id=rule["id"]))["said"]
    await did(browser, "disable_rule", rule_id=rule["id"])
    assert 'action="/do/enable_rule"' in (await browser.get("/notifications")).text
    await did(browser, "delete_rule", rule_id=rule["id"])
    assert (await server.get("/notifications/rules"))["items"] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"events": "task.failed", "webhook": "https://example.org"}, "name"),
        ({"name": "n", "events": "task.failed"}, "webhook"),
        ({"name": "n", "events": "Not An Event", "webhook": "https://example.org"}, "events"),
        ({"name": "n", "waiting_minutes": "soon", "webhook": "https://example.org"}, "waiting_minutes"),
        ({"name": "n", "failed_times": "often", "webhook": "https://example.org"}, "failed_times"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused(browser: httpx.AsyncClient, fields: dict[str, str], named: str) -> None:
    refused = await browser.post("/do/add_rule", data=fields, headers=JSON)
    assert refused.status_code == 400
    assert named in refused.json()["error"]["message"]


async def test_costs_add_up(server: Running, browser: httpx.AsyncClient) -> None:
    await server.task("/srv/costly")
    claimed = await server.claim("/srv/costly", agent="claude")
    await server.post(f"/tasks/{claimed['id']}/complete", {"lease": claimed["lease"], "result": 1, "usage": USED})
    page = (await browser.get("/costs")).text
    assert "$1.25" in page
    assert "opus" in page
    assert "/srv/costly" in page
    assert "$1.25" not in (await browser.get("/costs", params={"work_path": "/elsewhere", "days": "nonsense"})).text


async def test_costs_by_tag_lead_to_what_a_tag_cost(server: Running, browser: httpx.AsyncClient) -> None:
    for name, tags in (("one", ["<b>ship\u202eit</b>", "二"]), ("two", ["二"])):
        await server.task(f"/srv/tagged/{name}", tags=tags)
        claimed = await server.claim(f"/srv/tagged/{name}")
        await server.post(f"/tasks/{claimed['id']}/complete", {"lease": claimed["lease"], "usage": USED})
    page = (await browser.get("/costs", params={"work_path": "/srv/tagged"})).text
    assert "&lt;b&gt;ship\N{REPLACEMENT CHARACTER}it&lt;/b&gt;" in page
    assert "$2.50" in page
    assert "overlap" in page
    one = (await browser.get("/costs", params={"work_path": "/srv/tagged", "tag": "<b>ship\u202eit</b>", "days": "365"})).text
    assert "/srv/tagged/one" in one
    assert "/srv/tagged/two" not in one
    assert "By model" not in one
    assert len(one) < 60_000
    # Hostile addresses are told what is wrong with them.
    assert "tag" in (await browser.get("/costs", params={"tag": "x" * 200})).text


async def test_costs_without_money_are_tokens(server: Running, browser: httpx.AsyncClient) -> None:
    await server.task("/srv/subscribed", tags=["flat"])
    claimed = await server.claim("/srv/subscribed")
    await server.post(f"/tasks/{claimed['id']}/complete", {"lease": claimed["lease"], "usage": {"input_tokens": 50_000}})
    page = (await browser.get("/costs", params={"work_path": "/srv/subscribed"})).text
    assert "Tokens by day" in page
    assert "100 %" in page
    assert "Tokens by week" in (await browser.get("/costs", params={"work_path": "/srv/subscribed", "days": "365"})).text


async def test_who_may_not_administer_is_told_so(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("closed")
    async with serving(folder / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as closed:
        key = await Keys(closed).make("reader", "read")
        async with httpx.AsyncClient(base_url=closed.address, headers={**HTML, **bearer(key)}) as browser:
            for path in ("/audit", "/system"):
                page = await browser.get(path)
                assert page.status_code == 200
                assert "Your key may not see this" in page.text
                assert 'action="/do/reload"' not in page.text
            assert (await browser.post("/do/reload")).status_code == 403
            assert 'action="/do/add_' not in (await browser.get("/schedules")).text
