"""Every list is given in pages, by cursor or by offset, and nothing is left out or told twice."""

from typing import Any

import pytest

from tests.http.conftest import Running

pytestmark = pytest.mark.anyio


async def by_cursor(server: Running, path: str, **query: Any) -> list[list[Any]]:
    pages: list[list[Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await server.get(path, **query, **cursor)
        pages.append(page["items"])
        if page["next_cursor"] is None:
            return pages
        cursor = {"cursor": page["next_cursor"]}


async def same_by_offset(server: Running, path: str, pages: list[list[Any]], **query: Any) -> None:
    at = 0
    for items in pages:
        page = await server.get(path, offset=at, **query)
        assert (page["items"], page["offset"], page["limit"]) == (items, at, query["limit"])
        at += len(items)
    beyond = await server.get(path, offset=at, **query)
    assert (beyond["items"], beyond["next_cursor"]) == ([], None)


@pytest.mark.parametrize("limit", [2, 3, 5, 1000])
async def test_directories(server: Running, directory: str, limit: int) -> None:
    names = [f"{directory}/{name}" for name in "abcde"]
    for name in reversed(names):
        await server.task(name)
    here = {"work_path": directory, "limit": limit}
    pages = await by_cursor(server, "/directories", **here)
    assert [one["work_directory"] for items in pages for one in items] == names
    assert [len(items) for items in pages] == [min(limit, 5 - at) for at in range(0, 5, limit)]
    await same_by_offset(server, "/directories", pages, **here)
    assert (await server.get("/directories", **here))["total"] == 5


async def test_workers(server: Running, directory: str) -> None:
    names = [f"worker {directory} {place}" for place in range(5)]
    for name in names:
        await server.claim(directory, worker_id=name)
    pages = await by_cursor(server, "/workers", limit=2)
    listed = [one["worker_id"] for items in pages for one in items]
    assert listed == sorted(set(listed))
    assert [name for name in listed if directory in name] == names
    await same_by_offset(server, "/workers", pages, limit=2)
    assert (await server.get("/workers"))["limit"] == 50


async def test_attempts_of_a_task(server: Running, directory: str) -> None:
    task = await server.task(directory, max_attempts=9, backoff={"base_seconds": 0})
    for _ in range(4):
        claimed = await server.claim(directory, wait=10)
        failure = {"lease": claimed["lease"], "error": {"type": "Boom", "message": "it broke"}, "retry_after_seconds": 0}
        await server.post(f"/tasks/{task['id']}/fail", failure)
    await server.claim(directory, wait=10)
    path = f"/tasks/{task['id']}/attempts"
    pages = await by_cursor(server, path, limit=2)
    assert [one["lease_no"] for items in pages for one in items] == [1, 2, 3, 4, 5]
    assert [len(items) for items in pages] == [2, 2, 1]
    await same_by_offset(server, path, pages, limit=2)
    whole = await server.get(path)
    assert (len(whole["items"]), whole["total"], whole["limit"], whole["next_cursor"]) == (5, 5, 50, None)
