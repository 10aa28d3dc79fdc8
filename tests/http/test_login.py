"""Signing in with a browser, without JavaScript; and what a page of elsewhere can do with the cookie: nothing."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchestrator.doors.doors import Doors
from orchestrator.settings import Auth
from orchestrator.settings import Server as Listening
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

OWN = {"sec-fetch-site": "same-origin"}
NAVIGATION = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("login") / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as running:
        yield running


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, as browsers do."""
    async with httpx.AsyncClient(base_url=server.address) as client:
        yield client


async def sign_in(browser: httpx.AsyncClient, key: str) -> httpx.Response:
    return await browser.post("/login", data={"key": key}, headers={**OWN, "origin": str(browser.base_url)})


async def test_one_signs_in_looks_and_signs_out(server: Running, browser: httpx.AsyncClient) -> None:
    keys = Keys(server)
    key = await keys.make("a person", "read", "submit", paths=["/p/**"])
    page = await browser.get("/login", headers=NAVIGATION)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert 'action="/login"' in page.text
    moved = await sign_in(browser, f" {key} ")
    assert (moved.status_code, moved.headers["location"]) == (303, "/")
    cookie = moved.headers["set-cookie"]
    session = browser.cookies["orchestrator_session"]
    assert re.fullmatch(r"ors_[0-9a-f]{12}_[0-9a-f]{48}", session)
    assert cookie.partition("; ")[2].split("; ") == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]
    shown = await browser.get("/login", headers=NAVIGATION)
    assert keys.made["a person"] in shown.text
    assert "read, submit" in shown.text
    assert key not in shown.text
    assert session not in shown.text
    body = {"work_directory": "/p/x", "prompt": "p"}
    made = await browser.post("/api/v1/tasks", json=body, headers=OWN)
    assert made.status_code == 201
    trail = await keys.ask("GET", "/audit", params={"work_path": "/p/x"})
    assert {entry["actor"] for entry in trail["items"]} == {keys.made["a person"]}
    assert (await browser.get("/api/v1/auth/keys", headers=OWN)).status_code == 403
    out = await browser.post("/logout", headers=OWN)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "orchestrator_session" not in browser.cookies
    gone = await browser.get("/api/v1/tasks", headers={**OWN, "cookie": f"orchestrator_session={session}"})
    assert gone.status_code == 401, "it ended at the server, not only in the browser"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "same-site", "origin": "OWN"},
        {"origin": "https://elsewhere.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {},
        {"referer": "https://elsewhere.example/"}, {"referer": "http://127.0.0.1:1/login"}, {"origin": "null", "referer": "OWN"},
    ],
)  # fmt: skip
async def test_the_cookie_counts_for_no_page_of_elsewhere(
    server: Running, browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    key = await Keys(server).make(f"forged {headers}"[:200], "admin")
    await sign_in(browser, key)
    headers = {name: server.address if value == "OWN" else value for name, value in headers.items()}
    for method, path in (
        ("POST", "/api/v1/tasks"),
        ("GET", "/api/v1/tasks/next?work_path=/a&worker_id=w"),
        ("GET", "/api/v1/tasks"),
    ):
        answer = await browser.request(method, path, headers=headers)
        assert answer.status_code == 403, (method, path)
        assert "Authorization: Bearer" in answer.json()["error"]["message"]
    assert (await browser.get("/api/v1/tasks", headers={**headers, **bearer(key)})).status_code == 200, "a key counts anywhere"
    if headers:
        assert (await browser.post("/logout", headers=headers)).status_code == 403
        assert (await browser.post("/login", data={"key": BOOTSTRAP}, headers=headers)).status_code == 403
    assert (await browser.get("/api/v1/tasks", headers=OWN)).status_code == 200, "still signed in, as before"


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "OWN"}, {"referer": "OWN"}]
)
async def test_the_cookie_counts_for_pages_of_its_own(
    server: Running, browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    await sign_in(browser, BOOTSTRAP)
    headers = {name: server.address if value == "OWN" else value for name, value in headers.items()}
    assert (await browser.get("/api/v1/tasks", headers=headers)).status_code == 200


async def test_a_page_is_shown_to_who_comes_by_a_link(server: Running, browser: httpx.AsyncClient) -> None:
    await sign_in(browser, BOOTSTRAP)
    for headers in ({**NAVIGATION, "sec-fetch-site": "same-site"}, {}):
        assert "Signed in as <code>bootstrap</code>" in (await browser.get("/login", headers=headers)).text


async def test_of_a_key_and_a_cookie_the_key_counts(server: Running, browser: httpx.AsyncClient) -> None:
    await sign_in(browser, BOOTSTRAP)
    key = await Keys(server).make("less than the cookie", "read")
    assert (await browser.get("/api/v1/auth/keys", headers={**OWN, **bearer(key)})).status_code == 403
    assert (await browser.get("/api/v1/auth/keys", headers={**OWN, **bearer("wrong")})).status_code == 401
    assert (await browser.get("/api/v1/auth/keys", headers=OWN)).status_code == 200


async def test_a_session_is_no_key_and_a_key_is_no_session(server: Running, browser: httpx.AsyncClient) -> None:
    await sign_in(browser, BOOTSTRAP)
    session = browser.cookies["orchestrator_session"]
    assert (await server.client.get("/tasks", headers=bearer(session))).status_code == 401
    assert (await browser.post("/api/v1/auth/token", headers=OWN)).status_code == 403, "it would outlive the session"
    key_as_cookie = {**OWN, "cookie": f"orchestrator_session={BOOTSTRAP}"}
    assert (await server.client.get("/tasks", headers=key_as_cookie)).status_code == 401


@pytest.mark.parametrize("key", ["", "wrong", "<script>alert(1)</script>", "\ud800", "a.b.c", "{problem}", "x" * 9000])
async def test_what_is_no_key_is_said_on_the_page(browser: httpx.AsyncClient, key: str) -> None:
    answer = await browser.post("/login", content=b"key=" + key.encode("utf-8", "surrogatepass"), headers=OWN)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_form_is_small(browser: httpx.AsyncClient) -> None:
    assert (await browser.post("/login", content=b"key=" + b"x" * 20_000, headers=OWN)).status_code == 413
    assert (await browser.post("/login", headers=OWN)).status_code == 401


async def test_who_may_not_look_cannot_sign_in(server: Running, browser: httpx.AsyncClient) -> None:
    answer = await sign_in(browser, await Keys(server).make("only works", "work"))
    assert answer.status_code == 403
    assert "scope read" in answer.text


async def test_a_session_ends_with_its_key(server: Running, browser: httpx.AsyncClient) -> None:
    keys = Keys(server)
    await sign_in(browser, await keys.make("short-lived", "read"))
    assert (await browser.get("/api/v1/tasks", headers=OWN)).status_code == 200
    await keys.change("short-lived", disabled=True)
    assert (await browser.get("/api/v1/tasks", headers=OWN)).status_code == 401
    await keys.change("short-lived", disabled=False)
    assert (await browser.get("/api/v1/tasks", headers=OWN)).status_code == 200
    await keys.revoke("short-lived")
    answer = await browser.get("/api/v1/tasks", headers=OWN)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "this session has ended: sign in again at /login")
    assert 'action="/login"' in (await browser.get("/login", headers=NAVIGATION)).text


async def test_a_session_ends_with_its_time(server: Running, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await sign_in(browser, BOOTSTRAP)
    doors: Doors = server.app.state.doors
    later = doors.now() + 43_200_000
    monkeypatch.setattr(doors, "now", lambda: later)
    assert (await browser.get("/api/v1/tasks", headers=OWN)).status_code == 401


async def test_sessions_outlive_the_server_but_not_the_key_they_were_opened_with(tmp_path: Path) -> None:
    cookie: dict[str, str] = {}
    for key, status in ((BOOTSTRAP, 200), (BOOTSTRAP, 200), ("another-" * 5, 401)):
        async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=key)) as server:
            if not cookie:
                async with httpx.AsyncClient(base_url=server.address) as browser:
                    await sign_in(browser, key)
                    cookie = {"cookie": f"orchestrator_session={browser.cookies['orchestrator_session']}", **OWN}
            assert (await server.client.get("/tasks", headers=cookie)).status_code == status


async def test_below_a_prefix_the_cookie_stays_there(tmp_path: Path) -> None:
    listening = Listening(port=0, root_path="/orchestra")
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP), server=listening) as server:
        answer = await server.client.post(f"{server.address}/login", data={"key": BOOTSTRAP}, headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/orchestra/")
        assert "; Path=/orchestra;" in answer.headers["set-cookie"]
        assert 'href="/orchestra/login/page.css"' in (await server.client.get(f"{server.address}/login")).text


async def test_behind_https_the_cookie_goes_over_nothing_else(tmp_path: Path) -> None:
    listening = Listening(port=0, trusted_proxies=("127.0.0.1",))
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP), server=listening) as server:
        proxied = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
        answer = await server.client.post(f"{server.address}/login", data={"key": BOOTSTRAP}, headers={**OWN, **proxied})
        assert answer.headers["set-cookie"].endswith("; Secure")
        cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
        host = server.address.removeprefix("http://")
        for origin, status in ((f"https://{host}", 200), (f"http://{host}", 403)):
            told = {**proxied, **cookie, "origin": origin}
            assert (await server.client.get("/tasks", headers=told)).status_code == status


async def test_the_page_of_an_open_server_asks_for_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        page = await server.client.get(f"{server.address}/login")
        assert "<form" not in page.text
        assert "no keys yet" in page.text


async def test_the_page_needs_nothing_of_elsewhere(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/login")
    assert "script" not in page.text
    assert "style=" not in page.text
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert link.startswith(("/", "data:"))
        if link.startswith("/"):
            assert (await browser.get(link)).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
