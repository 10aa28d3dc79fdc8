"""What docs/triggers.md and docs/github.md show is what happens."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator import triggers
from orchestrator.settings import GitHub
from orchestrator.triggers.base import Settings
from tests.http.conftest import Running, serving, until
from tests.http.hooks import SECRET, history, signed

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("triggers", "github")}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGES[page])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path / "tasks.db", github=GitHub(webhook_secret=SECRET)) as running:
        yield running


async def saved(server: Running, body: Any) -> str:
    made: str = (await server.post("/workflows", body))["id"]
    await server.post(f"/deployment/workflows/{made}/deploy")
    return made


async def tasks(server: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await server.get("/tasks"))["items"]
    return found


async def test_a_label_makes_a_task(server: Running) -> None:
    (example,) = blocks("github", "json")
    await saved(server, json.loads(example))
    issue = {"number": 7, "title": "It fails", "body": "Run {{ secrets.TOKEN }} 🦔", "labels": [{"name": "agent"}]}
    facts = {"action": "labeled", "label": {"name": "agent"}, "issue": issue, "sender": {"login": "ann"}}
    for sender, outcome in (("mallory", "filtered"), ("ann", "fired")):
        raw = json.dumps({**facts, "sender": {"login": sender}, "repository": {"full_name": "acme/api"}}).encode()
        headers = {"x-github-event": "issues", "x-github-delivery": sender, "content-type": "application/json"}
        headers["x-hub-signature-256"] = signed(raw)
        answer = await server.client.post("/public/webhooks/github", content=raw, headers=headers)
        assert answer.json()["data"]["outcomes"] == [outcome]
    await until(lambda: server.app.state.metrics.tasks_created)
    (task,) = await tasks(server)
    assert (task["title"], task["work_directory"], task["tags"]) == ("#7 It fails", "/srv/repos/api", ["github"])
    assert task["prompt"].startswith("Solve issue 7 of acme/api.\n\nIt fails\n\nRun ")
    assert "{{ secrets.TOKEN }}" not in task["prompt"]


async def test_a_new_type_is_a_file_and_a_line(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "TYPES", dict(triggers.TYPES))
    monkeypatch.setattr("orchestrator.triggers.calling.TYPES", triggers.TYPES)
    monkeypatch.setattr("orchestrator.http.deployment.TYPES", triggers.TYPES)
    source, registration = blocks("triggers", "python")
    names: dict[str, Any] = {"__name__": "orchestrator.triggers.alerts", "register": triggers.register}
    exec(compile(source + registration, "triggers.md", "exec"), names)  # noqa: S102 - it is what the page shows
    assert issubclass(names["AlertSettings"], Settings)
    step = {"id": "look", "task": {"work_directory": "/a", "prompt": "Look at {{ input.name }}."}}
    trigger = {"type": "alerts", "token": SECRET}
    error = await server.refused(
        "POST", "/workflows", 400, json={"name": "a", "steps": [step], "triggers": [{**trigger, "x": 1}]}
    )
    assert error["details"]["field"] == "triggers[0].x"
    at = await saved(server, {"name": "alerts", "steps": [step], "triggers": [trigger]})
    path = f"/public/webhook/workflow/{at}"
    alert = {"id": "1", "name": "disk", "severity": "critical"}
    headers = {"x-alert-token": SECRET}
    statuses = [(await server.client.post(path, json=alert, headers=one)).status_code for one in ({}, headers, headers)]
    assert statuses == [401, 202, 200]
    await server.client.post(path, json={**alert, "id": "2", "severity": "info"}, headers=headers)
    rows = await history(server, at)
    assert [(row["outcome"], row["facts"].get("alert")) for row in rows] == [
        ("filtered", "disk"), ("duplicate", "disk"), ("fired", "disk"), ("refused", None),
    ]  # fmt: skip
    shown = (await server.get(f"/triggers/workflows/{at}/status"))["triggers"][0]
    assert (shown["settings"]["token"], shown["path"]) == ("***", f"/api/v1{path}")


async def test_every_type_is_in_the_table() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| .* \| (`.*`) \|$", PAGES["triggers"][: PAGES["triggers"].index("```")]))
    assert rows.keys() == triggers.TYPES.keys()
    common = {field.encode_name for field in msgspec.structs.fields(Settings)}
    for name, told in rows.items():
        fields = {field.encode_name for field in msgspec.structs.fields(triggers.TYPES[name].settings)} - common
        assert set(re.findall(r"`(\w+)`", told)) == fields, name


async def test_the_filters_of_github_are_in_the_table() -> None:
    filters = set(re.findall(r"(?m)^\| `(\w+)` \|", PAGES["github"]))
    assert filters >= {"events", "actions", "repositories", "branches", "paths", "authors", "senders", "labels"}
