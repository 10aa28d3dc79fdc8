"""Keys: made, shown once, limited, used, ended; and what happens to those who are inside meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.doors.doors import Doors
from orchestrator.doors.held import Held
from orchestrator.doors.keyring import STRANGER
from orchestrator.settings import Auth, Database, Limits
from orchestrator.store.protocol import StoreAwayError
from tests import postgres
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving, until

pytestmark = pytest.mark.anyio

AUTH = Auth(bootstrap_key=BOOTSTRAP)
SOON_S = 1.5
"""Within a second, and half of one for machines that are busy with other tests."""


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(tmp_path_factory.mktemp("keys") / "tasks.db", auth=AUTH) as running:
        yield running


@pytest.fixture
def keys(server: Running) -> Keys:
    return Keys(server)


async def status(server: Running, key: str, method: str = "GET", path: str = "/tasks", **request: Any) -> int:
    answer = await server.client.request(method, path, headers=bearer(key), **request)
    return answer.status_code


async def test_a_key_is_shown_once_and_kept_nowhere(
    server: Running, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expires = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    body = {"name": "ci", "scopes": ["work", "read"], "paths": ["/srv//repos/**", "/x/"], "rate": "600/m", "secrets": ["TOKEN"]}
    answer = await server.client.post("/auth/keys", json={**body, "expires_at": expires.isoformat()}, headers=bearer(BOOTSTRAP))
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made = answer.json()["data"]
    key = made.pop("key")
    assert key.startswith(f"orc_{made['id']}_")
    assert len(key) == 4 + 12 + 1 + 48
    shown = {name: made[name] for name in body} | {"created_by": made["created_by"]}
    assert shown == {**body, "scopes": ["read", "work"], "paths": ["/srv/repos/**", "/x"], "created_by": "bootstrap"}
    assert datetime.fromisoformat(made["expires_at"]) == expires
    listed = await keys.ask("GET", "/auth/keys")
    assert made in listed["items"]
    assert key not in str(listed)
    for file in tmp_path_factory.getbasetemp().glob("keys*/*"):
        assert key.encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"name": "x", "scopes": ["write"]}, "scopes[0]", "write"),
        ({"name": "x", "scopes": []}, "scopes", "1"),
        ({"name": "", "scopes": ["read"]}, "name", "1"),
        ({"name": "x", "scopes": ["read"], "paths": ["/a", "b"]}, "paths[1]", "absolute"),
        ({"name": "x", "scopes": ["read"], "paths": ["/a/*/b"]}, "paths[0]", "no pattern"),
        ({"name": "x", "scopes": ["read"], "paths": []}, "paths", "1"),
        ({"name": "x", "scopes": ["read"], "rate": "600"}, "rate", "600/m"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}, "expires_at", "past"),
        ({"name": "x", "scopes": ["read"], "path": "/a"}, "path", "paths"),
    ],
)
async def test_what_is_wrong_with_a_new_key_is_named(server: Running, body: dict[str, Any], field: str, words: str) -> None:
    error = await server.refused("POST", "/auth/keys", 400, json=body, headers=bearer(BOOTSTRAP))
    assert error["details"]["field"] == field
    assert words in error["message"]


async def test_a_key_is_renamed_limited_disabled_and_revoked(server: Running, keys: Keys) -> None:
    key = await keys.make("first name", "read")
    changed = await keys.change("first name", name="second name", rate="5/m", secrets=["A", "A"])
    assert (changed["name"], changed["rate"], changed["secrets"]) == ("second name", "5/m", ["A"])
    assert await status(server, key) == 200
    await keys.change("first name", disabled=True)
    error = await server.refused("GET", "/tasks", 401, headers=bearer(key))
    assert "disabled" in error["message"]
    await keys.change("first name", disabled=False, rate=None)
    assert await status(server, key) == 200
    await keys.revoke("first name")
    error = await server.refused("GET", "/tasks", 401, headers=bearer(key))
    assert "revoked" in error["message"]
    refused = await server.client.put(
        f"/auth/keys/{keys.made['first name']}", json={"disabled": False}, headers=bearer(BOOTSTRAP)
    )
    assert refused.status_code == 409
    names = [one["name"] for one in (await keys.ask("GET", "/auth/keys"))["items"]]
    assert "second name" not in names
    names = [one["name"] for one in (await keys.ask("GET", "/auth/keys", params={"revoked": True}))["items"]]
    assert "second name" in names


@pytest.mark.parametrize("key", ["0" * 12, "nothing", "%00", "%F0%9F%97%9D", "x" * 500, "bootstrap"])
async def test_a_key_that_is_not_there_is_404(server: Running, key: str) -> None:
    assert await status(server, BOOTSTRAP, "PUT", f"/auth/keys/{key}", json={}) == 404
    assert await status(server, BOOTSTRAP, "DELETE", f"/auth/keys/{key}") == 404


async def test_the_time_of_a_key_is_over(server: Running, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await keys.make("mortal", "read", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert await status(server, key) == 200
    doors: Doors = server.app.state.doors
    later = doors.now() + 3_600_000
    monkeypatch.setattr(doors, "now", lambda: later)
    error = await server.refused("GET", "/tasks", 401, headers=bearer(key))
    assert "expired" in error["message"]


async def test_who_administers_some_directories_makes_keys_for_no_others(server: Running, keys: Keys) -> None:
    chief = await keys.make("chief of a", "admin", paths=["/a/**"])
    other = await keys.make("of b", "read", paths=["/b/**"])
    for paths, expected in ((["/a/x"], 201), (["/a/**"], 201), (["/b"], 403), (["/**"], 403), (None, 403), (["/a/../b"], 403)):
        body = {"name": f"by chief {paths}", "scopes": ["read"], "paths": paths}
        assert await status(server, chief, "POST", "/auth/keys", json=body) == expected, paths
    listed = await server.client.get("/auth/keys", headers=bearer(chief))
    assert {one["name"] for one in listed.json()["data"]["items"]} == {"chief of a", "by chief ['/a/x']", "by chief ['/a/**']"}
    for name in ("of b",):
        assert await status(server, chief, "PUT", f"/auth/keys/{keys.made[name]}", json={"disabled": True}) == 404
        assert await status(server, chief, "DELETE", f"/auth/keys/{keys.made[name]}") == 404
    assert await status(server, other) == 200
    secret = {"name": "with secrets", "scopes": ["read"], "paths": ["/a"], "secrets": ["TOKEN"]}
    assert await status(server, chief, "POST", "/auth/keys", json=secret) == 403


async def test_the_last_use_of_a_key_is_told(server: Running, keys: Keys) -> None:
    key = await keys.make("used", "read")
    began = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(3):
        assert await status(server, key) == 200
    await server.app.state.doorkeeper.record()
    (one,) = [one for one in (await keys.ask("GET", "/auth/keys"))["items"] if one["name"] == "used"]
    assert datetime.fromisoformat(one["last_used_at"]) > began
    assert one["last_used_from"] == "127.0.0.1"


async def test_the_last_use_is_told_also_of_a_server_that_has_stopped(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=AUTH) as server:
        key = await Keys(server).make("used until the end", "read")
        assert await status(server, key) == 200
    async with serving(tmp_path / "tasks.db", auth=AUTH) as server:
        (one,) = (await Keys(server).ask("GET", "/auth/keys"))["items"]
        assert one["last_used_from"] == "127.0.0.1"


async def test_a_server_whose_database_is_away_stops_all_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=AUTH) as server:
        await status(server, await Keys(server).make("used in vain", "read"))
        server.queue.lost(StoreAwayError("gone"))
        await server.app.state.doorkeeper.leave()


async def test_a_lease_is_of_no_use_to_another_key(server: Running, keys: Keys) -> None:
    mine, yours = [await keys.make(f"worker {number}", "work", "submit", "read") for number in range(2)]
    task = (await server.client.post("/tasks", json={"work_directory": "/l", "prompt": "p"}, headers=bearer(mine))).json()["data"]
    query: dict[str, Any] = {"work_path": "/l", "worker_id": "w", "wait": 0}
    lease = (await server.client.get("/tasks/next", params=query, headers=bearer(mine))).json()["data"]["lease"]
    calls: dict[str, dict[str, Any]] = {
        "heartbeat": {}, "complete": {}, "fail": {"error": {"message": "x"}}, "release": {}, "park": {"reason": "quota"},
        "logs": {"lines": ["x"]},
    }  # fmt: skip
    for call, body in calls.items():
        answer = await server.client.post(f"/tasks/{task['id']}/{call}", json={"lease": lease, **body}, headers=bearer(yours))
        assert (answer.status_code, answer.json()["error"]["code"]) in {(403, "FORBIDDEN"), (409, "LEASE_LOST")}, call
    for call in ("heartbeat", "complete", "fail"):
        item = {"id": task["id"], "lease": lease, **calls[call]}
        answer = await server.client.post(f"/tasks/{call}", json={"items": [item]}, headers=bearer(yours))
        assert "error" in answer.json()["data"]["items"][0], call
    assert await status(server, mine, "POST", f"/tasks/{task['id']}/complete", json={"lease": lease}) == 200


async def test_with_the_first_key_the_door_closes(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        assert (await server.client.get("/tasks", headers=bearer("anything"))).status_code == 200
        inside = asyncio.create_task(server.client.get("/tasks/next", params={"work_path": "/a", "worker_id": "w", "wait": 50}))
        await until(lambda: server.queue.parked)
        key = (await server.post("/auth/keys", {"name": "first", "scopes": ["admin"]}))["key"]
        assert (await inside).status_code == 401
        assert "has keys now, and this request brings none" in (await inside).text
        assert (await server.client.get("/tasks")).status_code == 401
        assert await status(server, key) == 200
        listed = (await server.client.get("/auth/keys", headers=bearer(key))).json()["data"]["items"]
        await server.client.delete(f"/auth/keys/{listed[0]['id']}", headers=bearer(key))
        assert (await server.client.get("/tasks")).status_code == 401, "it does not open again"
        assert await status(server, server.app.state.doors.local) == 200, "who may read the files of the server may enter"


async def test_what_a_revoked_key_waits_for_ends(server: Running, keys: Keys) -> None:
    key = await keys.make("waiting", "work", "read", "submit")
    task = (await server.client.post("/tasks", json={"work_directory": "/w", "prompt": "p"}, headers=bearer(key))).json()["data"]
    query: dict[str, Any] = {"work_path": "/w/nothing", "worker_id": "w", "wait": 50}
    poll = asyncio.create_task(server.client.get("/tasks/next", params=query, headers=bearer(key)))
    held = asyncio.create_task(server.client.get(f"/tasks/{task['id']}/status", params={"wait": 50}, headers=bearer(key)))
    doors: Doors = server.app.state.doors
    async with server.client.stream("GET", "/events", headers=bearer(key)) as stream:
        parts = stream.aiter_text()
        assert "id:" in await anext(parts)
        await until(lambda: len(doors.held) == 3)
        await keys.revoke("waiting")
        async with asyncio.timeout(SOON_S):
            assert [answer.status_code for answer in await asyncio.gather(poll, held)] == [401, 401]
            rest = [part async for part in parts]
    assert "key.revoked" not in "".join(rest)
    await until(lambda: not doors.held)
    assert (await keys.ask("GET", f"/tasks/{task['id']}"))["status"] == "waiting"


async def test_what_has_come_true_still_reaches_its_asker() -> None:
    still = True
    held = Held(lambda _: still)
    given, waiting = [asyncio.get_running_loop().create_future() for _ in range(2)]
    for future in (given, waiting):
        held.begin(future, STRANGER)
    given.set_result("a lease")
    still = False
    held.sift()
    assert (held.ended(given), given.result()) == (False, "a lease")
    assert (held.ended(waiting), waiting.cancelled()) == (True, True)
    late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    held.begin(late, STRANGER)
    assert held.ended(late)


async def test_a_revocation_is_known_to_all_replicas(tmp_path: Path) -> None:
    database = Database(url=postgres.database(tmp_path))
    async with (
        serving(tmp_path / "one", database=database, auth=AUTH) as one,
        serving(tmp_path / "other", database=database, auth=AUTH) as other,
    ):
        keys = Keys(one)
        key = await keys.make("everywhere", "read", "work")
        found = other.app.state.doors.keyring

        async with asyncio.timeout(SOON_S):
            await until(lambda: found.stores(keys.made["everywhere"]))
        assert await status(other, key) == 200
        query: dict[str, Any] = {"work_path": "/r", "worker_id": "w", "wait": 50}
        poll = asyncio.create_task(other.client.get("/tasks/next", params=query, headers=bearer(key)))
        await until(lambda: other.queue.parked)
        await keys.revoke("everywhere")
        async with asyncio.timeout(SOON_S):
            assert (await poll).status_code == 401
        assert await status(other, key) == 401
        assert await status(one, key) == 401


async def test_each_key_has_a_rate_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=AUTH, limits=Limits(rate="50/d")) as server:
        keys = Keys(server)
        few, usual = await keys.make("few", "read", "work", "submit", rate="3/d"), await keys.make("usual", "read")
        left = [int((await server.client.get("/tasks", headers=bearer(few))).headers["ratelimit-remaining"]) for _ in range(3)]
        assert left == [2, 1, 0]
        answer = await server.client.get("/tasks", headers=bearer(few))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert answer.headers["ratelimit-limit"] == "3"
        assert 0 < int(answer.headers["retry-after"]) <= 86_400 / 3 + 1
        assert (await server.client.get("/tasks", headers=bearer(usual))).headers["ratelimit-limit"] == "50"
        for call in ("heartbeat", "complete", "fail", "release", "park", "logs"):
            for path in (f"/tasks/1/{call}", f"/tasks/{call}"):
                answer = await server.client.post(path, json={}, headers=bearer(few))
                assert answer.status_code in {400, 404, 405}, path
                assert "ratelimit-limit" not in answer.headers
        assert await status(server, few, "POST", "/tasks/1/cancel") == 429
        # Who holds no leases reports on none.
        reader = await keys.make("reader", "read", rate="1/d")
        assert [await status(server, reader, "POST", "/tasks/1/complete") for _ in range(2)] == [403, 429]
        assert (await server.client.get("/tasks/1/logs", headers=bearer(few))).status_code == 429
        assert (await server.client.get(f"{server.address}/health/live", headers=bearer(few))).status_code == 200


async def test_guesses_are_counted_by_address_and_lock_nobody_else_out(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=AUTH, limits=Limits(rate="20/d")) as server:
        answers = [
            (await server.client.get("/tasks", headers=bearer(f"orc_{number:012x}_{number:048x}"))).status_code
            for number in range(30)
        ]
        assert answers == [401] * 20 + [429] * 10
        assert (await server.client.post(f"{server.address}/login", data={"key": "x"})).status_code == 429
        assert (await server.client.get(f"{server.address}/health/ready")).status_code == 200
        assert await status(server, BOOTSTRAP) == 200
        assert await status(server, BOOTSTRAP[:-1]) == 429
