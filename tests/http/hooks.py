"""Workflows with triggers, on a server that answers."""

import hmac
import json
from typing import Any

import msgspec

from orchestrator.domain.flow_operations import SaveWorkflow
from orchestrator.domain.outcomes import Defined
from orchestrator.domain.principal import OPEN, Principal
from orchestrator.triggers import checked
from tests.http.conftest import Running

SECRET = "correct horse battery"


async def workflow(server: Running, *triggers: Any, name: str = "w", by: Principal = OPEN, **facts: Any) -> str:
    """A workflow of one task, whose prompt is made of the input; its id."""
    task = {"work_directory": f"/hooks/{name}", "prompt": "do {{ input.text }}"}
    kept = checked(triggers, by, server.app.state.sealing)
    definition = {"steps": [{"id": "work", "task": task}], "triggers": kept, "input": {"text": "nothing"}, **facts}
    saved = await server.queue.submit(SaveWorkflow(name=name, definition=msgspec.json.encode(definition).decode()), by)
    assert isinstance(saved, Defined)
    return saved.workflow.id


async def deployed(server: Running, *triggers: Any, name: str = "w", **facts: Any) -> str:
    """The same, with its triggers on."""
    workflow_id = await workflow(server, *triggers, name=name, **facts)
    await server.post(f"/deployment/workflows/{workflow_id}/deploy")
    return workflow_id


def hook(type: str = "token", **more: Any) -> dict[str, Any]:
    auth = {"type": "none"} if type == "none" else {"type": type, "secret": SECRET}
    return {"type": "webhook", "auth": auth, **more}


def path(workflow_id: str) -> str:
    return f"/public/webhook/workflow/{workflow_id}"


async def history(server: Running, workflow_id: str, **query: Any) -> list[dict[str, Any]]:
    """What reached the triggers of a workflow, newest first."""
    page = await server.get(f"/triggers/workflows/{workflow_id}/deliveries", **query)
    rows: list[dict[str, Any]] = page["items"]
    return rows


async def runs(server: Running, workflow_id: str) -> list[tuple[Any, ...]]:
    """The runs of a workflow: input, trigger, source, number of the version."""
    query = "SELECT input, trigger, source, number FROM runs WHERE workflow_id = ? ORDER BY id"
    rows = await server.queue.reads._fetch(query, (workflow_id,))
    return [(json.loads(given), json.loads(trigger), source, number) for given, trigger, source, number in rows]


def signed(raw: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.digest(secret.encode(), raw, "sha256").hex()
