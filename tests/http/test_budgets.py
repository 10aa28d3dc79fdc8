"""Budgets and what was used, over HTTP."""

import asyncio
from typing import Any

import pytest

from tests.http.conftest import Running, until

pytestmark = pytest.mark.anyio


async def running(server: Running, directory: str, **spec: Any) -> Any:
    await server.task(directory, spec=spec)
    return await server.claim(directory, lease_seconds=60)


async def beat(server: Running, task: Any, **facts: Any) -> Any:
    return await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], **facts})


async def put(server: Running, path: str, body: Any) -> Any:
    return (await server.client.put(path, json=body)).raise_for_status().json()["data"]


async def test_a_task_parks_with_its_budget_and_goes_on_when_approved(server: Running, directory: str) -> None:
    task = await running(server, directory, budget={"cost_usd": 2})
    assert task["budget"] == {"tokens": None, "cost_usd": 2.0}
    told = await beat(server, task, usage={"cost_usd": 2.31})
    assert (told["directive"], told["reason"]) == ("park", "the task's budget is used up: used $2.31 of $2.00")
    parked = await server.post(f"/tasks/{task['id']}/park", {"lease": task["lease"], "reason": "budget", "session_id": "s"})
    assert (parked["status"], parked["parked"]["message"], parked["parked"]["until"]) == ("parked", "used $2.31 of $2.00", None)
    why = await server.get(f"/tasks/{task['id']}/why")
    assert why["summary"] == "Parked: its budget is used up: approve it to go on. It was told: used $2.31 of $2.00"
    again = await server.post(f"/tasks/{task['id']}/approve")
    assert (again["status"], again["budget"]["cost_usd"], again["usage"]["cost_usd"]) == ("waiting", 4.31, 2.31)


async def test_why_tells_what_was_used_also_where_the_worker_said_something_else(server: Running, directory: str) -> None:
    task = await running(server, directory, budget={"tokens": 5})
    report = {"lease": task["lease"], "reason": "budget", "usage": {"output_tokens": 6}, "message": "enough"}
    assert (await server.post(f"/tasks/{task['id']}/park", report))["parked"]["message"] == "enough"
    why = await server.get(f"/tasks/{task['id']}/why")
    assert why["summary"].startswith("Parked: its budget is used up (used 6 of 5 tokens): approve it to go on.")


async def test_a_put_of_a_higher_budget_brings_a_task_back(server: Running, directory: str) -> None:
    task = await running(server, directory, budget={"tokens": 10}, model="m")
    released = await server.post(f"/tasks/{task['id']}/release", {"lease": task["lease"], "usage": {"output_tokens": 12}})
    assert released["parked"]["reason"] == "budget"
    same = await put(server, f"/tasks/{task['id']}", {"spec": {"budget": {"tokens": 10}, "model": "n"}})
    assert same["status"] == "parked"
    raised = await put(server, f"/tasks/{task['id']}", {"spec": {"budget": {"tokens": 20}}})
    assert (raised["status"], raised["budget"]) == ("waiting", {"tokens": 20, "cost_usd": None})
    assert (await put(server, f"/tasks/{task['id']}", {"spec": None}))["budget"] is None


async def test_a_heartbeat_that_is_held_hears_of_the_budget_at_once(server: Running, directory: str) -> None:
    task = await running(server, directory, budget={"tokens": 10})
    held = asyncio.create_task(beat(server, task, wait=50))
    await until(lambda: bool(server.queue.feed._watches))
    await beat(server, task, progress={"percent": 1})
    await beat(server, task, usage={"input_tokens": 10})
    async with asyncio.timeout(5):
        told = await held
    assert (told["directive"], told["reason"]) == ("park", "the task's budget is used up: used 10 of 10 tokens")


async def test_a_directory_has_budgets_per_day(server: Running, directory: str) -> None:
    task = await running(server, directory)
    limits = {"daily_cost_usd": 10, "daily_tokens": 5_000, "daily_attempts": 7}
    shown = await put(server, "/directories", {"work_directory": directory, **limits})
    assert {name: shown[name] for name in limits} == limits
    told = await beat(server, task, usage={"cost_usd": 10.02})
    words = f"the budget of {directory} for today is used up: $10.02 of $10.00; again at 00:00 UTC, or raise it"
    assert (told["directive"], told["reason"]) == ("park", words)
    waiting = await server.task(directory)
    assert await server.claim(directory, wait=0) is None
    why = await server.get(f"/tasks/{waiting['id']}/why")
    first = why["obstacles"][0]
    assert (first["code"], first["message"]) == ("budget", f"{words[0].upper()}{words[1:]}.")
    parked = await server.post(f"/tasks/{task['id']}/park", {"lease": task["lease"], "reason": "budget"})
    assert parked["parked"]["until"].endswith("T00:00:00Z")
    why = await server.get(f"/tasks/{task['id']}/why")
    assert why["summary"].endswith("T00:00:00Z: the budget of a directory is used up.")
    held = asyncio.create_task(server.claim(directory, wait=50))
    await until(lambda: server.queue.parked == 1)
    await put(server, "/directories", {"work_directory": directory, "daily_cost_usd": 20})
    async with asyncio.timeout(5):
        assert (await held)["id"] == task["id"]
    taken = await put(server, "/directories", {"work_directory": directory, **dict.fromkeys(limits)})
    assert {name: taken[name] for name in limits} == dict.fromkeys(limits)


async def test_what_was_used_is_summed_up(server: Running, directory: str) -> None:
    task = await running(server, directory, agent="claude")
    used = {"input_tokens": 100, "output_tokens": 20, "cached_tokens": 50, "cost_usd": 0.25, "duration_ms": 900}
    await beat(server, task, usage={**used, "model": "opus"})
    here = {"work_path": directory, "by": ["model", "agent", "directory"]}
    page = await server.get("/usage", **here)
    apart = {"model": "opus", "agent": "claude", "work_directory": directory}
    row = {**dict.fromkeys(("day", "host", "tag")), **apart, "attempts": 0, **used}
    assert (page["items"], page["total"], page["next_cursor"]) == ([row], 1, None)
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})
    statistics = (await server.get("/statistics"))["usage"]
    assert statistics["today"]["attempts"] >= 1
    assert {**row, "attempts": 1, "model": None, "agent": None} in statistics["by_directory"]
    refused = await server.refused("GET", "/usage?by=week", 400)
    assert "day, directory, host, model, agent, tag" in refused["message"].replace('"', "").replace("'", "")


async def test_pages_of_what_was_used(server: Running, directory: str) -> None:
    for name in "ab":
        task = await running(server, f"{directory}/{name}")
        await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "usage": {"cost_usd": 1}})
    here = {"work_path": directory, "recursive": "true", "by": "directory", "limit": 1}
    first = await server.get("/usage", **here)
    second = await server.get("/usage", **here, cursor=first["next_cursor"])
    found = [row["work_directory"] for page in (first, second) for row in page["items"]]
    assert (found, second["next_cursor"]) == ([f"{directory}/a", f"{directory}/b"], None)


async def test_what_was_used_is_summed_up_by_tag(server: Running, directory: str) -> None:
    await server.task(directory, tags=["网站", "night"])
    task = await server.claim(directory)
    await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "usage": {"cost_usd": 1.5, "duration_ms": 900}})
    here = {"work_path": directory, "by": "tag"}
    page = await server.get("/usage", **here)
    assert [(row["tag"], row["cost_usd"], row["duration_ms"], row["attempts"]) for row in page["items"]] == [
        ("night", 1.5, 900, 1), ("网站", 1.5, 900, 1),
    ]  # fmt: skip
    assert (await server.get("/usage", **here, tag="网站", sort="cost"))["total"] == 1
    refused = await server.refused("GET", "/usage?by=tag&by=model", 400)
    assert (refused["details"]["field"], "leave the model out, or the tag" in refused["message"]) == ("by", True)
    refused = await server.refused("GET", "/usage?tag=a&tag=b", 400)
    assert (refused["details"]["field"], "by=tag" in refused["message"]) == ("tag", True)
    refused = await server.refused("GET", "/usage?by=tag&sort=money", 400)
    assert refused["details"]["field"] == "sort"
