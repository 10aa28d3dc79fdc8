"""A week of schedules in simulated time: servers that die as they fire, clocks that are set, and what must have come of it."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
from msgspec import Struct

from orchestrator.domain.principal import OPEN, SYSTEM
from orchestrator.domain.schedule_operations import AddSchedule, FireDue
from orchestrator.domain.schedule_outcomes import Fires, Scheduled
from orchestrator.store.clock import Clock
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.store import SQLiteStore
from tests.almanac import Almanac
from tests.rig import HOUR, Rig, Time
from worker_client.contract.enums import Missed
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask

ZONES: Final = ("Europe/Berlin", "America/New_York", "Asia/Shanghai")
EXPRESSIONS: Final = (
    "H H * * *",
    "30 2 * * *",
    "H 1 * * *",
    "0 30 2,3 * * *",
    "0 */12 * * *",
    "H */8 * * *",
    "0 9 * * MON-FRI",
    "H 1,2,3 * * SUN",
    "0 0 L * ?",
    "15 1 1 * 6",
    "@daily",
    "@every 17h",
)
"""About ten times a week each, many of them in hours that come twice or not at all."""
OFTEN: Final = ("*/15 * * * *", "*/20 1-3 * * *", "@every 25m")


class Planned(Struct, frozen=True):
    """A schedule of the week."""

    name: str
    cron: str
    zone: str


def planned(count: int, chance: Random) -> list[Planned]:
    """So many schedules, of which some are due often."""
    found = []
    for number in range(count):
        cron = chance.choice(OFTEN) if number % 400 == 7 else chance.choice(EXPRESSIONS)
        found.append(Planned(f"job {number}", cron, chance.choice(ZONES)))
    return found


_NONCES: Final = itertools.count(1)


class SetClock(Time):
    """A wall clock that is also set: `skew` ms from where it was."""

    skew = 0

    def clock(self) -> Clock:
        return Clock(lambda: self.at + self.skew, self.steady)


class Death(Exception):
    """The server is killed."""


class _Dying:
    """A connection of SQLite whose process is killed before or after it commits."""

    def __init__(self, connection: Any, dies: str) -> None:
        self._connection, self._dies = connection, dies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: str, *params: Any) -> Any:
        if query != "COMMIT":
            return self._connection.execute(query, *params)
        if self._dies == "after":
            self._connection.execute(query)
        raise Death


class Server:
    """A replica in the test's hand: it fires, is killed before or after it commits, and comes back."""

    def __init__(self, directory: Path, kind: str, time: SetClock) -> None:
        self._open: Callable[[], Rig] = lambda: Rig(directory, kind, time=time, nonce=lambda: f"{next(_NONCES):016x}")
        self.rig = self._open()

    def fire(self, dies: str = "") -> None:
        """Fire all that is due, as a planner does. `dies`: it is killed `before` or `after` its first commit."""
        more = True
        if dies:
            self._mark(dies)
        while more:
            try:
                (outcome,) = self.rig.outcomes(FireDue(), by=SYSTEM)
            except Death:
                self.rig.close()
                self.rig = self._open()
                return
            assert isinstance(outcome, Fires), outcome
            more = outcome.more

    def _mark(self, dies: str) -> None:
        store: Any = self.rig.store
        if isinstance(self.rig.store, SQLiteStore):
            run = store._writer.run
            store._writer.run = lambda function: run(lambda connection: function(_Dying(connection, dies)))
            return
        connection = store._connected()
        execute = connection.execute

        def last(query: Any, *rest: Any, **options: Any) -> Any:
            if query != "COMMIT":
                return execute(query, *rest, **options)
            if dies == "after":
                execute(query)
                connection._pipeline.sync()
            # The database learns of it as of any process that is gone.
            connection.pgconn.finish()
            raise Death

        connection.execute = last


class Week:
    """Schedules on some replicas, and a period in which the clocks of all zones but one change."""

    def __init__(self, directory: Path, kind: str, replicas: int, start: int, chance: Random) -> None:
        self.start, self._chance = start * 1000, chance
        self.time = SetClock(self.start)
        self.servers = [Server(directory, kind, self.time) for _ in range(replicas)]
        self._threads = ThreadPoolExecutor(replicas)
        self.planned: dict[int, Planned] = {}
        self.deaths = self.count = 0

    def close(self) -> None:
        self._threads.shutdown()
        for server in self.servers:
            server.rig.close()

    def plan(self, schedules: list[Planned]) -> None:
        """Save schedules, some hundred at once."""
        for number in range(0, len(schedules), 500):
            some = schedules[number : number + 500]
            outcomes = self.servers[0].rig.outcomes(*(_added(one) for one in some), by=OPEN)
            for one, outcome in zip(some, outcomes, strict=True):
                assert isinstance(outcome, Scheduled), outcome
                self.planned[outcome.schedule_id] = one

    def live(self, until: int, step_s: int, deaths: float) -> None:
        """Let time pass by random steps; the clock is set by an hour four times, and a server dies in this part of its looks."""
        length = until * 1000 - self.start
        jumps = [(self.start + length * part // 5, by) for part, by in ((1, HOUR), (2, -HOUR), (3, -HOUR), (4, HOUR))]
        while self.time.wall() < until * 1000:
            self.time.at += self._chance.randint(1, 2 * step_s * 1000)
            if jumps and self.time.at >= jumps[0][0]:
                self.time.skew += jumps.pop(0)[1]
            if self.time.wall() > until * 1000:
                break
            self._look(deaths)
        assert not jumps
        self.time.at = until * 1000 - self.time.skew
        self._look(0)

    def _look(self, deaths: float) -> None:
        """All servers fire what is due, at the same instant."""
        dying = [self._chance.choice(("before", "after")) if self._chance.random() < deaths else "" for _ in self.servers]
        if len(self.servers) == 1:
            # The lock of a file belongs to a thread.
            self.servers[0].fire(dying[0])
        else:
            looks = [self._threads.submit(server.fire, dies) for server, dies in zip(self.servers, dying, strict=True)]
            for look in looks:
                look.result(120)
        self.deaths += sum(map(bool, dying))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query, however long that takes."""
        store = self.servers[0].rig.store
        if isinstance(store, SQLiteStore):
            with closing(sqlite3.connect(store.path)) as file:
                return file.execute(query).fetchall()
        with psycopg.connect(store.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def expected(self, until: int) -> set[tuple[int, int]]:
        """Schedules and the times at which they are due, by the almanac."""
        almanacs = {zone: Almanac(zone, self.start // 1000, until) for zone in ZONES}
        scopes = dict(self.rows("SELECT id, scope FROM schedules"))
        return {
            (number, at * 1000)
            for number, one in self.planned.items()
            for at in almanacs[one.zone].due(one.cron, f"{scopes[number]}:{one.name}")
        }

    def check(self, until: int) -> int:
        """Each due time has exactly one task, and there is no other task; how many there are."""
        fires = self.rows("SELECT schedule_id, due_at, kind, outcome, times, task_ids FROM fires")
        assert {row[2:5] for row in fires} == {("due", "fired", 1)}
        times = Counter((row[0], row[1]) for row in fires)
        expected = self.expected(until)
        assert [time for time, count in times.items() if count > 1] == []
        assert sorted(expected - times.keys())[:5] == [], "missing"
        assert sorted(times.keys() - expected)[:5] == [], "not due"
        made = {task_id: row[0] for row in fires for task_id in json.loads(row[5])}
        assert len(made) == len(fires) == sum(len(json.loads(row[5])) for row in fires)
        assert dict(self.rows("SELECT id, schedule_id FROM tasks")) == made
        return len(fires)


def _added(one: Planned) -> AddSchedule:
    task = CreateTask(work_directory=f"/week/{len(one.cron) * len(one.zone)}", prompt="Make the tests pass.")
    return AddSchedule(body=CreateSchedule(name=one.name, cron=one.cron, timezone=one.zone, task=task, missed=Missed.ALL))
