"""Events, output and numbers over a WebSocket: in order, resumed, and as they are asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from orchestrator.http import conversation, measuring
from tests.http.conftest import Running, serving, until
from tests.http.talking import refused, talking
from tests.http.test_hints import logs, progress

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/ws", "/api/v1/ws"], ids=["root", "api"])
async def test_it_tells_what_happens_and_goes_on_where_it_was(server: Running, directory: str, path: str) -> None:
    async with talking(server, f"work_path={directory}", path) as talk:
        begin = talk.last
        task = await server.task(directory)
        await server.task(f"{directory}-beside")
        message = await talk.next()
        assert message["event"] == "task_execution"
        assert message["id"] == message["data"]["id"]
        event = message["data"]
        assert (event["type"], event["task_id"], event["work_directory"]) == ("task.created", task["id"], directory)
        assert event["data"] == {"source": "api"}
    await server.claim(directory)
    async with talking(server, f"work_path={directory}&after={message['id']}", path) as talk:
        assert await talk.types(1) == [("task.claimed", task["id"])]
    async with talking(server, f"work_path={directory}&after={begin}", path) as talk:
        assert await talk.types(2) == [("task.created", task["id"]), ("task.claimed", task["id"])]
    assert server.app.state.slots._taken == {}


async def test_who_cannot_go_on_is_told(server: Running) -> None:
    async with talking(server, "after=nonsense-1") as talk:
        pass
    async with connect(f"{server.address.replace('http', 'ws', 1)}/ws?after=nonsense-1") as connection:
        message = json.loads(await connection.recv())
        assert (message["event"], message["data"]["reason"]) == ("reset", "epoch")
        assert message["id"] == f"{server.app.state.store.epoch}-{server.queue.feed.last_id}"
        assert talk.last == message["id"]


async def test_it_changes_what_it_asks_for_and_misses_nothing(server: Running, directory: str) -> None:
    here, there = f"{directory}/here", f"{directory}/there"
    async with talking(server, f"work_path={here}") as talk:
        first = await server.task(here)
        assert await talk.types(1) == [("task.created", first["id"])]
        second = await server.task(there)
        await talk.say({"subscribe": {"work_path": [here, there]}})
        third = await server.task(here)
        # What happened since the last message counts by the new filter.
        assert await talk.types(2) == [("task.created", one["id"]) for one in (second, third)]
        for wrong, field in (
            ({"subscribe": {"work_path": ["relative"]}}, "work_path"),
            ({"subscribe": {"events": ["all"]}}, "subscribe.events[0]"),
            ({"unsubscribe": {}}, "unsubscribe"),
            ({"subscribe": {"recursive": "yes"}}, "subscribe.recursive"),
            ([], ""),
        ):
            await talk.say(wrong)
            error = await talk.next("error")
            assert (error["data"]["code"], error["data"]["details"]["field"]) == ("VALIDATION_ERROR", field), error
        for raw in ("{", b"\x00", '{"subscribe": {"type": ["\\ud800"]}}'):
            await talk.connection.send(raw)
            assert (await talk.next("error"))["data"]["code"] == "VALIDATION_ERROR"
        await server.task(there)
        assert len(await talk.types(1)) == 1
        await talk.say({"subscribe": {"work_path": [here], "after": talk.last}})
        await talk.next("mark")
        await server.task(there)
        fifth = await server.task(here)
        assert await talk.types(1) == [("task.created", fifth["id"])]


async def test_of_each_task_the_newest(server: Running, directory: str) -> None:
    ids = [(await server.task(directory))["id"] for _ in range(2)]
    async with talking(server, f"work_path={directory}&coalesce_ms=400") as talk:
        for task_id in ids:
            await server.client.put(f"/tasks/{task_id}", json={"title": "first"})
        told = [(await talk.next())["data"] for _ in range(1)]
        for number in range(20):
            for task_id in ids:
                await server.client.put(f"/tasks/{task_id}", json={"title": f"t{number}"})
        end = server.queue.feed.last_id
        seen: list[dict[str, Any]] = []
        while not seen or int(seen[-1]["id"].rpartition("-")[2]) < end:
            seen.append((await talk.next())["data"])
        told += seen
    numbers = [int(event["id"].rpartition("-")[2]) for event in told]
    assert numbers == sorted(numbers)
    assert 3 <= len(told) <= 12
    assert {event["task_id"] for event in told[-2:]} == set(ids)


async def test_output_line_by_line(server: Running, directory: str) -> None:
    await server.task(directory)
    before = await server.claim(directory)
    await logs(server, before, "said before")
    async with talking(server, f"work_path={directory}&events=execution_logs&events=task_execution") as talk:
        await logs(server, before, "one", "two")
        message = await talk.next("execution_logs")
        assert message["id"] is None
        assert (message["data"]["task_id"], message["data"]["work_directory"]) == (before["id"], directory)
        lines = [(line["number"], line["text"]) for line in message["data"]["lines"]]
        assert lines[-2:] == [(2, "one"), (3, "two")]
        assert len(lines) == 2
        assert message["data"]["next_after"] == 3
        await server.post(f"/tasks/{before['id']}/release", {"lease": before["lease"]})
        again = await server.claim(directory)
        await logs(server, again, *(f"line {number}" for number in range(1000)))
        texts: list[str] = []
        types: list[str] = []
        while len(texts) < 1000 or len(types) < 2:
            message = await talk.next()
            texts += [line["text"] for line in message["data"].get("lines", ())]
            types += [message["data"]["type"]] if message["id"] else []
        assert texts == [f"line {number}" for number in range(1000)]
        assert types == ["task.released", "task.claimed"]
    await until(lambda: server.queue.bells.minded is None)


async def test_numbers_every_few_seconds(server: Running, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "METRICS_S", 0.01)
    monkeypatch.setattr(measuring, "_FRESH_S", 0)
    async with talking(server, "events=system_metrics") as talk:
        first = (await talk.next())["data"]
        await server.task(directory)
        while (later := (await talk.next("system_metrics"))["data"])["by_status"] == first["by_status"]:
            pass
        assert later["by_status"]["waiting"] == first["by_status"]["waiting"] + 1
        assert later["throughput"]["1h"]["created"] > 0
        assert (later["parked_polls"], later["backlog"], later["listeners"]) == (0, 0, 1)


async def test_hints_come_too(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    async with talking(server, f"work_path={directory}&live=true") as talk:
        await until(lambda: len(server.app.state.board) == 1)
        await progress(server, task, 12)
        message = await talk.next()
        assert (message["event"], message["id"], message["data"]["type"]) == ("task_execution", None, "task.progress")
        assert "id" not in message["data"]


async def test_a_question_that_makes_no_sense_is_refused(server: Running) -> None:
    for query, field in (
        ("work_path=here", "work_path"),
        ("events=x", "events"),
        ("coalesce_ms=-1", "coalesce_ms"),
        ("x=1", "x"),
    ):
        status, error = await refused(server, query)
        assert (status, error["details"]["field"]) == (400, field), error
    for headers in ({}, {"connection": "upgrade", "upgrade": "websocket"}, {"upgrade": "h2c", "connection": "upgrade"}):
        answer = await server.client.get(f"{server.address}/ws", headers=headers)
        assert answer.status_code == 400
        assert "WebSocket" in answer.json()["error"]["message"]
    assert (await server.client.head(f"{server.address}/ws")).status_code == 400
    assert (await server.client.post(f"{server.address}/ws")).status_code == 405
    assert server.app.state.slots._taken == {}


async def test_streams_end_when_the_server_stops(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "tasks.db") as server,
        talking(server) as talk,
        talking(server, "events=system_metrics") as other,
    ):
        await until(lambda: len(server.app.state.board) == 2)
        server.server.stop()
        assert (await talk.closed())[0] == (await other.closed())[0] == 1001


async def test_who_hangs_up_leaves_nothing_behind(server: Running) -> None:
    board = server.app.state.board
    for how in ("close", "abort"):
        async with talking(server, "live=true&events=task_execution&events=execution_logs&events=system_metrics") as talk:
            await until(lambda: len(board) == 2)
            if how == "abort":
                talk.connection.transport.abort()
            else:
                await talk.connection.close()
        await until(lambda: not board and not server.app.state.slots._taken and not server.app.state.doors.held)
    await until(lambda: not server.server.server_state.tasks)
