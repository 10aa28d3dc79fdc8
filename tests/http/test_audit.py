"""The trail of changes: who made them, from where; as pages and as files."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.http import audit
from orchestrator.settings import Auth
from orchestrator.store.protocol import StoreAwayError
from orchestrator.store.reads.doors import DoorReads
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

ADMIN = "a" * 40


@pytest.fixture(scope="module")
async def server(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    path = tmp_path_factory.mktemp("served") / "tasks.db"
    async with serving(path, auth=Auth(bootstrap_key=ADMIN)) as running:
        running.client.headers["authorization"] = f"Bearer {ADMIN}"
        yield running


async def keyed(server: Running, name: str, **more: Any) -> tuple[str, dict[str, str]]:
    """The id of a new key, and the header that shows it."""
    key = await server.post("/auth/keys", {"name": name, "scopes": ["admin"], **more})
    return key["id"], {"authorization": f"Bearer {key['key']}"}


async def trail(server: Running, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await server.get("/audit", **{"limit": 1000, **query}))["items"]
    return items


async def test_who_did_what_from_where(server: Running, directory: str) -> None:
    key_id, key = await keyed(server, "=ci")
    task = (await server.client.post("/tasks", json={"work_directory": directory, "prompt": "p"}, headers=key)).json()["data"]
    await server.post(f"/tasks/{task['id']}/cancel", {"reason": "not needed"})
    cancelled, created = await trail(server, work_path=directory)
    assert (created["type"], created["actor"], created["actor_name"]) == ("task.created", key_id, "=ci")
    assert (cancelled["type"], cancelled["actor"], cancelled["actor_name"]) == ("task.cancelled", "bootstrap", None)
    assert cancelled["data"] == {"reason": "not needed"}
    for entry in (cancelled, created):
        assert (entry["origin"], entry["task_id"], entry["work_directory"]) == ("127.0.0.1", task["id"], directory)
    (made,) = [entry for entry in await trail(server, type="key.created") if entry["data"]["id"] == key_id]
    assert (made["actor"], made["task_id"], made["work_directory"]) == ("bootstrap", None, "")


async def test_filters(server: Running, directory: str) -> None:
    key_id, key = await keyed(server, "filters")
    for below in ("", "/below"):
        body = {"work_directory": directory + below, "prompt": "p"}
        task = (await server.client.post("/tasks", json=body, headers=key)).json()["data"]
        await server.post(f"/tasks/{task['id']}/cancel")
    cancelled, created, *others = everything = await trail(server, work_path=directory)
    assert len(others) == 2
    assert [entry["id"] for entry in everything] == sorted((entry["id"] for entry in everything), reverse=True)
    for query, expected in (
        ({"actor": key_id}, [created, others[1]]),
        ({"actor": [key_id, "bootstrap"]}, everything),
        ({"type": "task.cancelled"}, [cancelled, others[0]]),
        ({"task_id": task["id"]}, [cancelled, created]),
        ({"recursive": False}, others),
        ({"created_after": cancelled["at"]}, [entry for entry in everything if entry["at"] >= cancelled["at"]]),
        ({"created_before": created["at"]}, [entry for entry in others if entry["at"] < created["at"]]),
        ({"actor": "nobody"}, []),
    ):
        assert await trail(server, work_path=directory, **query) == expected, query


async def test_pages_follow_each_other(server: Running, directory: str) -> None:
    for _ in range(5):
        await server.task(directory)
    found, cursor = [], None
    while True:
        page = await server.get("/audit", work_path=directory, limit=2, **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == await trail(server, work_path=directory)
    assert len(found) == 5


@pytest.mark.parametrize("by", ["format", "accept"])
async def test_an_export_has_everything(server: Running, directory: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_PAGE", 2)
    _, key = await keyed(server, f"=1+1,{by}")
    paths = [directory, f"{directory}/a,b", f'{directory}/"quoted"', f"{directory}/ü", f"{directory}/e"]
    for path in paths:
        await server.client.post("/tasks", json={"work_directory": path, "prompt": "p"}, headers=key)
    expected = await trail(server, work_path=directory)

    async def export(form: str, media: str) -> httpx.Response:
        more: dict[str, Any] = {"params": {"format": form}} if by == "format" else {"headers": {"accept": f"text/html, {media}"}}
        more["params"] = {"work_path": directory, "limit": 1, **more.get("params", {})}
        answer = await server.client.get("/audit", **more)
        assert answer.headers["content-type"].partition(";")[0] == media
        assert answer.headers["content-disposition"] == f'attachment; filename="audit.{form}"'
        return answer

    lines = (await export("jsonl", "application/x-ndjson")).text.splitlines()
    assert [json.loads(line) for line in lines] == expected
    header, *rows = csv.reader(io.StringIO((await export("csv", "text/csv")).text))
    assert header == list(expected[0])
    assert [row[7] for row in rows] == paths[::-1]
    assert {row[4] for row in rows} == {f"'=1+1,{by}"}, "programs for spreadsheets would run it"
    assert [json.loads(row[-1]) for row in rows] == [entry["data"] for entry in expected]


async def test_what_is_asked_for_by_name_goes_before_what_is_accepted(server: Running) -> None:
    for query, accept, form in (
        ({}, "*/*", "application/json"),
        ({"format": "json"}, "text/csv", "application/json"),
        ({"format": "csv"}, "application/x-ndjson", "text/csv; charset=utf-8"),
    ):
        answer = await server.client.get("/audit", params=query, headers={"accept": accept})
        assert answer.headers["content-type"] == form
    refused = await server.refused("GET", "/audit", 400, params={"format": "xml"})
    assert refused["details"]["field"] == "format"


async def test_an_export_begins_where_a_page_ended(server: Running, directory: str) -> None:
    for _ in range(4):
        await server.task(directory)
    first = await server.get("/audit", work_path=directory, limit=3)
    rest = await server.client.get("/audit", params={"work_path": directory, "cursor": first["next_cursor"], "format": "jsonl"})
    assert [json.loads(line) for line in rest.text.splitlines()] == (await trail(server, work_path=directory))[3:]


async def test_the_head_of_an_export_has_no_body(server: Running) -> None:
    answer = await server.client.head("/audit", params={"format": "csv"})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "text/csv; charset=utf-8", b"")


async def test_an_export_that_breaks_off_is_not_taken_for_whole(
    server: Running, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_PAGE", 2)
    for _ in range(3):
        await server.task(directory)
    whole = DoorReads.audit

    async def breaks(reads: DoorReads, query: Any, visible: Any) -> Any:
        if query.cursor is not None:
            raise StoreAwayError
        return await whole(reads, query, visible)

    monkeypatch.setattr(DoorReads, "audit", breaks)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await server.client.get("/audit", params={"work_path": directory, "format": "jsonl"})


async def test_it_is_for_administrators_and_shows_each_what_is_theirs(server: Running, directory: str) -> None:
    for scopes in (["read"], ["submit"], ["work"]):
        _, key = await keyed(server, f"only-{scopes[0]}", scopes=scopes)
        for form in ("json", "csv"):
            await server.refused("GET", "/audit", 403, params={"format": form}, headers=key)
    await server.refused("GET", "/audit", 401, headers={"authorization": ""})
    _, mine = await keyed(server, "mine", paths=[f"{directory}/mine/**"])
    for name in ("mine", "elsewhere"):
        await server.task(f"{directory}/{name}")
    for form in ("json", "jsonl"):
        answer = await server.client.get("/audit", params={"format": form}, headers=mine)
        assert f"{directory}/mine" in answer.text
        assert "elsewhere" not in answer.text
        assert "key.created" not in answer.text


async def test_what_was_done_while_nobody_had_to_say_who(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as running:
        await running.task("/a")
        ((entry,),) = [await trail(running)]
        assert (entry["actor"], entry["actor_name"], entry["origin"]) == ("", None, "127.0.0.1")
