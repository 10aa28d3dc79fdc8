"""What people look at: statistics, attempts, workers, directories."""

import asyncio
from typing import Any

import httpx
import pytest

from orchestrator.store.protocol import StoreAwayError
from tests.http.conftest import Running, until

pytestmark = pytest.mark.anyio


async def test_statistics_follow_what_happens(server: Running, directory: str) -> None:
    before = await server.get("/statistics")
    for priority in ("low", "urgent"):
        await server.task(directory, priority=priority)
    claimed = await server.claim(directory)
    await server.post(f"/tasks/{claimed['id']}/complete", {"lease": claimed["lease"]})
    found = await server.get("/statistics")
    assert found["total"] == before["total"] + 2
    assert found["by_priority"]["low"] == before["by_priority"]["low"] + 1
    (here,) = [row for row in found["by_directory"] if row["work_directory"] == directory]
    assert (here["total"], here["by_status"]) == (2, {"waiting": 1, "completed": 1})
    assert here["oldest_waiting_seconds"] >= 0
    assert found["throughput"]["1h"]["completed"] == before["throughput"]["1h"]["completed"] + 1
    assert found["durations"]["count"] == before["durations"]["count"] + 1
    error = await server.refused("GET", "/statistics?x=1", 400)
    assert error["details"]["field"] == "x"


async def test_attempts_are_listed_counted_and_read(server: Running, directory: str) -> None:
    task = await server.task(directory, max_attempts=2, backoff={"base_seconds": 0})
    claimed = await server.claim(directory)
    error = {"type": "Boom", "message": "it broke"}
    await server.post(f"/tasks/{task['id']}/fail", {"lease": claimed["lease"], "error": error, "retry_after_seconds": 0})
    again = await server.claim(directory, wait=10)
    here = {"work_path": f"{directory}/"}
    listed = await server.get("/execution-logs", **here)
    assert [(one["id"] is None, one["outcome"], one["attempt"]) for one in listed["items"]] == [
        (True, "running", 2),
        (False, "failed", 1),
    ]
    assert (listed["total"], listed["limit"], listed["next_cursor"]) == (2, 50, None)
    failed = listed["items"][1]
    assert failed["error"] == error
    assert await server.get(f"/execution-logs/{failed['id']}") == failed
    await server.post(f"/tasks/{task['id']}/complete", {"lease": again["lease"]})
    stats = await server.get("/execution-logs/stats", **here)
    assert (stats["total"], stats["success_rate"], stats["by_outcome"]["failed"]) == (2, 0.5, 1)
    page = await server.get("/execution-logs", limit=1, **here)
    rest = await server.get("/execution-logs", limit=1, cursor=page["next_cursor"], **here)
    assert [one["outcome"] for one in page["items"] + rest["items"]] == ["completed", "failed"]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/execution-logs/0", 400, "attempt_id"),
        ("/execution-logs/x", 400, "attempt_id"),
        (f"/execution-logs/{2**63}", 400, "attempt_id"),
        (f"/execution-logs/{2**63 - 1}", 404, None),
        ("/execution-logs?outcome=lost", 400, "outcome"),
        ("/execution-logs?work_path=here", 400, "work_path"),
        ("/execution-logs?cursor=x", 400, "cursor"),
        ("/execution-logs?started_after=yesterday", 400, "started_after"),
        ("/execution-logs/stats?limit=0", 400, "limit"),
        ("/directories?work_path=here", 400, "work_path"),
        ("/directories?cursor=x", 400, "cursor"),
        ("/directories?cursor=cDk5OTk5OTk5OTk5OTk5OTk5OTk", 400, "cursor"),
        ("/directories?cursor=cDE&offset=1", 400, "offset"),
        ("/workers?limit=0", 400, "limit"),
        ("/workers?cursor=dDE", 400, "cursor"),
    ],
)
async def test_questions_that_make_no_sense_are_refused(server: Running, path: str, status: int, field: str | None) -> None:
    error = await server.refused("GET", path, status)
    assert error["details"].get("field") == field
    assert error["message"]


async def worker(server: Running, worker_id: str) -> Any:
    found = [one for one in (await server.get("/workers"))["items"] if one["worker_id"] == worker_id]
    return found[0] if found else None


async def test_workers_are_those_that_ask_and_those_that_hold(server: Running, directory: str) -> None:
    facts = {"worker_id": f"w{directory}", "host": "box", "account": "team", "kinds": "agent", "recursive": "true"}
    parked = asyncio.create_task(server.claim(directory, wait=50, **facts))
    await until(lambda: server.queue.parked)
    asking = await worker(server, facts["worker_id"])
    assert (asking["polling"], asking["work_paths"], asking["host"], asking["account"]) == (True, [directory], "box", "team")
    assert (asking["kinds"], asking["recursive"], asking["holds"]) == (["agent"], True, [])
    task = await server.task(directory, title="Work")
    await parked
    holding = await worker(server, facts["worker_id"])
    assert not holding["polling"]
    (held,) = holding["holds"]
    assert (held["task_id"], held["title"], held["work_directory"], held["attempt"]) == (task["id"], "Work", directory, 1)
    assert await worker(server, "nobody") is None


async def test_a_held_call_that_is_cut_is_no_presence(server: Running, directory: str) -> None:
    name = f"w{directory}"
    poll = asyncio.create_task(server.claim(directory, wait=50, worker_id=name))
    await until(lambda: server.queue.parked)
    poll.cancel()
    await until(lambda: not server.queue.parked)
    await until(lambda: not any(one.polls for one in server.queue.presence.list() if one.worker_id == name))


async def test_why_knows_whether_somebody_asks(server: Running, directory: str) -> None:
    task = await server.task(directory, host="box")
    codes = [one["code"] for one in (await server.get(f"/tasks/{task['id']}/why"))["obstacles"]]
    assert codes == ["no_worker"]
    await server.claim(directory, host="box", tags="other")
    await server.claim(f"{directory}/below", host="box")
    assert [one["code"] for one in (await server.get(f"/tasks/{task['id']}/why"))["obstacles"]] == ["no_worker"]


async def put(server: Running, **body: Any) -> Any:
    answer = await server.client.put("/directories", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_directory_is_paused_and_resumed(server: Running, directory: str) -> None:
    task = await server.task(f"{directory}/x")
    paused = await put(server, work_directory=f"{directory}/", paused=True, reason="tidying")
    assert (paused["work_directory"], paused["paused"], paused["reason"], paused["by_status"]) == (directory, True, "tidying", {})
    assert await server.claim(f"{directory}/x") is None
    why = await server.get(f"/tasks/{task['id']}/why")
    assert "paused" in [one["code"] for one in why["obstacles"]]
    waiting = asyncio.create_task(server.claim(f"{directory}/x", wait=50))
    await until(lambda: server.queue.parked)
    resumed = await put(server, work_directory=directory, paused=False)
    assert (resumed["paused"], resumed["reason"]) == (False, None)
    claimed = await waiting
    assert claimed["id"] == task["id"]
    listed = await server.get("/directories", work_path=directory)
    assert [(row["work_directory"], row["by_status"]) for row in listed["items"]] == [
        (directory, {}),
        (f"{directory}/x", {"running": 1}),
    ]
    assert listed["total"] == 2


async def test_a_directory_is_limited(server: Running, directory: str) -> None:
    for _ in range(2):
        await server.task(directory)
    await put(server, work_directory=directory, max_running=1)
    assert await server.claim(directory) is not None
    assert await server.claim(directory) is None
    unlimited = await put(server, work_directory=directory, max_running=None)
    assert unlimited["max_running"] is None
    assert await server.claim(directory) is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"paused": True}, "work_directory"),
        ({"work_directory": "here", "paused": True}, "work_directory"),
        ({"work_directory": "/a", "max_running": 0}, "max_running"),
        ({"work_directory": "/a", "pause": True}, "pause"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_refused(server: Running, body: dict[str, Any], field: str) -> None:
    error = await server.refused("PUT", "/directories", 400, json=body)
    assert error["details"]["field"] == field


async def scraped(server: Running) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=server.address) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in answer.text.splitlines() if line[0] != "#"}


async def test_metrics_are_what_a_monitor_reads(server: Running, directory: str) -> None:
    await server.task(directory)
    values = await scraped(server)
    assert values["task_created_total"] >= 1
    assert values[f'waiting_tasks{{host="",work_directory="{directory}"}}'] == 1
    assert values["wal_size_bytes"] > 0
    for name in ("active_tasks", "parked_polls", "commit_backlog", "task_completed_total", "task_failed_total"):
        assert name in values


async def test_metrics_count_attempts_and_what_they_used(server: Running, directory: str) -> None:
    before = await scraped(server)
    await server.task(directory)
    claimed = await server.claim(directory, worker_id="metered")
    usage = {"input_tokens": 5, "output_tokens": 7, "cached_tokens": 2, "cost_usd": 0.25}
    lease = {"lease": claimed["lease"]}
    await server.post(f"/tasks/{claimed['id']}/heartbeat", {**lease, "usage": {**usage, "output_tokens": 3}})
    await server.post(f"/tasks/{claimed['id']}/complete", {**lease, "result": 1, "usage": usage})
    values = await scraped(server)
    gained = {name: value - before.get(name, 0) for name, value in values.items() if value != before.get(name, 0)}
    assert gained['task_attempts_total{kind="agent",outcome="completed"}'] == 1
    assert gained['task_attempt_duration_seconds_count{kind="agent"}'] == 1
    assert gained["task_attempt_wait_seconds_count"] == 1
    tokens = {which: gained[f'agent_tokens_total{{agent="unknown",type="{which}"}}'] for which in ("input", "output", "cached")}
    assert tokens == {"input": 5, "output": 7, "cached": 2}, "nothing is counted twice"
    assert gained['agent_cost_usd_total{agent="unknown"}'] == pytest.approx(0.25)
    assert gained["database_read_seconds_count"] > 0
    assert values['workers{state="busy"}'] >= 1
    assert (values['database_up{access="read"}'], values['database_up{access="write"}']) == (1, 1)


async def test_readers_of_events_are_counted(server: Running) -> None:
    async with server.client.stream("GET", "/events") as answer:
        assert answer.status_code == 200
        assert (await scraped(server))["event_listeners"] == 1


async def test_metrics_are_there_while_the_database_is_away(server: Running) -> None:
    server.queue.lost(StoreAwayError("refused"))
    try:
        values = await scraped(server)
    finally:
        server.queue._returned()
    assert (values['database_up{access="read"}'], values['database_up{access="write"}']) == (0, 0)
    assert "task_created_total" in values
    assert not {name for name in values if name.startswith(("tasks{", "active_tasks", "waiting_tasks"))}
    assert (await scraped(server))['database_up{access="read"}'] == 1
