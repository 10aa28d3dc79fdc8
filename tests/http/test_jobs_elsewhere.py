"""Jobs of TimerJobs and AI Schedule, sent as they are printed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from tests.jobs_elsewhere import AGENT_JOBS, INCOMPLETE, TIMER_JOBS, Times

pytestmark = pytest.mark.anyio


async def times(server: Running, schedule_id: int) -> list[datetime]:
    found = await server.get(f"/schedules/{schedule_id}/preview", count=3)
    return [datetime.fromisoformat(one["at"]).astimezone(UTC) for one in found["fires"]]


async def test_each_is_accepted_as_printed(server: Running) -> None:
    for job, expected in [*TIMER_JOBS, *AGENT_JOBS]:
        made = await server.post("/schedules", job)
        assert (made["name"], made["state"], made["timezone"]) == (job["name"], "active", "UTC")
        assert made["cron"] == job.get("cron_expr", job.get("cron_expression"))
        read = await server.get(f"/schedules/{made['id']}")
        assert read["task"] == made["task"]
        due = await times(server, made["id"])
        assert datetime.fromisoformat(made["next_fire_at"]) == due[0]
        assert _alike(due, expected)


async def named(server: Running, name: str) -> int:
    return int((await server.get("/schedules", q=name))["total"])


def _alike(due: list[datetime], expected: Times) -> bool:
    """As far apart as they should be, and at the right second of the minute."""
    meant = [datetime.strptime(f"2026-03-{one}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for one in expected]
    return due[1] - due[0] == meant[1] - meant[0] and {at.second for at in due} == {at.second for at in meant}


async def test_a_task_that_says_when_is_a_schedule(server: Running) -> None:
    job = {**AGENT_JOBS[0][0], "name": "a task with a time"}
    answer = await server.client.post("/tasks", json=job)
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert made["schedule_id"] == made["id"]
    assert made["task"]["resource_limits"] == {"cpu": "500m", "memory": "256Mi", "timeout": 3600}
    assert (await server.get("/tasks", schedule_id=made["id"]))["items"] == []
    fire = await server.post(f"/schedules/{made['schedule_id']}/execute")
    (task,) = (await server.get("/tasks", schedule_id=made["id"]))["items"]
    assert fire["task_ids"] == [task["id"]]
    assert (task["kind"], task["spec"], task["work_directory"]) == (
        "script",
        AGENT_JOBS[0][0]["agent_config"]["script"],
        "/default",
    )
    assert (task["environment"], task["timeout_seconds"]) == ({"BACKUP_PATH": "/data/backup"}, 3600)


async def test_a_task_that_says_no_time_is_a_task(server: Running) -> None:
    job = {name: value for name, value in AGENT_JOBS[1][0].items() if name != "cron_expression"} | {"name": "no time"}
    task = await server.post("/tasks", job)
    assert (task["kind"], task["title"], task["created"]) == ("http", "no time", True)
    assert task["spec"]["headers"] == {"Authorization": "Bearer token"}
    assert await named(server, "no time") == 0


@pytest.mark.parametrize("path", ["/tasks", "/schedules"])
async def test_what_an_example_lacks_is_said(server: Running, path: str) -> None:
    refused = await server.refused("POST", path, 400, json=INCOMPLETE)
    assert refused["details"]["field"] == "agent_config"
    assert '"script": {"command": "bash"' in refused["message"]


async def test_one_that_is_at_once_fires_when_it_is_saved(server: Running) -> None:
    job = {**TIMER_JOBS[-1][0], "name": "at once", "allow_mode": 2, "timezone": "Asia/Shanghai", "work_directory": "/srv/jobs"}
    made = await server.post("/schedules", job)
    (task,) = (await server.get("/tasks", schedule_id=made["id"]))["items"]
    assert (task["schedule_id"], task["work_directory"], task["max_attempts"]) == (made["id"], "/srv/jobs", 1)
    assert made["timezone"] == "Asia/Shanghai"
    await server.refused("POST", "/schedules", 409, json=job)
    assert len((await server.get("/tasks", schedule_id=made["id"]))["items"]) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron_expr": "0 0 31 2 *"}, "cron_expr"),
        ({"cron_expr": "often"}, "cron_expr"),
        ({"cron_expr": "TZ=Mars/Base 0 0 2 * * *"}, "timezone"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"command": "【mode】GET"}, "command"),
        ({"command": "【url】https://a/\n【retry】3"}, "command"),
        ({"mode": "command", "command": "【command】x\n【workdir】jobs"}, "task.work_directory"),
        ({"mode": "command", "command": "【command】x\n【env】A=\0"}, "command"),
        ({"states": 1}, "states"),
    ],
)
async def test_nothing_is_kept_of_what_is_wrong(server: Running, fields: dict[str, Any], field: str) -> None:
    refused = await server.refused("POST", "/schedules", 400, json={**TIMER_JOBS[0][0], "name": "wrong", **fields})
    assert refused["details"]["field"] == field
    assert await named(server, "wrong") == 0


async def test_ours_are_refused_in_our_words(server: Running) -> None:
    for path, body, field in (
        ("/tasks", {"promt": "x"}, "promt"),
        ("/schedules", {"name": "n"}, "cron"),
        ("/schedules", [1], ""),
    ):
        refused = await server.refused("POST", path, 400, json=body)
        assert refused["details"]["field"] == field
    for path in ("/tasks", "/schedules"):
        await server.refused("POST", path, 400, content=b'{"cron_expr"')


async def test_a_job_needs_the_rights_of_what_it_becomes(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        keys = Keys(server)
        submits = bearer(await keys.make("submits", "submit", "read", paths=["/srv/**"]))
        limited = bearer(await keys.make("limited", "admin", paths=["/srv/**"]))
        timed, plain = {**AGENT_JOBS[0][0], "work_directory": "/srv/jobs"}, dict(AGENT_JOBS[0][0])
        await server.refused("POST", "/tasks", 403, json=timed, headers=submits)
        await server.refused("POST", "/tasks", 403, json=plain, headers=limited)
        assert (await server.client.post("/tasks", json=timed, headers=limited)).status_code == 201
        plain = {name: value for name, value in timed.items() if name != "cron_expression"}
        assert (await server.client.post("/tasks", json=plain, headers=submits)).json()["data"]["work_directory"] == "/srv/jobs"
        await server.refused("POST", "/schedules", 403, json=TIMER_JOBS[4][0], headers=limited)
