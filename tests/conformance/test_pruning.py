"""What is past its retention goes, all of it, in steps that are small whatever there is."""

import asyncio
import itertools
from pathlib import Path

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Done
from orchestrator.domain.principal import SYSTEM
from orchestrator.loops.pruner import DAY_MS, Pruner
from orchestrator.store.sqlite.store import SQLiteStore
from tests.flows import Flows, step
from tests.rig import MINUTE, Rig, enqueue, new_task
from tests.searching import index
from tests.serving import Server
from worker_client.contract.enums import LogStream


def steps(rig: Rig, *, limit: int = 10, rows: int = 40) -> list[int]:
    """Prune what ended before now; how many tasks went in each step."""
    index(rig)
    removed = []
    while True:
        outcome = rig.do(ops.Prune(before=rig.time.at, keys_before=rig.time.at, limit=limit, rows=rows), SYSTEM)
        assert isinstance(outcome, Done)
        removed.append(outcome.count)
        if not outcome.more:
            return removed


def count(rig: Rig, table: str) -> int:
    ((found,),) = rig.fetch(f"SELECT count(*) FROM {table}")  # noqa: S608 - names are ours
    return int(found)


def finish(rig: Rig, tasks: int) -> None:
    rig.do(enqueue(*(new_task("/a") for _ in range(tasks))))
    for grant in rig.claim("/a", limit=tasks):
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))


def test_events_go_although_there_are_more_of_them_than_tasks(rig: Rig) -> None:
    finish(rig, 60)
    rig.time.pass_(2 * DAY_MS)
    kept = rig.add("/b")
    removed = steps(rig, rows=20)
    assert sum(removed) == 60
    assert max(removed) <= 10
    assert [row[0] for row in rig.fetch("SELECT task_id FROM events")] == [kept]


def test_runs_go_with_their_tasks_and_not_before_they_have_ended(rig: Rig) -> None:
    flows = Flows(rig)
    ended = flows.run(step("a"), step("b"), name="one")
    flows.work()
    going = flows.run(step("a"), step("b", "a"), name="other")
    grant = rig.take("/a")
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    rig.time.pass_(2 * DAY_MS)
    assert sum(steps(rig, limit=1)) == 2
    assert rig.fetch("SELECT id FROM runs") == [(going,)]
    assert rig.fetch("SELECT DISTINCT run_id FROM tasks") == [(going,)]
    assert rig.fetch("SELECT count(*) FROM run_steps WHERE run_id = ?", [ended]) == [(0,)]
    flows.follow()
    flows.work()
    assert flows.status(going) == ("completed", None)
    steps(rig)
    assert count(rig, "runs") == 1
    rig.time.pass_(2 * DAY_MS)
    steps(rig)
    assert (count(rig, "runs"), count(rig, "tasks"), count(rig, "workflows")) == (0, 0, 2)


def test_rollups_of_a_long_past_go_in_steps(rig: Rig) -> None:
    for _ in range(50):
        rig.add("/a")
        rig.time.pass_(2 * MINUTE)
    rig.time.pass_(2 * DAY_MS)
    rig.do(ops.Prune(before=rig.time.at, keys_before=0, limit=10, rows=20), SYSTEM)
    assert count(rig, "task_rates") == 30
    steps(rig)
    assert count(rig, "task_rates") == 0


def test_a_task_with_much_output_goes_bit_by_bit(rig: Rig) -> None:
    for size in (30, 95, 5):
        grant = rig.running()
        lines = tuple(ops.LogLine(str(n), LogStream.STDOUT, None) for n in range(size))
        rig.do(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=lines))
        rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
        rig.time.pass_(MINUTE)
    left = [count(rig, "task_logs")]
    more = True
    while more:
        outcome = rig.do(ops.Prune(before=rig.time.at, keys_before=0, rows=40), SYSTEM)
        assert isinstance(outcome, Done)
        more = outcome.more
        left.append(count(rig, "task_logs"))
    assert left[0] == 130
    assert left[-1] == 0
    assert all(before - after <= 40 for before, after in itertools.pairwise(left))
    assert count(rig, "tasks") == 0


def test_counts_of_nothing_go_at_the_end(rig: Rig) -> None:
    finish(rig, 15)
    rig.time.pass_(MINUTE)
    steps(rig)
    # What the last step leaves at nothing goes in the next round.
    steps(rig)
    assert count(rig, "task_counts") == 0


@pytest.mark.anyio
async def test_others_go_on_between_the_steps_and_the_file_shrinks_again(tmp_path: Path) -> None:
    server = Server("sqlite", tmp_path)
    await server.queue.start()
    store = server.store
    assert isinstance(store, SQLiteStore)
    for _ in range(4):
        await server.do(enqueue(*(new_task("/a", prompt="x" * 30_000) for _ in range(250))))
    for first in range(1, 1_000, 250):
        await asyncio.gather(*(server.do(ops.Cancel(task_id=task_id)) for task_id in range(first, first + 250)))
    server.time.pass_(2 * DAY_MS)
    pruner = Pruner(server.queue, retention_days=1, interval=1, shrink=store.shrink)
    pruning = asyncio.create_task(pruner.once(server.time.at))
    added = 0
    while not pruning.done():
        await server.add("/b")
        added += 1
    assert await pruning == 1_000
    assert added >= 10
    pages, unused = await room(store)
    assert unused > 5_000
    await pruner.shrink()
    assert (await room(store))[0] < pages - 4_000
    assert (await room(store))[1] <= 1_000
    await server.queue.stop()


async def room(store: SQLiteStore) -> tuple[int, int]:
    """The pages of the file, and how many of them hold nothing."""
    assert store._pool is not None
    ((pages,),) = await store._pool.fetch("PRAGMA page_count")
    ((unused,),) = await store._pool.fetch("PRAGMA freelist_count")
    return pages, unused
