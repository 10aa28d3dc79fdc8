"""Whole lives in batches of 100 over HTTP, beside the same rows moved by plain SQL in process with the same durability.

Three requests for 100 tasks: create, claim, complete. The other side writes all that the server writes (tasks, inputs, outputs,
attempts, events, rollups) with `executemany`, in WAL with `synchronous=FULL`, a transaction for each step, and decides nothing.
The server has one core, the clients another, where the plain SQL runs, too.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from benchmarks import plain, servers
from benchmarks.report import Report, ratio
from benchmarks.traffic import Connection, Request, connect, run

BATCH = 100
CONNECTIONS = (1, 4)
LEAST = 0.3

_CREATE = Request.build(
    "POST",
    "/api/v1/tasks/batch",
    msgspec.json.encode({"tasks": [{"work_directory": plain.PATH, "prompt": plain.PROMPT}] * BATCH}),
)
_CLAIM = Request.build(
    "POST",
    "/api/v1/tasks/claim",
    msgspec.json.encode(
        {"work_path": [plain.PATH], "worker_id": plain.WORKER, "limit": BATCH, "lease_seconds": plain.LEASE_MS / 1000}
    ),
)


class _Task(Struct):
    id: int
    lease: str


class _Tasks(Struct):
    tasks: list[_Task]


class _Claimed(Struct):
    data: _Tasks


_CLAIMED = msgspec.json.Decoder(_Claimed)


async def _life(connection: Connection) -> None:
    await connection.send(_CREATE)
    tasks = _CLAIMED.decode(await connection.send(_CLAIM)).data.tasks
    if len(tasks) != BATCH:
        raise SystemExit(f"{len(tasks)} of {BATCH} tasks were claimed")
    items = [{"id": task.id, "lease": task.lease, "result": {"ok": True}} for task in tasks]
    await connection.send(Request.build("POST", "/api/v1/tasks/complete", msgspec.json.encode({"items": items})))


async def over_http(address: tuple[str, int], connections: int, lives: int) -> float:
    """Tasks a second."""
    pool, numbers = await connect(address, connections), iter(range(lives))

    async def work(connection: Connection) -> None:
        for _ in numbers:
            await _life(connection)
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*map(work, pool))
    return lives * BATCH / (time.perf_counter() - started)


def in_process(database: plain.Plain, lives: int) -> float:
    """Tasks a second."""
    started = time.perf_counter()
    for _ in range(lives):
        database.life(BATCH)
    return lives * BATCH / (time.perf_counter() - started)


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    lives, rounds = (4, 2) if small else (60, 5)
    ours: dict[int, list[float]] = {connections: [] for connections in CONNECTIONS}
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name, servers.apart():
        directory, file = Path(name), Path(name) / "plain.db"
        database = plain.Plain(file)
        with servers.orchestrator(directory) as address:
            for number in range(-1, rounds):
                if number == 0:
                    theirs.clear()
                    ours = {connections: [] for connections in CONNECTIONS}
                for connections, rates in ours.items():
                    rates.append(run(over_http(address, connections, lives)))
                theirs.append(in_process(database, lives))
        database.close()
        written = plain.written(directory / "tasks.db")
        if (other := plain.written(file)) != written:
            raise SystemExit(f"the plain side writes other rows than the server:\n{other}\n{written}")
    for connections, rates in ours.items():
        what = f"lives in batches of {BATCH}, {connections} connection{'s' if connections > 1 else ''}"
        report.compare(what, median(rates), "plain SQL", median(theirs), ratio=ratio(rates, theirs), least=LEAST)
