"""A week in which clocks change, servers are killed and clocks are set: each due time has exactly one task."""

import asyncio
import json
from pathlib import Path
from random import Random

import psycopg
import pytest

from orchestrator.domain.operations import Submission
from orchestrator.domain.principal import OPEN, SYSTEM
from orchestrator.domain.rules import Rules
from orchestrator.domain.schedule_operations import AddSchedule, FireDue
from orchestrator.store.postgres.store import PostgresStore
from tests import postgres
from tests.almanac import Almanac, moment
from tests.week import Planned, Week, planned
from worker_client.contract.enums import Missed
from worker_client.contract.schedules import CreateSchedule
from worker_client.contract.tasks import CreateTask

AUTUMN = moment(2026, 10, 25), moment(2026, 11, 1, 12)
"""Berlin's clocks go back in its first hours, New York's in its last."""
SPRING = moment(2026, 3, 28, 12), moment(2026, 3, 29, 12)
REPLICAS = {"sqlite": 1, "postgres": 3}


def lived(directory: Path, kind: str, period: tuple[int, int], schedules: list[Planned], *, step_s: int, deaths: float) -> Week:
    week = Week(directory, kind, REPLICAS[kind], period[0], Random(7))
    try:
        week.plan(schedules)
        week.live(period[1], step_s, deaths)
        week.count = week.check(period[1])
    finally:
        week.close()
    return week


@pytest.mark.parametrize("kind", REPLICAS)
def test_a_day_in_spring(tmp_path: Path, kind: str) -> None:
    week = lived(tmp_path, kind, SPRING, planned(150, Random(1)), step_s=1800, deaths=0.04)
    assert week.count > 150
    assert week.deaths


@pytest.mark.system
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", REPLICAS)
def test_a_week_in_autumn(tmp_path: Path, kind: str) -> None:
    week = lived(tmp_path, kind, AUTUMN, planned(10_000, Random(1)), step_s=240, deaths=0.02)
    assert week.deaths > 20
    assert 90_000 <= week.count <= 100_000


@pytest.mark.anyio
async def test_the_clock_of_the_database_is_set(tmp_path: Path) -> None:
    """Two servers have no clock but that one; what it has passed is not due again when it is set back."""
    url, hour = postgres.database(tmp_path), 3600
    postgres.make_clock_setable(url)
    clock = "SELECT extract(epoch FROM setable.clock_timestamp())::bigint"
    with psycopg.connect(url, autocommit=True) as aside:
        stores = [PostgresStore(url, readers=1) for _ in range(2)]
        for store in stores:
            await store.open()
        task = CreateTask(work_directory="/week", prompt="Make the tests pass.")
        schedule = AddSchedule(body=CreateSchedule(name="each minute", cron="* * * * *", missed=Missed.ALL, task=task))
        await stores[0].commit([Submission(schedule, OPEN)], Rules())
        ((begun,),) = aside.execute(clock).fetchall()
        for seconds in (600, hour, -hour, 90, 1800, -2 * hour, 3 * hour, 600):
            postgres.set_forward(aside, seconds * 1000)
            ((ended,),) = aside.execute(clock).fetchall()
            await asyncio.gather(*(store.commit([Submission(FireDue(), SYSTEM)], Rules()) for store in stores))
        fires = aside.execute("SELECT due_at / 1000, outcome, task_ids FROM fires ORDER BY due_at").fetchall()
        tasks = aside.execute("SELECT id FROM tasks ORDER BY id").fetchall()
        for store in stores:
            await store.close()
    times = [at for at, _, _ in fires]
    assert times == list(range(times[0], times[-1] + 1, 60))
    assert set(Almanac("UTC", begun, ended).due("* * * * *")) <= set(times)
    assert {outcome for _, outcome, _ in fires} == {"fired"}
    assert sorted(tuple(json.loads(ids)) for _, _, ids in fires) == tasks
