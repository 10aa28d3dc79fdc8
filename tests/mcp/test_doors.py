"""Who may do what by MCP: the doors are those of the API."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from orchestrator.settings import Auth, Limits
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from tests.mcp.conftest import LARGEST, SECRET
from tests.mcp.speaking import SEVEN, Agent, connected

pytestmark = pytest.mark.anyio


async def test_a_key_gets_the_tools_of_its_scopes(server: Running, era: str) -> None:
    keys = Keys(server)
    for scopes, expected in (
        (["read"], ["task_list", "task_get", "advice"]),
        (["submit"], ["task_add"]),
        (["work"], ["task_next", "task_heartbeat", "task_finish", "task_ask"]),
        (["admin"], [*SEVEN, "task_cancel", "task_retry", "advice", "schedule_add", "schedule_list"]),
    ):
        async with connected(server, era, await keys.make(f"{scopes} {era}", *scopes)) as agent:
            assert await agent.tools() == expected
    async with connected(server, era, await keys.make(f"submits {era}", "submit", "read", "work")) as agent:
        # By the API such a key may cancel; by MCP only who administers.
        refused = await agent.refused("task_cancel", id=1)
        assert (refused["code"], "admin" in refused["message"]) == ("FORBIDDEN", True)


async def test_who_only_works_needs_no_more(server: Running, agent: Agent, era: str, directory: str) -> None:
    await agent("task_add", work_path=directory, prompt="Do it")
    key = await Keys(server).make(f"works {era}", "work")
    async with connected(server, era, key) as worker:
        task = (await worker("task_next", work_path=directory, worker_id="w"))["task"]
        assert (await worker("task_ask", lease=task["lease"], question="Well?"))["parked"]
        await server.post(f"/tasks/{task['id']}/answer", {"answer": "yes"})
        again = (await worker("task_next", work_path=directory, worker_id="w"))["task"]
        assert again["prior"].endswith("asked: Well?\nanswer: yes")
        assert await worker("task_finish", lease=again["lease"], outcome="done", summary="x") == {"ok": True, "unblocked": []}


async def test_a_key_for_some_directories_sees_no_others(server: Running, agent: Agent, era: str, directory: str) -> None:
    await agent("task_add", work_path=f"{directory}/theirs", prompt="Theirs")
    hidden = await agent("task_add", work_path=f"{directory}/mine-not", prompt="mark-91")
    key = await Keys(server).make(f"tenant {era}", "admin", paths=[f"{directory}/theirs/**"])
    async with connected(server, era, key) as tenant:
        assert (await tenant("task_list"))["total"] == 1
        assert (await tenant("task_list", work_path=f"{directory}/mine-not"))["tasks"] == []
        assert (await tenant("task_next", work_path=f"{directory}/theirs", worker_id="t"))["task"]["prompt"] == "Theirs"
        for tool, arguments, code in (
            ("task_next", {"work_path": f"{directory}/mine-not", "worker_id": "t"}, "FORBIDDEN"),
            ("task_add", {"work_path": f"{directory}/mine-not", "prompt": "x"}, "FORBIDDEN"),
            ("task_get", {"id": hidden["id"]}, "NOT_FOUND"),
            ("task_cancel", {"id": hidden["id"]}, "NOT_FOUND"),
        ):
            refused = await tenant.refused(tool, **arguments)
            assert refused["code"] == code
            assert "mark-91" not in str(refused)
        with pytest.raises(MCPError, match="NOT_FOUND"):
            await tenant.client.read_resource(f"orchestrator://tasks/{hidden['id']}")
        queue: Any = (await tenant.client.read_resource(f"orchestrator://queue{directory}")).contents[0]
        assert "mark-91" not in queue.text


async def test_secrets_reach_the_prompt_of_a_claim_and_nothing_else(
    server: Running, agent: Agent, era: str, directory: str
) -> None:
    added = await agent("task_add", work_path=directory, prompt="Use {{ secrets.TOKEN }}")
    key = await Keys(server).make(f"secret {era}", "admin", secrets=["TOKEN"])
    async with connected(server, era, key) as trusted:
        task = (await trusted("task_next", work_path=directory, worker_id="w"))["task"]
        assert task["prompt"] == f"Use {SECRET}"
        await trusted("task_heartbeat", lease=task["lease"], note=f"logged in with {SECRET}")
        for told in (await trusted("task_get", id=added["id"]), await trusted("task_list", work_path=directory)):
            assert SECRET not in str(told)


async def test_the_api_says_as_whom_it_knows_somebody(server: Running) -> None:
    key = await Keys(server).make("named", "submit", "read", paths=["/a/**"])
    answer = await server.client.get("/auth/me", headers=bearer(key))
    identity = answer.json()["data"]
    assert (identity["scopes"], identity["paths"]) == (["read", "submit"], ["/a/**"])
    assert identity["id"] == (await server.get("/auth/keys", limit=100))["items"][-1]["id"]


async def test_a_stranger_is_told_to_bring_a_key(server: Running) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx2.AsyncClient() as http:
        for headers in ({}, bearer("orc_wrong")):
            answer = await http.post(f"{server.address}/mcp", json=call, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        for method in ("GET", "DELETE", "PUT"):
            other = await http.request(method, f"{server.address}/mcp", headers=bearer(BOOTSTRAP))
            assert (other.status_code, other.headers["allow"]) == (405, "OPTIONS, POST")
        big = await http.post(f"{server.address}/mcp", content=b'{"a": "' + b"x" * LARGEST + b'"}', headers=bearer(BOOTSTRAP))
        assert big.status_code == 413
        wide = await http.post(f"{server.address}/mcp", content=b"[" * 600_000, headers=bearer(BOOTSTRAP))
        assert wide.status_code in {400, 413}
        for content in (b"", b"{", b"[]", b"\xff", b'{"jsonrpc": "2.0"}', b"null", b"[" * 5000):
            for more in ({}, {"mcp-protocol-version": "2026-07-28"}):
                broken = await http.post(f"{server.address}/mcp", content=content, headers={**bearer(BOOTSTRAP), **more})
                assert broken.status_code == 400, (content, broken.text)
                assert "error" in broken.json()


async def test_pages_of_other_sites_are_not_answered(tmp_path: Path) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with serving(tmp_path / "tasks.db") as server, httpx2.AsyncClient() as http:
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}, {"x-forwarded-for": "192.0.2.1"}):
            answer = await http.post(f"{server.address}/mcp", json=call, headers=headers)
            assert answer.status_code == 403
        assert (await http.post(f"{server.address}/mcp", json=call, headers={"origin": "http://localhost:3000"})).is_success


async def test_the_environment_of_the_server_lends_nobody_its_key(
    server: Running, era: str, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await Keys(server).make(f"poor {era}", "read", paths=["/nowhere"])
    await server.task(directory)
    monkeypatch.setenv("ORCHESTRATOR_API_KEY", BOOTSTRAP)
    async with connected(server, era, key) as poor:
        assert (await poor("task_list"))["total"] == 0


async def test_what_is_asked_by_mcp_is_noted_as_its_callers(server: Running, agent: Agent, directory: str) -> None:
    added = await agent("task_add", work_path=directory, prompt="Do it")
    await agent("task_cancel", id=added["id"])
    entries = (await server.get("/audit", limit=10))["items"]
    mine = next(entry for entry in entries if str(added["id"]) in json.dumps(entry))
    assert "127.0.0.1" in json.dumps(mine)
    assert "bootstrap" in json.dumps(mine)


async def test_calls_are_counted_once_and_reports_not_at_all(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"auth": Auth(bootstrap_key=BOOTSTRAP), "limits": Limits(rate="20/h")}
    async with serving(tmp_path / "tasks.db", **facts) as server, connected(server, "auto") as agent:
        await agent("task_add", work_path="/a", prompt="Do it")
        task = (await agent("task_next", work_path="/a", worker_id="a"))["task"]
        while not (await agent.client.call_tool("task_list", {})).is_error:
            pass
        refused = await agent.refused("task_list")
        assert refused["code"] == "RATE_LIMITED"
        assert "call again in" in refused["message"]
        later = await agent("task_next", work_path="/a", worker_id="b")
        assert later["task"] is None
        assert later["retry_after_s"] > 0
        # Who holds a lease is never refused.
        for _ in range(30):
            await agent("task_heartbeat", lease=task["lease"])
        assert (await agent("task_finish", lease=task["lease"], outcome="done", summary="x"))["ok"]
