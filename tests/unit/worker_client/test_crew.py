"""Several Workers as one process: how they end, and with which exit code."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.peer import Peer, Reply, task_json
from tests.unit.worker_client.queue_peer import Queue
from tests.unit.worker_client.stage import QUICK
from worker_client.client import AsyncClient
from worker_client.crew import Crew, Exit
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Released
from worker_client.shift import Shift
from worker_client.worker import Worker


class ByKind:
    """A queue for each kind of task; claims go to that of the kind they ask for."""

    def __init__(self, **queues: Queue) -> None:
        self._queues = queues

    async def __call__(self, asked: Any) -> Reply | None:
        if asked.path.endswith("/claim"):
            return await self._queues[asked.body["kinds"][0]](asked)
        task_id = int(asked.path.split("/")[4])
        return await next(queue for kind, queue in self._queues.items() if kind[-1] == str(task_id)[0])(asked)


def run(
    tmp_path: Path,
    play: Callable[[Crew, Queue, Queue], Any],
    work: Callable[[RunContext], Any],
    first: Queue | None = None,
) -> tuple[Exit, Queue, Queue]:
    """Two Workers, for kinds k1 and k2; tasks of a kind have ids that begin with its number."""
    one, two = first or Queue(), Queue()

    async def scenario() -> Exit:
        with Peer(ByKind(k1=one, k2=two)) as peer:
            shift = Shift()
            workers = [
                Worker(AsyncClient(peer.url, retries=QUICK), directories=[tmp_path], shift=shift, worker_id=f"w-{kind}")
                for kind in ("k1", "k2")
            ]
            for worker, kind in zip(workers, ("k1", "k2"), strict=True):
                worker.handler(kind)(work)
            crew = Crew(workers, shift)
            serving = asyncio.create_task(crew.serve())
            await play(crew, one, two)
            async with asyncio.timeout(20):
                return await serving

    return asyncio.run(scenario()), one, two


def test_drained_together(tmp_path: Path) -> None:
    async def work(context: RunContext) -> str:
        return "done"

    async def play(crew: Crew, one: Queue, two: Queue) -> None:
        one.add(10, tmp_path, kind="k1")
        two.add(20, tmp_path, kind="k2")
        await one.until(lambda: 10 in one.ends)
        await two.until(lambda: 20 in two.ends)
        crew.shift.drain()

    ended, _, _ = run(tmp_path, play, work)
    assert ended is Exit.DRAINED


def test_one_that_can_not_work_leaves_the_others_at_work(tmp_path: Path) -> None:
    async def work(context: RunContext) -> Released | None:
        return Released("not logged in", stop=True) if context.task.kind == "k1" else None

    async def play(crew: Crew, one: Queue, two: Queue) -> None:
        one.add(10, tmp_path, kind="k1")
        await one.until(lambda: 10 in one.ends)
        one.add(11, tmp_path, kind="k1")
        two.add(20, tmp_path, kind="k2")
        await two.until(lambda: 20 in two.ends)
        crew.shift.drain()

    ended, one, _ = run(tmp_path, play, work)
    assert ended is Exit.UNABLE
    assert 11 not in one.ends


def test_when_none_can_work_the_process_ends_by_itself(tmp_path: Path) -> None:
    async def work(context: RunContext) -> Released:
        return Released("not logged in", stop=True)

    async def play(crew: Crew, one: Queue, two: Queue) -> None:
        one.add(10, tmp_path, kind="k1")
        two.add(20, tmp_path, kind="k2")

    assert run(tmp_path, play, work)[0] is Exit.UNABLE


class Refusing(Queue):
    """Answers the first question when it is told to."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self._refusal = reply
        self.now = threading.Event()

    async def _claim(self, body: dict[str, Any]) -> Reply:  # noqa: ARG002 - every question gets the same
        await asyncio.to_thread(self.now.wait, 15)
        return self._refusal


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(403, error=("FORBIDDEN", "this key may not work there", {})), "w-k1 can't work: this key may not work there"),
        (Reply(data={"tasks": [task_json(10, kind="k1", lease="10.1.ab", delivery_no=1)]}), "w-k1 failed"),
    ],
    ids=["refused by the server", "a defect"],
)
def test_one_that_fails_lets_the_others_end_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, reply: Reply, said: str
) -> None:
    go = asyncio.Event()
    refusing = Refusing(reply)

    async def work(context: RunContext) -> None:
        context.log("begun")
        await go.wait()

    async def play(crew: Crew, one: Queue, two: Queue) -> None:
        monkeypatch.setattr(crew.workers[0], "_begin", lambda *_: 1 / 0)
        two.add(20, tmp_path, kind="k2")
        await two.until(lambda: two.text(20))
        refusing.now.set()
        await crew.shift.draining.wait()
        go.set()

    ended, _, two = run(tmp_path, play, work, refusing)
    assert ended is Exit.FAILED
    assert two.ends[20][0][0] == "complete"
    assert said in caplog.text
