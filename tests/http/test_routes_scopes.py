"""Every route, as it is mounted and as the document describes it: for whom it is, and that nobody else learns anything there."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from litestar import Litestar, WebSocket, get, post, websocket
from litestar.routes import HTTPRoute

from orchestrator.app import compose
from orchestrator.dashboard.routes import PAGES
from orchestrator.http import routes
from orchestrator.http.guard import KNOWN, PUBLIC, SCOPE, handlers, public
from orchestrator.settings import Auth, Limits, Settings
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from worker_client.contract.enums import Scope

pytestmark = pytest.mark.anyio

MARK: Final = "mark-7f3ac1"
HERE: Final = f"/{MARK}/repo"
FOR_PEOPLE: Final = ("/schema", "/login", "/logout", "/assets/", "/do/")
"""The document leaves them out, and the pages."""
WAYS: Final = {
    "plain": {},
    "events": {"accept": "text/event-stream"},
    "socket": {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
}
LACKING: Final = {scope: [other for other in ("read", "submit", "work") if other != scope] for scope in Scope}
"""All scopes but one, of those who are no administrators."""
TASK: Final = {"work_directory": HERE, "prompt": "Do it"}
CLAIM: Final = {"work_path": HERE, "worker_id": "w", "wait": 0}
LISTING: Final = {"name": "task_list", "arguments": {"work_path": HERE}}
RULE: Final = {"name": "x", "events": ["task.*"], "work_path": [HERE], "webhook": {"url": f"https://127.0.0.1:1/{MARK}"}}
BEFORE: Final = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
CALLS: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "GET /api/v1/tasks/last-lines": (200, {"params": {"task_id": [1, 2]}}),
    "POST /api/v1/tasks": (403, {"json": TASK}),
    "POST /api/v1/tasks/batch": (403, {"json": {"tasks": [TASK]}}),
    "GET /api/v1/tasks/next": (403, {"params": CLAIM}),
    "POST /api/v1/tasks/claim": (403, {"json": {**CLAIM, "work_path": [HERE]}}),
    "POST /api/v1/tasks/heartbeat": (200, {"json": {"items": [{"id": 1, "lease": "1.1.00"}]}}),
    "POST /api/v1/tasks/complete": (200, {"json": {"items": [{"id": 1, "lease": "1.1.00"}]}}),
    "POST /api/v1/tasks/fail": (200, {"json": {"items": [{"id": 1, "lease": "1.1.00", "error": {"message": "no"}}]}}),
    "GET /api/v1/tasks/{task_id}/logs/search": (404, {"params": {"q": "x"}}),
    "POST /api/v1/tasks/retry": (200, {"params": {"work_path": f"/{MARK}", "recursive": True}}),
    "POST /api/v1/tasks/cancel": (200, {"params": {"work_path": f"/{MARK}", "recursive": True}}),
    "POST /api/v1/tasks/{task_id}/heartbeat": (404, {"json": {"lease": "1.1.00"}}),
    "POST /api/v1/tasks/{task_id}/complete": (404, {"json": {"lease": "1.1.00"}}),
    "POST /api/v1/tasks/{task_id}/fail": (404, {"json": {"lease": "1.1.00", "error": {"message": "no"}}}),
    "POST /api/v1/tasks/{task_id}/release": (404, {"json": {"lease": "1.1.00"}}),
    "POST /api/v1/tasks/{task_id}/park": (404, {"json": {"lease": "1.1.00", "reason": "quota"}}),
    "POST /api/v1/tasks/{task_id}/logs": (404, {"json": {"lease": "1.1.00", "lines": ["x"]}}),
    "POST /api/v1/tasks/{task_id}/answer": (404, {"json": {"answer": "yes"}}),
    "PUT /api/v1/tasks/{task_id}": (404, {"json": {"title": "x"}}),
    "PUT /api/v1/directories": (403, {"json": {"work_directory": HERE, "paused": True}}),
    "PUT /api/v1/accounts/{account}": (404, {"json": {"held_until": None}}),
    "DELETE /api/v1/workers/{worker}/drain": (204, {}),
    "POST /api/v1/auth/token": (201, {}),
    "POST /api/v1/auth/keys": (403, {"json": {"name": "more", "scopes": ["read"], "paths": [HERE]}}),
    "PUT /api/v1/auth/keys/{key}": (404, {"json": {"disabled": True}}),
    "GET /api/v1/ip-control/status": (403, {}),
    "POST /api/v1/workflows": (403, {"json": {"name": "x", "steps": [{"id": "a", "task": TASK}]}}),
    "POST /api/v1/workflows/check": (403, {"json": {"name": "x", "steps": [{"id": "a", "task": TASK}]}}),
    "PUT /api/v1/workflows/{workflow_id}": (404, {"json": {"name": "x"}}),
    "POST /api/v1/schedules": (403, {"json": {"name": "x", "cron": "@daily", "task": TASK}}),
    "POST /api/v1/schedules/check": (403, {"json": {"name": "x", "cron": "@daily", "task": TASK}}),
    "POST /api/v1/schedules/preview": (200, {"json": {"cron": "@daily"}}),
    "PUT /api/v1/schedules/{schedule_id}": (404, {"json": {"name": "x"}}),
    "POST /api/v1/schedules/{schedule_id}/backfill": (404, {"json": BEFORE}),
    "POST /api/v1/notifications/rules": (403, {"json": RULE}),
    "POST /api/v1/notifications/rules/check": (403, {"json": RULE}),
    "PUT /api/v1/notifications/rules/{rule_id}": (404, {"json": {"name": "x"}}),
    "POST /api/v1/system/reload": (403, {}),
    "GET /api/v1/system/info": (200, {}),
    "GET /api/v1/system/metrics": (403, {}),
    "GET /api/v1/system/logs": (403, {}),
    "POST /api/v1/system/scheduler/start": (403, {}),
    "POST /api/v1/system/scheduler/stop": (403, {}),
    "GET /metrics": (403, {}),
    "POST /api/v1/commands": (403, {"json": {"name": "x", "body": "x"}}),
    "PUT /api/v1/commands/{name}": (403, {"json": {"body": "x"}}),
    "DELETE /api/v1/commands/{name}": (403, {}),
    "POST /do/{action}": (400, {}),
    "GET /command": (404, {"params": {"name": "none"}}),
    "GET /directory": (404, {"params": {"path": "/elsewhere/none"}}),
    "POST /mcp": (200, {"json": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": LISTING}}),
}
"""What who sees other directories alone gets, where that is not 200 for lists and 404 for single things; and what to send."""
STRANGERS: Final = {
    # A session is opened with a form that has a key in it, and this one is empty.
    "POST /login": 401,
    "POST /logout": 303,
    "POST /api/v1/public/webhooks/github": 401,
    **{f"{method} /api/v1/public/webhook/workflow/{{workflow_id}}": 404 for method in ("GET", "POST", "PUT", "PATCH", "DELETE")},
}
"""What who is not known gets at routes for everybody, where that is not 200."""


class Route:
    """A method of a path, and what it says it is for."""

    def __init__(self, method: str, template: str, opt: dict[str, Any]) -> None:
        self.name = f"{method} {template}"
        self.method = method
        self.template = template
        self.scope: object = opt.get(SCOPE)
        self.public = bool(opt.get(PUBLIC))

    def elsewhere(self) -> tuple[int, dict[str, Any]]:
        """What who has the scope, but for other directories alone, gets; and what to send for it."""
        usual = 403 if "/ip-control/" in self.template else 404 if "{" in self.template else 200
        sent = {"json": {"ip": "192.0.2.1"}} if self.method == "POST" and "/ip-control/" in self.template else {}
        return CALLS.get(self.name, (usual, sent))


def mounted(app: Litestar) -> Iterator[Route]:
    for template, handler in handlers(app):
        for method in sorted(getattr(handler, "http_methods", {"GET"})):
            yield Route(method, template, handler.opt)


class Town:
    """A server with something in every corner, and one key of each kind."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.keys = Keys(server)
        self.bad: dict[str, dict[str, str]] = {}
        self.lacking: dict[object, str] = {}
        self.elsewhere = ""
        self.ids: dict[str, str] = {}

    async def build(self) -> None:
        keys = self.keys
        rule = await keys.ask("POST", "/notifications/rules", json={**RULE, "name": MARK})
        task = await keys.ask("POST", "/tasks", json={**TASK, "prompt": MARK, "title": MARK, "key": MARK, "tags": [MARK]})
        claimed = await keys.ask("GET", "/tasks/next", params={**CLAIM, "worker_id": MARK, "lease_seconds": 3600})
        lease = {"lease": claimed["lease"]}
        await keys.ask("POST", f"/tasks/{task['id']}/logs", json={**lease, "lines": [MARK]})
        await keys.ask("POST", f"/tasks/{task['id']}/fail", json={**lease, "error": {"message": MARK}})
        await keys.ask("POST", "/tasks", json={**TASK, "prompt": MARK})
        running = await keys.ask("GET", "/tasks/next", params={**CLAIM, "worker_id": MARK, "lease_seconds": 3600})
        await keys.ask("PUT", "/directories", json={"work_directory": HERE, "max_running": 5, "reason": MARK})
        await keys.ask("PUT", "/accounts/somebody", json={"held_until": "2100-01-01T00:00:00Z", "reason": MARK})
        await keys.ask("POST", "/workers/someone/drain", json={"reason": MARK})
        ended = (await keys.ask("GET", "/execution-logs"))["items"]
        await keys.make(MARK, "read", paths=[f"/{MARK}/**"])
        attempt = next(one["id"] for one in ended if one["id"])
        self.ids = {"task_id": str(running["id"]), "attempt_id": str(attempt), "key": keys.made[MARK]}
        self.ids |= {"account": "somebody", "worker": "someone", "name": "none", "action": "cancel"}
        workflow = await keys.ask("POST", "/workflows", json={"name": MARK, "steps": [{"id": "a", "task": TASK}]})
        run = await keys.ask("POST", f"/workflows/{workflow['id']}/execute", json={"input": {"said": MARK}})
        self.ids |= {"workflow_id": workflow["id"], "run_id": str(run["id"])}
        schedule = await keys.ask("POST", "/schedules", json={"name": MARK, "cron": "@yearly", "task": TASK})
        self.ids["schedule_id"] = str(schedule["id"])
        while not (told := (await keys.ask("GET", "/notifications/deliveries"))["items"]):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
        self.ids |= {"rule_id": str(rule["id"]), "notification_id": str(told[0]["id"])}
        for scope, others in LACKING.items():
            self.lacking[str(scope)] = await keys.make(f"all but {scope}", *others)
        self.elsewhere = await keys.make("elsewhere", "admin", paths=["/elsewhere/**"])
        revoked, disabled, expired = await keys.make("revoked"), await keys.make("disabled"), await keys.make("expired")
        await keys.revoke("revoked")
        await keys.change("disabled", disabled=True)
        await keys.expire("expired")
        self.bad = {
            "nothing": {},
            "unknown": bearer(f"orc_{'0' * 12}_{'0' * 48}"),
            "garbage": bearer("a.b.c"),
            "another kind": {"authorization": "Basic bWU6bWU="},
            "a cookie": {"cookie": f"orchestrator_session=ors_{'0' * 12}_{'0' * 48}", "sec-fetch-site": "same-origin"},
            "a key as a cookie": {"cookie": f"orchestrator_session={BOOTSTRAP}", "sec-fetch-site": "same-origin"},
            "revoked": bearer(revoked),
            "disabled": bearer(disabled),
            "expired": bearer(expired),
        }

    def routes(self) -> list[Route]:
        return list(mounted(self.server.app))

    async def ask(self, route: Route, headers: dict[str, str], **sent: Any) -> tuple[int, str]:
        """The status and all that was said; of what does not end by itself the beginning."""
        path = re.sub(r"{(\w+)}", lambda found: self.ids[found[1]], route.template)
        async with self.server.client.stream(route.method, self.server.address + path, headers=headers, **sent) as answer:
            head = repr(answer.headers)
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                async for part in answer.aiter_text():
                    return answer.status_code, head + part
            return answer.status_code, head + (await answer.aread()).decode()


@pytest.fixture(scope="module")
async def town(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    auth, limits = Auth(bootstrap_key=BOOTSTRAP), Limits(rate="100000/s")
    async with serving(tmp_path_factory.mktemp("town") / "tasks.db", auth=auth, limits=limits) as server:
        town = Town(server)
        await town.build()
        yield town


async def test_the_document_describes_what_is_mounted_and_for_whom(town: Town) -> None:
    answer = await town.server.client.get(town.server.address + "/schema/openapi.json")
    described = {
        f"{method.upper()} {path}": operation["security"]
        for path, methods in answer.json()["paths"].items()
        for method, operation in methods.items()
    }
    expected = {}
    for route in town.routes():
        if route.template not in PAGES and not route.template.startswith(FOR_PEOPLE):
            needed = [] if route.scope == KNOWN else [route.scope]
            expected[route.name] = [{}] if route.public else [{"bearer": needed}, {"session": needed}]
    assert described == expected
    assert len(expected) > 50


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "kind",
    [
        "nothing", "unknown", "garbage", "another kind", "a cookie", "a key as a cookie", "revoked", "disabled", "expired",
    ],
)  # fmt: skip
async def test_who_is_not_known_gets_nothing(town: Town, kind: str, way: str) -> None:
    wrong = []
    for route in town.routes():
        status, said = await town.ask(route, {**town.bad[kind], **WAYS[way]})
        expected = STRANGERS.get(route.name, 200) if route.public else 401
        if status != expected or MARK in said:
            wrong.append((route.name, status, said[:300]))
    assert wrong == []


@pytest.mark.parametrize("way", WAYS)
async def test_who_lacks_the_scope_is_refused(town: Town, way: str) -> None:
    wrong = []
    for route in town.routes():
        if route.public or route.scope == KNOWN:
            continue
        status, said = await town.ask(route, {**bearer(town.lacking[str(route.scope)]), **WAYS[way]})
        if status != 403 or MARK in said or f"scope {route.scope}" not in said:
            wrong.append((route.name, status, said[:300]))
    assert wrong == []


@pytest.mark.parametrize("way", WAYS)
async def test_who_sees_other_directories_learns_nothing_of_this_one(town: Town, way: str) -> None:
    wrong = []
    for route in town.routes():
        # An upgrade has no body.
        if route.public or (way == "socket" and route.method != "GET"):
            continue
        expected, sent = route.elsewhere()
        if route.template.endswith("/ws"):
            expected = 101 if way == "socket" else 400
        status, said = await town.ask(route, {**bearer(town.elsewhere), **WAYS[way]}, **sent)
        if status != expected or MARK in said.replace(str(sent.get("params") or sent.get("json") or "-"), "").replace(HERE, ""):
            wrong.append((route.name, status, said[:400]))
    assert wrong == []


async def test_with_the_scope_each_is_let_in(town: Town) -> None:
    # A handler that is let in finds something to say about an empty body, a missing parameter; never that one may not.
    wrong = []
    for route in town.routes():
        if route.name in {"POST /api/v1/system/reload", "DELETE /api/v1/auth/keys/{key}", "DELETE /api/v1/tasks/{task_id}"}:
            continue
        scopes = {scope for scope, others in LACKING.items() if scope != route.scope and route.scope in others}
        key = town.lacking[str(min(scopes))] if scopes else BOOTSTRAP
        status, said = await town.ask(route, bearer(key))
        if status in {401, 403} and STRANGERS.get(route.name) != status:
            wrong.append((route.name, status, said[:300]))
    assert wrong == []


@pytest.mark.parametrize("path", ["/nothing", "/api/v1", "/api/v1/nothing", "/api/v1//tasks", "/schema/nothing"])
async def test_what_does_not_exist_is_not_told_to_strangers(town: Town, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = await town.server.client.request(method, town.server.address + path)
        assert answer.status_code == 401, method
        assert answer.headers["www-authenticate"] == "Bearer"
        known = await town.server.client.request(method, town.server.address + path, headers=bearer(BOOTSTRAP))
        assert known.status_code in {404, 405}, method


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_a_socket_is_refused_before_it_is_accepted(town: Town, extensions: dict[str, Any]) -> None:
    for headers, status in ((town.bad["nothing"], b"UNAUTHORIZED"), (town.bad["revoked"], b"UNAUTHORIZED")):
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "websocket", "path": "/api/v1/ws", "raw_path": b"/api/v1/ws", "query_string": b"", "scheme": "ws",
            "root_path": "", "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2), "subprotocols": [], "extensions": extensions, "asgi": {"version": "3.0"},
        }  # fmt: skip
        connect: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        connect.put_nowait({"type": "websocket.connect"})

        async def send(message: Any, sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        app: Any = town.server.app.asgi_handler
        await app(scope, connect.get, send)
        assert "websocket.accept" not in {message["type"] for message in sent}
        if extensions:
            assert sent[0]["status"] == 401
            assert status in sent[1]["body"]
        else:
            assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


async def test_a_route_that_is_for_nobody_in_particular_does_not_come_into_being(monkeypatch: pytest.MonkeyPatch) -> None:
    @get("/new")
    async def forgot() -> None:
        """Say nothing."""

    @post("/odd", scope="reed")
    async def mistyped() -> None:
        """Say nothing."""

    @websocket("/socket", scope=Scope.READ)
    async def elsewhere(socket: WebSocket[Any, Any, Any]) -> None:
        """Say nothing."""

    for handler, problem in (
        (forgot, "/new .*no scope"),
        (mistyped, "/odd .*no scope"),
        (elsewhere, "/socket .*no handler of HTTP"),
    ):
        with pytest.raises(TypeError, match=problem):
            public(Litestar([handler]))
    monkeypatch.setattr(routes, "API", [*routes.API, forgot])
    with pytest.raises(TypeError, match="/api/v1/new"):
        compose(Settings())


async def test_all_that_is_mounted_was_looked_at(town: Town) -> None:
    assert all(isinstance(route, HTTPRoute) for route in town.server.app.routes), "say above how to ask the new kind of route"
    assert CALLS.keys() <= {route.name for route in town.routes()}
