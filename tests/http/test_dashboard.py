"""Pages as a client without a browser sees them: who gets them, what is in them, what their forms do."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchestrator.dashboard.routes import ASSETS, PAGES
from orchestrator.settings import Auth
from orchestrator.settings import Server as Listening
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
HOSTILE = "</a><script>alert(1)</script>\"'`{{ 7 * 7 }}{% x %}\u202e\x1b[31m &amp; 中文"


@pytest.fixture(scope="module")
async def open_server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("open") / "tasks.db") as running:
        yield running


@pytest.fixture(scope="module")
async def closed(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("closed") / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as running:
        yield running


@pytest.fixture
async def browser(open_server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=open_server.address, headers=HTML) as client:
        yield client


async def looked(server: Running, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.address, headers=headers) as client:
        return await client.get(path)


PLAIN = [path for path in PAGES if "{" not in path and path not in {"/directory", "/command"}]
"""Those that need no parameters."""


@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_a_page_is_whole_and_brings_nothing_of_elsewhere(browser: httpx.AsyncClient, path: str, language: str) -> None:
    page = await browser.get(path, headers={"accept-language": language})
    assert page.status_code == 200, page.text
    assert page.text.rstrip().endswith("</html>")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert re.findall(r"(?:src|href|action)=\"(?:https?:)?//", page.text) == []
    assert len(page.content) < 60_000
    ids = re.findall(r"\sid=\"([^\"]+)\"", page.text)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", PLAIN)
async def test_a_page_shows_texts_of_others_as_texts(open_server: Running, browser: httpx.AsyncClient, path: str) -> None:
    await open_server.task("/hostile", title=HOSTILE[:500], prompt=HOSTILE, tags=['"><b>'])
    await open_server.claim("/hostile")
    page = await browser.get(path)
    assert "<script>alert" not in page.text
    assert '"><b>' not in page.text
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text
    assert "49" not in re.findall(r"foreign\">([^<]*)<", page.text)


async def test_a_page_is_packed_for_who_takes_that(open_server: Running) -> None:
    async with httpx.AsyncClient(base_url=open_server.address, headers=HTML) as client:
        packed = await client.get("/tasks")
        plain = await client.get("/tasks", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(packed.content) / 2
    assert "content-encoding" not in plain.headers
    assert plain.text.rstrip().endswith("</html>")


async def test_panels_come_alone(open_server: Running, browser: httpx.AsyncClient) -> None:
    await open_server.task("/alone")
    part = (await browser.get("/", params={"panel": ["now-running", "nothing-of-this-name"]})).text
    assert part.startswith('<section class="panel" id="panel-now-running"')
    assert "<html" not in part


@pytest.mark.parametrize("name", ASSETS)
async def test_what_pages_name_is_kept_by_browsers(closed: Running, name: str) -> None:
    answer = await looked(closed, f"/assets/{name}")
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]


async def test_the_script_is_small() -> None:
    from orchestrator.dashboard import drawing  # noqa: PLC0415  it is loaded late

    assert len(drawing.script()) < 30_000
    assert len(drawing.style()) < 40_000


async def test_who_is_not_known_is_led_to_the_form_and_back(closed: Running) -> None:
    key = await Keys(closed).make("a person", "read")
    async with httpx.AsyncClient(base_url=closed.address, headers=HTML) as browser:
        moved = await browser.get("/?a=b%26c")
        assert (moved.status_code, moved.headers["location"]) == (303, "/login?next=%2F%3Fa%3Db%2526c")
        form = await browser.get(moved.headers["location"])
        assert 'name="next" value="/?a=b%26c"' in form.text
        own = {"origin": closed.address, "sec-fetch-site": "same-origin"}
        done = await browser.post("/login", data={"key": key, "next": "/?a=b%26c"}, headers=own)
        assert (done.status_code, done.headers["location"]) == (303, "/?a=b%26c")
        assert (await browser.get("/", headers={"sec-fetch-site": "none"})).status_code == 200
    # Programs hear what they always do.
    assert (await looked(closed, "/")).status_code == 401
    assert (await looked(closed, "/api/v1/tasks", **HTML)).status_code == 401


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "/api/v1/tasks/next", "/a\r\nb", "x"]
)
async def test_the_form_leads_nowhere_else(closed: Running, wanted: str) -> None:
    async with httpx.AsyncClient(base_url=closed.address) as browser:
        done = await browser.post("/login", data={"key": BOOTSTRAP, "next": wanted}, headers={"origin": closed.address})
        assert done.headers["location"] == "/"


async def test_a_page_tells_no_more_than_the_key_may_see(closed: Running) -> None:
    keys = Keys(closed)
    await keys.ask("POST", "/tasks", json={"work_directory": "/secret/x", "prompt": "hidden from most"})
    await keys.ask("GET", "/tasks/next", params={"work_path": "/secret/x", "worker_id": "w", "wait": 0})
    limited = await keys.make("limited", "read", paths=["/mine/**"])
    async with httpx.AsyncClient(base_url=closed.address, headers=HTML) as browser:
        assert "hidden from most" in (await browser.get("/", headers=bearer(BOOTSTRAP))).text
        for path in PLAIN:
            page = await browser.get(path, headers=bearer(limited))
            assert page.status_code == (403 if path.endswith("/new") else 200)
            assert "hidden from most" not in page.text
            assert "/secret" not in page.text


async def test_a_form_acts_and_leads_back(open_server: Running, browser: httpx.AsyncClient) -> None:
    task = await open_server.task("/acts")
    done = await browser.post("/do/cancel", data={"task_id": task["id"], "back": "/tasks?q=1", "reason": "no longer"})
    assert (done.status_code, done.headers["location"]) == (303, "/tasks?q=1")
    assert (await open_server.get(f"/tasks/{task['id']}"))["reason"] == "no longer"
    told = await browser.post("/do/retry", data={"task_id": task["id"]}, headers={"accept": "application/json"})
    assert told.json() == {"said": f"Task {task['id']} begins again.", "to": None}


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("cancel", {}, 400),
        ("cancel", {"task_id": "x"}, 400),
        ("cancel", {"task_id": "-1"}, 400),
        ("cancel", {"task_id": "9" * 30}, 400),
        ("cancel", {"task_id": "4611686018427387904"}, 404),
        ("no-such", {}, 404),
    ],
)
async def test_a_form_that_cannot_be_done_says_why(
    browser: httpx.AsyncClient, action: str, fields: dict[str, str], status: int
) -> None:
    page = await browser.post(f"/do/{action}", data=fields)
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    told = await browser.post(f"/do/{action}", data=fields, headers={"accept": "application/json"})
    assert told.status_code == status
    assert told.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
        {"referer": "https://evil.example/"},
    ],
)
async def test_pages_of_elsewhere_cannot_send_forms(
    open_server: Running, browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    task = await open_server.task("/forged")
    assert (await browser.post("/do/cancel", data={"task_id": task["id"]}, headers=headers)).status_code == 403
    assert (await open_server.get(f"/tasks/{task['id']}"))["status"] == "waiting"


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x=1", ""])
async def test_a_form_leads_back_to_pages_of_here_only(open_server: Running, browser: httpx.AsyncClient, back: str) -> None:
    task = await open_server.task("/back")
    done = await browser.post("/do/cancel", data={"task_id": task["id"], "back": back})
    assert done.headers["location"] == "/"


async def test_what_one_prefers_is_kept(browser: httpx.AsyncClient) -> None:
    await browser.post("/do/prefer", data={"theme": "dark", "language": "zh-Hans"})
    page = (await browser.get("/")).text
    assert '<html lang="zh-Hans" data-theme="dark">' in page
    await browser.post("/do/prefer", data={"theme": "system", "language": "nonsense\r\n"})
    assert '<html lang="en">' in (await browser.get("/")).text


async def test_below_a_prefix_a_form_leads_back_to_its_page(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, root_path="/orchestra")) as server:
        task = await server.task("/below")
        async with httpx.AsyncClient(base_url=server.address, headers=HTML) as browser:
            for path in ("/tasks?q=a", f"/tasks/{task['id']}", "/tasks/new"):
                page = (await browser.get(path)).text
                backs = set(re.findall(r'name="back" value="([^"]+)"', page))
                assert backs <= {f"/orchestra{path}", "/orchestra/tasks/new"}, path
                done = await browser.post("/do/prefer", data={"theme": "dark", "back": f"/orchestra{path}"})
                assert done.headers["location"] == f"/orchestra{path}"
            for back in ("/orchestration/", "//evil.example", "/tasks", ""):
                done = await browser.post("/do/prefer", data={"theme": "dark", "back": back})
                assert done.headers["location"] == "/orchestra/"
            told = await browser.post("/do/cancel", data={"task_id": "x", "back": f"/orchestra/tasks/{task['id']}"})
            # One who prefers otherwise on the page that tells what is wrong comes to a page.
            assert 'name="back" value="/orchestra/"' in told.text


async def test_a_prefix_may_be_the_name_of_a_page(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", server=Listening(port=0, root_path="/tasks")) as server:
        task = await server.task("/below")
        async with httpx.AsyncClient(base_url=server.address, headers=HTML) as browser:
            for path in ("/tasks?q=a", f"/tasks/{task['id']}", "/tasks", "/nothing", "/"):
                page = (await browser.get(path)).text
                named = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
                assert len(named) > 5
                assert [one for one in named if not one.startswith("/tasks/")] == [], path


async def test_too_many_parameters_are_refused_with_words(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/tasks?" + "&".join(["tag=x"] * 201))
    assert page.status_code == 400
    assert "more than 200 parameters" in page.text


@pytest.mark.parametrize("amount", ["nan", "inf", "-Infinity", "1e999"])
async def test_what_is_no_number_takes_no_limit_away(open_server: Running, browser: httpx.AsyncClient, amount: str) -> None:
    await open_server.task("/limited")
    limit = {"path": "/limited", "host": "", "daily_cost_usd": "5"}
    assert (await browser.post("/do/limit", data=limit)).status_code == 303
    assert (await browser.post("/do/limit", data={**limit, "daily_cost_usd": amount})).status_code == 400
    page = (await browser.get("/directory?path=/limited")).text
    assert re.search(r'name="daily_cost_usd"[^>]*value="5\.0"', page)


async def test_a_directory_is_found_without_its_host_and_a_workers_paths_lead_on(
    open_server: Running, browser: httpx.AsyncClient
) -> None:
    await open_server.task("/on/atlas", host="atlas")
    page = await browser.get("/directory?path=/on/atlas")
    assert page.status_code == 200
    assert 'name="host" value="atlas"' in page.text
    assert (await browser.get("/directory?path=/on/atlas&host=birch")).status_code == 404
    await open_server.claim("/nothing/here", worker_id="idle")
    workers = (await browser.get("/workers")).text
    link = re.search(r'href="([^"]+)">/nothing/here<', workers)
    assert link
    assert (await browser.get(link[1].replace("&amp;", "&"))).status_code == 200


NAMED = ["agent-3.local", "me@example.com #1", "50 % \u4e2d\u6587?", "a%2Eb"]


@pytest.mark.parametrize("worker", NAMED)
async def test_an_action_is_about_the_very_worker_that_is_shown(
    open_server: Running, browser: httpx.AsyncClient, worker: str
) -> None:
    await open_server.claim("/nothing/here", worker_id=worker)

    async def draining() -> set[str]:
        return {one["worker_id"] for one in (await open_server.get("/workers", limit=100))["items"] if one["draining"]}

    assert (await browser.post("/do/drain", data={"worker": worker})).status_code == 303
    assert await draining() == {worker}
    assert (await browser.post("/do/undrain", data={"worker": worker})).status_code == 303
    assert await draining() == set()


@pytest.mark.parametrize("path", ["/command", "/command?name=", "/command?name=/", "/command?name=.."])
async def test_a_command_without_a_name_is_none(browser: httpx.AsyncClient, path: str) -> None:
    page = await browser.get(path)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")


async def test_nobody_is_shown_a_form_that_their_key_may_not_send(closed: Running) -> None:
    keys = Keys(closed)
    reader, submitter = await keys.make("only looks", "read"), await keys.make("only sends", "read", "submit")
    await keys.ask("POST", "/tasks", json={"work_directory": "/shown", "prompt": "x"})
    page = (await looked(closed, "/directory?path=/shown", **HTML, **bearer(submitter))).text
    assert "/do/limit" not in page
    assert "/do/pause" not in page
    for path, key, status in (
        ("/tasks/new", reader, 403),
        ("/tasks/new", submitter, 200),
        *((path, submitter, 403) for path in ("/commands/new", "/schedules/new", "/notifications/new")),
    ):
        assert (await looked(closed, path, **HTML, **bearer(key))).status_code == status, path
    assert "/tasks/new" not in (await looked(closed, "/costs", **HTML, **bearer(reader))).text
    assert "/tasks/new" in (await looked(closed, "/costs", **HTML, **bearer(submitter))).text


async def test_what_is_refused_before_a_page_is_found_is_told_on_a_page(closed: Running) -> None:
    key = await Keys(closed).make("only works", "work")
    for path, who, status in (
        ("/", key, 403),
        ("/nothing/here", key, 404),
        ("/tasks/1/2", BOOTSTRAP, 404),
        ("/do/prefer", BOOTSTRAP, 405),
    ):
        page = await looked(closed, path, **HTML, **bearer(who))
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        assert 'class="refused"' in page.text
        assert (await looked(closed, path, accept="application/json", **bearer(who))).json()["success"] is False
    for path in ("/api/v1/nothing", "/health/nothing"):
        assert (await looked(closed, path, **HTML, **bearer(BOOTSTRAP))).json()["success"] is False
