"""The bodies that the pages of the API show are sent: each is taken, in a state in which its call makes sense."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator.settings import Auth
from tests.docs.blocks import ROOT, blocks
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

PAGES: Final = sorted((ROOT / "docs/reference/api").glob("*.md"))
KEY: Final = "k" * 32
TASK: Final[Any] = {"work_directory": "/srv/shop", "prompt": "Do it"}
ACCEPTED: Final = {"accept": "application/json, text/event-stream"}
ON_LEASE: Final = frozenset({
    "append_logs", "complete_many", "complete_task", "fail_many", "fail_task", "heartbeat", "heartbeat_many", "park_task",
    "release_task",
})  # fmt: skip
MADE: Final[Mapping[str, tuple[str, str, Any]]] = {
    "key": ("/auth/keys", "id", {"scopes": ["read"]}),
    "name": ("/commands", "name", {"body": "Do it"}),
    "schedule_id": ("/schedules", "id", {"cron": "@daily", "task": TASK}),
    "rule_id": ("/notifications/rules", "id", {"events": ["run.*"], "webhook": {"url": "https://example.org/hook"}}),
    "workflow_id": ("/workflows", "id", {"steps": [{"id": "one", "task": TASK}], "triggers": [{"type": "manual"}]}),
}
"""What stands in addresses: where it is made, what it is called by, and of what, but for its name."""


class Sender:
    """Makes what a call is about, and sends its example."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._made = 0

    async def send(self, operation: str, method: str, path: str, example: Any) -> None:
        """Raises AssertionError when the server does not take it."""
        ids = await self._prepared(operation, path)
        if operation in ON_LEASE or "{task_id}" in path:
            ids["task_id"], lease = await self._task(operation)
            if operation.endswith("_many"):
                example = {"items": [{**item, "id": ids["task_id"], "lease": lease} for item in example["items"]]}
            elif lease:
                example = {**example, "lease": lease}
        address = self._server.address + path.format(**ids)
        answer = await self._server.client.request(method, address, json=example, headers=ACCEPTED)
        assert answer.is_success, f"{operation}: {answer.status_code} {answer.text}"
        assert '"error":{"code"' not in answer.text, f"{operation}: {answer.text}"

    async def _prepared(self, operation: str, path: str) -> dict[str, Any]:
        post = self._server.post
        ids: dict[str, Any] = {"account": "claude:ada", "worker": "worker-1"}
        for placeholder in re.findall(r"{(\w+)}", path.replace("{run_id}", "{workflow_id}{run_id}")):
            if placeholder in MADE:
                where, field, body = MADE[placeholder]
                ids[placeholder] = (await post(where, {"name": self._name(), **body}))[field]
            elif placeholder == "run_id":
                ids["run_id"] = (await post(f"/workflows/{ids['workflow_id']}/execute"))["id"]
        if operation in {"fire_manually", "move_deployment"}:
            await post(f"/deployment/workflows/{ids['workflow_id']}/deploy")
        elif operation == "drain_worker":
            await self._server.claim("/srv/idle", worker_id="worker-1")
        elif operation == "allow_address":
            # Or the example would lock out this test.
            await post("/ip-control/whitelist/add", {"ip": "127.0.0.1"})
        return ids

    async def _task(self, operation: str) -> tuple[int, str]:
        """A task in the state that a call needs, and its lease if that is one of work."""
        directory = f"/srv/{self._name()}"
        more = {"requires_approval": True} if operation in {"approve_task", "reject_task"} else {}
        task_id: int = (await self._server.task(directory, **more))["id"]
        if operation in ON_LEASE:
            return task_id, (await self._server.claim(directory))["lease"]
        if operation == "answer_task":
            lease = (await self._server.claim(directory))["lease"]
            await self._server.post(f"/tasks/{task_id}/park", {"lease": lease, "reason": "question", "question": "May I?"})
        return task_id, ""

    def _name(self) -> str:
        self._made += 1
        return f"made-{self._made}"


def shown() -> dict[str, Any]:
    """The bodies on the pages, by the operation under whose heading they stand."""
    found: dict[str, Any] = {}
    for page in PAGES:
        headings = [(page_line, name) for page_line, name in _headings(page)]
        for block in blocks(page):
            name = next(name for line, name in reversed(headings) if line < block.line)
            found[name] = json.loads(block.text)
    return found


def _headings(page: Path) -> list[tuple[int, str]]:
    lines = page.read_text(encoding="utf-8").splitlines()
    return [(number, match[1]) for number, line in enumerate(lines, 1) if (match := re.fullmatch(r"## (\w+)", line))]


async def test_bodies_that_are_shown_are_taken(tmp_path: Path) -> None:
    bodies = shown()
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=KEY)) as server:
        server.client.headers["authorization"] = f"Bearer {KEY}"
        document = (await server.client.get(f"{server.address}/schema/openapi.json")).json()
        sender = Sender(server)
        calls = [(one["operationId"], how, path) for path, found in document["paths"].items() for how, one in found.items()]
        # Checked first: once it is there, the same again would be in its way.
        for operation, method, path in sorted(calls, key=lambda call: not call[0].startswith("check_")):
            if (body := bodies.pop(operation, None)) is not None:
                await sender.send(operation, method.upper(), path, body)
    assert bodies == {}, "these are of no call"
    assert len(shown()) > 30
