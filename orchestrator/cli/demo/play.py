"""The course of the demo: queue, work, cancel one, wait for the end, check it."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence

from orchestrator.cli.demo.scenario import ACTS, LONG, LONG_IS_RUNNING, Played, broken
from orchestrator.cli.demo.show import Show
from orchestrator.cli.demo.stage import Stage, StageError
from orchestrator.cli.exits import Exit
from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.tasks import Task
from worker_client.feed import Reset

CONCURRENCY = 2
PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 0.5
"""Between looks at the tasks when no event says that something changed."""


class Play:
    """One run of the demo."""

    def __init__(self, show: Show, stage: Stage, *, port: int, leave: bool) -> None:
        self._show = show
        self._stage = stage
        self._port = port
        self._leave = leave
        self.outcome: Exit | None = None
        self._ids: dict[str, int] = {}
        self._news = asyncio.Event()

    async def run(self) -> Exit:
        """Play it; whether all promises were kept."""
        await self._stage.make_repository()
        url = await self._stage.start_server(self._port)
        self._show.say(f"orchestrator serve answers on {url}", f"its database: {self._stage.folder}/tasks.db")
        async with AsyncClient(url) as client:
            following = asyncio.create_task(self._follow(client))
            playing = asyncio.create_task(self._play(client, url))
            try:
                return await self._unless_something_falls(playing, following)
            finally:
                for task in (following, playing):
                    task.cancel()
                await asyncio.gather(following, playing, return_exceptions=True)

    async def _unless_something_falls(self, playing: asyncio.Task[Exit], following: asyncio.Task[None]) -> Exit:
        fallen = asyncio.create_task(self._stage.fallen())
        try:
            await asyncio.wait({playing, following, fallen}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                return playing.result()
            if following.done():
                following.result()
            name = fallen.result()
            raise StageError(f"the {name} ended unexpectedly{self._stage.log(name)}")
        finally:
            fallen.cancel()

    async def _play(self, client: AsyncClient, url: str) -> Exit:
        await self._queue(client)
        self._show.say(
            f"{len(ACTS)} tasks are queued, and nobody asks for them yet", "they wait for a worker that asks for this directory"
        )
        self._show.now(await self._tasks(client))
        await self._stage.start_worker(url, CONCURRENCY)
        self._show.say(f"orchestrator-worker run --dir {self._stage.repository} --concurrency {CONCURRENCY}")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(self._cancel_the_long_one(client), self._until_all_ended(client))
        except TimeoutError:
            self._show.say(f"after {PATIENCE_SECONDS:.0f} s not all tasks have ended", self._stage.log("worker"))
        played = {act.name: task for act, task in zip(ACTS, await self._tasks(client), strict=True)}
        return await self._end(played, url)

    async def _end(self, played: Played, url: str) -> Exit:
        self._show.report(played)
        wrong = broken(played)
        for sentence in wrong:
            self._show.say("not as promised:", sentence)
        if not wrong:
            self._show.say("All went as it should: every outcome was checked.")
        self.outcome = Exit.FAILED if wrong else Exit.OK
        if not self._leave:
            self._show.address(url, str(self._stage.repository), played)
            await asyncio.Event().wait()
        self._show.say(f"The server listened on {url}", "it ends now; `orchestrator serve` starts one of your own")
        return self.outcome

    async def _queue(self, client: AsyncClient) -> None:
        for act in ACTS:
            body = act.body(str(self._stage.repository), self._ids)
            self._ids[act.name] = (await client.send(endpoints.create_task(body))).id

    async def _tasks(self, client: AsyncClient) -> list[Task]:
        return list(await asyncio.gather(*(client.get(self._ids[act.name]) for act in ACTS)))

    async def _cancel_the_long_one(self, client: AsyncClient) -> None:
        task_id = self._ids[LONG]
        async for line in client.follow_logs(task_id):
            if line.text == LONG_IS_RUNNING:
                self._show.say(f"orchestrator cancel {task_id}", "it prints, and would for an hour")
                await client.cancel(task_id, reason="nobody needs it any more")
                return

    async def _until_all_ended(self, client: AsyncClient) -> None:
        while True:
            tasks = await self._tasks(client)
            self._show.now(tasks)
            if all(task.status.final for task in tasks):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            self._news.clear()

    async def _follow(self, client: AsyncClient) -> None:
        async for event in client.events(work_path=[str(self._stage.repository)]):
            if not isinstance(event, Reset):
                self._show.happened(event)
            self._news.set()


async def play(*, port: int, leave: bool) -> Exit:
    """Play the demo until it has ended or somebody ends it; leaves nothing behind. Raises StageError when it cannot go on."""
    with _ended_by_signals(asyncio.current_task()):
        async with Stage() as stage:
            with Show() as show:
                it = Play(show, stage, port=port, leave=leave)
                try:
                    return await it.run()
                except asyncio.CancelledError:
                    return Exit.INTERRUPTED if it.outcome is None else it.outcome


@contextlib.contextmanager
def _ended_by_signals(task: "asyncio.Task[Exit] | None") -> Iterator[None]:
    """A signal cancels the play once; what comes after it does not disturb the clearing up."""
    loop, told = asyncio.get_running_loop(), False

    def end() -> None:
        nonlocal told
        if task is not None and not told:
            told = True
            task.cancel()

    numbers: Sequence[int] = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
