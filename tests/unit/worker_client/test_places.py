"""Runs that work elsewhere than in their task's own directory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.unit.worker_client.stage import on_stage, script
from worker_client.client import AsyncClient
from worker_client.contract.tasks import Task
from worker_client.places import NoPlace, Place
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Failed


class Elsewhere:
    """A place for all runs, or none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.none: NoPlace | None = None
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.settled: list[tuple[int, str]] = []
        self.tidied = 0

    @asynccontextmanager
    async def open(self, context: RunContext) -> AsyncIterator[Place]:
        if self.none is not None:
            raise self.none
        assert context.directory == context.task.work_directory
        place = Place(str(self.directory), {"worktree": str(self.directory)})
        try:
            yield place
        finally:
            self.closing.set()
            await self.may_close.wait()
            place.evidence["diff_stat"] = "1 file changed"

    async def settle(self, task: Task, place: Place) -> None:
        self.settled.append((task.id, str(task.status)))
        assert place.directory == str(self.directory)

    async def tidy(self, client: AsyncClient) -> None:
        assert client.url
        self.tidied += 1


def test_a_run_works_in_its_place_and_tells_of_it(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()

    async def scenario() -> None:
        places = Elsewhere(tmp_path / "other")
        async with on_stage(tmp_path, places=places, concurrency=2) as stage:
            stage.queue.add(1, tmp_path / "own", **script("pwd; echo $ORCHESTRATOR_WORK_DIRECTORY"))
            stage.queue.add(2, tmp_path / "own", **script("exit 1"))
            verb, body = await stage.end_of(1)
            about = {"worktree": str(tmp_path / "other"), "diff_stat": "1 file changed"}
            assert verb == "complete"
            assert about.items() <= body["evidence"].items()
            assert body["result"]["worktree"] == about
            assert stage.queue.text(1) == f"{tmp_path / 'other'}\n" * 2
            verb, body = await stage.end_of(2)
            assert verb == "fail"
            assert about.items() <= body["evidence"].items()
        assert sorted(places.settled) == [(1, "completed"), (2, "waiting")]
        assert places.tidied == 1

    asyncio.run(scenario())


def test_kinds_that_need_no_directory_stay_where_they_are(tmp_path: Path) -> None:
    async def where(context: RunContext) -> str:
        return context.directory

    async def scenario() -> None:
        places = Elsewhere(tmp_path / "other")
        async with on_stage(tmp_path, lambda worker: worker.handler("where")(where), places=places) as stage:
            stage.queue.add(1, tmp_path, kind="where")
            assert (await stage.end_of(1)) == ("complete", {"lease": "1.1.ab", "result": str(tmp_path)})

    asyncio.run(scenario())


def test_no_place_is_reported(tmp_path: Path) -> None:
    async def scenario() -> None:
        places = Elsewhere(tmp_path)
        places.none = NoPlace(Failed(type="Worktree", message="no repository", retryable=False))
        async with on_stage(tmp_path, places=places) as stage:
            stage.queue.add(1, tmp_path, **script("echo never"))
            verb, body = await stage.end_of(1)
            assert (verb, body["error"], body["retryable"]) == ("fail", {"type": "Worktree", "message": "no repository"}, False)
            assert stage.queue.text(1) == ""

    asyncio.run(scenario())


def test_what_has_ended_is_not_undone_by_a_stop_while_its_place_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        places = Elsewhere(tmp_path)
        places.may_close.clear()
        async with on_stage(tmp_path, places=places) as stage:
            stage.queue.add(1, tmp_path, **script("echo done"))
            await places.closing.wait()
            stage.worker.drain()
            stage.worker.drain()
            verb, body = await stage.end_of(1)
            assert (verb, body["result"]["exit_code"]) == ("complete", 0)

    asyncio.run(scenario())
