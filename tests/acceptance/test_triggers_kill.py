"""A server is killed right after it has answered calls: their runs are there, and calls that come again begin none."""

import json
import threading
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from orchestrator.store.sqlite.engine import sqlite3
from tests.acceptance.programs import Server, end, serving
from tests.http.hooks import SECRET, signed

STEP = {"id": "work", "task": {"work_directory": "/a", "prompt": "do {{ input.n }}"}}
TRIGGERS = [{"type": "webhook", "auth": {"type": "hmac", "secret": SECRET}}, {"type": "github"}]
MOST = 40


def deployed(server: Server) -> str:
    with httpx.Client(base_url=f"{server.url}/api/v1") as client:
        body = {"name": "w", "steps": [STEP], "triggers": TRIGGERS, "input": {"n": 0}}
        made: str = client.post("/workflows", json=body).raise_for_status().json()["data"]["id"]
        client.post(f"/deployment/workflows/{made}/deploy").raise_for_status()
    return made


def call(client: httpx.Client, at: str, number: int) -> httpx.Response:
    """By turns a webhook and GitHub."""
    raw = json.dumps({"n": number, "action": "opened", "repository": {"full_name": "a/b"}}).encode()
    headers = {"content-type": "application/json", "x-hub-signature-256": signed(raw)}
    if number % 2:
        return client.post(f"/public/webhook/workflow/{at}", content=raw, headers={**headers, "idempotency-key": str(number)})
    named = {"x-github-event": "issues", "x-github-delivery": str(number)}
    return client.post("/public/webhooks/github", content=raw, headers={**headers, **named})


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.system)])
def test_what_was_answered_is_there(tmp_path: Path, kills: int) -> None:
    answered: set[int] = set()
    at, sent = "", 0
    for _ in range(kills):
        with serving(tmp_path, APP_GITHUB_WEBHOOK_SECRET=SECRET) as server:
            at = at or deployed(server)
            gone, first = threading.Event(), sent
            with httpx.Client(base_url=f"{server.url}/api/v1") as client:
                while not gone.is_set():
                    try:
                        call(client, at, sent).raise_for_status()
                    except httpx.TransportError:
                        gone.set()
                    else:
                        answered.add(sent)
                        if len(answered) == first + MOST // 2:
                            # Not at a pause of ours: while the next calls are under way.
                            threading.Thread(target=server.process.kill).start()
                    sent += 1
            server.process.wait()
    with serving(tmp_path, APP_GITHUB_WEBHOOK_SECRET=SECRET) as server:
        with httpx.Client(base_url=f"{server.url}/api/v1") as client:
            for number in range(sent):
                call(client, at, number).raise_for_status()
        assert end(server.process) == 0
    with closing(sqlite3.connect(tmp_path / "tasks.db")) as file:
        keys = [int(key) for (key,) in file.execute("SELECT key FROM deliveries WHERE outcome = 'fired'")]
        runs = file.execute("SELECT count(*) FROM runs").fetchall()[0][0]
        again = {int(key) for (key,) in file.execute("SELECT key FROM deliveries WHERE outcome = 'duplicate'")}
    assert sorted(keys) == list(range(sent))
    assert runs == sent
    assert answered <= again
