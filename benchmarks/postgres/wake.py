"""How soon a task that is created on one replica reaches a poll that is parked on another, with the doorbell and without."""

import asyncio
import time
from contextlib import ExitStack
from random import Random
from statistics import median, quantiles

from msgspec import Struct

from benchmarks.lifecycle import add, finish, take
from benchmarks.postgres.cluster import Cluster, run
from benchmarks.postgres.muffled import muffled
from benchmarks.report import Report
from benchmarks.servers import replica
from benchmarks.traffic import connect

PATH = "/bench/wake"
WAIT_S = 30
PARKED_S = 0.1
"""After so long a poll is parked."""
HEARD_S, UNHEARD_S = 0.2, 1.0
"""It waits up to so much longer, so that no loop keeps step with ours."""
WARM = 10

Address = tuple[str, int]


class Times(Struct, frozen=True):
    """Milliseconds until the poll's answer was there: since the request to create was sent, and since that was answered."""

    sent: list[float]
    answered: list[float]


async def times(creates: Address, polls: Address, count: int, longer: float) -> Times:
    """One poll, one task, again and again."""
    (creator,), (poller,) = await connect(creates, 1), await connect(polls, 1)
    found, chance = Times([], []), Random(7)
    for at in range(-WARM, count):
        poll = asyncio.create_task(take(poller, "bench-wake", PATH, wait=WAIT_S))
        await asyncio.sleep(PARKED_S + longer * chance.random())
        if poll.done():
            raise SystemExit("a poll did not wait for its task")
        woken = asyncio.create_task(_woken(poll))
        sent = time.perf_counter()
        task_id = await add(creator, PATH)
        answered = time.perf_counter()
        ended = await woken
        task = await poll
        if task is None or int(task["id"]) != task_id:
            raise SystemExit(f"the poll brought {task and task['id']} instead of {task_id}")
        if at >= 0:
            found.sent.append(1000 * (ended - sent))
            found.answered.append(1000 * (ended - answered))
        await finish(poller, task)
    creator.close()
    poller.close()
    return found


async def _woken(poll: "asyncio.Task[object]") -> float:
    await poll
    return time.perf_counter()


def measure(cluster: Cluster, report: Report, *, count: int, unheard: int) -> None:
    """Within one replica, from one to another, and to another that hears no doorbell: `unheard` tasks of those."""
    url = cluster.database("bench_wake")
    found: dict[str, Times] = {}
    with ExitStack() as stack:
        a, b = (stack.enter_context(replica(cluster.directory, url))[0] for _ in range(2))
        found["on the same replica"] = run(times(b, b, count, HEARD_S))
        found["on another replica"] = run(times(a, b, count, HEARD_S))
    with ExitStack() as stack:
        through, proxy = stack.enter_context(muffled(url))
        a, b = (stack.enter_context(replica(cluster.directory, one))[0] for one in (url, through))
        found["on another, no doorbell heard"] = run(times(a, b, unheard, UNHEARD_S))
    if not proxy.swallowed:
        raise SystemExit("there was no doorbell to suppress")
    report.table(
        "Milliseconds from the request to create a task until the parked poll's answer",
        ["the poll is", "n", "median", "p99", "most", "median after the create's answer"],
        [
            [
                name,
                len(of.sent),
                median(of.sent),
                quantiles(of.sent, n=100, method="inclusive")[98],
                max(of.sent),
                median(of.answered),
            ]
            for name, of in found.items()
        ],
    )
    report.say(f"{proxy.swallowed:,} notifications were suppressed")
    report.keep(milliseconds={name: {"sent": of.sent, "answered": of.answered} for name, of in found.items()})
