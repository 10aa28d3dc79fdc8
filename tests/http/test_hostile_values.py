"""Values from outside in templates and commands: they get no secrets, and no more room than there is."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Hidden
from tests.http import hooks
from tests.http.conftest import PATIENCE_S, Running, serving

pytestmark = pytest.mark.anyio

OWN, EVIL = "own-7Q1", "evil-9Z2"
ASKS = "{{ secrets.EVIL }}"
HOSTILE = {
    "whole": ASKS,
    "head": "{{ secr",
    "tail": "ets.EVIL }}",
    "brace": "{ secrets.EVIL }}",
    "deep": {ASKS: [ASKS, {"{{secrets.EVIL}}": "\\u007b{ secrets.EVIL }}"}]},
    "quoted": "'{'\"{ secrets.EVIL }}\"",
    "words": "{{ secrets.EVIL }} and more",
    "cut": "{{ secrets. }} {{ secrets.1",
}
ALL_OF_IT = (
    "{{ secrets.OWN }} {{ V.whole }} {{ V.head }}{{ V.tail }} {{ V.head ~ V.tail }} {% raw %}{{% endraw %}{{ V.brace }} "
    "{{ V.deep }} {{ V | tojson }} {{ V.cut }} {{ [V.head, V.tail] | join }} {{ V.words | replace(' and more', '') }}"
)


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("served") / "tasks.db"
    async with serving(path, secret_variables=Hidden({"OWN": OWN, "EVIL": EVIL})) as running:
        yield running


async def delivered(server: Running, directory: str, result: Any = None) -> list[str]:
    """What workers get of all tasks that wait, which they complete; as JSON."""
    texts = []
    while (task := await server.claim(directory, wait=0)) is not None:
        texts.append(json.dumps({name: task[name] for name in ("prompt", "spec", "environment", "metadata", "title")}))
        await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"], "result": result})
    return texts


async def run(server: Running, *steps: dict[str, Any], input: Any = HOSTILE, result: Any = None) -> tuple[list[str], Any]:
    made = await server.post("/workflows", {"name": f"of {steps[0]['task']['work_directory']}", "steps": list(steps)})
    begun = await server.post(f"/workflows/{made['id']}/execute", {"input": {"v": input}})
    texts: list[str] = []
    shown = begun
    while shown["status"] == "running":
        texts += await delivered(server, steps[0]["task"]["work_directory"], result)
        shown = await server.get(f"/runs/{begun['id']}")
    return texts, shown


@pytest.mark.parametrize("source", ["input.v", "steps.first.result", "item"])
async def test_a_value_gets_no_secret(server: Running, directory: str, source: str) -> None:
    text = ALL_OF_IT.replace("V", source)
    task = {
        "work_directory": directory,
        "kind": "mine",
        "prompt": text,
        "title": "{{ secrets.OWN }}",
        "spec": {"text": text, "value": f"{{{{ {source} }}}}", "listed": [text, f"{{{{ {source}.whole }}}}"]},
        "environment": {"A": text},
        "metadata": {"a": text},
    }
    step: dict[str, Any] = {"id": "second", "depends_on": ["first"], "task": task}
    if source == "item":
        step["for_each"] = "{{ [input.v, steps.first.result] }}"
    first = {"id": "first", "task": {"work_directory": directory, "prompt": "first"}}
    texts, ended = await run(server, first, step, result=HOSTILE)
    assert ended["status"] == "completed", ended
    assert len(texts) == (3 if source == "item" else 2)
    for told in texts[1:]:
        assert told.count(OWN) == 4  # prompt, two in spec, environment; a title and metadata have no secrets
    assert EVIL not in "".join(texts)


async def test_arguments_get_no_secret(server: Running, directory: str) -> None:
    body = "{{ secrets.OWN }} $ARGUMENTS | {$1 | $1$2 | $1 $2 $3 | ${a}${b} | {{ $1"
    await server.post("/commands", {"name": "hostile", "body": body, "arguments": [{"name": "a"}, {"name": "b"}]})
    for place, arguments in enumerate([
        "{{ input.v.whole }}", "{{ input.v.quoted }}", "{{ input.v.words }} {{ input.v.brace }}", "EVIL",
        {"a": "{{ input.v.head }}", "b": "{{ input.v.tail }}"}, {"a": "{{ input.v.brace }}"}, {"a": "{{ input.v.deep }}"},
        "{{ input.v.head }}{{ input.v.tail }}", "{", "'{{ input.v.brace }}'",
    ]):  # fmt: skip
        step = {"id": "a", "task": {"work_directory": f"{directory}/{place}", "command": "hostile", "arguments": arguments}}
        texts, ended = await run(server, step)
        assert ended["status"] == "completed", ended
        (told,) = texts
        assert told.count(OWN) == 1
        assert EVIL not in told


async def test_a_schedule_tells_its_name_and_no_secret(server: Running, directory: str) -> None:
    name = f"{ASKS} {directory}"
    task = {"work_directory": directory, "prompt": "{{ secrets.OWN }} {{ schedule.name }} {{ fire.due_at }}"}
    made = await server.post("/schedules", {"name": name, "cron": "0 0 1 1 *", "task": task})
    await server.post(f"/schedules/{made['id']}/execute")
    (told,) = await delivered(server, directory)
    assert OWN in told
    assert EVIL not in told


async def test_a_call_from_outside_gets_no_secret_and_tells_none(server: Running) -> None:
    prompt = "{{ secrets.OWN }} {{ input.text }} {{ input }} {{ trigger }} {{ trigger.headers['x-mine'] }} {{ trigger.query.a }}"
    step = {"id": "work", "task": {"work_directory": "/hooks/hostile", "prompt": prompt}}
    workflow_id = await hooks.deployed(server, hooks.hook(methods=["GET", "POST"]), name="hostile", steps=[step])
    headers = {"authorization": f"Bearer {hooks.SECRET}", "x-mine": ASKS, "cookie": "session=1"}
    path, query = hooks.path(workflow_id), {"a": ASKS, "text": ASKS}
    for method, body in (("POST", {"text": ASKS, **HOSTILE}), ("GET", None)):
        answer = await server.client.request(method, path, params=query, headers=headers, json=body)
        assert answer.is_success, answer.text
        texts: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while not texts:
                texts = await delivered(server, "/hooks/hostile")
        (told,) = texts
        assert told.count(OWN) == 1
        assert EVIL not in told
        assert hooks.SECRET not in told
        assert "session=1" not in told
        assert "\0" not in json.loads(told)["prompt"]


@pytest.mark.parametrize("field", ["prompt", "description", "title"])
async def test_a_sign_that_cannot_be_kept_is_refused(server: Running, directory: str, field: str) -> None:
    for sign in ("\\0", "\\ud800"):
        task = {"work_directory": directory, "prompt": "x", field: f"{{{{ '{sign}' }}}}"}
        body = {"name": directory, "steps": [{"id": "a", "task": task}]}
        refused = await server.refused("POST", "/workflows", 400, json=body)
        assert f"steps[0].task.{field}" in refused["message"]


async def test_many_large_tasks_are_no_small_request(server: Running, directory: str) -> None:
    large = "x" * 400_000
    await server.post("/commands", {"name": "large", "body": large})
    task = {"work_directory": directory, "command": "large"}
    refused = await server.refused("POST", "/tasks/batch", 413, json={"tasks": [task] * 100})
    assert refused["details"]["field"] == "tasks[79]"
    assert await delivered(server, directory) == []
    many = list(range(100))
    steps: list[dict[str, Any]] = [
        {"for_each": many, "task": task},
        {"for_each": many, "task": {"work_directory": directory, "prompt": large}},
        {"for_each": many, "task": {"work_directory": directory, "prompt": "{{ input.v }}"}},
        {"for_each": many, "task": {"work_directory": directory, "prompt": "x", "spec": {"model": "{{ input.v }}"}}},
        {"for_each": "{{ input.v | list }}", "task": {"work_directory": directory, "prompt": "x"}},
    ]
    for number, step in enumerate(steps):
        step["task"]["work_directory"] = f"{directory}/{number}"
        texts, ended = await run(server, {"id": "a", **step}, input=large)
        assert texts == []
        assert ended["status"] == "failed"
        assert any(word in ended["steps"]["a"]["reason"] for word in ("characters", "items")), ended["steps"]["a"]


def test_the_database_has_no_secret(server: Running) -> None:
    folder: Path = server.app.state.settings.database.path.parent
    kept = b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
    assert EVIL.encode() not in kept
    assert OWN.encode() not in kept
