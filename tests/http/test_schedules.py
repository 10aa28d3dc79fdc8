"""Schedules over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving, until

pytestmark = pytest.mark.anyio


def body(directory: str, **facts: Any) -> dict[str, Any]:
    return {"name": f"of {directory}", "cron": "0 0 2 * * *", "task": {"work_directory": directory, "prompt": "Do it"}} | facts


async def test_far_times_are_refused_or_shown_and_fail_nothing(server: Running, directory: str) -> None:
    far = body(directory, starts_at="9999-12-31T23:59:59Z")
    assert (await server.refused("POST", "/schedules", 400, json=far))["details"]["field"] in {"cron", "starts_at"}
    asked = {"cron": "@every 3650d", "starts_at": "9999-12-31T23:59:59Z"}
    assert (await server.post("/schedules/preview", asked))["fires"] == []
    assert len((await server.post("/schedules/preview", {"cron": "@every 3650d", "count": 1000}))["fires"]) < 10


async def test_conditions_and_loops_about_fires_are_templates(server: Running, directory: str) -> None:
    task = {"work_directory": directory, "prompt": "{% if fire.number == 1 %}first{% else %}later{% endif %}"}
    made = await server.post("/schedules", body(directory, task=task))
    fire = await server.post(f"/schedules/{made['id']}/execute")
    assert (await server.get(f"/tasks/{fire['task_ids'][0]}"))["prompt"] == "first"
    loop = body(f"{directory}/loop", task=task | {"prompt": "{% for x in fire %}{{ x }}{% endfor %}"})
    assert "a loop" in (await server.refused("POST", "/schedules", 400, json=loop))["message"]


async def test_a_schedule_from_its_beginning_to_its_end(server: Running, directory: str) -> None:
    made = await server.post("/schedules", body(directory, timezone="Europe/Berlin", description="nightly"))
    assert (made["version"], made["state"], made["runs"], made["words"]) == (1, "active", 0, made["words"])
    assert (made["task"], made["tasks"], made["created_by"]) == ({"work_directory": directory, "prompt": "Do it"}, None, "")
    assert made["last_fire_at"] is None
    path = f"/schedules/{made['id']}"
    assert await server.get(path) == made
    ahead = await server.get(f"{path}/preview", count=3)
    assert (ahead["description"], ahead["timezone"], len(ahead["fires"])) == (made["words"], "Europe/Berlin", 3)
    assert ahead["fires"][0]["at"] == made["next_fire_at"]
    fire = await server.post(f"{path}/execute")
    assert (fire["kind"], fire["outcome"], len(fire["task_ids"])) == ("manual", "fired", 1)
    task = await server.get(f"/tasks/{fire['task_ids'][0]}")
    assert (task["source"], task["schedule_id"], task["prompt"]) == ("schedule", made["id"], "Do it")
    history = await server.get(f"{path}/fires")
    assert (history["items"], history["total"]) == ([fire], 1)
    assert (await server.get(f"{path}/fires", outcome="skipped"))["items"] == []
    changed = (await server.client.put(path, json={"version": 2, "cron": "@every 5m", "name": "often"})).json()["data"]
    assert (changed["name"], changed["cron"], changed["version"], changed["runs"]) == ("often", "@every 5m", 3, 1)
    await server.refused("PUT", path, 409, json={"version": 1, "name": "x"})
    stopped = await server.post(f"{path}/stop", cancel="true")
    assert (stopped["state"], stopped["enabled"], stopped["next_fire_at"]) == ("paused", False, None)
    assert (await server.get(f"/tasks/{task['id']}"))["status"] == "cancelled"
    assert (await server.post(f"{path}/start"))["state"] == "active"
    assert (await server.post(f"{path}/restart"))["runs"] == 0
    assert (await server.client.delete(path)).status_code == 204
    await server.refused("GET", path, 404)
    await server.refused("GET", f"{path}/fires", 404)


async def test_it_fires_by_itself_at_the_second(server: Running, directory: str) -> None:
    metrics = server.app.state.metrics
    before = sum(metrics.schedule_late_seconds.counts)
    made = await server.post("/schedules", body(directory, cron="* * * * * *", missed="all"))
    claimed = [await server.claim(directory, wait=10) for _ in range(3)]
    assert all(task["schedule_id"] == made["id"] for task in claimed)
    stopped = await server.post(f"/schedules/{made['id']}/stop")
    fires = (await server.get(f"/schedules/{made['id']}/fires"))["items"]
    due = sorted(fire["due_at"] for fire in fires)
    assert len(due) == len(set(due)) >= 3
    assert {fire["outcome"] for fire in fires} == {"fired"}
    assert stopped["runs"] == len(fires)
    await until(lambda: sum(metrics.schedule_late_seconds.counts) >= before + len(fires))
    assert metrics.schedule_fires["fired"] >= len(fires)


async def test_what_was_missed_is_made_up_for(server: Running, directory: str) -> None:
    made = await server.post("/schedules", body(directory, cron="@hourly", overlap="one_at_a_time"))
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    period = {"start": (end - timedelta(hours=3)).isoformat(), "end": end.isoformat()}
    assert await server.post(f"/schedules/{made['id']}/backfill", period) == {"due": 3, "fired": 1}
    fires = (await server.get(f"/schedules/{made['id']}/fires"))["items"]
    assert [(fire["kind"], fire["outcome"]) for fire in fires] == [("backfill", "queued")] * 2 + [("backfill", "fired")]
    for _ in range(3):
        task = await server.claim(directory, wait=10)
        await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})
    fires = (await server.get(f"/schedules/{made['id']}/fires"))["items"]
    assert [fire["outcome"] for fire in fires] == ["fired"] * 3


async def test_a_preview_saves_nothing(server: Running) -> None:
    told = await server.post("/schedules/preview", {"cron": "0 0 9 * * MON-FRI", "timezone": "Asia/Shanghai", "count": 2})
    assert (told["timezone"], [at["at"][11:] for at in told["fires"]]) == ("Asia/Shanghai", ["01:00:00Z"] * 2)
    assert told["description"]
    spread = await server.post("/schedules/preview", {"cron": "H * * * *", "name": "a", "jitter_seconds": 60})
    assert len({at["at"][14:] for at in spread["fires"]}) > 1
    refused = await server.refused("POST", "/schedules/preview", 400, json={"cron": "0 0 31 2 *"})
    assert refused["details"]["field"] == "cron"
    assert (await server.get("/schedules", q="spread"))["items"] == []


async def test_lists_of_schedules(server: Running, directory: str) -> None:
    ids = [(await server.post("/schedules", body(directory, name=f"{directory} {n}")))["id"] for n in range(5)]
    await server.post(f"/schedules/{ids[0]}/stop")
    query = {"q": f"{directory} ", "limit": 2}
    first = await server.get("/schedules", **query)
    assert ([one["id"] for one in first["items"]], first["total"]) == (ids[:2], 5)
    rest = await server.get("/schedules", cursor=first["next_cursor"], **query)
    assert [one["id"] for one in rest["items"]] == ids[2:4]
    paused = await server.get("/schedules", q=f"{directory} ", state="paused")
    assert [one["id"] for one in paused["items"]] == ids[:1]
    assert (await server.get("/schedules", q=f"{directory} ", state="finished"))["items"] == []


async def test_the_scheduler_is_stopped_and_started(server: Running, directory: str) -> None:
    info = await server.get("/system/info")
    assert (info["database"], info["scheduler"]["state"], info["scheduler"]["enabled"]) == ("sqlite", "running", True)
    made = await server.post("/schedules", body(directory, cron="* * * * * *"))
    await until(lambda: server.queue.next_fire is not None)
    stopped = await server.post("/system/scheduler/stop")
    assert (stopped["state"], stopped["next_fire_at"]) == ("stopped", None)
    assert server.queue.next_fire is None
    before = await server.get(f"/schedules/{made['id']}")
    await asyncio.sleep(0)
    assert (await server.get(f"/schedules/{made['id']}"))["runs"] == before["runs"]
    started = await server.post("/system/scheduler/start")
    assert (started["state"], started["schedules"]["active"]) == ("running", info["scheduler"]["schedules"]["active"] + 1)
    await server.client.delete(f"/schedules/{made['id']}")
    metrics = await server.get("/system/metrics")
    assert metrics["memory_bytes"] > 0
    assert "waiting" in metrics["tasks"]


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Keys]:
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        yield Keys(server)


async def test_a_schedule_goes_on_without_its_key(keys: Keys) -> None:
    server = keys.server
    limited = bearer(await keys.make("limited", paths=["/one/**"]))
    other = bearer(await keys.make("other", paths=["/other/**"]))
    sent = body("/one/repo", cron="* * * * * *")
    made = (await server.client.post("/schedules", json=sent, headers=limited)).json()["data"]
    key_id = keys.made["limited"]
    assert made["created_by"] == key_id
    await server.refused("POST", "/schedules", 403, json=body("/two", name="two"), headers=limited)
    for method, rest in (("GET", ""), ("POST", "/execute"), ("DELETE", ""), ("GET", "/fires")):
        await server.refused(method, f"/schedules/{made['id']}{rest}", 404, headers=other)
    assert (await server.client.get("/schedules", headers=other)).json()["data"]["items"] == []
    await keys.revoke("limited")
    fired = server.app.state.metrics.schedule_fires
    before = fired["fired"]
    await until(lambda: fired["fired"] >= before + 2)
    (shown,) = (await keys.ask("GET", "/schedules"))["items"]
    assert (shown["created_by"], shown["runs"] >= 2) == (key_id, True)
