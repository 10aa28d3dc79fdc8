"""GitHub's deliveries over HTTP: signed ones begin runs, once, whatever order they come in; all others begin nothing."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from orchestrator.settings import Auth, GitHub, Limits
from orchestrator.settings import Server as Listening
from tests.http.callers import BOOTSTRAP, bearer
from tests.http.conftest import Running, serving
from tests.http.hooks import SECRET, deployed, history, path, runs, signed, workflow
from worker_client.contract.enums import DeliveryOutcome

pytestmark = pytest.mark.anyio

SHARED = "/public/webhooks/github"
OWN = "another secret of theirs"


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One that GitHub knows; a smaller limit of bodies is not for GitHub."""
    file = tmp_path_factory.mktemp("github") / "tasks.db"
    auth, limits = Auth(bootstrap_key=BOOTSTRAP), Limits(rate="100000/s", max_body_bytes=2 * 1024 * 1024)
    async with serving(file, auth=auth, limits=limits, github=GitHub(webhook_secret=SECRET)) as running:
        running.client.headers.update(bearer(BOOTSTRAP))
        yield running


@pytest.fixture(autouse=True)
async def undeployed(server: Running) -> AsyncIterator[None]:
    """What one test deploys gets nothing of what the next one sends."""
    yield
    for one in (await server.get("/deployment/workflows", limit=1000))["items"]:
        await server.client.delete(f"/deployment/workflows/{one['workflow_id']}/undeploy")


def payload(**facts: Any) -> bytes:
    issue = {"number": 7, "title": "Größe 🦔", "body": "b", "user": {"login": "cy"}, "labels": [{"name": "agent"}]}
    common = {"action": "labeled", "label": {"name": "agent"}, "issue": issue, "sender": {"login": "ann"}}
    return json.dumps({**common, "repository": {"full_name": "acme/api"}, **facts}, ensure_ascii=False).encode()


async def sent(
    server: Running, raw: bytes, status: int, delivery: str = "d", *, event: str = "issues", at: str = SHARED, **more: Any
) -> Any:
    """What GitHub is answered; it has no key of this server."""
    headers = {
        "authorization": "",
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": signed(raw),
        **more.pop("headers", {}),
    }
    answer = await server.client.post(at, content=more.pop("content", raw), headers=headers)
    assert answer.status_code == status, answer.text[:500]
    return answer.json()["data"] or answer.json()["error"]


async def test_a_label_makes_a_task(server: Running) -> None:
    at = await deployed(server, {"type": "github", "events": ["issues.labeled"], "labels": ["agent"]}, name="label")
    other = await deployed(server, {"type": "github", "labels": ["bug"]}, name="bug")
    told = await sent(server, payload(), 202, "label-1")
    assert (told["delivery_id"], told["event"]) == ("label-1", "issues")
    assert sorted(told["outcomes"]) == ["filtered", "fired"]
    ((given, trigger, source, _),) = await runs(server, at)
    assert (given["issue"]["title"], given["repository"]["full_name"], source) == ("Größe 🦔", "acme/api", "github")
    assert trigger["delivery_id"] == "label-1"
    (row,) = await history(server, at)
    assert (row["outcome"], row["key"], row["facts"]["number"]) == ("fired", "label-1", 7)
    (row,) = await history(server, other)
    assert (row["outcome"], row["reason"]) == ("filtered", "labels: the labels are agent")


async def test_replayed_and_reordered_deliveries_begin_one_run_each(server: Running) -> None:
    at = await deployed(server, {"type": "github"}, name="replayed")
    bodies = {f"r-{number}": payload(number=number) for number in range(10)}
    order = [name for name in bodies for _ in range(3)]
    random.Random(7).shuffle(order)
    answers = [sent(server, bodies[name], 202 if order.index(name) == place else 200, name) for place, name in enumerate(order)]
    found = [(await answer)["outcomes"] for answer in answers]
    assert sorted(found) == [*[["duplicate"]] * 20, *[["fired"]] * 10]
    assert sorted(trigger["delivery_id"] for _, trigger, *_ in await runs(server, at)) == sorted(bodies)
    together = payload(number=11)
    answers = [server.client.post(SHARED, content=together, headers=_headers(together, "r-11")) for _ in range(8)]
    outcomes = sorted(answer.json()["data"]["outcomes"][0] for answer in await asyncio.gather(*answers))
    assert outcomes == [*["duplicate"] * 7, "fired"]


def _headers(raw: bytes, delivery: str) -> dict[str, str]:
    named = {"x-github-event": "issues", "x-github-delivery": delivery, "content-type": "application/json"}
    return {**named, "x-hub-signature-256": signed(raw)}


async def test_what_is_altered_by_one_bit_begins_nothing(server: Running) -> None:
    at = await deployed(server, {"type": "github"}, name="altered")
    raw = payload()
    for place in range(0, len(raw), len(raw) // 20):
        altered = bytearray(raw)
        altered[place] ^= 1
        error = await sent(server, raw, 401, f"a-{place}", content=bytes(altered))
        assert (error["code"], signed(raw)[8:] in json.dumps(error)) == ("UNAUTHORIZED", False)
    good = signed(raw)
    other = good[:-1] + ("0" if good[-1] != "0" else "1")
    for wrong in ("", "sha256=", good[7:], good.upper(), other, good + " x", "sha1=" + good[7:47], "sha256=" + "ü" * 64):
        await sent(server, raw, 401, "a", headers={"x-hub-signature-256": wrong.encode()})
    await sent(server, raw, 401, "a", headers={"x-hub-signature-256": signed(raw, OWN)})
    assert (await runs(server, at), await history(server, at)) == ([], [])
    rows = await server.queue.reads._fetch("SELECT reason, outcome FROM deliveries WHERE workflow_id = ''", ())
    assert rows == [("the call did not show that it may", "refused")]
    assert (await server.get("/triggers/health"))["refused_at"] is not None


async def test_headers_that_are_not_githubs(server: Running) -> None:
    raw = payload()
    await sent(server, raw, 400, "", headers={"x-github-delivery": ""})
    await sent(server, raw, 400, headers={"x-github-event": ""})
    await sent(server, raw, 400, headers={"content-type": "text/plain"})
    await sent(server, b"{", 400)
    named = [*_headers(raw, "twice").items(), ("x-hub-signature-256", signed(raw))]
    assert (await server.client.post(SHARED, content=raw, headers=named)).status_code == 400
    assert (await server.client.get(SHARED)).status_code == 405
    assert (await sent(server, b'{"zen": "z"}', 200, event="ping"))["outcomes"] == []


async def test_twenty_five_megabytes(server: Running) -> None:
    at = await deployed(server, {"type": "github"}, name="large")
    most = 25 * 1024 * 1024
    empty = len(payload(much=""))
    raw = payload(much="x" * (most - empty))
    assert len(raw) == most
    assert (await sent(server, raw, 202, "large"))["outcomes"] == ["fired"]

    async def parts() -> AsyncIterator[bytes]:
        for place in range(0, most, 1_000_003):
            yield raw[place : place + 1_000_003]

    assert (await sent(server, raw, 200, "large", content=parts()))["outcomes"] == ["duplicate"]
    altered = bytearray(raw)
    altered[most // 2] ^= 1
    await sent(server, raw, 401, "large-2", content=bytes(altered))
    await sent(server, raw, 413, "large-3", content=raw + b" ")
    ((given, *_),) = await runs(server, at)
    assert (given["payload"], given["issue"]["number"]) == (None, 7)


async def test_a_form_is_signed_as_it_is_sent(server: Running) -> None:
    at = await deployed(server, {"type": "github"}, name="form")
    raw = urlencode({"payload": payload().decode()}).encode()
    told = await sent(server, raw, 202, "form", headers={"content-type": "application/x-www-form-urlencoded"})
    assert told["outcomes"] == ["fired"]
    assert (await runs(server, at))[0][0]["issue"]["title"] == "Größe 🦔"


async def test_a_trigger_with_a_secret_of_its_own_has_a_path_of_its_own(server: Running) -> None:
    own = {"type": "github", "secret": OWN, "events": ["issues"]}
    token = {"type": "webhook", "auth": {"type": "token", "secret": SECRET}}
    at = await deployed(server, own, token, name="own")
    raw = payload()
    assert (await sent(server, raw, 200))["outcomes"] == []
    await sent(server, raw, 401, at=path(at))
    theirs = {"x-hub-signature-256": signed(raw, OWN)}
    assert (await sent(server, raw, 202, "own-1", at=path(at), headers=theirs))["outcome"] == "fired"
    assert (await sent(server, raw, 200, "own-1", at=path(at), headers=theirs))["outcome"] == "duplicate"
    assert (await sent(server, raw, 200, "own-2", at=path(at), event="ping", headers=theirs))["outcome"] == "filtered"
    answer = await server.client.post(path(at), json={}, headers={"authorization": f"Bearer {SECRET}"})
    assert answer.json()["data"]["outcome"] == "fired"
    shown = await server.get(f"/triggers/workflows/{at}/status")
    assert OWN not in json.dumps(shown)
    assert [one["path"] for one in shown["triggers"]] == [f"/api/v1{path(at)}"] * 2


async def test_a_server_without_a_secret_takes_nothing_and_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        at = await workflow(server, {"type": "github"})
        error = await server.refused("POST", f"/deployment/workflows/{at}/deploy", 409)
        assert "APP_GITHUB_WEBHOOK_SECRET" in error["message"]
        raw = payload()
        error = await server.refused("POST", SHARED, 401, content=raw, headers=_headers(raw, "d"))
        assert "APP_GITHUB_WEBHOOK_SECRET" in error["message"]
        error = await server.refused(
            "POST", SHARED, 401, content=raw, headers={**_headers(raw, "d"), "x-hub-signature-256": signed(raw, "")}
        )
        assert not (await server.get("/public/webhooks/status"))["github_enabled"]


async def test_many_triggers_get_each_delivery(server: Running) -> None:
    ids = [await deployed(server, {"type": "github", "actions": ["labeled"]}, name=f"many {number}") for number in range(20)]
    told = await sent(server, payload(), 202, "many")
    assert told["outcomes"] == [DeliveryOutcome.FIRED] * 20
    assert [len(await runs(server, at)) for at in ids] == [1] * 20


async def test_the_doors_are_before_the_hooks(tmp_path: Path) -> None:
    raw = payload()
    many: dict[str, Any] = {"auth": Auth(bootstrap_key=BOOTSTRAP), "github": GitHub(webhook_secret=SECRET)}
    async with serving(tmp_path / "rate.db", limits=Limits(rate="3/m"), **many) as server:
        statuses = [(await server.client.post(SHARED, content=raw, headers=_headers(raw, str(n)))).status_code for n in range(4)]
        assert statuses == [200, 200, 200, 429]
    async with serving(tmp_path / "barred.db", server=Listening(port=0, deny=("127.0.0.1",)), **many) as server:
        for at in (SHARED, path("wf_1")):
            assert (await server.client.post(at, content=raw, headers=_headers(raw, "d"))).status_code == 403
    async with serving(tmp_path / "open.db", github=GitHub(webhook_secret=SECRET)) as server:
        relayed = {**_headers(raw, "d"), "x-forwarded-for": "192.0.2.1"}
        assert (await server.client.post(SHARED, content=raw, headers=relayed)).status_code == 403
