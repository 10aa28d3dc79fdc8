"""A search over HTTP: at once, for bulk calls as for lists, and in words while the index is behind."""

import asyncio
from pathlib import Path

import pytest

from orchestrator.loops import indexer
from orchestrator.loops.indexer import Indexer
from orchestrator.queue.commit import Queue
from orchestrator.store.reads import searching
from orchestrator.store.reads.searching import BehindError
from orchestrator.store.sqlite.store import SQLiteStore
from tests.http.conftest import Running, serving, until
from tests.rig import meddle
from tests.serving import Server

pytestmark = pytest.mark.anyio


async def has_read(queue: Queue) -> None:
    """Until the index has read what has happened by now."""
    _, last = await queue.reads.event_bounds()
    while (await queue.reads.indexing()).last_event < last:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


async def found(server: Running, q: str, directory: str) -> list[int]:
    listed = await server.get("/tasks", q=q, work_path=directory, recursive=True)
    return [task["id"] for task in listed["items"]]


async def test_found_in_the_instant_and_when_the_index_has_it(
    server: Running, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "TOGETHER_S", 0.05)
    task = await server.task(directory, title="Login 页面")
    for _ in range(2):
        assert await found(server, "页面", directory) == [task["id"]]
        assert await found(server, "log", directory) == [task["id"]]
        assert await found(server, "page", directory) == []
        await has_read(server.queue)
    await server.client.put(f"/tasks/{task['id']}", json={"title": "Logout"})
    for _ in range(2):
        assert await found(server, "页面", directory) == []
        assert await found(server, "logout", directory) == [task["id"]]
        await has_read(server.queue)
    claimed = await server.claim(directory)
    await server.post(f"/tasks/{task['id']}/complete", {"lease": claimed["lease"], "result": {"summary": "Nothing to repair"}})
    assert await found(server, "repair", directory) == [task["id"]]
    await server.client.delete(f"/tasks/{task['id']}")
    assert await found(server, "logout", directory) == []


async def test_bulk_calls_mean_what_lists_show(server: Running, directory: str) -> None:
    titles = ["fix 登录", "fix 登出", "登录 again", "else"]
    ids = [(await server.task(directory, title=title))["id"] for title in titles]
    shown = await found(server, "登录", directory)
    assert shown == [ids[2], ids[0]]
    assert await server.post("/tasks/cancel", {"q": "登录", "work_path": [directory]}) == {"count": 2}
    listed = await server.get("/tasks", status="cancelled", work_path=directory)
    assert [task["id"] for task in listed["items"]] == shown
    # Without a word there is nothing to be found, and nothing to be cancelled.
    assert await server.post("/tasks/cancel", {"q": "!?", "work_path": [directory]}) == {"count": 0}
    assert await found(server, "!?", directory) == []


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody brings the index up to date."""

    async def nothing(_: Indexer) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Indexer, "run", nothing)


async def test_while_the_index_is_made(tmp_path: Path, unread: None) -> None:
    async with serving(tmp_path / "tasks.db") as server:
        for _ in range(3):
            await server.task("/a", title="old")
        store: SQLiteStore = server.app.state.store
        await meddle(store, "UPDATE task_index SET last_event = (SELECT max(id) FROM events), unread = 3")
        new = (await server.task("/a", title="not old"))["id"]
        listed = await server.get("/tasks", q="old")
        assert ([task["id"] for task in listed["items"]], listed["unsearched"]) == ([new], 3)
        assert "unsearched" not in await server.get("/tasks")
        refused = await server.refused("POST", "/tasks/cancel?q=old", 503)
        assert refused["code"] == "OVERLOADED"
        assert "up to 3" in refused["message"]
        await Indexer(server.queue).catch_up()
        listed = await server.get("/tasks", q="old")
        assert (listed["total"], "unsearched" in listed) == (4, False)
        assert await server.post("/tasks/cancel", q="old") == {"count": 4}


async def test_a_search_far_ahead_of_the_index_has_it_hurry(
    tmp_path: Path, unread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_UNREAD_TASKS", 2)
    async with serving(tmp_path / "tasks.db") as server:
        for _ in range(3):
            await server.task("/a")
        refused = await server.refused("GET", "/tasks?q=do", 503)
        assert "try again" in refused["message"]
        assert server.queue.feed.searched.is_set()


async def far_ahead(server: Server) -> None:
    """Until the indexer has seen something, and waits for more."""
    for _ in range(1_000):
        await server.add(title="new")
        try:
            await server.queue.reads._search("new", ())
        except BehindError:
            return
    pytest.fail("the index was never behind")


async def test_the_index_hurries_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "TOGETHER_S", 3600)
    monkeypatch.setattr(searching, "_UNREAD_TASKS", 2)
    queue = Server("sqlite", tmp_path)
    await queue.queue.start()
    work = asyncio.create_task(Indexer(queue.queue).run())
    try:
        await far_ahead(queue)
        queue.queue.feed.searched.set()
        await has_read(queue.queue)
        await until(lambda: not queue.queue.feed.searched.is_set())
    finally:
        work.cancel()
        await queue.queue.stop()


async def test_of_two_servers_one_puts_things_in(tmp_path: Path) -> None:
    one, other = Server("postgres", tmp_path), Server("postgres", tmp_path)
    await one.queue.start()
    await other.queue.start()
    try:
        for n in range(20):
            await one.add(title=f"task {n}")
        done = await asyncio.gather(*(Indexer(server.queue).once() for server in (one, other) for _ in range(2)))
        assert done.count(True) == 1, done
        assert await Indexer(one.queue).once() is False
        search = await other.queue.reads._search("task", ())
        assert search is not None
        assert search.changed == frozenset()
        assert len((await other.queue.reads._next(search, None, descending=True)).ids) == 20
    finally:
        await one.queue.stop()
        await other.queue.stop()
