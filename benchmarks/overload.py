"""More creates and claims than can be done, for minutes, beside workers that hold leases and polls that are parked; SQLite."""

import asyncio
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks import servers
from benchmarks.report import Report
from benchmarks.resources import all_parked, create, memory, poll, polls_of
from benchmarks.traffic import Connection, Request, connect, run

Address = tuple[str, int]
BACKLOG: Final = 32
"""A small one, so that few clients are too many: those that only hammer would be what is measured."""
HAMMERS: Final = 128
HOLDERS: Final = 20
POLLS: Final = 500
BEAT_S: Final = 0.1
MOST_SHED_MS: Final = 50.0
MOST_GROWTH_MB: Final = 4.0
MB: Final = 1e6
_SHED: Final = "503"


class Overload(Struct):
    """Milliseconds of each kind of answer, bytes of memory by the way, and how it ended."""

    times: dict[str, list[float]]
    seen: list[float]
    survivors: int = 0
    lost: int = 0
    recovered: float = 0


async def overload(address: Address, pid: int, seconds: float) -> Overload:
    found, created = Overload(defaultdict(list), []), set[int]()
    asker, *holders = await connect(address, HOLDERS + 1)
    leases = [await _lease(one, number) for number, one in enumerate(holders)]
    polling = await connect(address, POLLS)
    polls = [asyncio.create_task(_poll(one, number)) for number, one in enumerate(polling)]
    await all_parked(asker, POLLS)
    hammers = await connect(address, HAMMERS)
    ends = time.monotonic() + seconds
    hammering = [_hammer(one, number, ends, found, created) for number, one in enumerate(hammers)]
    holding = [_hold(one, *lease, ends, found) for one, lease in zip(holders, leases, strict=True)]
    await asyncio.gather(_look(pid, seconds, found), *hammering, *holding)
    started = time.monotonic()
    while await _timed(asker, create("/after"), "after", found) is None:  # noqa: ASYNC110 - what is waited for is another process
        await asyncio.sleep(0.01)
    found.recovered = time.monotonic() - started
    # Those whose time was over meanwhile, and who were refused, ask again.
    await asyncio.sleep(2)
    found.survivors = await polls_of(asker)
    found.lost = await _missing(asker, created)
    for task in polls:
        task.cancel()
    for connection in (asker, *holders, *hammers, *polling):
        connection.close()
    return found


async def _hammer(connection: Connection, number: int, ends: float, found: Overload, created: set[int]) -> None:
    """Create or claim, and ask again at once, whatever the answer."""
    path, what = f"/hammered/{number // 2}", "claim" if number % 2 else "create"
    asks = poll(number, path, 0) if number % 2 else create(path)
    while time.monotonic() < ends:
        answer = await _timed(connection, asks, what, found)
        if answer is not None and what == "create":
            created.add(answer["id"])


async def _hold(connection: Connection, task_id: int, lease: str, ends: float, found: Overload) -> None:
    """Beat until the end, and complete."""
    body = msgspec.json.encode({"lease": lease})
    while time.monotonic() < ends:
        await _timed(connection, Request.build("POST", f"/api/v1/tasks/{task_id}/heartbeat", body), "heartbeat", found)
        await asyncio.sleep(BEAT_S)
    await _timed(connection, Request.build("POST", f"/api/v1/tasks/{task_id}/complete", body), "complete", found)


async def _look(pid: int, seconds: float, found: Overload) -> None:
    for _ in range(100):
        found.seen.append(memory(pid))
        await asyncio.sleep(seconds / 100)


async def _lease(connection: Connection, number: int) -> tuple[int, str]:
    await connection.send(create(f"/held/{number}"))
    task = msgspec.json.decode(await connection.send(poll(number, f"/held/{number}", 0)))["data"]
    return task["id"], task["lease"]


async def _poll(connection: Connection, number: int) -> None:
    """Ask as a worker does: again when the time is over, and a second later when it is refused."""
    while True:
        shed, _ = await _answer(connection, poll(number, f"/parked/{number}", 50))
        await asyncio.sleep(1 if shed else 0)


async def _timed(connection: Connection, request: Request, what: str, found: Overload) -> Any:
    started = time.perf_counter()
    shed, answer = await _answer(connection, request)
    found.times[f"{what}, refused" if shed else what].append(1000 * (time.perf_counter() - started))
    return answer


async def _answer(connection: Connection, request: Request) -> tuple[bool, Any]:
    """Whether it was refused for now, and what was told. Raises RuntimeError for any other refusal."""
    try:
        return False, msgspec.json.decode(await connection.send(request))["data"]
    except RuntimeError as error:
        if not str(error).startswith(_SHED):
            raise
        return True, None


async def _missing(asker: Connection, created: set[int]) -> int:
    """How many of the tasks that were acknowledged cannot be found: a sample of them."""
    lost = 0
    for task_id in sorted(created)[:: max(1, len(created) // 1000)]:
        try:
            await asker.send(Request.build("GET", f"/api/v1/tasks/{task_id}"))
        except RuntimeError:
            lost += 1
    return lost


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    seconds = 5.0 if small else 180.0
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name, servers.apart():
        database = f"sqlite:///{Path(name) / 'tasks.db'}"
        with servers.replica(Path(name), database, pinned=True, APP_LIMITS_BACKLOG=str(BACKLOG)) as (address, pid):
            found = run(overload(address, pid, seconds))
    refused = [one for what, times in found.times.items() if what.endswith("refused") for one in times]
    kept = [*found.times["heartbeat"], *found.times["complete"]]
    report.bound("refused at overload, p99", quantiles(refused, n=100)[98], " ms", most=MOST_SHED_MS)
    report.bound("refusals of those who hold leases", len(found.times["heartbeat, refused"]), "", most=0)
    report.bound("parked polls that did not survive", POLLS - found.survivors, "", most=0)
    report.bound("acknowledged tasks that are lost", found.lost, "", most=0)
    growth = found.seen[-1] - found.seen[len(found.seen) // 3]
    report.bound("overload, growth after its first third", growth / MB, " MB", most=MOST_GROWTH_MB)
    report.bound("from the end of overload to a create that is taken", 1000 * found.recovered, " ms")
    rows = [
        [what, len(times) / seconds, median(times), quantiles(times, n=100)[98]]
        for what, times in sorted(found.times.items())
        if len(times) > 1
    ]
    report.table(f"Overload for {seconds:g} s", ["answer", "per second", "p50 ms", "p99 ms"], rows)
    start, middle, end = (found.seen[at] / MB for at in (0, len(found.seen) // 2, -1))
    report.say(
        f"{HAMMERS} connections ask without a pause, limits.backlog is {BACKLOG}; {HOLDERS} workers beat, {POLLS} polls wait."
    )
    report.say(
        f"Heartbeats and completions: p99 {quantiles(kept, n=100)[98]:.0f} ms. Memory {start:.0f}, {middle:.0f}, {end:.0f} MB."
    )
