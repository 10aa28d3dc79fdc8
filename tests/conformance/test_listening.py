"""Listeners are cut, resume, fall behind and come back at random: each hears all of its filter once and in order."""

import asyncio
import contextlib
import random
from collections import deque

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.queue import board as board_module
from orchestrator.queue import cursor as cursor_module
from orchestrator.queue.board import Board
from orchestrator.queue.cursor import Cursor
from orchestrator.queue.topics import Topics
from tests.rig import enqueue, new_task
from tests.serving import Server, until

pytestmark = pytest.mark.anyio
PATHS = ("/a", "/a/b", "/a/b/c", "/ab", "/b", "C:\\w", "C:\\w\\x")


class Listening:
    """One who is cut now and then, and goes on where it was."""

    def __init__(self, server: Server, board: Board, topics: Topics) -> None:
        self.server = server
        self.board = board
        self.topics = topics
        self.told: list[int] = []
        self.last: str | None = f"{server.store.epoch}-0"
        self.cursor: Cursor | None = None

    async def step(self) -> None:
        if self.cursor is None:
            self.cursor = Cursor(self.server.queue, self.board, self.server.store.epoch, self.topics)
            self.cursor.__enter__()
            assert await self.cursor.begin(self.last) is None
        told = await self.cursor.next(0)
        assert told.lost is None
        self.told += [event.id for event in told.events]
        self.last = self.cursor.mark

    def cut(self) -> None:
        if self.cursor is not None:
            self.cursor.__exit__(None, None, None)
        self.cursor = None


def chosen(chance: random.Random) -> Topics:
    """Filters of every form."""
    scopes = [EVERYWHERE, *(PathScope((Pattern(path, below=chance.random() < 0.5),)) for path in PATHS)]
    scopes.append(PathScope(tuple(Pattern(path, below=True) for path in chance.sample(PATHS, 2))))
    types = [None, None, frozenset({"task.created"}), frozenset({"task.cancelled", "task.changed"})]
    tasks = [None, None, frozenset(chance.sample(range(1, 60), 5))]
    return Topics(
        asked=chance.choice(scopes),
        types=chance.choice(types),
        tasks=chance.choice(tasks),
        visible=chance.choice([EVERYWHERE, EVERYWHERE, *scopes]),
        administers=chance.random() < 0.5,
    )


async def happen(server: Server, chance: random.Random, made: list[int]) -> None:
    """Something, of which `made` are the tasks that still are."""
    what = chance.choice(("add", "add", "burst", "change", "cancel"))
    if what == "burst":
        await server.do(enqueue(*(new_task(chance.choice(PATHS)) for _ in range(chance.randrange(2, 20)))))
    elif what == "add" or not made:
        made.append(await server.add(chance.choice(PATHS)))
    elif what == "change":
        await server.do(ops.Update(task_id=chance.choice(made), title=str(chance.random())))
    else:
        await server.do(ops.Cancel(task_id=made.pop(), reason="no"))


@pytest.mark.parametrize("seed", range(3))
async def test_each_hears_all_of_its_filter_once_and_in_order(server: Server, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MOST", 3)
    # Then the board is behind those who come to it.
    monkeypatch.setattr(board_module, "_REST_S", 0.001 * (seed % 2))
    monkeypatch.setattr(board_module, "_PAGE", 4)
    monkeypatch.setattr(cursor_module, "_PAGE", 5)
    # Memory has lost what is only a little older.
    server.queue.feed._recent = deque(maxlen=8)
    chance = random.Random(seed)
    board = Board(server.queue)
    listeners = [Listening(server, board, chosen(chance)) for _ in range(40)]
    listeners[0].topics = Topics(administers=True)
    made: list[int] = []
    fell_behind = 0
    joined: set[Listening] = set()
    for _ in range(60):
        await happen(server, chance, made)
        for listener in chance.sample(listeners, 15):
            for _ in range(chance.choice((1, 5, 40))):
                await listener.step()
            if chance.random() < 0.1:
                listener.cut()
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        behind = {one for one in listeners if one.cursor is not None and not one.cursor.joined}
        fell_behind += len(behind & joined)
        joined = {one for one in listeners if one.cursor is not None and one.cursor.joined}
    happened = await server.queue.reads.events(0, 10**6, EVERYWHERE)
    expected = {id(one): [event.id for event in happened if one.topics.cover(event)] for one in listeners}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while any(one.told[-1:] != expected[id(one)][-1:] for one in listeners):
                for listener in listeners:
                    await listener.step()
    for listener in listeners:
        assert listener.told == expected[id(listener)], listener.topics
        listener.cut()
    assert fell_behind > 10
    assert sum(map(len, expected.values())) > 200
    assert not board
    assert not board._joined
    await until(lambda: not server.queue.feed._readers)
