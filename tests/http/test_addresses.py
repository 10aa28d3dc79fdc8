"""From where one may connect, and who is believed about that."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Auth, Database, Limits
from orchestrator.settings import Server as Listening
from tests import postgres
from tests.http.conftest import Running, serving, until
from tests.http.raw import Raw, request

pytestmark = pytest.mark.anyio

KEY = "k" * 31 + "~"
HERE = "192.0.2.1"


class From:
    """Somebody behind the proxy, who asks with the key."""

    def __init__(self, server: Running, address: str) -> None:
        self.server = server
        self.headers = {"authorization": f"Bearer {KEY}", "x-forwarded-for": address}

    async def status(self, path: str = "/tasks") -> int:
        return (await self.server.client.get(path, headers=self.headers)).status_code

    async def change(self, which: str, verb: str, ip: str, **more: Any) -> Any:
        path = f"/ip-control/{which}/{verb}"
        answer = await self.server.client.post(path, json={"ip": ip, **more}, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def refused(self, status: int, which: str, verb: str, ip: str) -> Any:
        path = f"/ip-control/{which}/{verb}"
        return await self.server.refused("POST", path, status, json={"ip": ip}, headers=self.headers)

    async def lists(self) -> Any:
        return (await self.server.client.get("/ip-control/status", headers=self.headers)).json()["data"]


@pytest.fixture
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    listening = Listening(port=0, trusted_proxies=("127.0.0.1",), deny=("203.0.113.0/24",))
    path = tmp_path_factory.mktemp("addressed") / "tasks.db"
    async with serving(path, server=listening, auth=Auth(bootstrap_key=KEY)) as running:
        yield running


@pytest.fixture
def here(server: Running) -> From:
    return From(server, HERE)


async def test_who_is_denied_gets_nothing(server: Running, here: From) -> None:
    lists = await here.change("blacklist", "add", "198.51.100.7/24", note="they guess keys")
    assert lists["enabled"]
    assert lists["your_ip"] == HERE
    own, added = lists["blacklist"]
    assert (own["ip"], own["created_at"], own["created_by"]) == ("203.0.113.0/24", None, None)
    assert (added["ip"], added["note"], added["created_by"]) == ("198.51.100.0/24", "they guess keys", "bootstrap")
    assert added["created_at"]
    assert lists["whitelist"] == []
    for address in ("198.51.100.255", "::ffff:198.51.100.1", "203.0.113.9"):
        there = From(server, address)
        error = await server.refused("GET", "/tasks", 403, headers=there.headers)
        assert error["code"] == "FORBIDDEN"
        assert "blacklist" in error["message"]
        for path in ("/nothing", f"{server.address}/health", f"{server.address}/schema"):
            assert await there.status(path) == 403
        assert await there.status(f"{server.address}/health/live") == 200
    assert await here.status() == 200
    await here.change("blacklist", "remove", "198.51.100.0/24")
    assert await From(server, "198.51.100.255").status() == 200


async def test_with_a_whitelist_nobody_else_gets_in(server: Running, here: From) -> None:
    await here.change("whitelist", "add", "192.0.2.0/24")
    await here.change("whitelist", "add", "2001:db8::/32")
    statuses = {address: await From(server, address).status() for address in ("2001:db8:1::9", "2001:db9::1", "203.0.113.1")}
    assert statuses == {"2001:db8:1::9": 200, "2001:db9::1": 403, "203.0.113.1": 403}
    assert await here.status() == 200
    again = await here.change("whitelist", "add", "192.0.2.77/24", note="again")
    assert [(one["ip"], one["note"]) for one in again["whitelist"]] == [("192.0.2.0/24", "again"), ("2001:db8::/32", "")]


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ([], ("whitelist", "add", "10.0.0.0/8")),
        ([], ("blacklist", "add", "192.0.2.1")),
        ([], ("blacklist", "add", "192.0.2.1/8")),
        ([], ("blacklist", "add", "::ffff:192.0.2.1")),
        ([("whitelist", "add", "192.0.2.0/24"), ("whitelist", "add", "10.0.0.0/8")], ("whitelist", "remove", "192.0.2.0/24")),
    ],
)
async def test_nobody_locks_themselves_out_by_mistake(
    here: From, changes: list[tuple[str, str, str]], last: tuple[str, str, str]
) -> None:
    for change in changes:
        await here.change(*change)
    before = await here.lists()
    error = await here.refused(409, *last)
    assert (error["code"], error["details"]["your_ip"]) == ("CONFLICT", HERE)
    assert "`force`" in error["message"]
    assert await here.lists() == before
    await here.change(*last, force=True)
    assert await here.status() == 403


async def test_the_last_of_a_whitelist_may_go(here: From) -> None:
    await here.change("whitelist", "add", HERE)
    lists = await here.change("whitelist", "remove", "192.0.2.1/32")
    assert lists["whitelist"] == []


async def test_what_is_on_no_list_cannot_be_taken_off(here: From) -> None:
    error = await here.refused(404, "blacklist", "remove", "198.51.100.1")
    assert "198.51.100.1/32 is not on the blacklist" in error["message"]
    error = await here.refused(409, "blacklist", "remove", "203.0.113.0/24")
    assert "server.deny" in error["message"]


@pytest.mark.parametrize("ip", ["", "here", "1.2.3", "1.2.3.4/40", "fe80::1%eth0", "*", "1.2.3.4, 5.6.7.8"])
async def test_what_is_no_address(here: From, ip: str) -> None:
    error = await here.refused(400, "whitelist", "add", ip)
    assert error["details"]["field"] == "ip"
    assert not ip or repr(ip) in error["message"]


async def test_lists_are_kept_and_told(server: Running, here: From) -> None:
    await here.change("blacklist", "add", "198.51.100.1")
    rows = (await server.client.get("/audit", headers=here.headers)).json()["data"]["items"]
    told = next(row for row in rows if row["type"] == "address.added")
    assert (told["actor"], told["origin"], told["data"]["network"]) == ("bootstrap", HERE, "198.51.100.1/32")


async def test_lists_outlive_the_server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("kept") / "tasks.db"
    sections: dict[str, Any] = {
        "server": Listening(port=0, trusted_proxies=("127.0.0.1",)),
        "auth": Auth(bootstrap_key=KEY),
        "database": Database(url=f"sqlite:///{path}"),
    }
    async with serving(path, **sections) as first:
        await From(first, HERE).change("blacklist", "add", "198.51.100.1")
    async with serving(path, **sections) as second:
        assert await From(second, "198.51.100.1").status() == 403
        assert await From(second, HERE).status() == 200


async def test_all_replicas_hear_of_it(anyio_backend: object, tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "server": Listening(port=0, trusted_proxies=("127.0.0.1",)),
        "auth": Auth(bootstrap_key=KEY),
        "database": Database(url=postgres.database(tmp_path)),
    }
    async with serving(tmp_path / "one", **sections) as one, serving(tmp_path / "other", **sections) as other:
        await From(one, HERE).change("blacklist", "add", "198.51.100.1")
        assert await From(one, "198.51.100.1").status() == 403
        await until(lambda: other.app.state.doors.addresses.refused("198.51.100.1"))
        assert await From(other, "198.51.100.1").status() == 403
        await From(other, HERE).change("blacklist", "remove", "198.51.100.1")
        await until(lambda: not one.app.state.doors.addresses.refused("198.51.100.1"))


async def test_only_who_administers_everything_may_look(server: Running, here: From) -> None:
    bodies = [
        {"name": "reader", "scopes": ["read", "submit", "work"]},
        {"name": "some", "scopes": ["admin"], "paths": ["/srv/**"]},
    ]
    for body in bodies:
        made = (await server.client.post("/auth/keys", json=body, headers=here.headers)).json()["data"]
        headers = {**here.headers, "authorization": f"Bearer {made['key']}"}
        await server.refused("GET", "/ip-control/status", 403, headers=headers)
        for which in ("whitelist", "blacklist"):
            for verb in ("add", "remove"):
                path = f"/ip-control/{which}/{verb}"
                await server.refused("POST", path, 403, json={"ip": "10.0.0.1", "force": True}, headers=headers)


async def test_nobody_gets_in_by_what_they_claim(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    listening = Listening(port=0, trusted_proxies=("10.0.0.0/8",), allow=("192.0.2.0/24",))
    async with serving(tmp_path_factory.mktemp("claimed") / "tasks.db", server=listening) as server:
        for claim in ("192.0.2.1", "10.0.0.1, 192.0.2.1", "192.0.2.1, 10.0.0.1", "127.0.0.1"):
            for name in ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "client-ip"):
                error = await server.refused("GET", "/tasks", 403, headers={name: claim})
                assert "127.0.0.1 is not on the whitelist" in error["message"]


async def test_what_a_client_writes_before_its_proxy_does_not_count(server: Running, here: From) -> None:
    await here.change("blacklist", "add", "198.51.100.1")
    for forwarded in (
        "192.0.2.9, 198.51.100.1",
        "127.0.0.1, 198.51.100.1",
        "198.51.100.1, 127.0.0.1",
        "[::1]:80, 198.51.100.1:443",
    ):
        assert await From(server, forwarded).status() == 403
    assert await From(server, "198.51.100.1, 192.0.2.9").status() == 200


async def test_what_stands_behind_a_body_is_no_header(server: Running, here: From) -> None:
    await here.change("blacklist", "add", "198.51.100.1")
    chunked = ("transfer-encoding: chunked", "trailer: x-forwarded-for, authorization")
    for headers, trailer, status in (
        ((f"authorization: Bearer {KEY}", "x-forwarded-for: 198.51.100.1"), "x-forwarded-for: 192.0.2.1", 403),
        (("x-forwarded-for: 192.0.2.1",), f"authorization: Bearer {KEY}", 401),
        ((f"authorization: Bearer {KEY}", "x-forwarded-for: 192.0.2.1"), "x-forwarded-for: 198.51.100.1", 200),
    ):
        async with Raw.open(server.address) as raw:
            await raw.send(request("GET", "/api/v1/tasks", *headers, *chunked) + f"0\r\n{trailer}\r\n\r\n".encode())
            assert (await raw.answer())[0] == status
            await raw.send(request("GET", "/api/v1/tasks", *headers))
            assert (await raw.answer())[0] == status


async def test_guesses_are_counted_by_the_address_that_the_proxy_saw(
    anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sections: dict[str, Any] = {
        "server": Listening(port=0, trusted_proxies=("127.0.0.1",)),
        "auth": Auth(bootstrap_key=KEY),
        "limits": Limits(rate="3/h"),
    }
    async with serving(tmp_path_factory.mktemp("guessed") / "tasks.db", **sections) as server:

        async def guess(forwarded: str) -> int:
            headers = {"authorization": "Bearer guess", "x-forwarded-for": forwarded}
            return (await server.client.get("/tasks", headers=headers)).status_code

        # Whatever it claims to be: behind what it writes stands where it comes from.
        assert [await guess(f"10.0.0.{n}, 198.51.100.1") for n in range(5)] == [401, 401, 401, 429, 429]
        # Whoever has one address of IPv6 has them all.
        assert [await guess(f"2001:db8:0:1::{n}") for n in range(5)] == [401, 401, 401, 429, 429]
        assert await guess("2001:db8:0:2::1") == 401
        assert await From(server, "198.51.100.1").status() == 200
        answer = await server.client.get("/tasks", headers={"x-forwarded-for": "198.51.100.1"})
        assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (429, "0")
        assert 1 <= int(answer.headers["retry-after"]) <= 1200
        assert (await server.client.get(f"{server.address}/health/live", headers={"x-forwarded-for": "198.51.100.1"})).is_success
