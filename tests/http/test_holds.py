"""Agents, their accounts, and workers that are told to drain, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.doors.redaction import Redaction
from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving, until

pytestmark = pytest.mark.anyio

ME = "claude:me@laptop"


async def polling(server: Running, path: str, worker: str, **headers: str) -> "asyncio.Task[Any]":
    """A claim that is held."""
    before = server.queue.parked
    body = {"work_path": [path], "worker_id": worker, "wait": 50}
    poll = asyncio.create_task(server.client.post("/tasks/claim", json=body, headers=headers))
    await until(lambda: server.queue.parked > before)
    return poll


async def stopped(server: Running, directory: str, **facts: Any) -> Any:
    """A task that is parked for the quota of an account."""
    await server.task(directory)
    task = await server.claim(directory)
    report = {"lease": task["lease"], "reason": "quota", "account": ME, "message": "5-hour limit", **facts}
    return await server.post(f"/tasks/{task['id']}/park", report)


# Draining


async def test_a_worker_that_drains_is_told_so_at_once(server: Running, directory: str) -> None:
    poll = await polling(server, directory, "one")
    told = await server.post("/workers/one/drain", {"reason": "update"})
    assert told == {"worker_id": "one", "reason": "update", "running": 0}
    async with asyncio.timeout(5):
        assert (await poll).json()["data"] == {"tasks": [], "drain": True}
    await server.task(directory)
    answer = await server.client.get("/tasks/next", params={"work_path": directory, "worker_id": "one", "wait": 50})
    assert (answer.json()["data"], answer.headers["orchestrator-drain"]) == (None, "true")
    (seen,) = [worker for worker in (await server.get("/workers"))["items"] if worker["worker_id"] == "one"]
    assert seen["draining"] is True
    assert (await server.client.delete("/workers/one/drain")).status_code == 204
    assert (await server.claim(directory, worker_id="one"))["work_directory"] == directory


async def test_a_held_heartbeat_hears_of_it_at_once(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory, worker_id="two", lease_seconds=60)
    beat = asyncio.create_task(server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "wait": 50}))
    await until(lambda: task["id"] in server.queue.feed._watches)
    assert (await server.post("/workers/two/drain"))["running"] == 1
    async with asyncio.timeout(5):
        told = await beat
    assert (told["directive"], told["drain"]) == ("continue", True)
    body = {"lease": task["lease"], "wait": 50}
    async with asyncio.timeout(5):
        assert (await server.post(f"/tasks/{task['id']}/heartbeat", body))["drain"] is True
    many = await server.post("/tasks/heartbeat", {"items": [{"id": task["id"], "lease": task["lease"]}]})
    assert many["items"][0]["task"]["drain"] is True


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Keys]:
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        yield Keys(server)


async def test_a_key_drains_only_workers_that_see_no_more_than_itself(keys: Keys) -> None:
    server = keys.server
    one = bearer(await keys.make("one", paths=["/one/**"]))
    other = bearer(await keys.make("other", paths=["/other/**"]))
    polls = {
        name: await polling(server, path, "same", **headers)
        for name, path, headers in (("one", "/one", one), ("other", "/other", other), ("all", "/one", bearer(BOOTSTRAP)))
    }
    assert (await server.client.post("/workers/nobody/drain", headers=one)).status_code == 404
    assert (await server.client.post("/workers/same/drain", headers=one)).status_code == 200
    async with asyncio.timeout(5):
        assert (await polls["one"]).json()["data"]["drain"] is True
    assert not polls["other"].done()
    assert not polls["all"].done()
    shown = (await server.client.get("/workers", headers=other)).json()["data"]["items"]
    assert [worker["draining"] for worker in shown] == [False]
    await keys.ask("POST", "/workers/same/drain")
    async with asyncio.timeout(5):
        assert {(await poll).json()["data"]["drain"] for poll in polls.values()} == {True}


# Accounts


async def test_an_account_is_listed_and_let_go_on(server: Running, directory: str) -> None:
    parked = await stopped(server, directory, session_id="s1", agent="claude")
    assert (parked["agent"], parked["session_id"], parked["attempt"]) == ("claude", "s1", 0)
    assert (parked["parked"]["account"], parked["parked"]["message"]) == (ME, "5-hour limit")
    (account,) = (await server.get("/accounts"))["items"]
    assert (account["account"], account["reason"], account["parked"]) == (ME, "5-hour limit", 1)
    assert account["held_until"] == parked["parked"]["until"]
    assert await server.claim(directory, account=ME) is None
    why = await server.get(f"/tasks/{parked['id']}/why")
    assert f"account {ME} waits for its quota" in why["summary"]
    assert why["summary"].endswith("It was told: 5-hour limit")
    again = (await server.client.put(f"/accounts/{ME}", json={"held_until": None})).json()["data"]
    assert (again["held_until"], again["reason"], again["parked"]) == (None, None, 0)
    claimed = await server.claim(directory, account=ME, agent="claude")
    assert (claimed["id"], claimed["session_id"], claimed["attempt"]) == (parked["id"], "s1", 1)


async def test_why_names_the_account_that_all_wait_for_who_ask(server: Running, directory: str) -> None:
    await server.client.put("/accounts/tired", json={"held_until": "2100-01-01T00:00:00Z", "reason": "month is over"})
    task = await server.task(directory)
    assert await server.claim(directory, account="tired") is None
    why = await server.get(f"/tasks/{task['id']}/why")
    assert why["summary"] == "Account tired waits for its quota until 2100-01-01T00:00:00Z."
    await server.client.put("/directories", json={"work_directory": directory, "paused": True})
    await server.claim(directory, worker_id="fresh")
    assert "quota" not in {one["code"] for one in (await server.get(f"/tasks/{task['id']}/why"))["obstacles"]}


async def test_what_is_wrong_with_an_account_is_said(server: Running) -> None:
    past = {"held_until": "2001-01-01T00:00:00Z"}
    assert (await server.refused("PUT", "/accounts/x", 400, json=past))["details"]["field"] == "held_until"
    assert (await server.refused("PUT", "/accounts/x", 404, json={"held_until": None}))["details"] == {"account": "x"}
    assert (await server.refused("PUT", f"/accounts/{'x' * 256}", 400, json=past))["details"]["field"] == "account"
    assert (await server.refused("PUT", "/accounts/%00", 400, json=past))["details"]["field"] == "account"


# Agents


async def test_tasks_go_to_the_agent_that_they_name(server: Running, directory: str) -> None:
    codex = await server.task(directory, spec={"agent": "codex"})
    anyone = await server.task(directory)
    assert (codex["agent"], anyone["agent"]) == ("codex", None)
    assert (await server.claim(directory, agent="claude"))["id"] == anyone["id"]
    assert await server.claim(directory, agent="claude") is None
    assert "agent tasks for codex" in (await server.get(f"/tasks/{codex['id']}/why"))["summary"]
    listed = await server.get("/tasks", agent="codex", work_path=directory)
    assert [task["id"] for task in listed["items"]] == [codex["id"]]
    changed = await server.client.put(f"/tasks/{codex['id']}", json={"spec": {"agent": "claude"}})
    assert changed.json()["data"]["agent"] == "claude"
    assert (await server.claim(directory, agent="claude"))["id"] == codex["id"]


async def test_a_script_may_call_anything_an_agent(server: Running, directory: str) -> None:
    task = await server.task(directory, kind="custom", spec={"agent": ["x"]})
    assert task["agent"] is None


async def test_a_new_spec_does_not_part_a_task_from_its_session(server: Running, directory: str) -> None:
    await server.task(directory, spec={"agent": "codex"})
    task = await server.claim(directory)
    path = f"/tasks/{task['id']}"
    for session, agent in ((None, None), ("s1", "codex")):
        await server.client.put(path, json={"spec": {"agent": "codex"}})
        beat = {"lease": task["lease"], "session_id": session, "agent": "codex"} if session else {"lease": task["lease"]}
        await server.post(f"{path}/heartbeat", beat)
        await server.post(f"{path}/park", {"lease": task["lease"], "question": "?"})
        assert (await server.client.put(path, json={"spec": {"model": "m"}})).json()["data"]["agent"] == agent
        await server.post(f"{path}/answer", {"answer": "yes"})
        task = await server.claim(directory)


async def test_a_waiting_poll_is_woken_by_a_task_for_its_agent(server: Running, directory: str) -> None:
    claims = {
        agent: asyncio.create_task(server.claim(directory, agent=agent, worker_id=agent, wait=50))
        for agent in ("claude", "codex")
    }
    await until(lambda: server.queue.parked == 2)
    task = await server.task(directory, spec={"agent": "codex"})
    async with asyncio.timeout(5):
        assert (await claims["codex"])["id"] == task["id"]
    assert not claims["claude"].done()
    last = await server.task(directory)
    async with asyncio.timeout(5):
        assert (await claims["claude"])["id"] == last["id"]


# Evidence


async def test_evidence_is_shown_with_the_attempt_and_masked(
    server: Running, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    monkeypatch.setattr(server.app.state, "redaction", Redaction([], ["hunter22"]))
    evidence = {"agent": "claude", "argv": ["claude", "--key=hunter22"], "exit_code": 0}
    report = {"lease": task["lease"], "evidence": evidence, "usage": {"output_tokens": 2}}
    await server.post(f"/tasks/{task['id']}/release", report)
    (attempt,) = (await server.get(f"/tasks/{task['id']}/attempts"))["items"]
    assert (attempt["agent"], attempt["usage"]) == ("claude", {"output_tokens": 2})
    assert attempt["evidence"] == {"agent": "claude", "argv": ["claude", "--key=***"], "exit_code": 0}


@pytest.mark.parametrize("how", ["complete", "fail", "release", "park"])
async def test_too_much_evidence_is_refused(server: Running, directory: str, how: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    body = {"lease": task["lease"], "evidence": {"output": "ä" * 40_000}}
    error = await server.refused("POST", f"/tasks/{task['id']}/{how}", 400, json=body)
    assert error["details"]["field"] == "evidence"
    assert "65536" in error["message"]
    assert (await server.get(f"/tasks/{task['id']}"))["status"] == "running"
    body["evidence"] = {"output": "x" * 65_000}
    await server.post(f"/tasks/{task['id']}/{how}", body)


# People


async def test_an_answer_comes_with_its_question_and_session(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    path = f"/tasks/{task['id']}"
    asked = {"lease": task["lease"], "question": "Which?", "options": ["a", "b"], "session_id": "s1", "agent": "claude"}
    await server.post(f"{path}/park", asked)
    # Options are suggestions.
    await server.post(f"{path}/answer", {"answer": "neither"})
    again = await server.claim(directory, agent="claude")
    assert [again[name] for name in ("question", "answer", "session_id", "attempt")] == ["Which?", "neither", "s1", 1]
    asked = {"lease": again["lease"], "question": "And now?"}
    parked = await server.post(f"{path}/park", asked)
    assert (parked["question"], parked["answer"], parked["session_id"]) == ("And now?", None, "s1")


async def test_an_approval_that_a_worker_asks_for_goes_on_in_its_session(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    path = f"/tasks/{task['id']}"
    report = {"lease": task["lease"], "reason": "approval", "session_id": "s1", "agent": "claude", "message": "Push it?"}
    parked = (await server.post(f"{path}/park", report))["parked"]
    assert (parked["reason"], parked["message"]) == ("approval", "Push it?")
    await server.post(f"{path}/approve")
    assert await server.claim(directory, agent="codex") is None
    again = await server.claim(directory, agent="claude")
    assert (again["session_id"], again["attempt"]) == ("s1", 1)
