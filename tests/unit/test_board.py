"""The board and what is told by it, where they fail, fall behind, or have too much to tell."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain import operations as ops
from orchestrator.domain.task import Outputs
from orchestrator.queue import board as board_module
from orchestrator.queue import hints as hints_module
from orchestrator.queue.board import Board
from orchestrator.queue.cursor import Cursor
from orchestrator.queue.output import Output
from orchestrator.queue.topics import Topics
from orchestrator.store.protocol import FeedEvent
from tests.serving import Server, until
from worker_client.contract.enums import LogStream

pytestmark = pytest.mark.anyio
LINE = ops.LogLine("text", LogStream.STDOUT, None)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server("sqlite", tmp_path)
    await server.queue.start()
    yield server
    await server.queue.stop()


def cursor_of(server: Server, board: Board, topics: Topics = Topics(administers=True), **more: Any) -> Cursor:  # noqa: B008 - frozen
    return Cursor(server.queue, board, server.store.epoch, topics, **more)


async def joined(cursor: Cursor) -> None:
    while not cursor.joined:
        await cursor.next(0)


async def ids(cursor: Cursor, count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += [event.id for event in (await cursor.next(1)).events]
    return found


async def test_a_board_that_fails_loses_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    board, feed = Board(server.queue), server.queue.feed
    with cursor_of(server, board) as cursor:
        await cursor.begin(None)
        await joined(cursor)
        after, failures = feed.after, [ValueError("odd")]

        def failing(event_id: int, limit: int) -> list[FeedEvent] | None:
            if failures:
                raise failures.pop()
            return after(event_id, limit)

        monkeypatch.setattr(feed, "after", failing)
        await server.add()
        assert await ids(cursor, 1) == [1]
        await joined(cursor)
        await server.add()
        assert await ids(cursor, 1) == [2]


async def test_who_comes_while_the_board_rests_is_told_nothing_twice(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "_REST_S", 0.05)
    board = Board(server.queue)
    with cursor_of(server, board) as early, cursor_of(server, board) as late:
        await early.begin(None)
        await joined(early)
        await server.add()
        assert await ids(early, 1) == [1]
        await server.add()
        await late.begin(f"{server.store.epoch}-0")
        assert [event.id for event in (await late.next(0)).events] == [1, 2]
        await joined(late)
        assert board.at == 1
        await server.add()
        assert await ids(late, 1) == [3]
        assert await ids(early, 2) == [2, 3]
        assert late.mark == early.mark == f"{server.store.epoch}-3"


async def test_of_hints_no_more_are_kept_than_are_bearable(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MOST_HINTS", 2)
    board = Board(server.queue)
    with cursor_of(server, board, live=True) as cursor:
        await cursor.begin(None)
        await joined(cursor)
        for task_id, data in ((1, "1"), (2, "2"), (3, "3"), (1, "4")):
            board.hint(FeedEvent(0, 0, "task.output", task_id, "/a", "", "running", data))
        assert [(hint.task_id, hint.data) for hint in (await cursor.next(0)).hints] == [(1, "4"), (2, "2")]


async def test_a_wait_ends_when_its_time_is_over_and_not_before(server: Server) -> None:
    board, loop = Board(server.queue), asyncio.get_running_loop()
    with cursor_of(server, board) as cursor:
        await cursor.begin(None)
        await joined(cursor)
        started = loop.time()
        for within, rings in ((0.02, False), (5.0, True), (0.05, False), (0.01, False)):
            if rings:
                await server.add()
            told = await cursor.next(within)
            assert bool(told.events) == rings
        assert 0.08 <= loop.time() - started < 4
        await cursor.rest(0.02)
        assert loop.time() - started >= 0.1
    # The timer of who has gone is not heard.
    await asyncio.sleep(0.06)


async def test_hints_in_rounds_each_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "_AT_ONCE", 2)
    monkeypatch.setattr(hints_module, "_KNOWN", 2)
    monkeypatch.setattr(hints_module, "EVERY_S", 0)
    board = Board(server.queue)
    paths = [f"/{number}" for number in range(5)]
    for path in paths:
        await server.add(path)
    grants = [await server.take(path) for path in paths]
    with cursor_of(server, board, live=True) as cursor:
        await cursor.begin(None)
        await joined(cursor)
        for outputs in (Outputs(session_id="s"), Outputs(progress='{"percent":1}'), Outputs(progress='{"percent":1}')):
            await asyncio.gather(
                *(server.do(ops.Heartbeat(task_id=one.task_id, lease=one.lease, outputs=outputs)) for one in grants)
            )
        found: dict[int, str] = {}
        async with asyncio.timeout(20):
            while len(found) < len(grants):
                found |= {hint.task_id: hint.data for hint in (await cursor.next(1)).hints}
        assert set(found.values()) == {'{"progress":{"percent":1},"usage":null}'}
        assert len(board.hints._told) <= 2


async def test_output_of_a_task_that_is_gone_and_after_the_board_failed(server: Server) -> None:
    board = Board(server.queue)
    task, _ = await server.add(), await server.add("/b")
    grant, other = await server.take(), await server.take("/b")
    with Output(server.queue, board, Topics()) as output:
        await output.begin()
        output._told[task] = 0
        gone = FeedEvent(0, 0, "task.output", 999, "/a", "", "running", "{}")
        board.hint(gone)
        assert [news async for news in output.next()] == []
        board._everybody_goes()
        assert [news async for news in output.next()] == []
        append = ops.AppendLogs(task_id=task, lease=grant.lease, lines=(LINE, LINE))
        await server.do(append)
        (news,) = [news async for news in output.next()]
        assert (news.task_id, [line.number for line in news.lines], news.next_after) == (task, [1, 2], 2)
        await server.do(replace(append, task_id=other.task_id, lease=other.lease))
        (news,) = [news async for news in output.next()]
        assert news.work_directory == "/b"
    await until(lambda: not board)


async def test_no_more_tasks_are_followed_than_are_bearable(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.queue.output._FOLLOWED", 1)
    board = Board(server.queue)
    with Output(server.queue, board, Topics()) as output:
        await output.begin()
        for path in ("/a", "/b"):
            await server.add(path)
            grant = await server.take(path)
            await server.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=(LINE,)))
            (news,) = [news async for news in output.next()]
            assert news.work_directory == path
        assert list(output._told) == [grant.task_id]


async def test_when_the_server_stops_nobody_rests(server: Server) -> None:
    board = Board(server.queue)
    with cursor_of(server, board) as cursor, cursor_of(server, board, Topics(tasks=frozenset())) as deaf:
        for one in (cursor, deaf):
            await one.begin(None)
            await joined(one)
        resting = [asyncio.create_task(one.rest(60)) for one in (cursor, deaf)]
        await asyncio.sleep(0)
        server.queue.drain()
        async with asyncio.timeout(20):
            await asyncio.gather(*resting)
        assert cursor.over
        assert not cursor.joined
