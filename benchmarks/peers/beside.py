"""The same work in other systems: jobs that do nothing, put in, then taken and finished one by one, with 1 and 16 workers.

As many put in as work afterwards. *enqueue*: until the last is put in; *take + finish*: from when all workers are ready until the
last is finished; *lifecycle*: both. Everything runs on the same cores, and nobody is pinned: servers, workers and clients share
them. Each is measured between two measurements of ours, round by round. Our clients speak HTTP and are small, our
Python client has a row of its own; the others' are their Python packages.
"""

import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median
from typing import Any

from msgspec import Struct, field

from benchmarks import plot
from benchmarks.lifecycle import Phases, lifecycle
from benchmarks.peers import stands
from benchmarks.peers.systems import POSTGRES, SQLITE, SYSTEMS, System, settings, shown_name, versions
from benchmarks.postgres.cluster import cluster
from benchmarks.report import Report, console
from benchmarks.servers import replica
from benchmarks.traffic import run

ROOT = Path(__file__).parents[2]
AT_ONCE = (16, 1)
SECONDS = 1.6
"""About as long each measurement takes, without what it needs to start; ours takes half as long, twice as often."""
LEAST = {16: 400, 1: 60}
"""Jobs at least: what workers need to begin and to end must not count. The first round shows how many a system can do."""
PATIENCE_S = 120
BUDGET_S = 330
"""No further round begins after it."""

PHASES = ("enqueue", "take + finish", "lifecycle")
NOTE = "Striped: promises less, an acknowledged job can be lost. All settings: benchmarks/RESULTS.md"

Rates = dict[str, float]


class Side(Struct):
    """The rates of a system with so many workers, round by round, and those of ours just before and after."""

    rates: list[Rates] = field(default_factory=list)
    ours: list[Rates] = field(default_factory=list)
    failed: str = ""

    def median(self, what: str) -> float:
        return median(one[what] for one in self.rates)

    @property
    def wins(self) -> bool:
        """Whether it is faster than ours."""
        return bool(self.ours) and self.ratio("lifecycle") < 1

    def ratio(self, what: str) -> float:
        """How much faster ours is."""
        return median(ours[what] / rates[what] for ours, rates in zip(self.ours, self.rates, strict=True))


class Race:
    """All that take turns; what they have shown so far."""

    def __init__(self, places: dict[str, str], addresses: dict[str, tuple[str, int]], *, small: bool) -> None:
        self._places = places
        self._addresses = addresses
        self._part = 0.1 if small else 1.0
        self._speed: dict[tuple[str, int], float] = {}
        self.sides: dict[tuple[str, int], Side] = {}

    def turn(self, systems: list[System], *, counts: bool) -> None:
        """Everybody once."""
        for at_once in AT_ONCE:
            before = {store: self._ours(store, at_once, counts=counts) for store in self._addresses}
            for system in systems:
                side = self.sides.setdefault((system.name, at_once), Side())
                if side.failed:
                    continue
                try:
                    theirs = self._theirs(system, at_once)
                except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                    side.failed = f"{error}: {_last_line(error.stderr)}"
                    continue
                after = self._ours(system.beside, at_once, counts=counts)
                if counts:
                    side.rates.append(theirs)
                    side.ours.append({what: mean((before[system.beside][what], rate)) for what, rate in after.items()})
                before[system.beside] = after

    def _ours(self, store: str, at_once: int, *, counts: bool) -> Rates:
        count = self._count(store, at_once)
        rates = run(lifecycle([self._addresses[store]], count, at_once)).rates()
        if counts:
            self.sides.setdefault((store, at_once), Side()).rates.append(rates)
        return self._learnt(store, at_once, rates)

    def _theirs(self, system: System, at_once: int) -> Rates:
        count, place = self._count(system.name, at_once), system.place.format(**self._places)
        command = [system.python, "-m", f"benchmarks.peers.{system.program}", place, str(count), str(at_once)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        seconds = json.loads(done.stdout)
        return self._learnt(system.name, at_once, Phases(count, seconds["create"], seconds["work"]).rates())

    def _count(self, name: str, at_once: int) -> int:
        seconds = SECONDS / (2 if name in self._addresses else 1)
        return round(self._part * max(self._speed.get((name, at_once), 0) * seconds, LEAST[at_once]))

    def _learnt(self, name: str, at_once: int, rates: Rates) -> Rates:
        self._speed[name, at_once] = max(rates["lifecycle"], self._speed.get((name, at_once), 0))
        return rates


def _last_line(said: str | bytes | None) -> str:
    lines = (said if isinstance(said, str) else (said or b"").decode()).strip().splitlines()
    return lines[-1] if lines else ""


def measure(report: Report, small: bool) -> None:  # noqa: FBT001 - all parts are called alike
    rounds = 1 if small else 4
    known = versions()
    there = [system for system in SYSTEMS if not system.missing(known)]
    with ExitStack() as stack:
        server = stack.enter_context(cluster(None, None))
        places = stands.places(stack, server)
        urls = {SQLITE: f"sqlite:///{server.directory / 'tasks.db'}", POSTGRES: server.database("bench_ours")}
        addresses = {store: stack.enter_context(replica(server.directory, url))[0] for store, url in urls.items()}
        host, port = addresses[SQLITE]
        race = Race(places | {"ours": f"http://{host}:{port}"}, addresses, small=small)
        started = time.monotonic()
        for number in range(rounds + 1):
            if number < 3 or time.monotonic() - started < BUDGET_S:
                console.print(f"  round {number} of {rounds}", style="dim")
                race.turn(there, counts=number > 0)
        described = server.describe()
    known |= {POSTGRES: described["server_version"], **stands.servers()}
    _tell(report, race.sides, known)
    report.say(f"PostgreSQL: {', '.join(f'{name} {value}' for name, value in described.items() if name != 'fdatasync_ms')}")


def _tell(report: Report, sides: dict[tuple[str, int], Side], known: dict[str, str]) -> None:
    for at_once in AT_ONCE:
        for system in SYSTEMS:
            side = sides.get((system.name, at_once), Side())
            if how := system.missing(known) or side.failed:
                report.missing(f"{system.name}, {_workers(at_once)}", how)
                continue
            report.compare(
                f"lifecycle on {system.beside}, {_workers(at_once)}",
                sides[system.beside, at_once].median("lifecycle"),
                system.name,
                side.median("lifecycle"),
                ratio=side.ratio("lifecycle"),
                least=1.0 if system.equal and not system.own and at_once > 1 else None,
            )
    for system in SYSTEMS:
        if system.faster and sides.get((system.name, AT_ONCE[0]), Side()).wins:
            report.say(f"{system.name} is faster: {system.faster}")
    found = [(name, at_once, side) for (name, at_once), side in sides.items() if side.rates]
    found.sort(key=lambda one: (one[1], one[2].median("lifecycle")), reverse=True)
    rows: list[list[Any]] = [
        [shown_name(name), at_once, *map(side.median, PHASES), side.ratio("lifecycle") if side.ours else ""]
        for name, at_once, side in found
    ]
    heads = ["system", "workers", *(f"{phase}/s" for phase in PHASES), "lifecycle, ours / this"]
    report.table(f"Medians of {max((len(side.ours) for _, _, side in found), default=0)} rounds", heads, rows)
    heads = ["system", "version", "when it answers", "settings"]
    report.table("What they promise, and how they were set", heads, settings(known))
    bars = {_workers(n): [_bar(name, side) for name, at_once, side in found if at_once == n] for n in AT_ONCE}
    report.svg = plot.drawn("Jobs a second, from enqueue to finish", bars, NOTE)


def _bar(name: str, side: Side) -> plot.Bar:
    weaker = any(system.name == name and not system.equal for system in SYSTEMS)
    return plot.Bar(shown_name(name), side.median("lifecycle"), ours=name in (SQLITE, POSTGRES), weaker=weaker)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
