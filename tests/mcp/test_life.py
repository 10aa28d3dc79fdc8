"""MCP over HTTP, with the SDK's own client, in both eras of the protocol: a whole life."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.http.callers import Keys
from tests.http.conftest import Running
from tests.mcp.speaking import ERAS, SEVEN, Agent, connected

pytestmark = pytest.mark.anyio


async def test_a_whole_life(server: Running, agent: Agent, era: str, directory: str) -> None:
    assert agent.client.protocol_version == ERAS[era]
    first = await agent("task_add", work_path=directory, prompt="Fix it", title="First", priority="high", key=directory)
    assert first == {"id": first["id"], "created": True}
    assert await agent("task_add", work_path=directory, prompt="Fix it", title="First", priority="high", key=directory) == {
        "id": first["id"],
        "created": False,
    }
    then = await agent("task_add", work_path=directory, prompt="Go on", depends_on=[first["id"]])

    answer = await agent("task_next", work_path=directory, worker_id="a", wait_s=0)
    task = answer["task"]
    assert task == {
        "id": first["id"], "title": "First", "prompt": "Fix it", "attempt": 1, "lease": task["lease"], "lease_s": 900,
        "prior": None, "session_id": None,
    }  # fmt: skip
    beat = await agent("task_heartbeat", lease=task["lease"], note="half way")
    assert beat == {"ok": True, "lease_s": 900, "directive": "continue", "message": None}
    assert (await server.get(f"/tasks/{first['id']}"))["progress"]["message"] == "half way"

    asked = await agent("task_ask", lease=task["lease"], question="Which one?", options=["a", "b"])
    assert asked["parked"] is True
    parked = (await server.get(f"/tasks/{first['id']}"))["parked"]
    assert (parked["question"], parked["options"]) == ("Which one?", ["a", "b"])
    nothing = await agent("task_next", work_path=directory, worker_id="a", wait_s=0)
    assert nothing["task"] is None
    assert nothing["retry_after_s"] > 0

    await server.post(f"/tasks/{first['id']}/answer", {"answer": "b, of course"})
    again = (await agent("task_next", work_path=directory, worker_id="a"))["task"]
    assert again["attempt"] == 1
    assert "Which one?" in again["prior"]
    assert "b, of course" in again["prior"]
    assert await agent("task_ask", lease=again["lease"], question="Which one?") == {"answer": "b, of course"}

    finished = await agent("task_finish", lease=again["lease"], outcome="done", summary="did b", result={"chosen": "b"})
    assert finished == {"ok": True, "unblocked": [then["id"]]}
    # A client that had no answer sends it again.
    assert (await agent("task_finish", lease=again["lease"], outcome="done", summary="did b", result={"chosen": "b"}))["ok"]
    told = await agent("task_get", id=first["id"])
    assert (told["status"], told["result"], len(told["attempts"])) == ("completed", {"chosen": "b"}, 2)
    listed = await agent("task_list", work_path=directory)
    assert listed == {
        "tasks": [f"{then['id']} waiting {directory} Go on", f"{first['id']} completed high {directory} First"],
        "total": 2,
    }
    assert (await agent("task_list", work_path=directory, status="waiting"))["total"] == 1


async def test_pages_of_a_list(agent: Agent, directory: str) -> None:
    for name in "abc":
        await agent("task_add", work_path=directory, prompt=name)
    first = await agent("task_list", work_path=directory, limit=2)
    rest = await agent("task_list", work_path=directory, limit=2, cursor=first["next_cursor"])
    assert [line.rpartition(" ")[2] for line in [*first["tasks"], *rest["tasks"]]] == ["c", "b", "a"]
    assert "next_cursor" not in rest


async def claimed(agent: Agent, directory: str, **facts: Any) -> Any:
    """A task that the agent works on."""
    await agent("task_add", work_path=directory, prompt="Do it", **facts)
    return (await agent("task_next", work_path=directory, worker_id="a"))["task"]


async def test_a_failure_is_told_to_the_next_attempt(server: Running, agent: Agent, directory: str) -> None:
    task = await claimed(agent, directory, spec={"verify": "make test"})
    assert task["verify"] == "make test"
    told = "the build is broken: no header foo.h"
    ended = await agent("task_finish", lease=task["lease"], outcome="failed", summary=told, retry_after_s=0)
    assert ended == {"ok": True, "unblocked": []}
    again = (await agent("task_next", work_path=directory, worker_id="b"))["task"]
    assert (again["id"], again["attempt"]) == (task["id"], 2)
    assert told in again["prior"]
    assert told in " ".join((await agent("task_get", id=task["id"]))["attempts"])
    assert (await server.get(f"/tasks/{task['id']}"))["error"] is None or again["attempt"] == 2


async def test_blocked_becomes_a_question_and_a_limit_waits_without_an_attempt(
    server: Running, agent: Agent, directory: str
) -> None:
    task = await claimed(agent, directory)
    await agent("task_finish", lease=task["lease"], outcome="blocked", summary="I need the password" + "!" * 20_000)
    parked = await server.get(f"/tasks/{task['id']}")
    assert (parked["status"], parked["parked"]["reason"]) == ("parked", "question")
    assert parked["parked"]["question"].startswith("I need the password!!!")
    await server.post(f"/tasks/{task['id']}/answer", {"answer": "it is in the vault"})

    again = (await agent("task_next", work_path=directory, worker_id="a"))["task"]
    await agent("task_finish", lease=again["lease"], outcome="rate_limited", summary="out of tokens", retry_after_s=3600)
    waiting = await server.get(f"/tasks/{task['id']}")
    assert (waiting["status"], waiting["parked"]["reason"], waiting["attempt"]) == ("parked", "quota", 0)
    assert "why" in await agent("task_get", id=task["id"])


async def test_any_call_with_the_lease_renews_it_and_hears_of_a_cancel(server: Running, agent: Agent, directory: str) -> None:
    task = await claimed(agent, directory)

    async def ends() -> str:
        found: str = (await server.get(f"/tasks/{task['id']}"))["lease_expires_at"]
        return found

    calls: list[Callable[[], Any]] = [
        lambda: agent("task_add", work_path=directory, prompt="A part of it", lease=task["lease"]),
        lambda: agent("task_list", work_path=directory, lease=task["lease"]),
        lambda: agent("task_get", id=task["id"], lease=task["lease"]),
        lambda: agent("task_heartbeat", lease=task["lease"]),
    ]
    for call in calls:
        before = await ends()
        assert "lease" not in await call()
        assert await ends() > before

    await server.post(f"/tasks/{task['id']}/cancel", {"reason": "not needed any more"})
    beat = await agent("task_heartbeat", lease=task["lease"])
    assert beat["directive"] == "cancel"
    assert "task_finish" in beat["message"]
    assert "cancelled" in (await agent("task_get", id=task["id"], lease=task["lease"]))["lease"]
    await agent("task_finish", lease=task["lease"], outcome="failed", summary="stopped")
    assert (await server.get(f"/tasks/{task['id']}"))["status"] == "cancelled"
    lost = await agent("task_get", id=task["id"], lease=task["lease"])
    assert lost["status"] == "cancelled"
    assert "no longer yours" in lost["lease"]


async def test_errors_say_what_to_do_next(agent: Agent, directory: str) -> None:
    task = await claimed(agent, directory)
    await agent("task_finish", lease=task["lease"], outcome="failed", summary="no", retry_after_s=0)
    again = (await agent("task_next", work_path=directory, worker_id="b"))["task"]
    lost = await agent.refused("task_heartbeat", lease=task["lease"])
    assert lost["code"] == "LEASE_LOST"
    assert "stop working on it" in lost["message"]
    await agent("task_finish", lease=again["lease"], outcome="done", summary="x")

    for tool, arguments, named in (
        ("task_heartbeat", {"lease": "nonsense"}, "task_next gave"),
        ("task_finish", {"lease": task["lease"], "outcome": "great", "summary": ""}, "outcome"),
        ("task_finish", {"lease": task["lease"], "summary": "x"}, "outcome"),
        ("task_next", {"work_path": directory}, "worker_id"),
        ("task_next", {"work_path": "here", "worker_id": "a"}, "absolute"),
        ("task_next", {"work_path": directory, "worker_id": "a", "wait_s": 51}, "wait_s"),
        ("task_next", {"path": directory, "worker_id": "a"}, "the arguments are: work_path"),
        ("task_add", {"prompt": "x", "work_path": directory, "depends_on": ["first"]}, "depends_on"),
        ("task_add", {"work_path": directory}, "prompt"),
        ("task_add", {"prompt": "x", "work_path": "here"}, "absolute"),
    ):
        error = await agent.refused(tool, **arguments)
        assert error["code"] == "VALIDATION_ERROR", error
        assert named in error["message"], error
    missing = await agent.refused("task_get", id=10**9)
    assert missing["code"] == "NOT_FOUND"
    assert "task_list" in missing["message"]
    with pytest.raises(MCPError, match=r"there is no tool 'task_fly'.*task_next"):
        await agent.client.call_tool("task_fly", {})


async def test_resources_and_prompts(server: Running, agent: Agent, directory: str) -> None:
    task = await claimed(agent, directory, title="Look at me")
    await server.post(f"/tasks/{task['id']}/logs", {"lease": task["lease"], "lines": [f"line {n}" for n in range(600)]})
    templates = await agent.client.list_resource_templates()
    assert [one.uri_template for one in templates.resource_templates] == [
        "orchestrator://queue/{path}", "orchestrator://tasks/{id}", "orchestrator://tasks/{id}/log",
    ]  # fmt: skip

    async def read(uri: str) -> str:
        text: Any = (await agent.client.read_resource(uri)).contents[0]
        found: str = text.text
        return found

    assert f"{task['id']} running {directory} Look at me" in await read(f"orchestrator://queue{directory}")
    assert "Look at me" in await read("orchestrator://queue/" + directory.replace("/", "%2F"))
    assert json.loads(await read(f"orchestrator://tasks/{task['id']}"))["title"] == "Look at me"
    assert (await read(f"orchestrator://tasks/{task['id']}/log")).endswith("line 598\nline 599")
    assert (await agent("task_get", id=task["id"], log_tail=2))["log"] == "line 598\nline 599"
    endless = f"orchestrator://tasks/{'9' * 5000}"
    others = ("orchestrator://tasks/x", "orchestrator://tasks/1/more", "orchestrator://nothing/1", "file:///etc/passwd")
    for uri in (*others, endless, f"{endless}/log"):
        with pytest.raises(MCPError, match="there is no resource"):
            await read(uri)
    refused = await agent.refused("task_next", work_path="/a" * 40_000, worker_id="w", wait_s=0)
    assert refused["code"] == "VALIDATION_ERROR"

    async def prompt(name: str, **arguments: str) -> str:
        content: Any = (await agent.client.get_prompt(name, arguments)).messages[0].content
        found: str = content.text
        return found

    assert [one.name for one in (await agent.client.list_prompts()).prompts] == ["work_loop", "plan", "diagnose"]
    assert directory in await prompt("work_loop", work_path=directory)
    assert "Ship it" in await prompt("plan", work_path=directory, goal="Ship it")
    diagnosis = await prompt("diagnose", id=str(task["id"]))
    assert "line 599" in diagnosis
    assert '"status": "running"' in diagnosis
    for name, arguments, wrong in (("plan", {"goal": "x"}, "work_path"), ("diagnose", {"id": "x"}, "no id"), ("fly", {}, "fly")):
        with pytest.raises(MCPError, match=wrong):
            await prompt(name, **arguments)


async def test_the_tools_are_told_in_less_than_five_kilobytes(server: Running, era: str) -> None:
    key = await Keys(server).make(f"all but admin {era}", "read", "submit", "work")
    async with connected(server, era, key) as agent:
        listed = (await agent.client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
        instructions = agent.client.instructions or ""
    assert [tool["name"] for tool in listed["tools"]] == [*SEVEN, "advice"]
    assert len(json.dumps(listed["tools"])) < 5_000
    assert all(tool in instructions for tool in SEVEN)


async def test_administering(server: Running, agent: Agent, directory: str) -> None:
    added = await agent("task_add", work_path=directory, prompt="Do it")
    assert await agent("task_cancel", id=added["id"], reason="no") == {"ok": True, "status": "cancelled"}
    assert await agent("task_retry", id=added["id"]) == {"ok": True, "status": "waiting"}
    assert (await server.get(f"/tasks/{added['id']}"))["status"] == "waiting"


async def test_tasks_of_other_kinds_and_for_other_agents_are_left_alone(agent: Agent, directory: str) -> None:
    await agent("task_add", work_path=directory, kind="script", spec={"command": "true"})
    assert (await agent("task_next", work_path=directory, worker_id="a", wait_s=0))["task"] is None
    named = await agent("task_add", work_path=directory, prompt="For one alone", spec={"agent": "claude"})
    assert (await agent("task_next", work_path=directory, worker_id="a", wait_s=0))["task"] is None
    taken = await agent("task_next", work_path=directory, worker_id="a", wait_s=0, agent="claude")
    assert taken["task"]["id"] == named["id"]
