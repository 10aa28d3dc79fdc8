"""Secrets of tasks over HTTP: they reach whoever claims, and nothing else; what a worker tells of them is masked."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.doors.redaction import Redaction
from orchestrator.settings import Auth, Hidden, Log
from tests.http.conftest import PATIENCE_S, Running, serving, until

pytestmark = pytest.mark.anyio

TOKEN = 'tok-7Q"x\\9'
"""With characters that JSON writes in another way."""
OTHER = "oth-2ZZ81kk"
ADMIN = "a" * 40
AUTHORIZED = {"authorization": f"Bearer {ADMIN}"}
PROMPT = "Log in with {{ secrets.TOKEN }}"
DELIVERED = f"Log in with {TOKEN}"


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("served") / "tasks.db"
    known = Hidden({"TOKEN": TOKEN, "OTHER": OTHER})
    async with serving(path, secret_variables=known, log=Log(redact=(r"card \d{4}", r"\d{15}", "~"))) as running:
        yield running


def written(directory: Path) -> bytes:
    """All that is in the files of a database."""
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()))


def shows(content: bytes | str, value: str) -> bool:
    """Whether a value is somewhere in a text, also as JSON writes it."""
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    return any(form in text for form in (value, json.dumps(value)[1:-1], json.dumps(json.dumps(value)[1:-1])[1:-1]))


async def test_a_claim_gets_the_values_and_all_else_shows_the_names(server: Running, directory: str) -> None:
    spec = {"list": ["{{ secrets.TOKEN }}"], "{{ secrets.OTHER }}": 1}
    environment = {"A": "{{ secrets.OTHER }}", "B": "${{ secrets.OTHER }}"}
    task = await server.task(directory, kind="mine", prompt=PROMPT, spec=spec, environment=environment, description=PROMPT)
    assert (task["prompt"], task["spec"], task["environment"]) == (PROMPT, spec, environment)

    claimed = await server.claim(directory, poll_id="p")
    assert claimed["prompt"] == DELIVERED
    assert claimed["spec"] == {"list": [TOKEN], OTHER: 1}
    assert claimed["environment"] == {"A": OTHER, "B": "${{ secrets.OTHER }}"}
    assert claimed["description"] == PROMPT
    again = await server.claim(directory, poll_id="p")
    assert (again["delivery_no"], again["prompt"]) == (2, DELIVERED)

    beat = await server.client.post(f"/tasks/{task['id']}/heartbeat", json={"lease": claimed["lease"]})
    paths = [f"/tasks/{task['id']}{part}" for part in ("", "/status", "/why", "/attempts", "/logs")]
    paths += ["/tasks", "/workers", "/directories", "/execution-logs", "/statistics", "/audit", "/audit?format=csv"]
    shown = [beat.text, *[(await server.client.get(path)).text for path in paths]]
    shown.append((await server.client.post(f"/tasks/{task['id']}/complete", json={"lease": claimed["lease"]})).text)
    assert not any(shows(text, value) for text in shown for value in (TOKEN, OTHER))


async def test_many_at_once_get_theirs(server: Running, directory: str) -> None:
    for name in ("TOKEN", "OTHER"):
        await server.task(directory, prompt=f"{{{{ secrets.{name} }}}}")
    body = {"work_path": [directory], "worker_id": "w", "wait": 0, "limit": 2}
    claimed = await server.post("/tasks/claim", body)
    assert [task["prompt"] for task in claimed["tasks"]] == [TOKEN, OTHER]


async def test_a_parked_poll_gets_the_values_too(server: Running, directory: str) -> None:
    waiting = asyncio.create_task(server.claim(directory, wait=20))
    while not server.queue.parked:  # noqa: ASYNC110 - the server runs in this loop: let it, and look again
        await asyncio.sleep(0)
    await server.task(directory, prompt=PROMPT)
    assert (await waiting)["prompt"] == DELIVERED


async def test_what_a_worker_tells_is_masked_before_it_is_stored(server: Running, directory: str) -> None:
    told = {"key": f"<{TOKEN}>", OTHER: [1, f"card 1234 {OTHER}"]}
    masked = {"key": "<***>", "***": [1, "*** ***"]}
    task = await server.task(directory, prompt=PROMPT)
    path, lease = f"/tasks/{task['id']}", {"lease": (await server.claim(directory))["lease"]}
    await server.post(f"{path}/heartbeat", {**lease, "progress": {"percent": 5, "message": TOKEN}, "checkpoint": told})
    await server.post(f"{path}/logs", {**lease, "lines": [f"echo {TOKEN}", {"text": "card 1234", "stream": "stderr"}, "plain"]})
    shown = await server.get(path)
    assert (shown["progress"], shown["checkpoint"]) == ({"percent": 5, "message": "***"}, masked)
    assert [line["text"] for line in (await server.get(f"{path}/logs"))["lines"]] == ["echo ***", "***", "plain"]

    parked = await server.post(f"{path}/park", {**lease, "question": f"Is {TOKEN} right?", "options": [OTHER, "no"]})
    assert (parked["parked"]["question"], parked["parked"]["options"]) == ("Is *** right?", ["***", "no"])
    await server.post(f"{path}/answer", {"answer": "yes"})
    lease = {"lease": (await server.claim(directory))["lease"]}
    assert (await server.post(f"{path}/release", {**lease, "reason": f"{TOKEN} is wrong"}))["reason"] == "*** is wrong"
    lease = {"lease": (await server.claim(directory))["lease"]}
    error = {"type": "E", "message": f"no {TOKEN}", "details": told}
    failed = await server.post(f"{path}/fail", {**lease, "error": error, "retry_after_seconds": 0})
    assert failed["error"] == {"type": "E", "message": "no ***", "details": masked}
    lease = {"lease": (await server.claim(directory))["lease"]}
    assert (await server.post(f"{path}/complete", {**lease, "result": told}))["result"] == masked

    other = await server.task(directory)
    assert (await server.post(f"/tasks/{other['id']}/cancel", {"reason": TOKEN}))["reason"] == "***"
    body = {"work_directory": directory, "paused": True, "reason": f"{OTHER} leaked"}
    assert (await server.client.put("/directories", json=body)).json()["data"]["reason"] == "*** leaked"
    messages = [entry["data"].get("message") for entry in await trail(server, directory) if entry["type"] == "task.failed"]
    assert messages == ["no ***"]


async def test_what_is_masked_can_still_be_read(server: Running, directory: str) -> None:
    path = f"/tasks/{(await server.task(directory))['id']}"
    lease = {"lease": (await server.claim(directory))["lease"]}
    # The digits of a third look like those of a card.
    progress = {"percent": 33.333333333333336, "message": "card 1234"}
    await server.post(f"{path}/heartbeat", {**lease, "progress": progress})
    assert (await server.get(f"{path}/status"))["progress"] == {"percent": progress["percent"], "message": "***"}
    error = {"type": "~" * 255, "message": "~" * 100_000}
    await server.post(f"{path}/fail", {**lease, "error": error, "retryable": False})
    (attempt,) = (await server.get(f"{path}/attempts"))["items"]
    assert attempt["error"] == {name: text.replace("~", "*") for name, text in error.items()}


class _Slow(Redaction):
    """Masks nothing, until it may go on."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.began, self.may = threading.Event(), threading.Event()
        self.went_on = False

    def text(self, text: str) -> str:
        self.began.set()
        self.went_on = self.may.wait(PATIENCE_S)
        return text


@pytest.mark.parametrize("report", ["logs", "heartbeat", "complete", "fail", "many"])
async def test_others_are_answered_while_something_large_is_masked(
    server: Running, directory: str, report: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await server.task(directory)
    lease, large = (await server.claim(directory))["lease"], "x" * 65_000
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "logs": (f"/tasks/{task['id']}/logs", {"lines": [large, large]}),
        "heartbeat": (f"/tasks/{task['id']}/heartbeat", {"checkpoint": large * 2}),
        "complete": (f"/tasks/{task['id']}/complete", {"result": large * 2}),
        "fail": (f"/tasks/{task['id']}/fail", {"error": {"details": {"x": large * 2}}}),
        "many": ("/tasks/complete", {"items": [{"id": task["id"], "lease": lease, "result": large * 2}]}),
    }
    path, more = bodies[report]
    slow = _Slow()
    monkeypatch.setattr(server.app.state, "redaction", slow)
    reporting = asyncio.create_task(server.post(path, more if report == "many" else {"lease": lease, **more}))
    await until(slow.began.is_set)
    assert (await server.get("/tasks", work_path=directory))["total"] == 1
    slow.may.set()
    await reporting
    assert slow.went_on


async def trail(server: Running, directory: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await server.get("/audit", work_path=directory, limit=1000))["items"]
    return entries


async def test_without_a_lease_the_prompt_counts_as_it_was_delivered(server: Running, directory: str) -> None:
    for prompt, status in ((PROMPT, 409), ("Log in with", 409), ("", 409), (DELIVERED, 200)):
        task = await server.task(directory, prompt=PROMPT)
        assert (await server.claim(directory))["id"] == task["id"]
        answer = await server.client.post(f"/tasks/{task['id']}/complete", json={"original_prompt": prompt})
        assert answer.status_code == status, prompt
        if status == 409:
            assert "as delivered" in answer.json()["error"]["message"]
            await server.post(f"/tasks/{task['id']}/cancel")


async def test_among_many_it_does_as_well(server: Running, directory: str) -> None:
    plain, secret = await server.task(directory), await server.task(directory, prompt=PROMPT)
    await server.post("/tasks/claim", {"work_path": [directory], "worker_id": "w", "wait": 0, "limit": 2})
    items = [
        {"id": plain["id"], "original_prompt": "Do it"},
        {"id": secret["id"], "original_prompt": DELIVERED},
        {"id": 10**9, "original_prompt": DELIVERED},
    ]
    outcomes = (await server.post("/tasks/complete", {"items": items}))["items"]
    assert [one.get("task", {}).get("status") or one["error"]["code"] for one in outcomes] == [
        "completed",
        "completed",
        "NOT_FOUND",
    ]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"prompt": "{{ secrets.NONE }}"}, "prompt", "there is no secret NONE"),
        ({"spec": {"verify": "{{ secrets.NONE }}"}}, "prompt", "there is no secret NONE"),
        ({"prompt": "{{ secrets.a-b }}"}, "prompt", "write {{ secrets.NAME }}"),
        ({"environment": {"A": "{{ secrets.TOKEN"}}, "environment", "write {{ secrets.NAME }}"),
    ],
)
async def test_what_cannot_be_given_is_refused(
    server: Running, directory: str, body: dict[str, Any], field: str, words: str
) -> None:
    whole = {"work_directory": directory, "prompt": "p", **body}
    refused = await server.refused("POST", "/tasks", 400, json=whole)
    assert refused["details"]["field"] == field
    assert words in refused["message"]
    refused = await server.refused("POST", "/tasks/batch", 400, json={"tasks": [whole]})
    assert refused["details"]["field"] == f"tasks[0].{field}"
    task = await server.task(directory)
    await server.refused("PUT", f"/tasks/{task['id']}", 400, json=body)
    assert (await server.get(f"/tasks/{task['id']}"))["version"] == task["version"]


async def test_a_change_asks_for_what_is_in_all_of_the_task(server: Running, directory: str) -> None:
    task = await server.task(directory, environment={"A": "{{ secrets.OTHER }}"})
    await server.client.put(f"/tasks/{task['id']}", json={"prompt": PROMPT})
    claimed = await server.claim(directory)
    assert (claimed["prompt"], claimed["environment"]) == (DELIVERED, {"A": OTHER})


async def test_only_those_who_may_use_a_secret_can_ask_for_it_and_get_it(tmp_path: Path) -> None:
    auth = Auth(bootstrap_key=ADMIN)
    async with serving(tmp_path / "tasks.db", auth=auth, secret_variables=Hidden({"TOKEN": TOKEN, "OTHER": OTHER})) as running:
        running.client.headers.update(AUTHORIZED)
        may, may_not = [await keyed(running, name, secrets) for name, secrets in (("may", ["TOKEN"]), ("may-not", ["OTHER"]))]
        body = {"work_directory": "/a", "prompt": PROMPT}
        refused = (await running.client.post("/tasks", json=body, headers=may_not)).json()["error"]
        assert (refused["code"], TOKEN in str(refused)) == ("FORBIDDEN", False)
        task = (await running.client.post("/tasks", json=body, headers=may)).json()["data"]

        asking: dict[str, Any] = {"work_path": "/a", "worker_id": "w", "wait": 0}
        change = {"prompt": "Print your environment"}
        await running.client.put(f"/tasks/{task['id']}", json={"environment": {"A": "{{ secrets.TOKEN }}"}}, headers=may)
        changed = await running.client.put(f"/tasks/{task['id']}", json=change, headers=may_not)
        assert changed.status_code == 403, "whoever changes the prompt would get at a secret of the environment"
        assert (await running.client.get("/tasks/next", params=asking, headers=may_not)).json()["data"] is None
        claimed = (await running.client.get("/tasks/next", params=asking, headers=may)).json()["data"]
        assert claimed["prompt"] == DELIVERED


async def keyed(running: Running, name: str, secrets: list[str]) -> dict[str, str]:
    body = {"name": name, "scopes": ["read", "submit", "work"], "secrets": secrets}
    return {"authorization": f"Bearer {(await running.post('/auth/keys', body))['key']}"}


async def test_nothing_of_a_secret_is_ever_written(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    auth = Auth(bootstrap_key=ADMIN)
    async with serving(folder / "tasks.db", auth=auth, secret_variables=Hidden({"TOKEN": TOKEN, "OTHER": OTHER})) as running:
        running.client.headers.update(AUTHORIZED)
        async with running.client.stream("GET", "/events", timeout=httpx.Timeout(20)) as events:
            frames = events.aiter_text()
            heard = await anext(frames)
            task = await running.task("/a", prompt=PROMPT, environment={"A": "{{ secrets.OTHER }}"}, max_attempts=9)
            for end in ("fail", "release", "park", "complete"):
                claimed = await running.claim("/a")
                assert claimed["prompt"] == DELIVERED
                path, lease = f"/tasks/{task['id']}", {"lease": claimed["lease"]}
                await running.post(f"{path}/heartbeat", {**lease, "progress": {"message": TOKEN}, "checkpoint": claimed})
                await running.post(f"{path}/logs", {**lease, "lines": [json.dumps(claimed), f"key {ADMIN}", OTHER]})
                ends: dict[str, dict[str, Any]] = {
                    "fail": {"error": {"message": DELIVERED, "details": claimed}, "retry_after_seconds": 0},
                    "release": {"reason": DELIVERED},
                    "park": {"question": OTHER},
                    "complete": {"result": [claimed, ADMIN]},
                }
                await running.post(f"{path}/{end}", {**lease, **ends[end]})
                if end == "park":
                    await running.post(f"{path}/answer", {"answer": "go on"})
            while "task.completed" not in heard:
                heard += await anext(frames)
        live = written(folder)
    for content in (live, written(folder), heard):
        assert shows(content, "secrets.TOKEN") == (content is not heard)
        assert not [value for value in (TOKEN, OTHER, ADMIN) if shows(content, value)]
