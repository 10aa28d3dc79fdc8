"""What docs/schedules.md says is so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.http.conftest import Running

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
BODIES = [json.loads(text) for text in re.findall(r"(?s)```json\n(.*?)```", PAGE)]
EXPRESSIONS = re.findall(r"(?m)^\| `([^`]+)` \| ", PAGE[PAGE.index("| expression |") : PAGE.index("## What")])


async def test_its_bodies_are_taken(server: Running) -> None:
    assert len(BODIES) == 2
    for body in BODIES:
        made = await server.post("/schedules", body)
        fire = await server.post(f"/schedules/{made['id']}/execute")
        assert fire["outcome"] == "fired"
        await server.client.delete(f"/schedules/{made['id']}")
        titles = [(await server.get(f"/tasks/{task_id}"))["title"] for task_id in fire["task_ids"]]
        assert all("{" not in (title or "") for title in titles)


async def test_its_expressions_are_understood(server: Running) -> None:
    assert len(EXPRESSIONS) >= 9
    for expression in EXPRESSIONS:
        told = await server.post("/schedules/preview", {"cron": expression, "count": 1})
        assert told["description"]
        assert len(told["fires"]) == 1, expression
    (sent,) = re.findall(r"(?s)```json preview\n(.*?)```", PAGE)
    body: dict[str, Any] = json.loads(sent)
    assert len((await server.post("/schedules/preview", body))["fires"]) == body["count"]


async def test_its_calls_are_there(server: Running) -> None:
    described = (await server.client.get(server.address + "/schema/openapi.json")).json()["paths"]
    calls = re.findall(r"`(GET|POST|PUT|DELETE) (/api/v1[^`? ]+)", PAGE)
    assert len(calls) > 10
    for method, path in calls:
        known = path.replace("{id}", "{schedule_id}")
        assert method.lower() in described[known], f"{method} {path}"


async def test_its_metrics_are_there(server: Running, directory: str) -> None:
    made = await server.post("/schedules", {"name": "m", "cron": "@yearly", "task": {"work_directory": directory, "prompt": "x"}})
    await server.post(f"/schedules/{made['id']}/execute")
    text = (await server.client.get(server.address + "/metrics")).text
    assert 'schedule_fires_total{outcome="fired"}' in text
    assert "schedule_late_seconds_bucket" in text
