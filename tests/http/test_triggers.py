"""Deploying workflows, and calling their webhooks."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog

from orchestrator.domain.flow_operations import SaveWorkflow
from orchestrator.domain.principal import OPEN, Principal, path_scope
from orchestrator.domain.trigger_operations import Deliver, Deploy, Undeploy
from orchestrator.settings import Log
from orchestrator.telemetry import logs
from orchestrator.triggers import telling
from tests.http.conftest import Running
from tests.http.hooks import SECRET, deployed, history, hook, path, runs, signed, workflow
from worker_client.errors import NotFound

pytestmark = pytest.mark.anyio

BEARER = {"authorization": f"Bearer {SECRET}"}


async def called(server: Running, workflow_id: str, status: int = 202, method: str = "POST", **request: Any) -> Any:
    """What a call of a webhook is answered."""
    answer = await server.client.request(method, path(workflow_id), **request)
    assert answer.status_code == status, answer.text
    return answer.json()["data"] or answer.json()["error"]


async def test_a_call_begins_a_run_with_what_it_says(server: Running) -> None:
    at = await deployed(server, hook(), name="calls")
    headers = {**BEARER, "cookie": "c=1", "x-more": "m"}
    told = await called(server, at, json={"text": "größe 🦔"}, headers=headers, params={"q": "1", "access_token": "t"})
    assert told["outcome"] == "fired"
    ((given, trigger, source, number),) = await runs(server, at)
    assert (given, source, number) == ({"text": "größe 🦔"}, "webhook", 1)
    assert (trigger["type"], trigger["method"], trigger["query"]) == ("webhook", "POST", {"q": "1"})
    assert trigger["headers"]["x-more"] == "m"
    assert not {"authorization", "cookie"} & trigger["headers"].keys()
    (row,) = await history(server, at)
    assert (row["outcome"], row["run_id"], row["id"]) == ("fired", told["run_id"], told["id"])
    assert SECRET not in json.dumps([row, await server.get(f"/triggers/workflows/{at}/status")])


async def test_what_is_not_there_is_not_told_from_what_is_not_deployed(server: Running) -> None:
    saved = await workflow(server, hook(), name="undeployed")
    manual = await deployed(server, {"type": "manual"}, name="no-hook")
    off = await deployed(server, hook(enabled=False), name="off")
    told = set()
    for at in ("wf_none", saved, manual, off):
        error = await called(server, at, 404, json={}, headers=BEARER)
        told.add((error["code"], error["message"].replace(at, "ID")))
    assert len(told) == 1
    for at in (saved, manual, off):
        assert await history(server, at) == []


async def test_only_the_chosen_methods(server: Running) -> None:
    at = await deployed(server, hook("none", methods=["GET", "PUT"]), name="methods")
    for method in ("POST", "DELETE", "PATCH"):
        error = await called(server, at, 405, method)
        assert error["details"]["allowed"] == "GET, PUT"
    assert (await server.client.head(path(at))).status_code == 405
    await called(server, at, method="GET", params={"text": "by query"})
    await called(server, at, method="PUT", json={"text": "by put"})
    assert [given["text"] for given, *_ in await runs(server, at)] == ["by query", "by put"]
    for query in ({"text": "a\0b"}, {"a\0b": "text"}):
        assert "NUL byte" in (await called(server, at, 400, "GET", params=query))["message"]
    assert len(await runs(server, at)) == 2


async def test_who_may_not_begins_nothing_and_is_in_the_history_once(server: Running) -> None:
    at = await deployed(server, hook("hmac"), name="refused")
    good = signed(b"{}")
    for wrong in ("", "sha256=", good[:-1], good[:-1] + ("0" if good[-1] != "0" else "1"), SECRET):
        error = await called(server, at, 401, content=b"{}", headers={"x-signature-256": wrong})
        assert SECRET not in json.dumps(error)
        assert good[8:] not in json.dumps(error)
    await called(server, at, 401, content=b"{} ", headers={"x-signature-256": good})
    twice = httpx.Headers([("x-signature-256", good), ("x-signature-256", good)])
    await called(server, at, 400, content=b"{}", headers=twice)
    assert await runs(server, at) == []
    rows = await history(server, at, outcome="refused")
    assert sorted((row["reason"], row["times"]) for row in rows) == [
        ("the call could not be read", 1),
        ("the call did not show that it may", 1),
    ]
    await called(server, at, content=b"{}", headers={"x-signature-256": good})
    assert len(await runs(server, at)) == 1


async def test_what_is_too_large_is_refused_and_nothing_is_stored(server: Running) -> None:
    at = await deployed(server, hook(), name="large")
    error = await called(server, at, 413, content=b"x" * (5 * 1024 * 1024), headers=BEARER)
    assert error["code"] == "PAYLOAD_TOO_LARGE"
    assert await runs(server, at) == []
    (row,) = await history(server, at)
    assert (row["outcome"], row["reason"]) == ("refused", "the body was too large")
    exact = json.dumps({"text": "x" * (1024 * 1024 - 12)}).encode()
    assert len(exact) == 1024 * 1024

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(exact), 100_000):
            yield exact[at : at + 100_000]

    await called(server, at, content=parts(), headers={**BEARER, "content-type": "application/json"})
    assert len((await runs(server, at))[0][0]["text"]) == 1024 * 1024 - 12


@pytest.mark.parametrize("raw", [b"{", b'{"a": "\\u0000"}', b"\xff"])
async def test_a_body_that_is_none_is_refused(server: Running, raw: bytes) -> None:
    at = await deployed(server, hook(), name=f"bad {raw!r}")
    await called(server, at, 400, content=raw, headers={**BEARER, "content-type": "application/json"})
    assert (await runs(server, at), [row["outcome"] for row in await history(server, at)]) == ([], ["refused"])


async def test_a_delivery_is_taken_once(server: Running) -> None:
    at = await deployed(server, hook(), name="once")
    headers = {**BEARER, "idempotency-key": "k1"}
    answers = await asyncio.gather(*(server.client.post(path(at), json={"text": str(n)}, headers=headers) for n in range(8)))
    told = [answer.json()["data"] for answer in answers]
    (first,) = (one for one in told if one["outcome"] == "fired")
    others = [one for one in told if one["outcome"] == "duplicate"]
    assert (len(others), {one["run_id"] for one in others}) == (7, {first["run_id"]})
    assert {answer.status_code for answer in answers} == {200, 202}
    assert len(await runs(server, at)) == 1
    rows = await history(server, at)
    assert sorted((row["outcome"], row["times"]) for row in rows) == [("duplicate", 7), ("fired", 1)]
    assert (await called(server, at, json={}, headers={**BEARER, "idempotency-key": "k2"}))["outcome"] == "fired"
    assert (await called(server, at, json={}, headers=BEARER))["outcome"] == "fired"


async def test_a_dry_run_tells_and_begins_nothing(server: Running) -> None:
    at = await deployed(server, hook(dry_run=True), name="dry")
    assert (await called(server, at, json={}, headers={**BEARER, "webhook-id": "1"}))["outcome"] == "dry_run"
    assert (await called(server, at, 200, json={}, headers={**BEARER, "webhook-id": "1"}))["outcome"] == "duplicate"
    assert await runs(server, at) == []
    rows = await server.queue.reads._fetch("SELECT data FROM events WHERE type = 'trigger.dry_run'", ())
    assert [json.loads(data)["workflow_id"] for (data,) in rows].count(at) == 1


async def test_the_api_fires_a_webhook_without_its_secret(server: Running) -> None:
    at = await deployed(server, hook("hmac"), name="by-key")
    told = await server.post(f"/triggers/workflows/{at}/webhook", {"text": "by key"})
    assert told["outcome"] == "fired"
    assert (await runs(server, at))[0][0] == {"text": "by key"}
    await server.refused("POST", "/triggers/workflows/wf_none/webhook", 404, json={})


async def test_several_webhooks_at_one_path(server: Running) -> None:
    first, second = hook("none", methods=["GET"]), hook("token")
    at = await deployed(server, first, second, hook("hmac"), name="several")
    await called(server, at, method="GET")
    await called(server, at, json={}, headers=BEARER)
    await called(server, at, content=b"{}", headers={"x-signature": signed(b"{}")})
    await called(server, at, 401, json={})
    assert [row["trigger"] for row in await history(server, at)] == [1, 2, 1, 0]


async def test_firing_by_hand(server: Running) -> None:
    at = await workflow(server, {"type": "manual", "confirm": True}, name="by hand")
    fire = f"/triggers/workflows/{at}/manual"
    assert "is not deployed" in (await server.refused("POST", fire, 409))["message"]
    await server.post(f"/deployment/workflows/{at}/deploy")
    error = await server.refused("POST", fire, 409, json={"input": {"text": "x"}})
    assert "'by hand'" in error["message"]
    assert at in error["message"]
    assert await runs(server, at) == []
    told = await server.post(fire, {"input": {"text": "x"}, "confirm": True})
    assert told["outcome"] == "fired"
    ((given, trigger, source, _),) = await runs(server, at)
    assert (given, trigger["type"], source) == ({"text": "x"}, "manual", "manual")
    again = await deployed(server, hook(), name="not by hand")
    assert "no manual trigger" in (await server.refused("POST", f"/triggers/workflows/{again}/manual", 409))["message"]


async def test_a_deployment_pins_a_version_until_it_is_moved(server: Running) -> None:
    at = await deployed(server, hook("none"), name="pinned")
    step = {"id": "work", "task": {"work_directory": "/b", "prompt": "new"}}
    definition = json.dumps({"steps": [step], "triggers": [hook("none", methods=["PUT"])]})
    await server.queue.submit(SaveWorkflow(workflow_id=at, base=1, name="pinned", definition=definition), OPEN)
    await called(server, at, json={})
    status = await server.get(f"/deployment/workflows/{at}/status")
    assert (status["version"], status["latest_version"], status["deployed"]) == (1, 2, True)
    moved = (await server.client.put(f"/deployment/workflows/{at}/deploy")).json()["data"]
    assert moved["version"] == 2
    await called(server, at, 405, json={})
    await called(server, at, method="PUT", json={})
    assert [number for *_, number in await runs(server, at)] == [1, 2]
    assert (await server.post(f"/deployment/workflows/{at}/deploy", {"version": 1}))["version"] == 1
    assert (
        "no version 7"
        in (await server.refused("POST", f"/deployment/workflows/{at}/deploy", 404, json={"version": 7}))["message"]
    )
    listed = await server.get("/deployment/workflows", limit=1000)
    assert [one["workflow_id"] for one in listed["items"]].count(at) == 1
    gone = (await server.client.delete(f"/deployment/workflows/{at}/undeploy")).json()["data"]
    assert (gone["deployed"], gone["version"]) == (False, None)
    await called(server, at, 404, json={})
    assert not (await server.client.delete(f"/deployment/workflows/{at}/undeploy")).json()["data"]["deployed"]


async def test_what_the_status_shows(server: Running) -> None:
    at = await deployed(server, hook("token"), {"type": "manual", "enabled": False}, name="status")
    await called(server, at, json={}, headers=BEARER)
    told = await server.get(f"/triggers/workflows/{at}/status")
    first, second = told["triggers"]
    assert (first["path"], first["active"], first["last_outcome"], first["failing"]) == (
        f"/api/v1{path(at)}",
        True,
        "fired",
        None,
    )
    assert first["settings"]["auth"]["secret"] == "***"
    assert (second["active"], second["last_at"], second["path"]) == (False, None, None)
    health = await server.get("/triggers/health")
    assert health["deployed"]["webhook"] >= 1
    assert "github" in health["types"]
    public = await server.get("/public/webhooks/status")
    assert public["webhook"] == "/api/v1/public/webhook/workflow/{id}"


async def test_who_sees_less_does_not_see_it(server: Running) -> None:
    at = await deployed(server, hook(), name="elsewhere")
    elsewhere = path_scope(["/somewhere/else/**"])
    reads = server.queue.reads
    assert await reads.triggered(at, elsewhere) is None
    assert await reads.triggers_of(at, None, elsewhere) == []
    assert [one.workflow_id for one in await reads.deployments(elsewhere)].count(at) == 0
    limited = Principal(id="limited", scopes=frozenset({"admin", "submit"}), paths=elsewhere)
    for op in (Deploy(workflow_id=at), Undeploy(workflow_id=at), Deliver(workflow_id=at, place=0, type="webhook")):
        with pytest.raises(NotFound, match=at):
            await server.queue.submit(op, limited)


async def test_a_fire_is_a_line_in_the_log_as_collectors_know_it(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    logs.setup(Log(format="json"), stream)
    monkeypatch.setattr(telling, "log", structlog.get_logger())
    at = await deployed(server, hook(), name="logged")
    told = await called(server, at, json={}, headers=BEARER)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = (line for line in lines if line["event"] == "trigger_fired")
    expected = {"service": "workflow_scheduler", "trigger_type": "webhook", "workflow_id": at, "status": "success"}
    expected["execution_id"] = str(told["run_id"])
    assert {name: line[name] for name in expected} == expected
    assert isinstance(line["duration_ms"], int)
    assert line["timestamp"].endswith("Z")
    text = (await server.client.get(server.address + "/metrics")).text
    assert 'trigger_deliveries_total{outcome="fired",type="webhook"}' in text


async def test_a_call_is_answered_as_fast_as_an_enqueue(server: Running) -> None:
    at = await deployed(server, hook("hmac"), name="fast")
    raw = json.dumps({"text": "x" * 1000}).encode()
    headers = {"x-signature-256": signed(raw), "content-type": "application/json"}
    task = {"work_directory": "/fast", "prompt": "x" * 1000}

    async def least(path: str, **request: Any) -> float:
        """The quickest of many: what else this machine does is not told from it otherwise."""
        times = []
        for _ in range(50):
            began = time.perf_counter()
            (await server.client.post(path, **request)).raise_for_status()
            times.append(time.perf_counter() - began)
        return min(times)

    enqueued = await least("/tasks", json=task)
    called_ = await least(path(at), content=raw, headers=headers)
    assert called_ < 3 * enqueued + 0.002


async def test_who_sends_slowly_holds_nobody_up(server: Running) -> None:
    at = await deployed(server, hook(), name="slow")
    port = int(server.address.rpartition(":")[2])
    head = f"POST /api/v1{path(at)} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n".encode()
    slow = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"{")
        slow.append(writer)
    assert (await called(server, at, json={}, headers=BEARER))["outcome"] == "fired"
    for writer in slow:
        writer.close()
        await writer.wait_closed()
    assert len(await runs(server, at)) == 1


async def test_strangers_write_few_rows_however_often_they_call(server: Running) -> None:
    at = await deployed(server, hook(), name="flood")
    await asyncio.gather(*(called(server, at, 401, json={"n": n}) for n in range(200)))
    (row,) = await history(server, at)
    assert (row["outcome"], row["times"]) == ("refused", 1)
    refusals = server.app.state.refusals
    refusals._clock = lambda: time.monotonic() + 60
    for op in refusals.due():
        await server.queue.submit(op, OPEN)
    (row,) = await history(server, at)
    assert row["times"] == 200
    assert refusals.due() == []
