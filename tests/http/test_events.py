"""The feed as server-sent events: nothing is missed between two readings, and who missed something is told."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.domain.principal import PathScope, Pattern
from orchestrator.http.events import EventStream
from orchestrator.queue import cursor as module
from orchestrator.queue.cursor import Cursor
from orchestrator.queue.topics import Topics
from orchestrator.store.protocol import StoreAwayError
from orchestrator.store.reads import Reads
from tests.http.conftest import PATIENCE_S, Running, serving, until
from worker_client.contract.events import Event, Hint, ReadEvents
from worker_client.feed import Feed, Reset

pytestmark = pytest.mark.anyio


class Reading:
    """One stream, read as the SDK reads it."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.feed = Feed(ReadEvents())
        self.raw: list[str] = []

    async def line(self) -> list[Event | Reset | Hint]:
        line = await anext(self._lines)
        self.raw.append(line)
        return list(self.feed.line(line))

    async def next(self) -> Event | Reset | Hint:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await self.line()):
                pass
        return found[0]

    async def types(self, count: int) -> list[tuple[str, int | None]]:
        found = [await self.next() for _ in range(count)]
        return [(event.type, event.task_id) for event in found if isinstance(event, Event)]

    async def reset(self) -> str:
        found = await self.next()
        assert isinstance(found, Reset), found
        assert found.data["message"]
        return str(found.data["reason"])


@asynccontextmanager
async def reading(server: Running, last: str | None = None, **query: Any) -> AsyncIterator[Reading]:
    """A stream that has begun."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with server.client.stream("GET", "/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        async with aclosing(cast("AsyncGenerator[str, None]", answer.aiter_lines())) as lines:
            stream = Reading(lines)
            assert (await stream.line(), stream.raw) == ([], ["retry: 1000"])
            yield stream


def frames_of(server: Running, topics: Topics = Topics(administers=True), **options: Any) -> EventStream:  # noqa: B008  frozen
    state = server.app.state
    return EventStream(Cursor(state.queue, state.board, state.store.epoch, topics), **options)


async def last_id(server: Running) -> str:
    """Where a stream that begins now begins."""
    async with reading(server) as stream:
        while stream.feed.last_id is None:
            await stream.line()
        return stream.feed.last_id


async def test_a_stream_tells_what_happens_from_now_on(server: Running, directory: str) -> None:
    await server.task(directory)
    async with reading(server) as stream:
        task = await server.task(directory, host="box")
        event = await stream.next()
        assert isinstance(event, Event)
        assert (event.type, event.task_id, event.status) == ("task.created", task["id"], "waiting")
        assert (event.work_directory, event.host, event.data) == (directory, "box", {"source": "api"})
        assert event.id == stream.feed.last_id
        await server.claim(directory, host="box")
        assert [name for name, _ in await stream.types(1)] == ["task.claimed"]


async def test_a_stream_goes_on_where_it_was(server: Running, directory: str) -> None:
    since = await last_id(server)
    ids = [(await server.task(directory))["id"] for _ in range(3)]
    created = [("task.created", one) for one in ids]
    async with reading(server, since) as stream:
        first = await stream.next()
        assert isinstance(first, Event)
        assert [(first.type, first.task_id), *await stream.types(2)] == created
    async with reading(server, after=first.id) as stream:
        assert await stream.types(2) == created[1:]
    async with reading(server, first.id, after=since) as stream:
        assert await stream.types(2) == created[1:]


async def test_what_memory_has_lost_comes_from_the_store(server: Running, directory: str) -> None:
    since = await last_id(server)
    batch = {"tasks": [{"work_directory": directory, "prompt": "Do it"}] * 700}
    ids = [task["id"] for task in (await server.post("/tasks/batch", batch))["tasks"]]
    server.queue.feed._recent.clear()
    async with reading(server, since) as stream:
        later = (await server.task(directory))["id"]
        assert await stream.types(701) == [("task.created", one) for one in [*ids, later]]


@pytest.mark.parametrize(
    "last", ["0", "nonsense", "{epoch}-", "{epoch}-x", "{epoch}-99999999", "{epoch}-9" + "9" * 30, "{epoch}--1"]
)
async def test_an_id_that_never_was_resets(server: Running, last: str) -> None:
    epoch = server.app.state.store.epoch
    async with reading(server, last.format(epoch=epoch)) as stream:
        assert await stream.reset() == ("unknown" if last.startswith("{epoch}-") and "--" not in last else "epoch")
        task = await server.task("/after-reset")
        assert await stream.types(1) == [("task.created", task["id"])]


async def test_an_id_of_another_database_resets(server: Running) -> None:
    async with reading(server, "0123456789ab-1") as stream:
        assert await stream.reset() == "epoch"


async def test_who_is_too_far_behind_is_reset(server: Running, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEHIND", 3)
    since = await last_id(server)
    for _ in range(3):
        await server.task(directory)
    async with reading(server, since) as stream:
        assert len(await stream.types(3)) == 3
    await server.task(directory)
    async with reading(server, since) as stream:
        assert await stream.reset() == "behind"


async def test_who_asks_for_what_was_pruned_is_reset(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        begin = await last_id(server)
        for _ in range(3):
            await server.task("/a")
        third = await last_id(server)
        store = server.app.state.store
        await store._writer.run(lambda connection: connection.execute("DELETE FROM events WHERE id <= 2"))
        async with reading(server, begin) as stream:
            assert await stream.reset() == "pruned"
        kept = third.replace("-3", "-2")
        async with reading(server, kept) as stream:
            assert await stream.types(1) == [("task.created", 3)]
        # Pruned between the beginning and the reading: neither memory nor the store has what follows.
        server.queue.feed._recent.clear()
        async with aclosing(frames_of(server).frames(kept)) as frames:
            await anext(frames)
            await store._writer.run(lambda connection: connection.execute("DELETE FROM events"))
            assert b'"pruned"' in await anext(frames)


async def test_a_stream_can_be_narrowed(server: Running, directory: str) -> None:
    here = {"work_path": f"{directory}/x/../"}
    async with (
        reading(server, **here) as below,
        reading(server, **here, recursive="false") as at,
        reading(server, type=["task.claimed", "task.cancelled"]) as typed,
    ):
        first, second = await server.task(f"{directory}/deep"), await server.task(directory)
        async with reading(server, task_id=second["id"]) as one:
            await server.task(f"{directory}-beside")
            await server.claim(directory)
            await server.post(f"/tasks/{first['id']}/cancel")
            created, claimed, cancelled = "task.created", ("task.claimed", second["id"]), ("task.cancelled", first["id"])
            assert await below.types(4) == [(created, first["id"]), (created, second["id"]), claimed, cancelled]
            assert await at.types(2) == [(created, second["id"]), claimed]
            assert await typed.types(2) == [claimed, cancelled]
            assert await one.types(1) == [claimed]


async def test_a_stream_follows_a_run_and_its_tasks(server: Running, directory: str) -> None:
    steps = [{"id": "one", "task": {"work_directory": directory, "prompt": "do"}}]
    workflow = await server.post("/workflows", {"name": directory[-60:], "steps": steps})
    other = await server.post(f"/workflows/{workflow['id']}/execute", {"input": {}})
    run = await server.post(f"/workflows/{workflow['id']}/execute", {"input": {}})
    async with reading(server, run_id=run["id"]) as stream:
        await server.task(directory)
        await server.post(f"/runs/{other['id']}/cancel")
        await server.post(f"/runs/{run['id']}/cancel")
        told: set[tuple[str, int | None]] = set()
        while "run.cancelled" not in {kind for kind, _ in told} or "task.cancelled" not in {kind for kind, _ in told}:
            told |= set(await stream.types(1))
        (task_id,) = (await server.get(f"/runs/{run['id']}"))["steps"]["one"]["task_ids"]
        assert {about for _, about in told} == {task_id, None}


async def test_a_question_that_makes_no_sense_is_refused(server: Running) -> None:
    for query, field in (({"work_path": "here"}, "work_path"), ({"task_id": "x"}, "task_id"), ({"kind": "x"}, "kind")):
        error = await server.refused("GET", "/events", 400, params=query)
        assert error["details"]["field"].startswith(field)


async def test_streams_end_when_the_server_stops(tmp_path: Path) -> None:
    async with serving(tmp_path / "tasks.db") as server, reading(server) as stream:
        server.server.stop()
        with pytest.raises(StopAsyncIteration):
            await stream.next()


async def test_who_hangs_up_leaves_nothing_behind(server: Running) -> None:
    board, readers = server.app.state.board, server.queue.feed._readers
    before = len(readers)
    async with reading(server), reading(server):
        await until(lambda: len(board) == 2)
        assert board._joined
        # Both by the one reader of the board.
        await until(lambda: len(readers) == before + 1)
    await until(lambda: not board and len(readers) == before)
    assert not board._joined


async def test_a_reader_gets_no_more_at_once_than_it_can_be_given(server: Running, directory: str) -> None:
    since = await last_id(server)
    batch = {"tasks": [{"work_directory": directory, "prompt": "Do it"}] * 1000}
    await server.post("/tasks/batch", batch)
    async with aclosing(frames_of(server).frames(since)) as frames:
        await anext(frames)
        assert [(await anext(frames)).count(b"data: ") for _ in range(2)] == [500, 500]


async def test_a_quiet_stream_says_that_it_lives_and_where_it_is(server: Running, directory: str) -> None:
    epoch = server.app.state.store.epoch
    stream = frames_of(server, Topics(visible=PathScope(())), keep_alive=0.001)
    async with aclosing(stream.frames(None)) as frames:
        begin = await anext(frames)
        assert begin == f"retry: 1000\nid: {epoch}-{server.queue.feed.last_id}\n\n".encode()
        assert await anext(frames) == f": keep-alive\nid: {epoch}-{server.queue.feed.last_id}\n\n".encode()
        await server.task(directory)
        told = f": keep-alive\nid: {epoch}-{server.queue.feed.last_id}\n\n".encode()
        async with asyncio.timeout(PATIENCE_S):
            while await anext(frames) != told:
                pass


async def test_an_event_outside_of_the_scope_is_not_told(server: Running) -> None:
    await server.task("/scoped/in")
    topics = Topics(PathScope((Pattern("/", below=True),)), visible=PathScope((Pattern("/scoped", below=True),)))
    page = server.queue.feed.after(server.queue.feed.last_id - 1, 1)
    assert page is not None
    assert topics.cover(page[0])
    await server.task("/unscoped")
    page = server.queue.feed.after(server.queue.feed.last_id - 1, 1)
    assert page is not None
    assert not topics.cover(page[0])


async def test_a_reader_is_let_go_to_resume_when_the_database_is_away(
    server: Running, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise StoreAwayError("refused")

    since = await last_id(server)
    await server.task(directory)
    monkeypatch.setattr(Reads, "event_bounds", gone)
    answer = await server.client.get("/events", headers={"Last-Event-ID": since})
    assert (answer.status_code, answer.content) == (200, b"")
