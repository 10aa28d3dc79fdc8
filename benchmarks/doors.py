"""A server that knows who asks and counts it, against one that is open; 64 connections."""

import tempfile
from itertools import cycle, islice
from pathlib import Path
from statistics import mean, median

import msgspec

from benchmarks import servers
from benchmarks.asker import STEPS, Asker
from benchmarks.report import Report
from benchmarks.traffic import Connection, Request, connect, run

KEY = "b" * 64
UNLIMITED = "999999999/s"
CONNECTIONS = 64


async def in_turn(free: tuple[str, int], guarded: tuple[str, int], count: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """The rate of each step of those with key and token, as a part of the open server's just before and after."""
    (maker,) = await connect(guarded, 1)
    key = await _made(maker, "auth/keys", {"name": "bench", "scopes": ["submit", "work"], "rate": UNLIMITED}, KEY, "key")
    token = await _made(maker, "auth/token", {}, key, "token")
    anybody = Asker("open", await connect(free, CONNECTIONS))
    known = [Asker("key", await connect(guarded, CONNECTIONS), key), Asker("token", await connect(guarded, CONNECTIONS), token)]
    each = max(count // rounds, CONNECTIONS)
    parts: dict[tuple[str, str], list[float]] = {}
    for number in range(-1, rounds):
        # Nobody always comes first, and what is warmed up counts for nothing.
        askers = list(islice(cycle(known), number % 2, number % 2 + 2))
        for step in STEPS:
            before = (await anybody.step(step, each)).rate
            for asker in askers:
                rate = (await asker.step(step, each)).rate
                after = (await anybody.step(step, each)).rate
                if number >= 0:
                    parts.setdefault((asker.name, step), []).append(rate / mean((before, after)))
                    parts.setdefault(("open", step), []).append(after)
                before = after
    return parts


async def _made(by: Connection, path: str, body: object, bearer: str, what: str) -> str:
    answer = await by.send(Request.build("POST", f"/api/v1/{path}", msgspec.json.encode(body), bearer))
    made: str = msgspec.json.decode(answer)["data"][what]
    return made


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    count, rounds = (600, 2) if small else (12_000, 6)
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name, servers.apart():
        folders = [Path(name) / part for part in ("open", "guarded")]
        for folder in folders:
            folder.mkdir()
        with (
            servers.orchestrator(folders[0]) as free,
            servers.orchestrator(folders[1], APP_AUTH_BOOTSTRAP_KEY=KEY) as guarded,
        ):
            parts = run(in_turn(free, guarded, count, rounds))
    for who in ("key", "token"):
        for step in STEPS:
            part, rate = median(parts[who, step]), median(parts["open", step])
            report.compare(f"{step} with a {who}", part * rate, "an open server", rate, ratio=part)
