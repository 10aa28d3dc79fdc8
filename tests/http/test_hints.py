"""Hints: output and progress reach whoever looks on, at once, thinned out, and nobody who may not see the task."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.task import Outputs
from orchestrator.queue import hints
from orchestrator.queue.board import Board
from orchestrator.queue.cursor import Cursor
from orchestrator.queue.topics import Topics
from orchestrator.settings import Auth
from orchestrator.store.protocol import FeedEvent, StoreAwayError
from orchestrator.store.reads import Reads
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import PATIENCE_S, Running, serving, until
from tests.http.test_events import reading
from tests.shared import following, replicas
from worker_client.client import AsyncClient
from worker_client.contract.enums import LogStream
from worker_client.contract.events import Event, Hint

pytestmark = pytest.mark.anyio


async def progress(server: Running, task: Any, percent: float, **more: Any) -> None:
    await server.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "progress": {"percent": percent}, **more})


async def logs(server: Running, task: Any, *lines: str) -> None:
    await server.post(f"/tasks/{task['id']}/logs", {"lease": task["lease"], "lines": list(lines)})


@asynccontextmanager
async def looking_on(server: Running, **query: Any) -> AsyncIterator[Any]:
    """A stream that gets hints by now."""
    board = server.app.state.board
    before = len(board)
    async with reading(server, live="true", **query) as stream:
        await until(lambda: len(board) == before + 1)
        while stream.feed.last_id is None:
            await stream.line()
        yield stream


async def test_progress_and_output_are_told_without_an_id(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    async with looking_on(server, work_path=directory) as stream:
        at = stream.feed.last_id
        await progress(server, task, 40, usage={"input_tokens": 7})
        hint = await stream.next()
        assert isinstance(hint, Hint)
        assert (hint.type, hint.task_id, hint.work_directory, hint.status) == ("task.progress", task["id"], directory, "running")
        assert hint.data["progress"]["percent"] == 40
        assert hint.data["usage"]["input_tokens"] == 7
        await logs(server, task, "one", "two")
        hint = await stream.next()
        assert isinstance(hint, Hint)
        assert (hint.type, hint.data) == ("task.output", {"last_line": 2})
        assert stream.feed.last_id == at
        await server.post(f"/tasks/{task['id']}/complete", {"lease": task["lease"]})
        event = await stream.next()
        assert isinstance(event, Event)
        assert event.type == "task.completed"


async def test_who_follows_a_run_gets_the_hints_of_its_tasks(server: Running, directory: str) -> None:
    steps = [{"id": "one", "task": {"work_directory": directory, "prompt": "do"}}]
    flow = await server.post("/workflows", {"name": directory[-60:], "steps": steps})
    run = await server.post(f"/workflows/{flow['id']}/execute", {"input": {}})
    async with asyncio.timeout(PATIENCE_S):
        while (task := await server.claim(directory, wait=1)) is None:
            pass
    async with looking_on(server, run_id=run["id"], type="task.output") as stream:
        await logs(server, task, "one")
        hint = await stream.next()
        assert (hint.type, hint.task_id, hint.data) == ("task.output", task["id"], {"last_line": 1})


async def test_many_are_told_as_one(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    async with looking_on(server, work_path=directory) as stream:
        for percent in range(50):
            await progress(server, task, percent)
        found: list[float] = []
        while not found or found[-1] != 49:
            found.append((await stream.next()).data["progress"]["percent"])
    assert found == sorted(found)
    assert len(found) < 25


async def test_who_does_not_ask_gets_none_and_none_are_made(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    async with reading(server, work_path=directory) as plain:
        await until(lambda: server.app.state.board)
        await progress(server, task, 1)
        await logs(server, task, "line")
        bells = server.queue.bells
        assert (bells.minded, bells.lines, bells.beats) == (None, set(), set())
        async with looking_on(server, work_path=directory) as stream, looking_on(server, type="task.output") as other:
            await progress(server, task, 2)
            assert (await stream.next()).type == "task.progress"
            await logs(server, task, "line")
            assert (await stream.next()).type == (await other.next()).type == "task.output"
        await server.task(directory)
        assert await plain.types(1) == [("task.created", task["id"] + 1)]
    await until(lambda: bells.minded is None)


@pytest.mark.parametrize(
    "asked", [{}, {"work_path": "/"}, {"work_path": "/out"}, {"task_id": [1, 2]}, {"type": ["task.progress", "task.output"]}]
)
async def test_a_limited_key_gets_no_hints_of_elsewhere(tmp_path: Path, asked: dict[str, Any]) -> None:
    async with serving(tmp_path / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        key = await Keys(server).make("in", "read", paths=["/in/**"])
        server.client.headers.update(bearer(BOOTSTRAP))
        for path in ("/out", "/in"):
            await server.task(path)
        theirs, mine = await server.claim("/out"), await server.claim("/in")
        query = {"live": "true", **asked}
        async with server.client.stream("GET", "/events", params=query, headers=bearer(key)) as limited:
            heard = ""
            async with looking_on(server, work_path="/") as all_of_it:
                await until(lambda: len(server.app.state.board) == 2)
                for task in (theirs, mine):
                    await progress(server, task, 7)
                    await logs(server, task, "a line")
                # Who is told at all is told together with who may see everything.
                assert {(await all_of_it.next()).task_id for _ in range(4)} == {theirs["id"], mine["id"]}
            await server.post(f"/tasks/{mine['id']}/complete", {"lease": mine["lease"]})
            server.server.stop()
            async for part in limited.aiter_text():
                heard += part
        assert "/out" not in heard
        assert f'"task_id":{theirs["id"]},' not in heard
        assert heard.count('"task.progress"') == heard.count('"task.output"') == (0 if asked.get("work_path") == "/out" else 1)


async def test_what_moved_away_is_hinted_to_those_there(server: Running, directory: str) -> None:
    """The place of a task is looked up when the hint is made, so that it is that of now."""
    await server.task(directory)
    task = await server.claim(directory)
    async with looking_on(server, work_path=directory) as stream:
        await server.post(f"/tasks/{task['id']}/release", {"lease": task["lease"]})
        await server.client.put(f"/tasks/{task['id']}", json={"work_directory": f"{directory}-b"})
        task = await server.claim(f"{directory}-b")
        async with looking_on(server, work_path=f"{directory}-b") as there:
            await logs(server, task, "line")
            assert (await there.next()).work_directory == f"{directory}-b"
        assert [(await stream.next()).type for _ in range(1)] == ["task.released"]
        assert not stream.feed._fields


async def test_hints_go_on_when_the_database_was_away(server: Running, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    failures = [StoreAwayError("refused"), ValueError("odd")]
    read = Reads.last_lines

    async def failing(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await read(*arguments)

    monkeypatch.setattr(Reads, "last_lines", failing)
    async with looking_on(server, work_path=directory) as stream:
        await logs(server, task, "line")
        await until(lambda: len(failures) == 1)
        await logs(server, task, "line")
        await until(lambda: not failures)
        await logs(server, task, "line")
        assert (await stream.next()).data == {"last_line": 3}


async def test_what_workers_tell_one_server_is_hinted_at_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "LOOK_S", 0.05)
    async with replicas(tmp_path) as (here, there), following(here, there):
        board = Board(there.queue)
        await here.add("/a")
        grant = await here.take()
        cursor = Cursor(there.queue, board, there.seat.epoch, Topics(), live=True)
        with cursor:
            await cursor.begin(None)
            heartbeat = ops.Heartbeat(task_id=grant.task_id, lease=grant.lease)
            await here.do(heartbeat)
            await here.do(replace(heartbeat, outputs=Outputs(progress='{"percent":3}')))
            told = await hint(cursor, "task.progress")
            assert json.loads(told.data) == {"progress": {"percent": 3}, "usage": None}
            line = ops.LogLine("text", LogStream.STDOUT, None)
            await here.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=(line, line)))
            assert json.loads((await hint(cursor, "task.output")).data) == {"last_line": 2}


async def hint(cursor: Cursor, kind: str) -> FeedEvent:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for told in (await cursor.next(1)).hints:
                if told.type == kind:
                    return told


async def test_the_sdk_gets_them(server: Running, directory: str) -> None:
    await server.task(directory)
    task = await server.claim(directory)
    async with AsyncClient(server.address) as client:
        stream = client.events(live=True, work_path=[directory])
        first = asyncio.ensure_future(anext(stream))
        await until(lambda: server.app.state.board)
        await progress(server, task, 5)
        hint = await first
        assert isinstance(hint, Hint)
        assert hint.data["progress"]["percent"] == 5
        await stream.aclose()  # type: ignore[attr-defined]
