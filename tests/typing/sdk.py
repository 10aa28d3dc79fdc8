"""What a type checker knows of the SDK: never run, read by mypy; an unneeded `type: ignore` is an error there."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from worker_client import (
    AsyncClient,
    ClaimedTask,
    Client,
    CreateTask,
    Done,
    Event,
    Failed,
    Hint,
    Priority,
    Released,
    Reset,
    RunContext,
    Runner,
    ScriptRunner,
    Status,
    Task,
    Worker,
)
from worker_client.contract.tasks import CreatedTask, CreatedTasks


def what_a_client_answers(client: Client) -> None:
    """Methods have the fields of their body as keyword arguments."""
    assert_type(client.create(prompt="p", work_directory="/a", priority=Priority.HIGH), CreatedTask)
    assert_type(client.create_many(tasks=[CreateTask(prompt="p", work_directory="/a")]), CreatedTasks)
    assert_type(client.claim(work_path=["/a"], worker_id="w"), ClaimedTask | None)
    assert_type(client.get(7), Task)
    assert_type(client.get(7).status, Status)
    assert_type(client.wait(7, within=3), Task)
    assert_type(client.list(limit=3).items, list[Task])
    assert_type(client.events(), Iterator[Event | Reset])
    assert_type(client.events(live=True), Iterator[Event | Reset | Hint])


async def what_an_async_client_answers(client: AsyncClient) -> None:
    """The same, awaited."""
    assert_type(await client.create(prompt="p", work_directory="/a"), CreatedTask)
    assert_type(await client.claim(work_path=["/a"], worker_id="w"), ClaimedTask | None)
    assert_type(await client.wait(7), Task)
    assert_type((await client.list()).items, list[Task])
    assert_type(client.events(), AsyncIterator[Event | Reset])


def what_is_refused(client: Client) -> None:
    """Mistakes that are found before the program runs."""
    client.create(promt="p", work_directory="/a")  # type: ignore[call-arg]
    client.create(prompt="p", work_directory="/a", priority="high")  # type: ignore[arg-type]
    client.get("seven")  # type: ignore[arg-type]
    client.complete(7, result={})  # a first lease may go without
    client.heartbeat(7)  # type: ignore[call-arg]
    client.wait(7, 3)  # type: ignore[call-arg]
    client.get(7).prompt.splitlines()  # type: ignore[union-attr]


def what_a_worker_takes() -> None:
    """Handlers take the context, and may be coroutines."""
    worker = Worker(directories=["/a"], runners=[ScriptRunner()])

    @worker.handler("one")
    def one(context: RunContext) -> Done | Failed:
        assert_type(context.task, ClaimedTask)
        return Done(result=context.directory)

    @worker.handler("two")
    async def two(_: RunContext) -> dict[str, int]:
        return {}

    @worker.handler("three")  # type: ignore[arg-type]
    def three() -> None: ...


class Mine:
    """A runner is whatever has these three."""

    kind = "mine"
    needs_directory = False

    async def run(self, context: RunContext) -> Done | Released:
        """Do the work."""
        return Done(result=context.task.prompt)


class NotMine:
    """It has no `kind`."""

    needs_directory = False

    async def run(self, context: RunContext) -> Any:
        """Do the work."""


RIGHT: Runner = Mine()
WRONG: Runner = NotMine()  # type: ignore[assignment]
